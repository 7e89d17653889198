package augment

import (
	"slices"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// sharpen goes from a smoothed picture, factor 0, through the picture, 1, and
// beyond. The smoothed one is the mean of a pixel's neighbours with itself at five
// times the weight. The outermost pixels, which lack neighbours, stay as they are.
func sharpen(p *imaging.RGB, factor float64) *imaging.RGB {
	if factor == 1 {
		return p
	}
	out := &imaging.RGB{W: p.W, H: p.H, Pix: slices.Clone(p.Pix)}
	f := float32(factor)
	row := 3 * p.W
	for y := 1; y < p.H-1; y++ {
		for i := y*row + 3; i < (y+1)*row-3; i++ {
			above, here, below := p.Pix[i-row-3:i-row+4], p.Pix[i-3:i+4], p.Pix[i+row-3:i+row+4]
			sum := 4 * int(here[3])
			for k := 0; k < 7; k += 3 {
				sum += int(above[k]) + int(here[k]) + int(below[k])
			}
			smooth := float32((2*sum + 13) / 26) // to the nearest; thirteenths have no ties
			v := smooth + float32(f*(float32(here[3])-smooth))
			out.Pix[i] = uint8(min(max(v, 0), 255))
		}
	}
	return out
}
