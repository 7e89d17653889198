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

// yuvToRGB upsamples and converts the planes of a lossy frame.
func yuvToRGB(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := NewRGB(w, h)
	cw, ch := (w+1)/2, (h+1)/2
	u, v := make([]uint8, w), make([]uint8, w)
	for y := range h {
		// Each row lies between its own chroma row and the one above or below.
		near := y / 2
		far := min(max(near-1+y%2*2, 0), ch-1)
		near, far = near*m.CStride, far*m.CStride
		yuvSpread(u, m.Cb[near:near+cw], m.Cb[far:far+cw])
		yuvSpread(v, m.Cr[near:near+cw], m.Cr[far:far+cw])
		yuvConvert(out.row(y), m.Y[y*m.YStride:y*m.YStride+w], u, v)
	}
	return out
}

// yuvSpread interpolates a row of chroma from the chroma rows nearer to it and
// farther from it. At the left and right end there is no chroma to one side.
func yuvSpread(dst, near, far []uint8) {
	dst[0] = yuvEdge(near[0], far[0])
	far = far[:len(near)]
	a, c := uint32(near[0]), uint32(far[0])
	for i := 1; i < len(near); i++ {
		b, d := uint32(near[i]), uint32(far[i])
		sum := a + b + c + d + 8
		pair := dst[2*i-1 : 2*i+1]
		pair[0] = uint8(((sum+2*(b+c))>>3 + a) >> 1)
		pair[1] = uint8(((sum+2*(a+d))>>3 + b) >> 1)
		a, c = b, d
	}
	if last := len(near) - 1; len(dst)%2 == 0 {
		dst[len(dst)-1] = yuvEdge(near[last], far[last])
	}
}

func yuvEdge(near, far uint8) uint8 {
	return uint8((3*uint32(near) + uint32(far) + 2) >> 2)
}

func yuvConvert(dst, luma, u, v []uint8) {
	u, v, dst = u[:len(luma)], v[:len(luma)], dst[:3*len(luma)]
	for x, l := range luma {
		y, u, v := int32(l)*yuvLuma>>8, int32(u[x]), int32(v[x])
		px := dst[3*x : 3*x+3 : 3*x+3]
		px[0] = clip6(y + v*yuvRedV>>8 + yuvRed)
		px[1] = clip6(y - u*yuvGreenU>>8 - v*yuvGreenV>>8 + yuvGreen)
		px[2] = clip6(y + u*yuvBlueU>>8 + yuvBlue)
	}
}

// clip6 drops six fraction bits and clips.
func clip6(v int32) uint8 { return clip32(v >> 6) }
