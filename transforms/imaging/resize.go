package imaging

import (
	"fmt"
	"slices"
	"sync"
)

// Resize returns src at w by h pixels, byte for byte as Pillow 12's
// Image.resize((w, h), resample=f) gives it for an RGB picture: antialiased,
// in two passes with 8-bit samples between them. src is returned as it is if
// it already has that size.
//
// It panics if w or h is below 1, if f is unknown, or if src is not a valid
// picture, since all three are mistakes of the caller's.
func Resize(src *RGB, w, h int, f Filter) *RGB {
	if err := src.Validate(); err != nil {
		panic("imaging.Resize: " + err.Error())
	}
	if w < 1 || h < 1 || !f.valid() {
		panic(fmt.Sprintf("imaging.Resize: to %dx%d with %v", w, h, f))
	}
	if w == src.W && h == src.H {
		return src
	}
	if f == Nearest {
		return resizeNearest(src, w, h)
	}
	return resizeWith(bestPasses(), src, w, h, f)
}

// passes fill out. across makes rows at out's width, and down has the weights of
// out's rows, nil if the height stays.
type passes func(s *scratch, across *horizontal, out *RGB, down *weights)

func resizeWith(run passes, src *RGB, w, h int, f Filter) *RGB {
	// Columns first, except for a strip so tall that rows are cheaper.
	if src.H > 100*src.W && h < src.H {
		src = resizeAxes(run, src, src.W, h, f)
	}
	return resizeAxes(run, src, w, h, f)
}

func resizeAxes(run passes, src *RGB, w, h int, f Filter) *RGB {
	if w == src.W && h == src.H {
		return src
	}
	s := scratchPool.Get().(*scratch)
	defer scratchPool.Put(s)
	across := &horizontal{src: src, w: w}
	if w != src.W {
		across.k = weigh(&s.across, src.W, w, f)
	}
	var down *weights
	if h != src.H {
		down = weigh(&s.down, src.H, h, f)
	}
	out := &RGB{W: w, H: h, Pix: newSamples(3 * w * h)}
	run(s, across, out, down)
	return out
}

// resizeNearest takes the sample in whose pixel the output pixel's centre
// falls. The centre is stepped along by addition, rounding included, as Pillow
// does it.
func resizeNearest(src *RGB, w, h int) *RGB {
	out := NewRGB(w, h)
	xs, ys := nearestIndex(src.W, w), nearestIndex(src.H, h)
	for y, sy := range ys {
		from, to := src.row(sy), out.row(y)
		for x, sx := range xs {
			copy(to[3*x:3*x+3], from[3*sx:3*sx+3])
		}
	}
	return out
}

func nearestIndex(in, out int) []int {
	step := float64(in) / float64(out)
	at := float64(step * 0.5)
	index := make([]int, out)
	for i := range index {
		index[i] = min(int(at), in-1)
		at += step
	}
	return index
}

// Two 8-bit samples are carried through one 64-bit product: sample a in the low
// half, sample b in the high half of a lane. A lane times a signed weight,
// summed over the weights, is the sum for a plus 2^32 times the sum for b, and
// both fit 32 bits with their sign, since a kernel's weights sum to 1 and their
// absolute values to less than 2. This halves the multiplications, without
// assembly.

// half2 is the rounding half in both halves of a lane.
const half2 = weightHalf | weightHalf<<32

func lane(a, b uint8) uint64 { return uint64(a) | uint64(b)<<32 }

// unlane rounds and clips a lane's two sums.
func unlane(sum uint64) (a, b uint8) {
	lo := int32(sum)
	hi := int32((sum - uint64(int64(lo))) >> 32)
	return clipSum(lo), clipSum(hi)
}

func clipSum(v int32) uint8 { return clip32(v >> weightBits) }

// scratch is the working memory of one Resize.
type scratch struct {
	pair   []pixelPair // two input rows
	ring   []uint64    // rows after the horizontal pass, as lanes
	sums   []uint64    // an output row
	bytes  []uint8     // rows after the horizontal pass
	padded []uint8     // input rows and bytes behind them
	last   []uint8     // the end of an output row

	across, down *weights // those of the last picture: the next often has its size
}

// weigh returns the weights that take in samples to out samples, which are kept.
func weigh(kept **weights, in, out int, f Filter) *weights {
	if k := *kept; k == nil || k.in != in || k.out() != out || k.filter != f {
		*kept = newWeights(in, out, f)
	}
	return *kept
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

// grow makes *s n long, with whatever is in it.
func grow[T any](s *[]T, n int) []T {
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// horizontal makes rows at the new width.
type horizontal struct {
	src *RGB
	w   int
	k   *weights // nil if the width stays
}

// rows writes row y to a and row y+1 to b. Behind the last row comes a copy of
// it.
func (p *horizontal) rows(s *scratch, y int, a, b []uint8) {
	rowA, rowB := p.src.row(y), p.src.row(min(y+1, p.src.H-1))
	if p.k == nil {
		copy(a, rowA)
		copy(b, rowB)
		return
	}
	grow(&s.pair, p.src.W)
	packPair(s.pair, rowA, rowB)
	a, b = a[:3*p.w], b[:3*p.w]
	for x := range p.w {
		first, k := p.k.of(x)
		red, green, blue := dot(s.pair[first:first+len(k)], k)
		i := 3 * x
		a[i], b[i] = unlane(red)
		a[i+1], b[i+1] = unlane(green)
		a[i+2], b[i+2] = unlane(blue)
	}
}

// A pixelPair is red, green and blue of a pixel and of the one below it, as
// lanes.
type pixelPair [3]uint64

func packPair(dst []pixelPair, a, b []uint8) {
	a, b = a[:3*len(dst)], b[:3*len(dst)]
	for i := range dst {
		j := 3 * i
		dst[i] = pixelPair{lane(a[j], b[j]), lane(a[j+1], b[j+1]), lane(a[j+2], b[j+2])}
	}
}

// dot weighs neighbouring pixels. It stands by itself to have the processor's
// registers to itself.
//
//go:noinline
func dot(px []pixelPair, k []int32) (red, green, blue uint64) {
	red, green, blue = half2, half2, half2
	for len(k) >= 2 && len(px) >= 2 {
		w, v := uint64(int64(k[0])), uint64(int64(k[1]))
		p, q := &px[0], &px[1]
		red += p[0]*w + q[0]*v
		green += p[1]*w + q[1]*v
		blue += p[2]*w + q[2]*v
		k, px = k[2:], px[2:]
	}
	if len(k) > 0 && len(px) > 0 {
		w, p := uint64(int64(k[0])), &px[0]
		red += p[0] * w
		green += p[1] * w
		blue += p[2] * w
	}
	return red, green, blue
}

// inLanes does the passes in plain Go. Of the rows of the horizontal pass it keeps
// as many in a ring as one output row needs.
func inLanes(s *scratch, across *horizontal, out *RGB, down *weights) {
	if down == nil {
		for y := 0; y < out.H; y += 2 {
			across.rows(s, y, out.row(y), out.row(min(y+1, out.H-1)))
		}
		return
	}
	samples := 3 * out.W
	lanes := (samples + 1) / 2
	room := down.size + 3 // rows come in pairs from an even one on
	grow(&s.ring, room*lanes)
	grow(&s.sums, lanes)
	grow(&s.bytes, 4*lanes)
	ring := func(y int) []uint64 {
		at := y % room * lanes
		return s.ring[at : at+lanes : at+lanes]
	}
	a, b := s.bytes[:2*lanes], s.bytes[2*lanes:]
	next := 0
	for y := range out.H {
		first, w := down.of(y)
		for next = max(next, first&^1); next < first+len(w); next += 2 {
			across.rows(s, next, a, b)
			pack(ring(next), a)
			pack(ring(next+1), b)
		}
		sum := s.sums[:lanes]
		for i := range sum {
			sum[i] = half2
		}
		i := 0
		for ; i+1 < len(w); i += 2 {
			addRows(sum, ring(first+i), ring(first+i+1), w[i], w[i+1])
		}
		if i < len(w) {
			addRow(sum, ring(first+i), w[i])
		}
		store(out.row(y), sum)
	}
}

// pack puts each two neighbouring samples into a lane.
func pack(dst []uint64, src []uint8) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = lane(src[2*i], src[2*i+1])
	}
}

func addRow(sum, row []uint64, w int32) {
	k := uint64(int64(w))
	row = row[:len(sum)]
	for i := range sum {
		sum[i] += row[i] * k
	}
}

func addRows(sum, row0, row1 []uint64, w0, w1 int32) {
	k0, k1 := uint64(int64(w0)), uint64(int64(w1))
	row0, row1 = row0[:len(sum)], row1[:len(sum)]
	for i := range sum {
		sum[i] += row0[i]*k0 + row1[i]*k1
	}
}

func store(dst []uint8, sum []uint64) {
	n := len(dst) / 2
	for i := range n {
		dst[2*i], dst[2*i+1] = unlane(sum[i])
	}
	if len(dst)%2 != 0 {
		dst[2*n], _ = unlane(sum[n])
	}
}
