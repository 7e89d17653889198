package torch

import (
	"fmt"
	"math"

	"github.com/sugarme/gotch/ts"
)

const sqrt2 = math.Sqrt2

// normalCDF is the distribution function of N(0, 1).
func normalCDF(x float64) float64 { return (1 + math.Erf(x/sqrt2)) / 2 }

// Seed sets the state of libtorch's random generators, of this process.
func Seed(seed int64) error {
	if err := ts.ManualSeed(seed); err != nil {
		return fmt.Errorf("seed libtorch's generators: %w", err)
	}
	return nil
}

// SetThreads sets how many threads one operation on the CPU may use.
func SetThreads(n int) error {
	if err := ts.SetNumThreads(n); err != nil {
		return fmt.Errorf("set libtorch's threads to %d: %w", n, err)
	}
	return nil
}

// Threads is how many threads one operation on the CPU may use.
func Threads() int { return ts.NumThreads() }

// Version is that of the libtorch in use, "2.11.0".
func Version() string { return ts.TorchVersion() }
