package metrics

import (
	"math"
	"math/bits"
)

// Mean is the mean of numbers from 0 to 2³¹, added up in fixed point with 64
// binary places. Addition of floats depends on its order; this does not, so
// that merged means have the same digits however the work was split. Each
// number is rounded by at most 2⁻⁶⁴.
//
// The zero value is the mean of nothing.
type Mean struct {
	Whole    uint64 // whole part of the sum
	Fraction uint64 // the rest, in units of 2⁻⁶⁴
	Count    int64  // how many numbers
}

// Add adds a number.
func (m *Mean) Add(x float64) {
	whole, rest := math.Modf(x)
	m.add(uint64(whole), uint64(math.Ldexp(rest, 64)), 1)
}

// Merge adds the numbers of another mean.
func (m *Mean) Merge(o Mean) { m.add(o.Whole, o.Fraction, o.Count) }

func (m *Mean) add(whole, fraction uint64, count int64) {
	var carry uint64
	m.Fraction, carry = bits.Add64(m.Fraction, fraction, 0)
	m.Whole, _ = bits.Add64(m.Whole, whole, carry)
	m.Count += count
}

// times is the mean of the same numbers, each n times.
func (m Mean) times(n int64) Mean {
	carry, fraction := bits.Mul64(m.Fraction, uint64(n))
	return Mean{Whole: m.Whole*uint64(n) + carry, Fraction: fraction, Count: n * m.Count}
}

// Value returns the mean, or 0 for the mean of nothing.
func (m Mean) Value() float64 {
	if m.Count == 0 {
		return 0
	}
	sum := float64(m.Whole) + math.Ldexp(float64(m.Fraction), -64)
	return sum / float64(m.Count)
}
