package imaging

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"testing"

	"github.com/blipflow/blipflow/transforms/demo"
)

// drawing is a picture of the demo.
func drawing(i int) *RGB {
	m := demo.NewScene(1, uint64(i)).Draw()
	p := NewRGB(m.Rect.Dx(), m.Rect.Dy())
	for i := range p.W * p.H {
		copy(p.Pix[3*i:3*i+3], m.Pix[4*i:])
	}
	return p
}

func recompressed(t testing.TB, m *RGB, quality int) *RGB {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, rgba(m), &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	p, _, err := Decode(b.Bytes(), DecodeOptions{JPEG: JPEGGo})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func levels(m *RGB, f func(int) int) *RGB {
	p := NewRGB(m.W, m.H)
	for i, v := range m.Pix {
		p.Pix[i] = clip8(f(int(v)))
	}
	return p
}

// colours is a picture without edges, as different from that of another seed as
// can be.
func colours(seed uint32) *RGB {
	return Resize(noise(9, 7, seed), 320, 240, Bicubic)
}

func hashOf(t testing.TB, m *RGB) uint64 {
	t.Helper()
	h, ok := PerceptualHash(m)
	if !ok {
		t.Fatalf("picture of %dx%d counts as flat", m.W, m.H)
	}
	return h
}

// The values stand in stored data: they must not depend on the platform.
func TestPerceptualHashSameEverywhere(t *testing.T) {
	for want, m := range map[uint64]*RGB{
		0x13d2d4c9d24b5cdd: drawing(0),
		0x2539bbcaa5358405: colours(1),
		0x215d0e351b29226e: noise(31, 97, 1),
	} {
		if got := hashOf(t, m); got != want {
			t.Errorf("%dx%d: %#x, want %#x", m.W, m.H, got, want)
		}
	}
}

// Copies are near. The limits are those that the doc comment's measurements
// bear: a copy in a hundred may be farther than 4 bits.
func TestPerceptualHashOfCopies(t *testing.T) {
	copies := map[string]func(*RGB) *RGB{
		"half":        func(m *RGB) *RGB { return Resize(m, m.W/2, m.H/2, Bicubic) },
		"double":      func(m *RGB) *RGB { return Resize(m, m.W*2, m.H*2, Bicubic) },
		"other sides": func(m *RGB) *RGB { return Resize(m, 200, 170, Bilinear) },
		"quality 50":  func(m *RGB) *RGB { return recompressed(t, m, 50) },
		"quality 95":  func(m *RGB) *RGB { return recompressed(t, m, 95) },
		"darker":      func(m *RGB) *RGB { return levels(m, func(v int) int { return v * 9 / 10 }) },
		"lighter":     func(m *RGB) *RGB { return levels(m, func(v int) int { return v + 8 }) },
	}
	const pictures = 100
	for name, change := range copies {
		far := 0
		for i := range pictures {
			m := colours(uint32(i))
			if i%2 == 0 {
				m = drawing(i)
			}
			if d := Distance(hashOf(t, m), hashOf(t, change(m))); d > 4 {
				far++
			}
		}
		if far > 2 {
			t.Errorf("%s: %d of %d copies differ in more than 4 bits", name, far, pictures)
		}
	}
}

func TestPerceptualHashOfOthers(t *testing.T) {
	for name, picture := range map[string]func(int) *RGB{
		"drawings": drawing,
		"colours":  func(i int) *RGB { return colours(uint32(i)) },
	} {
		const pictures = 400
		hashes := make([]uint64, pictures)
		near, sum := 0, 0
		for i := range hashes {
			hashes[i] = hashOf(t, picture(i))
			for _, h := range hashes[:i] {
				d := Distance(h, hashes[i])
				sum += d
				if d <= 4 {
					near++
				}
			}
		}
		const pairs = pictures * (pictures - 1) / 2
		if near > 3 {
			t.Errorf("%s: %d of %d pairs differ in 4 bits at most", name, near, pairs)
		}
		if mean := float64(sum) / pairs; mean < 29 || mean > 33 {
			t.Errorf("%s: pairs differ in %.1f bits on average", name, mean)
		}
	}
}

// A picture whose pixels are all repeated has the very same averages, whichever
// pixels the grid's lines cut.
func TestPerceptualHashOfRepeatedPixels(t *testing.T) {
	for _, m := range []*RGB{noise(3, 2, 1), noise(31, 33, 2), noise(64, 50, 3), drawing(4)} {
		for _, times := range [][2]int{{2, 2}, {1, 3}, {5, 1}} {
			big := NewRGB(m.W*times[0], m.H*times[1])
			for y := range big.H {
				for x := range big.W {
					copy(big.row(y)[3*x:3*x+3], m.row(y / times[1])[3*(x/times[0]):])
				}
			}
			if a, b := hashOf(t, m), hashOf(t, big); a != b {
				t.Errorf("%dx%d has the hash %#x, its pixels repeated %v %#x", m.W, m.H, a, times, b)
			}
		}
	}
}

func TestPerceptualHashFlat(t *testing.T) {
	grain := noise(300, 200, 1)
	flat := map[string]*RGB{
		"black":  NewRGB(40, 30),
		"pixel":  noise(1, 1, 1),
		"white":  levels(NewRGB(7, 900), func(int) int { return 255 }),
		"grainy": levels(grain, func(v int) int { return 200 + v/32 }),
		"jpeg":   recompressed(t, levels(grain, func(v int) int { return 90 + v/64 }), 60),
	}
	for name, m := range flat {
		if _, ok := PerceptualHash(m); ok {
			t.Errorf("%s has structure", name)
		}
	}
	for w := 1; w < 70; w += 4 {
		for h := 2; h < 70; h += 5 {
			hashOf(t, noise(w, h, 5))
		}
	}
	hashOf(t, noise(10000, 1, 1))
	hashOf(t, noise(1, 10000, 1))
}

func BenchmarkPerceptualHash(b *testing.B) {
	for _, m := range []*RGB{noise(500, 375, 1), noise(160, 150, 1)} {
		b.Run(fmt.Sprintf("%dx%d", m.W, m.H), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				PerceptualHash(m)
			}
		})
	}
}
