package torch

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
)

func device(t testing.TB) *Device {
	t.Helper()
	d, err := Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRunFreesAllButWhatIsKept(t *testing.T) {
	d, before := device(t), Live()
	var kept *Tensor
	err := d.Run(Inference, func() error {
		a := d.Floats([]float32{1, 2, 3, 4}, 2, 2)
		Tidy(d, func() *Tensor { return a.Add(a).Mul(a) })
		kept = a.Scale(3).Keep()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := Live() - before; n != 1 {
		t.Errorf("%d tensors are alive, want the kept one", n)
	}
	err = d.Run(Inference, func() error {
		if got := kept.Float32s(); got[3] != 12 {
			t.Errorf("kept tensor is %v", got)
		}
		kept.Free()
		kept.Free()
		return nil
	})
	if err != nil || Live() != before {
		t.Errorf("%v, %d tensors left", err, Live()-before)
	}
}

func TestRefusalIsAnErrorThatNamesTheOperation(t *testing.T) {
	d, before := device(t), Live()
	err := d.Run(Inference, func() error {
		a := d.Zeros(Float32, 2, 3)
		Tidy(d, func() *Tensor { return a.Linear(d.Zeros(Float32, 4, 5), nil) })
		t.Error("the code after a refusal runs")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "linear of [2 3] by [4 5]") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %q", err)
	}
	if Live() != before {
		t.Errorf("%d tensors left", Live()-before)
	}
	if errors.Is(err, ErrOutOfMemory) {
		t.Error("a wrong shape is taken for a lack of memory")
	}
}

func TestLackOfMemoryIsTold(t *testing.T) {
	d := device(t)
	err := d.Run(Inference, func() error { d.Zeros(Float32, 1<<44); return nil })
	if !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("64 TiB: %v", err)
	}
}

// A bug goes on as a panic in the goroutine of the caller, and the device goes
// on serving others.
func TestBugIsRaisedInTheCaller(t *testing.T) {
	d, before := device(t), Live()
	func() {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(r.(string), "a bug") {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = d.Run(Inference, func() error { d.Zeros(Float32, 1); panic("a bug") })
	}()
	if Live() != before {
		t.Errorf("%d tensors left", Live()-before)
	}
	if err := d.Run(Inference, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestModesAreThoseAskedFor(t *testing.T) {
	d := device(t)
	for range 3 {
		if err := d.Run(Training, func() error {
			x := d.Floats([]float32{3}, 1)
			x.RequireGrad(Collected)
			d.Without(func() { x.Mul(x) })
			if !d.Trains() {
				t.Error("Without does not end")
			}
			x.Mul(x).Sum().Backward()
			if g := x.Grad().Float32s(); g[0] != 6 {
				t.Errorf("gradient of x² at 3 is %v", g)
			}
			x.ZeroGrad()
			if g := x.Grad(); g != nil {
				t.Errorf("gradient is %v after ZeroGrad", g.Float32s())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		err := d.Run(Inference, func() error {
			x := d.Floats([]float32{3}, 1)
			x.RequireGrad(Collected)
			x.Mul(x).Sum().Backward()
			return nil
		})
		if err == nil {
			t.Error("Inference recorded a graph")
		}
	}
}

// Errors are thread-locals in libtorch: each goroutine gets its own.
func TestManyGoroutinesGetTheirOwnErrors(t *testing.T) {
	d, before := device(t), Live()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			err := d.Run(Inference, func() error {
				a := d.Zeros(Float32, 2, int64(3+i%2))
				a.Reshape(2, 3)
				return nil
			})
			if (err != nil) != (i%2 == 1) {
				t.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if Live() != before {
		t.Errorf("%d tensors left", Live()-before)
	}
}

func TestDevicesThatAreNotThere(t *testing.T) {
	for _, name := range []string{"tpu", "cuda:-1", "cuda:x", "cuda:999", ""} {
		if _, err := Open(name); !errors.Is(err, ErrNoDevice) {
			t.Errorf("%q: %v", name, err)
		}
	}
	a, b := device(t), device(t)
	if a != b {
		t.Error("one device has two owners")
	}
}

// The limited normal distribution of a ViT's positions: its moments are known.
func TestTruncNormal(t *testing.T) {
	d := device(t)
	if err := Seed(1); err != nil {
		t.Fatal(err)
	}
	err := d.Run(Inference, func() error {
		x := d.Zeros(Float32, 100_000)
		x.TruncNormal_(1.5, -2, 2)
		var sum, square float64
		for _, v := range x.Float32s() {
			if v < -2 || v > 2 {
				t.Fatalf("%v is out of bounds", v)
			}
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		a := 2 / 1.5
		density := math.Exp(-a*a/2) / math.Sqrt(2*math.Pi)
		variance := 1.5 * 1.5 * (1 - 2*a*density/(2*normalCDF(a)-1))
		if mean := sum / 1e5; math.Abs(mean) > 0.02 || math.Abs(square/1e5-variance) > 0.02 {
			t.Errorf("mean %v and variance %v, want 0 and %v", mean, square/1e5, variance)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAdd8x8(b *testing.B) {
	d := device(b)
	_ = d.Run(Inference, func() error {
		x := d.Zeros(Float32, 8, 8)
		for b.Loop() {
			Tidy(d, func() *Tensor { x.Add(x); return nil })
		}
		return nil
	})
}
