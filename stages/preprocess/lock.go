package preprocess

import (
	"errors"

	"github.com/gofrs/flock"
)

// takeLock locks a file until the lock is closed or the process ends, however it
// ends. On a file system without locks nothing is locked.
func takeLock(path string) (*flock.Flock, error) {
	f := flock.New(path, flock.SetPermissions(0o644))
	locked, err := f.TryLock()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return f, nil
	case err == nil && !locked:
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
