package imaging

import "fmt"

// RGB is a picture of 8-bit red, green and blue samples.
type RGB struct {
	// W and H are the width and the height in pixels, both at least 1.
	W, H int
	// Pix holds W*H*3 samples, row by row from the top, each row from the
	// left, R then G then B, without padding.
	Pix []uint8
}

// NewRGB returns a black picture. It panics if a side is below 1, as make does
// for a negative length.
func NewRGB(w, h int) *RGB {
	if w < 1 || h < 1 {
		panic(fmt.Sprintf("imaging.NewRGB: bad size %dx%d", w, h))
	}
	return &RGB{W: w, H: h, Pix: make([]uint8, w*h*3)}
}

// Validate reports whether the length of Pix fits W and H. Pictures made by
// this package always do; call it on ones rebuilt from stored samples.
func (m *RGB) Validate() error {
	if m == nil || m.W < 1 || m.H < 1 {
		return fmt.Errorf("picture has no pixels")
	}
	if len(m.Pix)%3 != 0 || m.W > len(m.Pix)/3 || len(m.Pix) != m.W*m.H*3 {
		return fmt.Errorf("picture of %dx%d has %d samples", m.W, m.H, len(m.Pix))
	}
	return nil
}

// row returns the samples of row y.
func (m *RGB) row(y int) []uint8 {
	n := m.W * 3
	return m.Pix[y*n : y*n+n : y*n+n]
}

// Orient returns m turned and mirrored so that a picture stored with the given
// EXIF orientation (TIFF 6.0 tag 274, 1 to 8) stands upright. For 1 and for
// values outside the range it returns m itself, as PIL.ImageOps.exif_transpose
// leaves such pictures alone.
func Orient(m *RGB, orientation int) *RGB {
	if orientation < 2 || orientation > 8 {
		return m
	}
	// An output pixel (x, y) is the input sample at start + x*dx + y*dy.
	const px = 3
	row := m.W * px
	right, bottom := (m.W-1)*px, (m.H-1)*row
	out := &RGB{W: m.W, H: m.H, Pix: make([]uint8, len(m.Pix))}
	var start, dx, dy int
	switch orientation {
	case 2: // mirrored left to right
		start, dx, dy = right, -px, row
	case 3: // turned by 180 degrees
		start, dx, dy = right+bottom, -px, -row
	case 4: // mirrored top to bottom
		start, dx, dy = bottom, px, -row
	case 5: // transposed
		start, dx, dy = 0, row, px
	case 6: // stored turned left: turn clockwise
		start, dx, dy = bottom, -row, px
	case 7: // transposed on the other diagonal
		start, dx, dy = right+bottom, -row, -px
	case 8: // stored turned right: turn anticlockwise
		start, dx, dy = right, row, -px
	}
	if orientation >= 5 {
		out.W, out.H = m.H, m.W
	}
	for y := range out.H {
		i := start + y*dy
		dst := out.row(y)
		for x := 0; x < len(dst); x += px {
			dst[x], dst[x+1], dst[x+2] = m.Pix[i], m.Pix[i+1], m.Pix[i+2]
			i += dx
		}
	}
	return out
}

// composite lays m over a background by its alpha plane, in place. The product
// is divided by 255 with rounding, as Pillow's paste does.
func composite(m *RGB, alpha []uint8, background [3]uint8) {
	for i, a := range alpha {
		if a == 255 {
			continue
		}
		p := m.Pix[3*i : 3*i+3 : 3*i+3]
		for c := range p {
			p[c] = div255(uint32(p[c])*uint32(a) + uint32(background[c])*uint32(255-a))
		}
	}
}

// div255 is v/255 rounded to nearest for v up to 255*255.
func div255(v uint32) uint8 {
	v += 128
	return uint8((v + v>>8) >> 8)
}

// clip32 is quick where most values are in range.
func clip32(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^v >> 31) // the sign tells which end it went over
	}
	return uint8(v)
}

func clip8(v int) uint8 {
	return uint8(min(max(v, 0), 255))
}

// cmykToRGB converts one pixel of CMYK (0 is no ink) by Pillow's rule:
// the ink's complement times the black's complement.
func cmykToRGB(dst, cmyk []uint8) {
	nk := uint32(255 - cmyk[3])
	for c := range 3 {
		dst[c] = clip8(int(nk) - int(div255(uint32(cmyk[c])*nk)))
	}
}
