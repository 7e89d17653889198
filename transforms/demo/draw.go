package demo

import (
	"image"
	"image/color"
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
	whole := s.slant.x*(s.Width-1) + s.slant.y*(s.Height-1)
	for y := range s.Height {
		for x := range s.Width {
			m.SetRGBA(x, y, blend(s.ground[0], s.ground[1], s.slant.x*x+s.slant.y*y, whole))
		}
	}
}

// samples is how many points across and down decide how much of a pixel a
// figure covers.
const samples = 4

// drawFigure paints one figure centred on c.
func (s Scene) drawFigure(m *image.RGBA, c point) {
	inside := figures[s.Shape]
	for y := (c.y - s.radius) / unit; y <= (c.y+s.radius)/unit; y++ {
		for x := (c.x - s.radius) / unit; x <= (c.x+s.radius)/unit; x++ {
			covered := 0
			for i := range samples * samples {
				dx := x*unit + (2*(i%samples)+1)*unit/(2*samples) - c.x
				dy := y*unit + (2*(i/samples)+1)*unit/(2*samples) - c.y
				// The figures are defined in thousandths of the radius.
				if inside(point{dx * 1000 / s.radius, dy * 1000 / s.radius}) {
					covered++
				}
			}
			if covered > 0 {
				m.SetRGBA(x, y, blend(m.RGBAAt(x, y), s.ink, covered, samples*samples))
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
			step := int(bits>>(16*k)&0xffff)*(2*off+1)>>16 - off
			m.Pix[i+k] = uint8(min(255, max(0, int(m.Pix[i+k])+step)))
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

// figures tell whether a point lies in a shape of radius 1000 around the
// origin, y downwards. All shapes stay within the circle of that radius, which
// is what the layout keeps apart.
var figures = map[Shape]func(point) bool{
	Circle: func(p point) bool { return p.x*p.x+p.y*p.y <= 940*940 },
	Ring: func(p point) bool {
		d := p.x*p.x + p.y*p.y
		return d <= 980*980 && d >= 560*560
	},
	Square: func(p point) bool { return abs(p.x) <= 705 && abs(p.y) <= 705 },
	Cross: func(p point) bool {
		short, long := 290, 950
		return abs(p.x) <= short && abs(p.y) <= long || abs(p.y) <= short && abs(p.x) <= long
	},
	Triangle: polygon([]point{{0, -1000}, {866, 500}, {-866, 500}}).contains,
	Star:     polygon(starCorners).contains,
}

// starCorners are those of a five-pointed star: ten directions 36° apart, long
// and short in turn (1000 and 420 times sine and cosine).
var starCorners = []point{
	{0, -1000}, {247, -340}, {951, -309}, {399, 130}, {588, 809},
	{0, 420}, {-588, 809}, {-399, 130}, {-951, -309}, {-247, -340},
}

// polygon is a closed line through its corners.
type polygon []point

// contains counts the polygon's edges to the right of p: an odd number means
// that p is inside.
func (g polygon) contains(p point) bool {
	in := false
	for i, a := range g {
		b := g[(i+1)%len(g)]
		if (a.y > p.y) == (b.y > p.y) {
			continue
		}
		// p is left of the edge if the cross product has the edge's sign.
		cross := (b.x-a.x)*(p.y-a.y) - (p.x-a.x)*(b.y-a.y)
		if (cross > 0) == (b.y > a.y) {
			in = !in
		}
	}
	return in
}
