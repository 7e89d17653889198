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

// together is how many rows weighColumns makes at a time.
const together = 4

// weighColumns makes n pixels of each of four rows, which lie dstStride bytes
// apart from dst on, of rows that lie srcStride bytes apart from src on. Pixel i
// weighs twice as many pixels as pairs says, from first[i] on, with the weights at
// k[i*size]. It reads two bytes behind the last of them, and writes one behind the
// last pixel.
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
		rows := grow(&s.bytes, together*stride)
		for y := 0; y < out.H; y += together {
			across.vectorRows(s, rows, y)
			for i := range min(together, out.H-y) {
				copy(out.row(y+i), rows[i*stride:])
			}
		}
		return
	}
	const spare = 64 // rows that are made before the window is moved
	rows := down.most + spare
	window := grow(&s.bytes, (rows+together)*stride)
	last := grow(&s.last, block)
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
		for next = max(next, first); next < first+len(k); next += together {
			at := (next - top) * stride
			across.vectorRows(s, window[at:at+together*stride], next)
		}
		from, to := window[(first-top)*stride:], out.row(y)
		if full > 0 {
			weighRows(&to[0], &from[0], stride, full, &k[0], len(k))
		}
		if full < samples {
			weighRows(&last[0], &from[full], stride, block, &k[0], len(k))
			copy(to[full:], last)
		}
	}
}

// vectorRows makes four rows at the new width, from row y on, each in a quarter of
// dst, which is a byte longer than the row at least. Behind the picture's last row
// come copies of it.
func (p *horizontal) vectorRows(s *scratch, dst []uint8, y int) {
	stride := len(dst) / together
	if p.k == nil {
		for i := range together {
			copy(dst[i*stride:], p.src.row(min(y+i, p.src.H-1)))
		}
		return
	}
	pairs := (p.k.most + 1) / 2
	row := 3 * p.src.W
	from := p.src.Pix[row*y:]
	need := (together-1)*row + 3*(int(p.k.first[p.w-1])+2*pairs) + 2
	if need > len(from) {
		// What stands behind the last row's end has no weight.
		from = grow(&s.padded, max(need, together*row))
		for i := range together {
			copy(from[i*row:], p.src.row(min(y+i, p.src.H-1)))
		}
	}
	weighColumns(&dst[0], &from[0], stride, row, p.w, &p.k.first[0], &p.k.fixed[0], p.k.size, pairs)
}
