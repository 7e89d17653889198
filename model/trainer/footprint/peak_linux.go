package footprint

import "os"

// PeakMemory is the most main memory that this process has held, in bytes of
// resident pages; 0 where the system does not tell.
//
// It is read from /proc, since the figure of getrusage begins with that of the
// program that started this one.
func PeakMemory() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return maxResident()
	}
	for key, value := range fields(string(data)) {
		if key == "vmhwm" {
			return kilobytes(value)
		}
	}
	return maxResident()
}
