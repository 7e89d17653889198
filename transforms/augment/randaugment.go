package augment

import (
	"math/rand/v2"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// RandAugment's settings in BLIP (Cubuk and others, "RandAugment", 2019, call
// them N and M).
const (
	drawn    = 2  // operations a picture
	level    = 5  // strength of each
	maxLevel = 10 // of the scale of strengths
)

// operation is one of those that RandAugment draws from.
type operation struct {
	name string
	// apply carries it out at a strength of 0 to maxLevel. Geometric operations go
	// one way or the other by sign, 1 or -1.
	apply func(p *imaging.RGB, strength, sign float64) *imaging.RGB
}

var operations = [...]operation{
	{"Identity", func(p *imaging.RGB, _, _ float64) *imaging.RGB { return p }},
	{"AutoContrast", func(p *imaging.RGB, _, _ float64) *imaging.RGB { return autoContrast(p) }},
	{"Brightness", func(p *imaging.RGB, s, _ float64) *imaging.RGB { return brighten(p, enhancement(s)) }},
	{"Sharpness", func(p *imaging.RGB, s, _ float64) *imaging.RGB { return sharpen(p, enhancement(s)) }},
	{"Equalize", func(p *imaging.RGB, _, _ float64) *imaging.RGB { return equalize(p) }},
	{"ShearX", func(p *imaging.RGB, s, sign float64) *imaging.RGB {
		return warp(p, affine{1, single(sign * shear(s)), 0, 0, 1, 0})
	}},
	{"ShearY", func(p *imaging.RGB, s, sign float64) *imaging.RGB {
		return warp(p, affine{1, 0, 0, single(sign * shear(s)), 1, 0})
	}},
	{"TranslateX", func(p *imaging.RGB, s, sign float64) *imaging.RGB {
		return warp(p, affine{1, 0, single(-sign * shift(s)), 0, 1, 0})
	}},
	{"TranslateY", func(p *imaging.RGB, s, sign float64) *imaging.RGB {
		return warp(p, affine{1, 0, 0, 0, 1, single(-sign * shift(s))})
	}},
	{"Rotate", func(p *imaging.RGB, s, sign float64) *imaging.RGB {
		return warp(p, rotation(p, sign*turn(s)))
	}},
}

// enhancement is the factor of Brightness and Sharpness, 0.1 to 1.9.
func enhancement(strength float64) float64 { return float64(strength/maxLevel*1.8) + 0.1 }

// shear is by how many pixels each row or column moves against the next.
func shear(strength float64) float64 { return strength / maxLevel * 0.3 }

// shift is in pixels, whatever the picture's size.
func shift(strength float64) float64 { return strength / maxLevel * 10 }

// turn is in degrees.
func turn(strength float64) float64 { return strength / maxLevel * 30 }

// single rounds to single precision, in which the reference keeps its matrices.
func single(v float64) float64 { return float64(float32(v)) }

// pick is an operation that was drawn, and its direction.
type pick struct {
	operation
	sign float64
}

// drawOperations draws from the operations, with replacement, and tosses a coin for
// each whether it is carried out.
func drawOperations(r *rand.Rand) []pick {
	var picks []pick
	for range drawn {
		op, carriedOut, sign := operations[r.IntN(len(operations))], r.IntN(2) == 0, 1.0
		if r.IntN(2) == 0 {
			sign = -1
		}
		if carriedOut {
			picks = append(picks, pick{op, sign})
		}
	}
	return picks
}

func randAugment(p *imaging.RGB, r *rand.Rand) *imaging.RGB {
	for _, op := range drawOperations(r) {
		p = op.apply(p, level, op.sign)
	}
	return p
}
