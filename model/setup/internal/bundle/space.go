package bundle

import (
	"errors"
	"fmt"
)

// ErrNoSpace is returned where the cache's disk is too full to fetch.
var ErrNoSpace = errors.New("too little disk space")

// CheckSpace tells whether the disk of dir has room for what needs so many
// bytes. Where the system can't tell, the write will.
func CheckSpace(dir, what string, need int64) error {
	free, err := freeSpace(dir)
	if err != nil || free >= need {
		return nil
	}
	return fmt.Errorf("%w: %s needs %d MB in %s, %d MB are free: make room, or set XDG_CACHE_HOME to a folder on another disk", ErrNoSpace, what, need/1e6, dir, free/1e6)
}
