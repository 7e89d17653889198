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

// RandomState is the state of a device's default generator: Dropout and the
// operations that draw go on from it.
type RandomState []byte

// RandomState reads the generator, inside a Run.
func (d *Device) RandomState() RandomState {
	var state RandomState
	Tidy(d, func() *Tensor {
		c, err := ts.GeneratorState(d.kind)
		state = d.wrap("random state", c, err).Bytes()
		return nil
	})
	return state
}

// SetRandomState sets what RandomState of a device of the same kind gave,
// inside a Run.
func (d *Device) SetRandomState(s RandomState) {
	Tidy(d, func() *Tensor {
		// Generators take their state from the host, whatever their device.
		c, err := ts.OfElements(s, []int64{int64(len(s))}, Uint8)
		state := d.wrap("random state", c, err)
		check("set random state", ts.SetGeneratorState(d.kind, state.c))
		return nil
	})
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
