package imaging

import "image"

// Chroma is upsampled as libjpeg does it by default ("fancy"): along each halved
// axis a pixel takes three quarters from the nearer sample and one from
// the farther. Other ratios are filled with copies.
//
// The conversion is JFIF's, in 16-bit fixed point.

// ycbcrToRGB converts the planes of a JPEG.
func ycbcrToRGB(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := NewRGB(w, h)
	up := newUpsampler(m)
	for y := range h {
		cb := up.row(m.Cb, y, up.cb)
		cr := up.row(m.Cr, y, up.cr)
		convertRow(out.row(y), m.Y[y*m.YStride:y*m.YStride+w], cb, cr)
	}
	return out
}

// upsampler makes full rows of chroma.
type upsampler struct {
	w, h   int // of the picture
	hr, vr int // luma samples to a chroma sample, across and down
	cw, ch int // of the chroma planes
	stride int
	sums   []int32
	cb, cr []uint8
}

func newUpsampler(m *image.YCbCr) *upsampler {
	u := &upsampler{w: m.Rect.Dx(), h: m.Rect.Dy(), hr: 1, vr: 1, stride: m.CStride}
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		u.hr = 2
	case image.YCbCrSubsampleRatio420:
		u.hr, u.vr = 2, 2
	case image.YCbCrSubsampleRatio440:
		u.vr = 2
	case image.YCbCrSubsampleRatio411:
		u.hr = 4
	case image.YCbCrSubsampleRatio410:
		u.hr, u.vr = 4, 2
	}
	u.cw, u.ch = (u.w+u.hr-1)/u.hr, (u.h+u.vr-1)/u.vr
	u.sums = make([]int32, u.cw)
	u.cb, u.cr = make([]uint8, u.cw*u.hr), make([]uint8, u.cw*u.hr)
	return u
}

// row returns row y of a chroma plane at the picture's width; dst is memory it
// may use.
func (u *upsampler) row(plane []uint8, y int, dst []uint8) []uint8 {
	near := y / u.vr
	n := plane[near*u.stride : near*u.stride+u.cw]
	// libjpeg interpolates across only where a row has over two samples.
	across := u.hr == 2 && u.cw > 2
	switch {
	case u.hr == 1 && u.vr == 1:
		return n
	case u.hr == 2 && u.vr == 1 && across:
		spread2(dst, n)
	case u.hr == 1 && u.vr == 2:
		u.between(plane, y, n, func(i int, sum int32) { dst[i] = uint8((sum + 1 + int32(y%2)) >> 2) })
	case u.hr == 2 && u.vr == 2 && across:
		u.between(plane, y, n, func(i int, sum int32) { u.sums[i] = sum })
		spread4(dst, u.sums)
	default:
		for i := range dst {
			dst[i] = n[i/u.hr]
		}
	}
	return dst
}

// between weighs a row three to one with the chroma row on the other side of y.
func (u *upsampler) between(plane []uint8, y int, n []uint8, put func(int, int32)) {
	far := min(max(y/2-1+y%2*2, 0), u.ch-1)
	f := plane[far*u.stride : far*u.stride+u.cw]
	for i, v := range n {
		put(i, 3*int32(v)+int32(f[i]))
	}
}

// spread2 doubles a row of samples.
func spread2(dst, src []uint8) {
	last := len(src) - 1
	for i, v := range src {
		c := 3 * int32(v)
		dst[2*i] = uint8((c + int32(src[max(i-1, 0)]) + 1) >> 2)
		dst[2*i+1] = uint8((c + int32(src[min(i+1, last)]) + 2) >> 2)
	}
}

// spread4 doubles a row of sums of four samples each.
func spread4(dst []uint8, src []int32) {
	last := len(src) - 1
	for i, v := range src {
		dst[2*i] = uint8((3*v + src[max(i-1, 0)] + 8) >> 4)
		dst[2*i+1] = uint8((3*v + src[min(i+1, last)] + 7) >> 4)
	}
}

const (
	half16   = 1 << 15
	jfifRedR = 91881  // 1.40200 in 16 bits
	jfifGrnB = 22554  // 0.34414
	jfifGrnR = 46802  // 0.71414
	jfifBluB = 116130 // 1.77200
)

func convertRow(dst, luma, cb, cr []uint8) {
	cb, cr, dst = cb[:len(luma)], cr[:len(luma)], dst[:3*len(luma)]
	for x, v := range luma {
		y, b, r := int32(v), int32(cb[x])-128, int32(cr[x])-128
		px := dst[3*x : 3*x+3 : 3*x+3]
		px[0] = clip32(y + (jfifRedR*r+half16)>>16)
		px[1] = clip32(y + (-jfifGrnB*b-jfifGrnR*r+half16)>>16)
		px[2] = clip32(y + (jfifBluB*b+half16)>>16)
	}
}
