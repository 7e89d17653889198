package imaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// resizeCase is width, height, new width, new height, filter, seed and the
// digest of the result.
type resizeCase struct {
	w, h, toW, toH int
	filter         Filter
	seed           uint32
	sha256         string
}

func (c *resizeCase) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&c.w, &c.h, &c.toW, &c.toH, &c.filter, &c.seed, &c.sha256})
}

func TestResizeGolden(t *testing.T) {
	path := os.Getenv("IMAGING_RESIZE_GOLDEN")
	if path == "" {
		path = filepath.Join(golden, "resize.json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []resizeCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 300 {
		t.Fatalf("%d cases, expected more", len(cases))
	}
	for _, c := range cases {
		src := noise(c.w, c.h, c.seed)
		results := map[string]*RGB{"Resize": Resize(src, c.toW, c.toH, c.filter)}
		if c.filter != Nearest {
			results["plain Go"] = resizeWith(inLanes, src, c.toW, c.toH, c.filter)
		}
		for how, m := range results {
			if m.W != c.toW || m.H != c.toH || digest(m.Pix) != c.sha256 {
				t.Errorf("%s, %dx%d to %dx%d, %v, seed %d: differs from Pillow", how, c.w, c.h, c.toW, c.toH, c.filter, c.seed)
			}
		}
	}
}

// Whatever the processor's vector instructions do, plain Go does too.
func TestResizePassesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	side := func() int {
		if rng.IntN(4) == 0 {
			return 1 + rng.IntN(12)
		}
		return 1 + rng.IntN(300)
	}
	for range 1000 {
		src, w, h := NewRGB(side(), side()), side(), side()
		for i := range src.Pix { // black and white bring out overshoot
			src.Pix[i] = uint8(rng.Uint32()) | -uint8(rng.Uint32()&1)
		}
		f := Filter(1 + rng.IntN(5))
		got, want := Resize(src, w, h, f), resizeWith(inLanes, src, w, h, f)
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Fatalf("%dx%d to %dx%d, %v: differs from plain Go", src.W, src.H, w, h, f)
		}
	}
}

// A picture of one colour keeps it, and both ends of the range stay in range.
func TestResizeFlat(t *testing.T) {
	for f := Nearest; f <= Hamming; f++ {
		for _, v := range []uint8{0, 1, 128, 254, 255} {
			m := NewRGB(31, 17)
			for i := range m.Pix {
				m.Pix[i] = v
			}
			for _, to := range [][2]int{{5, 90}, {90, 5}, {1, 1}, {31, 40}, {40, 17}} {
				for i, got := range Resize(m, to[0], to[1], f).Pix {
					if got != v {
						t.Fatalf("%v to %v: sample %d is %d, want %d", f, to, i, got, v)
					}
				}
			}
		}
	}
}

func TestResizeSameSize(t *testing.T) {
	m := noise(9, 7, 1)
	if Resize(m, 9, 7, Bicubic) != m {
		t.Error("a copy was made for nothing")
	}
}

func TestResizeLeavesSourceAlone(t *testing.T) {
	m := noise(40, 30, 3)
	before := digest(m.Pix)
	Resize(m, 13, 50, Lanczos)
	if digest(m.Pix) != before {
		t.Error("the source was written to")
	}
}

func TestResizePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"no width":     func() { Resize(noise(2, 2, 1), 0, 3, Bicubic) },
		"no filter":    func() { Resize(noise(2, 2, 1), 3, 3, 6) },
		"bad picture":  func() { Resize(&RGB{W: 2, H: 2}, 3, 3, Bicubic) },
		"new, no size": func() { NewRGB(0, 4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestUnlane(t *testing.T) {
	for _, a := range []int64{-1 << 30, -1 << 22, -1, 0, 1, 1<<22 - 1, 255 << 22, 1 << 30} {
		for _, b := range []int64{-1 << 30, -1, 0, 200 << 22, 1 << 30} {
			lo, hi := unlane(uint64(a + b<<32))
			if want := clip8(int(a >> 22)); lo != want {
				t.Errorf("low of (%d, %d): %d, want %d", a, b, lo, want)
			}
			if want := clip8(int(b >> 22)); hi != want {
				t.Errorf("high of (%d, %d): %d, want %d", a, b, hi, want)
			}
		}
	}
}

func TestFilterString(t *testing.T) {
	if got := fmt.Sprint(Bicubic, Filter(9)); got != "bicubic Filter(9)" {
		t.Error(got)
	}
}

// Each orientation, on a picture whose pixels are their own coordinates.
func TestOrient(t *testing.T) {
	m := &RGB{W: 3, H: 2, Pix: []uint8{
		0, 0, 0, 1, 0, 0, 2, 0, 0,
		0, 1, 0, 1, 1, 0, 2, 1, 0,
	}}
	want := map[int]string{
		2: "20 10 00 / 21 11 01",
		3: "21 11 01 / 20 10 00",
		4: "01 11 21 / 00 10 20",
		5: "00 01 / 10 11 / 20 21",
		6: "01 00 / 11 10 / 21 20",
		7: "21 20 / 11 10 / 01 00",
		8: "20 21 / 10 11 / 00 01",
	}
	for o, w := range want {
		got := Orient(m, o)
		s := ""
		for y := range got.H {
			for x := range got.W {
				p := got.Pix[3*(y*got.W+x):]
				s += fmt.Sprintf("%d%d ", p[0], p[1])
			}
			s += "/ "
		}
		if s != w+" / " {
			t.Errorf("orientation %d: %s, want %s", o, s, w)
		}
	}
	for _, o := range []int{-1, 0, 1, 9} {
		if Orient(m, o) != m {
			t.Errorf("orientation %d changed the picture", o)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, m := range []*RGB{nil, {}, {W: 1, H: 1}, {W: 2, H: 2, Pix: make([]uint8, 9)}, {W: 1 << 62, H: 4, Pix: make([]uint8, 12)}, {W: -1, H: -1, Pix: make([]uint8, 3)}} {
		if m.Validate() == nil {
			t.Errorf("%+v is valid", m)
		}
	}
	if err := NewRGB(2, 3).Validate(); err != nil {
		t.Error(err)
	}
}
