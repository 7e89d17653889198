package imaging

import (
	"image"
	"image/color"
)

// fromImage takes the samples out of a picture of the standard library as they
// were stored: colours under transparent pixels stay.
func fromImage(img image.Image, l limits) (*RGB, []uint8) {
	b := img.Bounds()
	out := NewRGB(b.Dx(), b.Dy())
	var alpha []uint8
	if l.wantAlpha {
		alpha = make([]uint8, out.W*out.H)
	}
	for y := range out.H {
		dst := out.row(y)
		var a []uint8
		if alpha != nil {
			a = alpha[y*out.W : (y+1)*out.W]
			for i := range a {
				a[i] = 255
			}
		}
		switch m := img.(type) {
		case *image.Gray:
			rowGray(dst, m.Pix[y*m.Stride:])
		case *image.Gray16:
			rowGray16(dst, m.Pix[y*m.Stride:], l.deep)
		case *image.RGBA:
			rowNRGBA(dst, a, m.Pix[y*m.Stride:])
		case *image.NRGBA:
			rowNRGBA(dst, a, m.Pix[y*m.Stride:])
		case *image.RGBA64:
			rowNRGBA64(dst, a, m.Pix[y*m.Stride:])
		case *image.NRGBA64:
			rowNRGBA64(dst, a, m.Pix[y*m.Stride:])
		case *image.Paletted:
			rowPaletted(dst, a, m.Pix[y*m.Stride:], m.Palette)
		default:
			rowAny(dst, a, img, b.Min.X, b.Min.Y+y)
		}
	}
	return out, alpha
}

func rowGray(dst, src []uint8) {
	for i := 0; i < len(dst); i += 3 {
		v := src[i/3]
		dst[i], dst[i+1], dst[i+2] = v, v, v
	}
}

func rowGray16(dst, src []uint8, deep Deep) {
	for i := 0; i < len(dst); i += 3 {
		j := i / 3 * 2
		v := gray16(uint16(src[j])<<8|uint16(src[j+1]), deep)
		dst[i], dst[i+1], dst[i+2] = v, v, v
	}
}

func gray16(v uint16, deep Deep) uint8 {
	if deep == DeepClip {
		return uint8(min(v, 255))
	}
	return uint8(v >> 8)
}

func rowNRGBA(dst, alpha, src []uint8) {
	for i, j := 0, 0; i < len(dst); i, j = i+3, j+4 {
		dst[i], dst[i+1], dst[i+2] = src[j], src[j+1], src[j+2]
	}
	for i := range alpha {
		alpha[i] = src[4*i+3]
	}
}

func rowNRGBA64(dst, alpha, src []uint8) {
	for i, j := 0, 0; i < len(dst); i, j = i+3, j+8 {
		dst[i], dst[i+1], dst[i+2] = src[j], src[j+2], src[j+4]
	}
	for i := range alpha {
		alpha[i] = src[8*i+6]
	}
}

func rowPaletted(dst, alpha, src []uint8, palette color.Palette) {
	var table [256][4]uint8
	for i, c := range palette[:min(len(palette), 256)] {
		switch c := c.(type) {
		case color.NRGBA:
			table[i] = [4]uint8{c.R, c.G, c.B, c.A}
		case color.RGBA:
			table[i] = [4]uint8{c.R, c.G, c.B, c.A}
		}
	}
	for i := 0; i < len(dst); i += 3 {
		c := &table[src[i/3]]
		dst[i], dst[i+1], dst[i+2] = c[0], c[1], c[2]
	}
	for i := range alpha {
		alpha[i] = table[src[i]][3]
	}
}

func rowAny(dst, alpha []uint8, img image.Image, x0, y int) {
	for i := 0; i < len(dst); i += 3 {
		c := color.NRGBAModel.Convert(img.At(x0+i/3, y)).(color.NRGBA)
		dst[i], dst[i+1], dst[i+2] = c.R, c.G, c.B
		if alpha != nil {
			alpha[i/3] = c.A
		}
	}
}
