package imaging

import (
	"fmt"
	"math"
)

// Filter is a resampling filter, numbered as PIL.Image.Resampling and the
// `resample` key of preprocessor_config.json.
type Filter int

const (
	Nearest  Filter = 0
	Lanczos  Filter = 1
	Bilinear Filter = 2
	Bicubic  Filter = 3
	Box      Filter = 4
	Hamming  Filter = 5
)

var filterNames = [...]string{"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}

// String returns the filter's name in lower case.
func (f Filter) String() string {
	if f.valid() {
		return filterNames[f]
	}
	return fmt.Sprintf("Filter(%d)", int(f))
}

func (f Filter) valid() bool { return f >= 0 && int(f) < len(filterNames) }

// kernel returns the filter's function and how far from 0 it reaches when the
// scale is 1.
func (f Filter) kernel() (weight func(float64) float64, support float64) {
	switch f {
	case Lanczos:
		return lanczos, 3
	case Bilinear:
		return triangle, 1
	case Bicubic:
		return bicubic, 2
	case Box:
		return box, 0.5
	case Hamming:
		return hamming, 1
	}
	return nil, 0
}

func box(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func triangle(x float64) float64 {
	return max(1-math.Abs(x), 0)
}

// bicubic is Keys' cubic convolution kernel with a = -0.5.
// The conversions keep the compiler from fusing multiply and add on machines
// that can, so that the weights are the same everywhere.
func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

// hamming has its two constants in single precision, as Pillow has them.
func hamming(x float64) float64 {
	const a, b = float64(float32(0.54)), float64(float32(0.46))
	x = math.Abs(x)
	if x == 0 {
		return 1
	}
	if x >= 1 {
		return 0
	}
	x *= math.Pi
	return math.Sin(x) / x * (a + float64(b*math.Cos(x)))
}

func lanczos(x float64) float64 {
	if x >= -3 && x < 3 {
		return sinc(x) * sinc(x/3)
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// Weights are fixed-point numbers of 22 fraction bits: 32 bits, less 8 of the
// sample, less one for the sign and one for kernels that overshoot.
const (
	weightBits = 22
	weightHalf = 1 << (weightBits - 1)
)

// weights are the contributions of input samples to output samples along one
// axis.
type weights struct {
	in     int // the number of input samples
	filter Filter
	// size is the number of weights that each output sample has room for, even;
	// those beyond its count are 0. most is the largest count.
	size, most int
	// first and count give the run of input samples of an output sample.
	first, count []int32
	fixed        []int32
}

// out is the number of output samples.
func (k *weights) out() int { return len(k.first) }

// of returns the run of output sample i.
func (k *weights) of(i int) (first int, w []int32) {
	return int(k.first[i]), k.fixed[i*k.size : i*k.size+int(k.count[i])]
}

// newWeights computes the weights that take in samples to out samples. When
// shrinking, the kernel is stretched to cover the input samples that fall on
// one output sample.
func newWeights(in, out int, f Filter) *weights {
	weight, support := f.kernel()
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support *= stretch
	inverse := 1 / stretch
	k := &weights{in: in, filter: f, size: int(math.Ceil(support))*2 + 2}
	k.first, k.count = make([]int32, out), make([]int32, out)
	k.fixed = make([]int32, out*k.size)
	row := make([]float64, k.size)
	for i := range out {
		center := float64((float64(i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		sum := 0.0
		for j := range hi - lo {
			row[j] = weight((float64(j+lo) - center + 0.5) * inverse)
			sum += row[j]
		}
		k.first[i], k.count[i] = int32(lo), int32(hi-lo)
		k.most = max(k.most, hi-lo)
		for j, w := range row[:hi-lo] {
			if sum != 0 {
				w /= sum
			}
			k.fixed[i*k.size+j] = fixed(w)
		}
	}
	return k
}

// fixed rounds a weight to fixed point, halves away from zero.
func fixed(w float64) int32 {
	w *= 1 << weightBits
	if w < 0 {
		return int32(w - 0.5)
	}
	return int32(w + 0.5)
}
