package augment

import (
	"math"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// fill is the level of the ground that a moved picture uncovers.
const fill = 128

// affine is a map of the plane: x' = a[0]·x + a[1]·y + a[2] and
// y' = a[3]·x + a[4]·y + a[5].
type affine [6]float64

// rotation turns a picture about its centre by degrees, against the clock.
func rotation(p *imaging.RGB, degrees float64) affine {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	x, y := float64(p.W)/2, float64(p.H)/2
	return affine{
		cos, sin, float64((1-cos)*x) - float64(sin*y),
		-sin, cos, float64(sin*x) + float64((1-cos)*y),
	}
}

// inverse is the map back. A map without one has none of the plane's points.
func (a affine) inverse() affine {
	d := float64(a[0]*a[4]) - float64(a[1]*a[3])
	if d != 0 {
		d = 1 / d
	}
	b := affine{a[4] * d, -a[1] * d, 0, -a[3] * d, a[0] * d, 0}
	b[2] = float64(-b[0]*a[2]) - float64(b[1]*a[5])
	b[5] = float64(-b[3]*a[2]) - float64(b[4]*a[5])
	return b
}

// Positions are fixed-point numbers of positionBits fraction bits while they are
// added up, and of placeBits when pixels are weighed.
const (
	positionBits = 10
	placeBits    = 5
	places       = 1 << placeBits
)

func position(v float64) int { return int(math.RoundToEven(v * (1 << positionBits))) }

// warp moves a picture's pixels by a map, within its size, weighing the four
// pixels around each position in the source. It has the rounding of OpenCV's
// warpAffine with INTER_LINEAR as it was up to version 4.10: the position is summed
// up in 1/1024 of a pixel from its rounded parts, then taken to 1/32.
func warp(p *imaging.RGB, m affine) *imaging.RGB {
	back := m.inverse()
	out := imaging.NewRGB(p.W, p.H)
	dx, dy := make([]int, p.W), make([]int, p.W)
	for x := range p.W {
		dx[x] = position(back[0] * float64(x))
		dy[x] = position(back[3] * float64(x))
	}
	const half = 1 << (positionBits - placeBits - 1)
	i := 0
	for y := range p.H {
		x0 := position(float64(back[1]*float64(y))+back[2]) + half
		y0 := position(float64(back[4]*float64(y))+back[5]) + half
		for x := range p.W {
			sample(out.Pix[i:i+3:i+3], p, (x0+dx[x])>>(positionBits-placeBits), (y0+dy[x])>>(positionBits-placeBits))
			i += 3
		}
	}
	return out
}

// sample writes a pixel at a position in 1/places of a pixel.
func sample(to []uint8, p *imaging.RGB, px, py int) {
	x, y := px>>placeBits, py>>placeBits
	right, down := px&(places-1), py&(places-1)
	left, up := places-right, places-down
	weights := [4]int{up * left, up * right, down * left, down * right}
	if x >= 0 && y >= 0 && x < p.W-1 && y < p.H-1 {
		i := 3 * (y*p.W + x)
		a, b := p.Pix[i:i+6:i+6], p.Pix[i+3*p.W:i+3*p.W+6]
		to[0] = weigh(&weights, a[0], a[3], b[0], b[3])
		to[1] = weigh(&weights, a[1], a[4], b[1], b[4])
		to[2] = weigh(&weights, a[2], a[5], b[2], b[5])
		return
	}
	for c := range to {
		to[c] = weigh(&weights, at(p, x, y, c), at(p, x+1, y, c), at(p, x, y+1, c), at(p, x+1, y+1, c))
	}
}

func weigh(w *[4]int, a, b, c, d uint8) uint8 {
	sum := w[0]*int(a) + w[1]*int(b) + w[2]*int(c) + w[3]*int(d)
	return uint8((sum + places*places/2) >> (2 * placeBits))
}

// at is a sample of the picture or of the ground around it.
func at(p *imaging.RGB, x, y, c int) uint8 {
	if x < 0 || y < 0 || x >= p.W || y >= p.H {
		return fill
	}
	return p.Pix[3*(y*p.W+x)+c]
}
