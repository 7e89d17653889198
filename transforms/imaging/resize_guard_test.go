//go:build linux || darwin

package imaging

import (
	"bytes"
	"os"
	"syscall"
	"testing"
)

// Assembly may not look behind a picture's end: here, that ends the process.
func TestResizeStaysInside(t *testing.T) {
	page := os.Getpagesize()
	const pages = 64
	mem, err := syscall.Mmap(-1, 0, (pages+1)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(mem) // the test is over
	if err := syscall.Mprotect(mem[pages*page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	end := pages * page
	for _, size := range [][2]int{{1, 1}, {2, 1}, {3, 2}, {7, 7}, {11, 5}, {40, 1}, {1, 90}, {200, 300}} {
		src := noise(size[0], size[1], 5)
		at := end - len(src.Pix)
		copy(mem[at:], src.Pix)
		edge := &RGB{W: src.W, H: src.H, Pix: mem[at:end:end]}
		for _, to := range [][2]int{{1, 1}, {2, 2}, {5, 90}, {64, 3}, {77, size[1]}, {size[0], 33}} {
			for f := Nearest; f <= Hamming; f++ {
				if got, want := Resize(edge, to[0], to[1], f), Resize(src, to[0], to[1], f); !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("%v to %v, %v: what follows the picture shows in it", size, to, f)
				}
			}
		}
	}
}
