package demo

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// Draw returns the scene's picture, opaque, with antialiased edges and a
// little noise on every pixel.
func (s Scene) Draw() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, s.Width, s.Height))
	s.drawGround(m)
	for _, c := range s.centres {
		s.drawFigure(m, c)
	}
	s.drawNoise(m)
	return m
}

// drawGround fills the picture with a run from one light colour to another.
func (s Scene) drawGround(m *image.RGBA) {
	run := make([]color.RGBA, s.slant.x*(s.Width-1)+s.slant.y*(s.Height-1)+1)
	for i := range run {
		run[i] = blend(s.ground[0], s.ground[1], i, len(run)-1)
	}
	i := 0
	for y := range s.Height {
		for x := range s.Width {
			c := run[s.slant.x*x+s.slant.y*y]
			m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = c.R, c.G, c.B, c.A
			i += 4
		}
	}
}

// samples is how many points across and down decide how much of a pixel a
// figure covers, and step their distance in layout units. The first is half a
// step inside the pixel.
const (
	samples = 4
	step    = unit / samples
)

// drawFigure paints one figure centred on c.
func (s Scene) drawFigure(m *image.RGBA, c point) {
	inside := outlines[s.Shape]
	covered := make([]int, s.Width)
	for y := (c.y - s.radius) / unit; y <= (c.y+s.radius)/unit; y++ {
		clear(covered)
		for i := range samples {
			dy := y*unit + i*step + step/2 - c.y
			for _, span := range inside(dy, s.radius) {
				// All points x*step + step/2 in the span.
				for x := (c.x + span.from + step/2 - 1) / step; x*step+step/2 < c.x+span.to; x++ {
					covered[x/samples]++
				}
			}
		}
		for x, n := range covered {
			if n > 0 {
				m.SetRGBA(x, y, blend(m.RGBAAt(x, y), s.ink, n, samples*samples))
			}
		}
	}
}

// drawNoise moves every level a little, as a camera would.
func (s Scene) drawNoise(m *image.RGBA) {
	const off = 4
	r := newRandom(^s.seed, s.index) // a stream of its own, apart from the layout's
	for i := 0; i < len(m.Pix); i += 4 {
		bits := r.next()
		for k := range 3 {
			move := int(bits>>(16*k)&0xffff)*(2*off+1)>>16 - off
			m.Pix[i+k] = uint8(min(255, max(0, int(m.Pix[i+k])+move)))
		}
	}
}

// blend mixes b into a: all a for part 0, all b for part equal to whole.
func blend(a, b color.RGBA, part, whole int) color.RGBA {
	mix := func(a, b uint8) uint8 {
		return uint8((int(a)*(whole-part) + int(b)*part + whole/2) / whole)
	}
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// span is a part of a horizontal line, from included, to not.
type span struct{ from, to int }

// outline tells where a shape of a radius around the origin covers the
// horizontal line at y, y downwards. It stays within the circle of that radius,
// which is what the layout keeps apart.
type outline func(y, radius int) []span

var outlines = map[Shape]outline{
	Circle:   disc(940),
	Ring:     ring(980, 560),
	Square:   polygon([]point{{-705, -705}, {705, -705}, {705, 705}, {-705, 705}}),
	Triangle: polygon([]point{{0, -1000}, {866, 500}, {-866, 500}}),
	// Ten directions 36° apart, long and short in turn: 1000 and 420 times sine
	// and cosine.
	Star: polygon([]point{
		{0, -1000}, {247, -340}, {951, -309}, {399, 130}, {588, 809},
		{0, 420}, {-588, 809}, {-399, 130}, {-951, -309}, {-247, -340},
	}),
}

// disc is a full circle, in thousandths of the radius.
func disc(perMille int) outline {
	return func(y, radius int) []span {
		if w := halfChord(y, radius*perMille/1000); w > 0 {
			return []span{{-w, w}}
		}
		return nil
	}
}

// ring is a circle with a round hole, in thousandths of the radius.
func ring(outer, hole int) outline {
	return func(y, radius int) []span {
		w, gap := halfChord(y, radius*outer/1000), halfChord(y, radius*hole/1000)
		switch {
		case w == 0:
			return nil
		case gap == 0:
			return []span{{-w, w}}
		}
		return []span{{-w, -gap}, {gap, w}}
	}
}

// halfChord is half the width of a circle at y. The square root of a whole
// number is rounded the same way on every platform (IEEE 754).
func halfChord(y, radius int) int {
	if abs(y) >= radius {
		return 0
	}
	return int(math.Sqrt(float64(radius*radius - y*y)))
}

// polygon is a closed line through corners, in thousandths of the radius.
func polygon(corners []point) outline {
	return func(y, radius int) []span {
		var crossings []int
		a := corners[len(corners)-1].times(radius)
		for _, corner := range corners {
			b := corner.times(radius)
			if (a.y > y) != (b.y > y) {
				crossings = append(crossings, a.x+(b.x-a.x)*(y-a.y)/(b.y-a.y))
			}
			a = b
		}
		slices.Sort(crossings)
		var spans []span
		for i := 0; i+1 < len(crossings); i += 2 {
			spans = append(spans, span{crossings[i], crossings[i+1]})
		}
		return spans
	}
}

func (p point) times(radius int) point { return point{p.x * radius / 1000, p.y * radius / 1000} }
