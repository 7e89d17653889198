//go:build !linux

package footprint

// PeakMemory is the most main memory that this process has held, in bytes of
// resident pages; 0 where the system does not tell.
func PeakMemory() int64 { return maxResident() }
