package progress

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// Arrived says how much of a download of so many bytes is in a folder, for
// While's status.
func Arrived(dir string, size int64) string {
	var sum int64
	// The folder changes under the walk; what can't be read has not arrived.
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	if sum == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d MB", sum/1e6, (size+999_999)/1e6)
}
