package records

import (
	"io"
	"os"
)

// OpenSection opens a part of a file. It reads short without an error where the
// file is.
func OpenSection(path string, offset, size int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, size), f}, nil
}
