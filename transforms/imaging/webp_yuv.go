package imaging

import "image"

// The colours of a lossy WebP are BT.601 with studio range (luma 16..235),
// two by two pixels to a chroma sample (RFC 6386, section 9.2). The reference
// decoder, libwebp, which Pillow uses, interpolates chroma with the weights
// 9, 3, 3, 1 over sixteen, rounding in two steps, and converts with 14-bit
// fixed-point factors of which the product's low byte is dropped. Both are
// followed to the bit.
const (
	yuvLuma   = 19077 // 255/219 in 14 bits
	yuvRedV   = 26149 // 1.402 * 255/224
	yuvGreenU = 6419
	yuvGreenV = 13320
	yuvBlueU  = 33050
	yuvRed    = -14234 // offsets that take out the bias of luma and chroma
	yuvGreen  = 8708
	yuvBlue   = -17685
)

func yuvPixel(dst []uint8, y, u, v int32) {
	luma := y * yuvLuma >> 8
	dst[0] = clip6(luma + v*yuvRedV>>8 + yuvRed)
	dst[1] = clip6(luma - u*yuvGreenU>>8 - v*yuvGreenV>>8 + yuvGreen)
	dst[2] = clip6(luma + u*yuvBlueU>>8 + yuvBlue)
}

// clip6 drops six fraction bits and clips.
func clip6(v int32) uint8 {
	return uint8(min(max(v>>6, 0), 255))
}

// yuvToRGB upsamples and converts the planes of a lossy frame.
func yuvToRGB(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := NewRGB(w, h)
	cw := (w + 1) / 2
	chroma := func(i int) ([]uint8, []uint8) {
		return m.Cb[i*m.CStride : i*m.CStride+cw], m.Cr[i*m.CStride : i*m.CStride+cw]
	}
	for y := range h {
		// Each row lies between its own chroma row and the one above or below.
		near := y / 2
		far := near - 1 + y%2*2
		far = min(max(far, 0), (h+1)/2-1)
		nu, nv := chroma(near)
		fu, fv := chroma(far)
		luma := m.Y[y*m.YStride : y*m.YStride+w]
		yuvRow(out.row(y), luma, nu, nv, fu, fv)
	}
	return out
}

// yuvRow converts one row; n is the chroma row nearer to it, f the farther.
func yuvRow(dst, luma, nu, nv, fu, fv []uint8) {
	w := len(luma)
	yuvPixel(dst, int32(luma[0]), edge(nu[0], fu[0]), edge(nv[0], fv[0]))
	last := (w - 1) / 2
	for i := 1; i <= last; i++ {
		u0, u1 := inner(nu[i-1], nu[i], fu[i-1], fu[i])
		v0, v1 := inner(nv[i-1], nv[i], fv[i-1], fv[i])
		yuvPixel(dst[6*i-3:], int32(luma[2*i-1]), u0, v0)
		yuvPixel(dst[6*i:], int32(luma[2*i]), u1, v1)
	}
	if w%2 == 0 {
		yuvPixel(dst[3*w-3:], int32(luma[w-1]), edge(nu[last], fu[last]), edge(nv[last], fv[last]))
	}
}

// edge interpolates where there is no chroma to the side.
func edge(near, far uint8) int32 {
	return (3*int32(near) + int32(far) + 2) >> 2
}

// inner interpolates the two pixels between two chroma columns: the first lies
// nearer to the left one (nl, fl), the second to the right one (nr, fr).
func inner(nl, nr, fl, fr uint8) (left, right int32) {
	a, b, c, d := int32(nl), int32(nr), int32(fl), int32(fr)
	sum := a + b + c + d + 8
	left = ((sum+2*(b+c))>>3 + a) >> 1
	right = ((sum+2*(a+d))>>3 + b) >> 1
	return left, right
}
