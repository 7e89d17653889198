package augment

import "github.com/blipflow/blipflow/transforms/imaging"

// levels are what becomes of each level of red, green and blue.
type levels [3][256]uint8

// of maps a picture.
func (t *levels) of(p *imaging.RGB) *imaging.RGB {
	out := imaging.NewRGB(p.W, p.H)
	for i := 0; i+2 < len(p.Pix); i += 3 {
		from, to := p.Pix[i:i+3:i+3], out.Pix[i:i+3:i+3]
		to[0], to[1], to[2] = t[0][from[0]], t[1][from[1]], t[2][from[2]]
	}
	return out
}

// histograms count how often each level of red, green and blue occurs.
func histograms(p *imaging.RGB) (h [3][256]int) {
	for i := 0; i+2 < len(p.Pix); i += 3 {
		px := p.Pix[i : i+3 : i+3]
		h[0][px[0]]++
		h[1][px[1]]++
		h[2][px[2]]++
	}
	return h
}

// autoContrast stretches each channel so that its darkest level becomes 0 and its
// brightest 255, as Pillow's ImageOps.autocontrast does. A channel of one level
// stays.
func autoContrast(p *imaging.RGB) *imaging.RGB {
	var table levels
	for c, counts := range histograms(p) {
		low, high := 0, len(counts)-1
		for low < high && counts[low] == 0 {
			low++
		}
		for high > low && counts[high] == 0 {
			high--
		}
		scale, offset := 1.0, 0.0
		if high > low {
			scale = 255 / float64(high-low)
			offset = -float64(low) * scale
		}
		for v := range table[c] {
			table[c][v] = uint8(min(max(float64(float64(v)*scale)+offset, 0), 255))
		}
	}
	return table.of(p)
}

// equalize spreads each channel's levels so that each is about as frequent, as
// Pillow's ImageOps.equalize does. A channel of one level, or of too few pixels to
// go by, stays.
func equalize(p *imaging.RGB) *imaging.RGB {
	var table levels
	for c, counts := range histograms(p) {
		brightest := len(counts) - 1
		for counts[brightest] == 0 {
			brightest--
		}
		step := (p.W*p.H - counts[brightest]) / 255
		sum := step / 2
		for v, n := range counts {
			table[c][v] = uint8(v)
			if step > 0 {
				table[c][v] = uint8(min(sum/step, 255))
			}
			sum += n
		}
	}
	return table.of(p)
}

// brighten multiplies every level, in single precision and rounding down.
func brighten(p *imaging.RGB, factor float64) *imaging.RGB {
	if factor == 1 {
		return p
	}
	var table levels
	for v := range table[0] {
		to := uint8(min(float32(v)*float32(factor), 255))
		table[0][v], table[1][v], table[2][v] = to, to, to
	}
	return table.of(p)
}
