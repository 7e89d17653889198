//go:build !unix

package footprint

func maxResident() int64 { return 0 }
