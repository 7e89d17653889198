package demo

import (
	"fmt"
	"hash/fnv"
	"image"
	"slices"
	"strings"
	"testing"
)

// scenes returns the first n of a data set.
func scenes(seed uint64, n int) []Scene {
	list := make([]Scene, n)
	for i := range list {
		list[i] = NewScene(seed, uint64(i))
	}
	return list
}

// TestSameEverywhere pins pictures and captions: they must not depend on the
// platform or the version of Go. If they are meant to change, raise drawing.
func TestSameEverywhere(t *testing.T) {
	h := fnv.New64a()
	for _, s := range scenes(42, 50) {
		fmt.Fprintln(h, s.Width, s.Height, s.Facts, s.Captions())
		h.Write(s.Draw().Pix)
	}
	const want = "de18c10f4edf18d5"
	if got := fmt.Sprintf("%016x", h.Sum64()); got != want {
		t.Errorf("hash %s of 50 scenes, want %s (drawing version %d)", got, want, drawing)
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[string]string{}
	for seed := range uint64(3) {
		for i, s := range scenes(seed, 200) {
			key := string(s.Draw().Pix)
			name := fmt.Sprintf("seed %d index %d", seed, i)
			if twin, twice := seen[key]; twice {
				t.Errorf("%s has the same picture as %s", name, twin)
			}
			seen[key] = name
		}
	}
	if a, b := NewScene(1, 2), NewScene(2, 1); slices.Equal(a.Draw().Pix, b.Draw().Pix) {
		t.Error("seed and index are interchangeable")
	}
}

// TestFactsAreBalanced: every value of a fact comes about equally often, alone
// and in pairs, so that none can be told from another.
func TestFactsAreBalanced(t *testing.T) {
	const n = 20000
	counts := map[string]int{}
	for _, s := range scenes(7, n) {
		for _, key := range []string{
			"shape " + string(s.Shape), "colour " + string(s.Colour), fmt.Sprint("count ", s.Count),
			"size " + string(s.Size), "place " + string(s.Place), fmt.Sprint("pair ", s.Shape, s.Count),
		} {
			counts[key]++
		}
	}
	kinds := map[string]int{"shape": 5, "colour": 8, "count": 4, "size": 2, "place": 5, "pair": 20}
	total := 0
	for key, have := range counts {
		kind, _, _ := strings.Cut(key, " ")
		want := n / kinds[kind]
		if have < want*85/100 || have > want*115/100 {
			t.Errorf("%s: %d of %d, want about %d", key, have, n, want)
		}
		total++
	}
	if total != 5+8+4+2+5+20 {
		t.Errorf("%d different values", total)
	}
}

// TestPicturesShowTheFacts looks for the figures in the picture itself: as many
// separate spots in the ink's colour as there should be, wholly inside, and in
// the right place.
func TestPicturesShowTheFacts(t *testing.T) {
	for i, s := range scenes(3, 400) {
		m := s.Draw()
		spots := inkSpots(s, m)
		if len(spots) != s.Count {
			t.Errorf("scene %d: %d spots of ink, want %d", i, len(spots), s.Count)
			continue
		}
		var mid point
		for _, b := range spots {
			if b.bounds.Min.X < 1 || b.bounds.Min.Y < 1 || b.bounds.Max.X > s.Width-1 || b.bounds.Max.Y > s.Height-1 {
				t.Errorf("scene %d: a figure touches the edge: %v of %v", i, b.bounds, m.Bounds())
			}
			mid.x += b.sum.x * 1000 / b.area / s.Width / s.Count
			mid.y += b.sum.y * 1000 / b.area / s.Height / s.Count
		}
		if !at(s.Place, mid) {
			t.Errorf("scene %d: middle of the figures at %v per mille, not %s", i, mid, s.Place)
		}
	}
}

// at reports whether a point in thousandths of the picture is in a place.
func at(p Place, mid point) bool {
	x, y := mid.x-500, mid.y-500
	switch p {
	case Left:
		return x < -100 && abs(y) < 100
	case Right:
		return x > 100 && abs(y) < 100
	case Top:
		return y < -100 && abs(x) < 100
	case Bottom:
		return y > 100 && abs(x) < 100
	}
	return abs(x) < 100 && abs(y) < 100
}

// spot is a connected part of a picture in one colour.
type spot struct {
	bounds image.Rectangle
	sum    point // of the pixels' positions
	area   int
}

// inkSpots returns the connected parts in the ink's colour.
func inkSpots(s Scene, m *image.RGBA) []spot {
	ink := make([]bool, s.Width*s.Height)
	for i := range ink {
		c := m.Pix[4*i : 4*i+3]
		far := abs(int(c[0])-int(s.ink.R)) + abs(int(c[1])-int(s.ink.G)) + abs(int(c[2])-int(s.ink.B))
		ground := s.ground[0]
		away := abs(int(c[0])-int(ground.R)) + abs(int(c[1])-int(ground.G)) + abs(int(c[2])-int(ground.B))
		ink[i] = far < away
	}
	var spots []spot
	for i, is := range ink {
		// Noise may cut the tip off a star; no figure is as small as that.
		if !is {
			continue
		}
		if found := flood(ink, s.Width, i); found.area > 20 {
			spots = append(spots, found)
		}
	}
	return spots
}

// flood clears a connected part and returns it.
func flood(ink []bool, width, from int) (found spot) {
	for stack := []int{from}; len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i < 0 || i >= len(ink) || !ink[i] {
			continue
		}
		ink[i] = false
		x, y := i%width, i/width
		found.area++
		found.sum.x, found.sum.y = found.sum.x+x, found.sum.y+y
		found.bounds = found.bounds.Union(image.Rect(x, y, x+1, y+1))
		stack = append(stack, i-1, i+1, i-width, i+width)
	}
	return found
}

// TestOutlines: no shape leaves the circle that the layout keeps clear, and
// each covers the share of it that its geometry says.
func TestOutlines(t *testing.T) {
	const r = 1000
	for shape, want := range map[Shape]float64{
		Circle: 2.776, Ring: 2.032, Square: 1.988, Triangle: 1.299, Star: 1.234,
	} {
		area := 0
		for y := -r - 5; y <= r+5; y++ {
			for _, s := range outlines[shape](y, r) {
				area += s.to - s.from
				for _, x := range []int{s.from, s.to} {
					if x*x+y*y > (r+1)*(r+1) {
						t.Errorf("%s at (%d, %d) is outside its circle", shape, x, y)
					}
				}
			}
		}
		if got := float64(area) / (r * r); got < want*0.995 || got > want*1.005 {
			t.Errorf("%s has the area %.3f, want %.3f", shape, got, want)
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		NewScene(1, uint64(i)).Draw()
	}
}
