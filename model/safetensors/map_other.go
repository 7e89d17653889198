//go:build !unix

package safetensors

import (
	"fmt"
	"os"
)

// mapFile reads a file whole where there is no mmap.
func mapFile(path string, size int) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	if err == nil && len(data) != size {
		err = fmt.Errorf("read %s: it changed while it was read", path)
	}
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return nil }, nil
}
