//go:build unix

package footprint

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// maxResident is the peak that getrusage tells: in bytes on Darwin, in kilobytes
// on Linux and the BSDs.
func maxResident() int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	peak := int64(usage.Maxrss)
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
		peak <<= 10
	}
	return peak
}
