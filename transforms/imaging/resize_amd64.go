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

// weighColumns makes n pixels at dst. Pixel i weighs twice as many pixels as
// pairs says, those of the row at src from first[i] on, with the weights at
// k[i*size]. It reads two bytes behind the last of them, and writes one behind
// the last pixel.
//
//go:noescape
func weighColumns(dst, src *uint8, n int, first, k *int32, size, pairs int)

// inVectors does the passes with AVX2, on 32-bit sums as Pillow has them. The
// rows that one output row needs lie together in a window that slides down the
// picture.
func inVectors(s *scratch, across *horizontal, out *RGB, down *weights) {
	samples := 3 * out.W
	stride := (samples + block) &^ (block - 1) // one byte more than samples at least
	if down == nil {
		row := grow(&s.bytes, stride)
		for y := range out.H {
			across.vectorRow(s, row, y)
			copy(out.row(y), row)
		}
		return
	}
	const spare = 64 // rows that are made before the window is moved
	rows := down.most + spare
	window := grow(&s.bytes, (rows+1)*stride)
	last := window[rows*stride:]
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
		for next = max(next, first); next < first+len(k); next++ {
			at := (next - top) * stride
			across.vectorRow(s, window[at:at+stride], next)
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

// vectorRow makes row y at the new width. dst is a byte longer than the row, at
// least.
func (p *horizontal) vectorRow(s *scratch, dst []uint8, y int) {
	if p.k == nil {
		copy(dst, p.src.row(y))
		return
	}
	pairs := (p.k.most + 1) / 2
	from := p.src.Pix[3*p.src.W*y:]
	if need := 3*(int(p.k.first[p.w-1])+2*pairs) + 2; need > len(from) {
		// Behind the picture's end stands what has no weight.
		padded := grow(&s.padded, need)
		copy(padded, from)
		from = padded
	}
	weighColumns(&dst[0], &from[0], p.w, &p.k.first[0], &p.k.fixed[0], p.k.size, pairs)
}
