package imaging

import "golang.org/x/sys/cpu"

// bestPasses are those that resize fastest on this processor.
func bestPasses() passes {
	if cpu.X86.HasAVX2 {
		return inVectors
	}
	return inLanes
}

// block is how many samples weighRows makes at a time.
const block = 32

// weighRows makes n samples, a multiple of block, of count rows that lie stride
// bytes apart from src on, weighed with k.
//
//go:noescape
func weighRows(dst, src *uint8, stride, n int, k *int32, count int)

// weighColumns makes n pixels at dst of the row at src, and n at dst+dstStride of
// that at src+srcStride. Pixel i weighs twice as many pixels as pairs says, from
// first[i] on, with the weights at k[i*size]. It reads two bytes behind the last
// of them, and writes one behind the last pixel.
//
//go:noescape
func weighColumns(dst, src *uint8, dstStride, srcStride, n int, first, k *int32, size, pairs int)

// inVectors does the passes with AVX2, on 32-bit sums as Pillow has them. The
// rows that one output row needs lie together in a window that slides down the
// picture.
func inVectors(s *scratch, across *horizontal, out *RGB, down *weights) {
	samples := 3 * out.W
	stride := (samples + block) &^ (block - 1) // one byte more than samples at least
	if down == nil {
		rows := grow(&s.bytes, 2*stride)
		for y := 0; y < out.H; y += 2 {
			across.vectorRows(s, rows, y)
			copy(out.row(y), rows)
			copy(out.row(min(y+1, out.H-1)), rows[stride:])
		}
		return
	}
	const spare = 64 // rows that are made before the window is moved
	rows := down.most + spare
	window := grow(&s.bytes, (rows+2)*stride)
	last := window[(rows+1)*stride:]
	full := samples &^ (block - 1)
	top, next := 0, 0 // the picture's rows that are in the window
	for y := range out.H {
		first, k := down.of(y)
		if first+len(k) > top+rows {
			if next > first {
				copy(window, window[(first-top)*stride:(next-top)*stride])
			}
			top = first
		}
		for next = max(next, first); next < first+len(k); next += 2 {
			at := (next - top) * stride
			across.vectorRows(s, window[at:at+2*stride], next)
		}
		from, to := window[(first-top)*stride:], out.row(y)
		if full > 0 {
			weighRows(&to[0], &from[0], stride, full, &k[0], len(k))
		}
		if full < samples {
			weighRows(&last[0], &from[full], stride, block, &k[0], len(k))
			copy(to[full:], last[:block])
		}
	}
}

// vectorRows makes rows y and y+1 at the new width, each in half of dst, which is
// a byte longer than the row at least. Behind the last row comes a copy of it.
func (p *horizontal) vectorRows(s *scratch, dst []uint8, y int) {
	stride := len(dst) / 2
	y1 := min(y+1, p.src.H-1)
	if p.k == nil {
		copy(dst, p.src.row(y))
		copy(dst[stride:], p.src.row(y1))
		return
	}
	pairs := (p.k.most + 1) / 2
	row := 3 * p.src.W
	from, step := p.src.Pix[row*y:], row*(y1-y)
	if need := step + 3*(int(p.k.first[p.w-1])+2*pairs) + 2; need > len(from) {
		// Behind the picture's end stands what has no weight.
		padded := grow(&s.padded, need)
		copy(padded, from)
		from = padded
	}
	weighColumns(&dst[0], &from[0], stride, step, p.w, &p.k.first[0], &p.k.fixed[0], p.k.size, pairs)
}
