package demo

import (
	"image/color"
	"math"
)

// unit is the number of layout units in a pixel: positions and radii are whole
// sixteenths of a pixel, fine enough that edges fall anywhere in a pixel.
const unit = 16

// point is a position in layout units.
type point struct{ x, y int }

// Scene is one picture before it is drawn. Make it with [NewScene].
type Scene struct {
	// Facts is the truth about the picture, with all fields set.
	Facts
	// Width and Height of the picture in pixels.
	Width, Height int

	seed, index uint64
	radius      int     // of every figure, in layout units
	centres     []point // of every figure
	ink         color.RGBA
	ground      [2]color.RGBA // the ground runs from the first to the second
	slant       point         // the direction in which it does
}

// Sides of a picture: the width in pixels, the height in hundredths of it.
const (
	minWidth, maxWidth   = 128, 192
	minHeight, maxHeight = 85, 115
)

// NewScene returns the scene of an index in the data set of a seed.
func NewScene(seed, index uint64) Scene {
	r := newRandom(seed, index)
	s := Scene{
		seed: seed, index: index,
		Width: r.between(minWidth, maxWidth),
		Facts: Facts{
			Shape:  pick(r, shapes),
			Colour: pick(r, colours),
			Count:  r.between(1, MaxCount),
			Size:   pick(r, sizes),
			Place:  pick(r, places),
		},
	}
	s.Height = s.Width * r.between(minHeight, maxHeight) / 100
	s.paint(r)
	s.radius = s.pickRadius(r)
	s.centres = s.layOut(r)
	return s
}

// inks are the colours' typical values. They are kept apart in hue or in
// lightness, and all are darker than any ground.
var inks = map[Colour]color.RGBA{
	Red:    {R: 214, G: 30, B: 36, A: 255},
	Orange: {R: 245, G: 130, B: 15, A: 255},
	Yellow: {R: 240, G: 208, B: 10, A: 255},
	Green:  {R: 28, G: 150, B: 55, A: 255},
	Blue:   {R: 30, G: 80, B: 215, A: 255},
	Purple: {R: 118, G: 40, B: 160, A: 255},
	Pink:   {R: 250, G: 120, B: 185, A: 255},
	Black:  {R: 22, G: 22, B: 24, A: 255},
}

// paint picks the ink, a little off its typical value, and two light colours
// for the ground.
func (s *Scene) paint(r *random) {
	const off = 10
	ink := inks[s.Colour]
	s.ink = color.RGBA{vary(r, ink.R, off), vary(r, ink.G, off), vary(r, ink.B, off), 255}
	for i := range s.ground {
		light := r.between(218, 246)
		s.ground[i] = color.RGBA{
			vary(r, uint8(light), 8), vary(r, uint8(light), 8), vary(r, uint8(light), 8), 255,
		}
	}
	s.slant = pick(r, []point{{1, 0}, {0, 1}, {1, 1}})
}

// vary moves a level by up to off in either direction.
func vary(r *random, level uint8, off int) uint8 {
	return uint8(min(255, max(0, int(level)+r.between(-off, off))))
}

// pickRadius returns the radius of the figures. It is a share of the geometric
// mean of the sides, so that a figure covers the same share of the picture
// whatever its sides, also after a resize to a square.
func (s *Scene) pickRadius(r *random) int {
	perMille := r.between(85, 91)
	if s.Size == Big {
		perMille = r.between(119, 126)
	}
	return int(math.Sqrt(float64(s.Width*s.Height))) * unit * perMille / 1000
}

// box is a rectangle in layout units, its ends included.
type box struct{ x0, y0, x1, y1 int }

// region returns where the centres of the figures may be: their place, less
// the radius on all sides.
func (s *Scene) region() box {
	w, h := s.Width*unit, s.Height*unit
	share := func(side, perMille int) int { return side * perMille / 1000 }
	var b box
	switch s.Place {
	case Left:
		b = box{share(w, 20), share(h, 80), share(w, 600), share(h, 920)}
	case Right:
		b = box{share(w, 400), share(h, 80), share(w, 980), share(h, 920)}
	case Top:
		b = box{share(w, 80), share(h, 20), share(w, 920), share(h, 600)}
	case Bottom:
		b = box{share(w, 80), share(h, 400), share(w, 920), share(h, 980)}
	default:
		b = box{share(w, 160), share(h, 160), share(w, 840), share(h, 840)}
	}
	return box{b.x0 + s.radius, b.y0 + s.radius, b.x1 - s.radius, b.y1 - s.radius}
}

// layOut places the figures at random without overlap, and so that the whole
// group is where the captions say: its middle may stray from the place's own
// middle by a limited share of the picture only.
func (s *Scene) layOut(r *random) []point {
	const tries = 400
	region := s.region()
	for range tries {
		if centres, ok := s.scatter(r, region); ok && s.gathered(centres, region) {
			return centres
		}
	}
	return s.grid(region)
}

// gap is the least distance between two figures' bounding circles.
func (s *Scene) gap() int { return s.radius / 4 }

// scatter places the figures one after the other, each where it is free.
func (s *Scene) scatter(r *random, in box) ([]point, bool) {
	const tries = 30
	centres := make([]point, 0, s.Count)
	for range s.Count {
		placed := false
		for range tries {
			p := point{r.between(in.x0, in.x1), r.between(in.y0, in.y1)}
			if placed = s.free(p, centres); placed {
				centres = append(centres, p)
				break
			}
		}
		if !placed {
			return nil, false
		}
	}
	return centres, true
}

// free reports whether a figure at p keeps its distance from all others.
func (s *Scene) free(p point, others []point) bool {
	apart := 2*s.radius + s.gap()
	for _, o := range others {
		dx, dy := p.x-o.x, p.y-o.y
		if dx*dx+dy*dy < apart*apart {
			return false
		}
	}
	return true
}

// gathered reports whether the middle of the figures is near the middle of
// their region.
func (s *Scene) gathered(centres []point, in box) bool {
	var sum point
	for _, c := range centres {
		sum.x += c.x
		sum.y += c.y
	}
	dx := sum.x/len(centres) - (in.x0+in.x1)/2
	dy := sum.y/len(centres) - (in.y0+in.y1)/2
	return abs(dx) <= s.Width*unit/14 && abs(dy) <= s.Height*unit/14
}

// grid is the layout for a group that found no room at random: two columns and
// two rows around the region's middle, which the regions are wide enough for.
func (s *Scene) grid(in box) []point {
	half := s.radius + s.gap()/2 + 1
	mid := point{(in.x0 + in.x1) / 2, (in.y0 + in.y1) / 2}
	corners := []point{
		{mid.x - half, mid.y - half}, {mid.x + half, mid.y + half},
		{mid.x + half, mid.y - half}, {mid.x - half, mid.y + half},
	}
	return corners[:s.Count]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
