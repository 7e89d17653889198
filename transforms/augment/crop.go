package augment

import (
	"math"
	"math/rand/v2"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// size is in pixels.
type size struct{ w, h int }

// box is a part of a picture: its left upper corner and its size.
type box struct{ x, y, w, h int }

// Limits of a crop: its share of the picture's area, and its width by its height.
const (
	leastShare, mostShare = 0.5, 1.0
	leastRatio, mostRatio = 3.0 / 4, 4.0 / 3
)

// cropTries is how many boxes are drawn before the middle is taken.
const cropTries = 10

// drawCrop draws a box of a picture, as torchvision's RandomResizedCrop does: the
// area evenly, the ratio evenly in its logarithm, then the place. A box that does
// not fit is drawn again.
func drawCrop(of size, r *rand.Rand) box {
	area := float64(of.w) * float64(of.h)
	for range cropTries {
		share := area * (leastShare + float64((mostShare-leastShare)*r.Float64()))
		low, high := math.Log(leastRatio), math.Log(mostRatio)
		ratio := math.Exp(low + float64((high-low)*r.Float64()))
		w := int(math.RoundToEven(math.Sqrt(share * ratio)))
		h := int(math.RoundToEven(math.Sqrt(share / ratio)))
		if 0 < w && w <= of.w && 0 < h && h <= of.h {
			y := r.IntN(of.h - h + 1)
			return box{r.IntN(of.w - w + 1), y, w, h}
		}
	}
	return middle(of)
}

// middle is the largest box in the middle that keeps to the ratios.
func middle(of size) box {
	w, h := of.w, of.h
	switch ratio := float64(w) / float64(h); {
	case ratio < leastRatio:
		h = int(math.RoundToEven(float64(w) / leastRatio))
	case ratio > mostRatio:
		w = int(math.RoundToEven(float64(h) * mostRatio))
	}
	return box{(of.w - w) / 2, (of.h - h) / 2, w, h}
}

// on is the box on a copy in another size, rounded to pixels, of which it takes
// one at least each way.
func (b box) on(p *imaging.RGB, of size) box {
	b.x, b.w = rescale(b.x, b.w, of.w, p.W)
	b.y, b.h = rescale(b.y, b.h, of.h, p.H)
	return b
}

func rescale(from, length, of, to int) (start, n int) {
	at := func(v int) int { return (2*v*to + of) / (2 * of) }
	start = min(at(from), to-1)
	return start, max(at(from+length)-start, 1)
}

// cropAndResize brings a part of a picture to the whole picture's size.
func cropAndResize(p *imaging.RGB, b box) *imaging.RGB {
	if b.w == p.W && b.h == p.H {
		return p
	}
	part := imaging.NewRGB(b.w, b.h)
	for y := range b.h {
		from := 3 * ((b.y+y)*p.W + b.x)
		copy(part.Pix[3*y*b.w:3*(y+1)*b.w], p.Pix[from:])
	}
	return imaging.Resize(part, p.W, p.H, imaging.Bicubic)
}
