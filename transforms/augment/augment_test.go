package augment

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/transforms/imaging"
)

func TestRecipeText(t *testing.T) {
	tests := []struct {
		text string
		want Recipe
		out  string // as it is written, where it is not read so
	}{
		{"none", Recipe{}, ""},
		{"", Recipe{}, "none"},
		{"blip", BLIP, ""},
		{" blip ", BLIP, "blip"},
		{"crop", Recipe{Crop: true}, ""},
		{"crop,flip", Recipe{Crop: true, Flip: true}, ""},
		{"randaugment, flip", Recipe{Flip: true, RandAugment: true}, "flip,randaugment"},
		{"crop,flip,randaugment", BLIP, "blip"},
	}
	for _, tt := range tests {
		got := Recipe{Crop: true}
		if err := got.UnmarshalText([]byte(tt.text)); err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		out := tt.out
		if out == "" {
			out = tt.text
		}
		if got.String() != out {
			t.Errorf("%q is written %q, want %q", tt.text, got, out)
		}
	}
	for _, text := range []string{"flop", "crop,", "none,crop", "blip,flip", "Crop", "crop flip"} {
		got := Recipe{Flip: true}
		if err := got.UnmarshalText([]byte(text)); !errors.Is(err, ErrRecipe) || got != (Recipe{Flip: true}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if b, err := json.Marshal(struct{ Augment Recipe }{BLIP}); err != nil || string(b) != `{"Augment":"blip"}` {
		t.Errorf("as JSON: %s, %v", b, err)
	}
}

func FuzzRecipe(f *testing.F) {
	for _, s := range []string{"none", "blip", "crop, randaugment", "crop,,", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again Recipe
		if err := r.UnmarshalText([]byte(text)); err != nil {
			if !errors.Is(err, ErrRecipe) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q reads as %+v, that as %+v, %v", text, r, again, err)
		}
	})
}

func TestNamesSide(t *testing.T) {
	for caption, want := range map[string]bool{
		"two red circles on the left":              true,
		"Left: a dog. Centre: a cat.":              true,
		"the LEFTMOST door":                        true,
		"a right-handed pitcher throws":            true,
		"right-hand drive":                         true,
		"the dog's left's the best":                true,
		"a cat facing right":                       true,
		"a man in the rightmost lane, looking up":  true,
		"turn rightwards":                          true,
		"food left on the plate":                   true, // harmless
		"":                                         false,
		"a bright light":                           false,
		"an upright piano with copyrighted music":  false,
		"leftovers on a plate, to the brightest":   false,
		"human rights march":                       false,
		"a wright and a cleft":                     false,
		"a bird on top of a sign at the bottom":    false,
		"ein kreis links":                          false, // English only
		"naïve l\xffeft r\u00edght":                false,
		"a plane that flies in the bright-lit sky": false,
	} {
		if got := NamesSide(caption); got != want {
			t.Errorf("%q: %v", caption, got)
		}
	}
}

func FuzzNamesSide(f *testing.F) {
	f.Add("a dog", "bright")
	f.Add("the", "\xff right")
	f.Fuzz(func(t *testing.T, before, after string) {
		if !NamesSide(before + " Left, " + after) {
			t.Errorf("%q and %q hide a side", before, after)
		}
		if NamesSide(before) && !NamesSide(strings.ToUpper(before)) {
			t.Errorf("%q names none in capitals", before)
		}
	})
}

func record(id int) Record {
	return Record{ID: strconv.Itoa(id), Width: 64, Height: 48, Text: "a dog"}
}

func TestApplyNothing(t *testing.T) {
	p := noise(9, 7, 1, 0, 255)
	if got := (Recipe{}).Apply(p, record(1), 1, 1); got != p {
		t.Error("a copy was made for nothing")
	}
}

// The same arguments give the same picture, and each of them matters.
func TestApplyDependsOnItsArgumentsAlone(t *testing.T) {
	p := noise(48, 48, 1, 0, 255)
	before := digest(p)
	base := record(7)
	type arguments struct {
		of    Record
		seed  int64
		epoch int
	}
	others := map[string]arguments{"same": {base, 3, 5}, "seed": {base, 4, 5}, "epoch": {base, 3, 6}, "swapped": {base, 5, 3}}
	id, caption := base, base
	id.ID, caption.Caption = "8", 1
	others["id"], others["caption"] = arguments{id, 3, 5}, arguments{caption, 3, 5}
	want := digest(BLIP.Apply(p, base, 3, 5))
	for name, a := range others {
		for range 2 {
			if got := digest(BLIP.Apply(p, a.of, a.seed, a.epoch)); (got == want) != (name == "same") {
				t.Errorf("%s: equal is %v", name, got == want)
			}
		}
	}
	if digest(p) != before {
		t.Error("the picture was written to")
	}
}

// What is drawn stands in training runs that are resumed: it must not change.
func TestApplySameEverywhere(t *testing.T) {
	p := noise(48, 48, 1, 0, 255)
	for id, want := range []string{"9f7c1bfa1de182ab", "b6cc321e28c546fb", "33997b6f5563749a"} {
		if got := digest(BLIP.Apply(p, record(id), 42, 1)); got != want {
			t.Errorf("record %d: %s, want %s", id, got, want)
		}
	}
}

// A step that is off leaves the others as they were.
func TestStepsAreIndependent(t *testing.T) {
	p := noise(48, 48, 1, 0, 255)
	for id := range 50 {
		of := record(id)
		flipped := digest(Recipe{Flip: true}.Apply(p, of, 1, 1)) != digest(p)
		cropped := Recipe{Crop: true}.Apply(p, of, 1, 1)
		want := cropped
		if flipped {
			want = mirror(cropped)
		}
		if digest(Recipe{Crop: true, Flip: true}.Apply(p, of, 1, 1)) != digest(want) {
			t.Errorf("record %d: crop and flip are not what each of them is", id)
		}
	}
}

func TestFlip(t *testing.T) {
	p := &imaging.RGB{W: 3, H: 2, Pix: []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18}}
	mirrored := []uint8{6, 7, 8, 3, 4, 5, 0, 1, 2, 16, 17, 18, 13, 14, 15, 10, 11, 12}
	const records = 10000
	flips := 0
	for id := range records {
		out := Recipe{Flip: true}.Apply(p, record(id), 9, 2)
		switch {
		case slices.Equal(out.Pix, mirrored):
			flips++
		case out != p:
			t.Fatalf("record %d: %v", id, out.Pix)
		}
		sided := record(id)
		sided.Text = "a dog on the left"
		if (Recipe{Flip: true}).Apply(p, sided, 9, 2) != p {
			t.Fatalf("record %d was mirrored against its caption", id)
		}
	}
	between(t, "mirrored", flips, records, 0.5)
}

// between fails if a count is over four standard deviations from what it is
// expected to be.
func between(t *testing.T, what string, n, of int, p float64) {
	t.Helper()
	mean, deviation := float64(of)*p, math.Sqrt(float64(of)*p*(1-p))
	if math.Abs(float64(n)-mean) > 4*deviation {
		t.Errorf("%s: %d of %d, expected about %.0f", what, n, of, mean)
	}
}

func TestDrawOperations(t *testing.T) {
	const draws = 40000
	r := rand.New(rand.NewPCG(1, 2))
	names, left, lengths, twice := map[string]int{}, 0, map[int]int{}, 0
	for range draws {
		picks := drawOperations(r)
		lengths[len(picks)]++
		for _, p := range picks {
			names[p.name]++
			if p.sign < 0 {
				left++
			}
		}
		if len(picks) == 2 && picks[0].name == picks[1].name {
			twice++
		}
	}
	for n, p := range map[int]float64{0: 0.25, 1: 0.5, 2: 0.25} {
		between(t, strconv.Itoa(n)+" operations", lengths[n], draws, p)
	}
	carriedOut := lengths[1] + 2*lengths[2]
	for _, op := range operations {
		between(t, op.name, names[op.name], carriedOut, 0.1)
	}
	between(t, "negative", left, carriedOut, 0.5)
	between(t, "the same twice", twice, lengths[2], 0.1)
}

// At BLIP's level two operations change nothing, and the others do as much as
// their scale says.
func TestLevel(t *testing.T) {
	for name, got := range map[string][2]float64{
		"enhancement": {enhancement(level), 1}, "shear": {shear(level), 0.15},
		"shift": {shift(level), 5}, "turn": {turn(level), 15},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
}

// A crop of the source's whole width is one of the copy's whole width, whatever
// the two sizes, and what lies next to each other stays so.
func TestBoxOnCopy(t *testing.T) {
	p := noise(48, 48, 1, 0, 255)
	of := size{500, 375}
	tests := []struct{ in, want box }{
		{box{0, 0, 500, 375}, box{0, 0, 48, 48}},
		{box{250, 0, 250, 375}, box{24, 0, 24, 48}},
		{box{0, 125, 250, 250}, box{0, 16, 24, 32}},
		{box{499, 374, 1, 1}, box{47, 47, 1, 1}},
		{box{0, 0, 1, 1}, box{0, 0, 1, 1}},
	}
	for _, tt := range tests {
		if got := tt.in.on(p, of); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
	small := size{3, 2}
	if got := (box{1, 0, 2, 2}).on(p, small); got != (box{16, 0, 32, 48}) {
		t.Errorf("of a smaller source: %v", got)
	}
}

func TestMiddle(t *testing.T) {
	for of, want := range map[size]box{
		{400, 300}: {0, 0, 400, 300}, {900, 90}: {390, 0, 120, 90}, {90, 900}: {0, 390, 90, 120}, {1, 1}: {0, 0, 1, 1},
	} {
		if got := middle(of); got != want {
			t.Errorf("%v: %v, want %v", of, got, want)
		}
	}
}

// A crop shows what the box shows: a picture whose levels tell the place.
func TestCropAndResize(t *testing.T) {
	p := imaging.NewRGB(64, 64)
	for i := range 64 * 64 {
		p.Pix[3*i], p.Pix[3*i+1] = uint8(4*(i%64)), uint8(4*(i/64))
	}
	out := cropAndResize(p, box{16, 8, 32, 48})
	for name, got := range map[string][2]int{
		"left": {int(out.Pix[3*(32*64)]), 64}, "right": {int(out.Pix[3*(32*64+63)]), 4 * 47},
		"top": {int(out.Pix[3*32+1]), 32}, "bottom": {int(out.Pix[3*(63*64+32)+1]), 4 * 55},
	} {
		if d := got[0] - got[1]; d < -2 || d > 2 {
			t.Errorf("%s: %d, want %d", name, got[0], got[1])
		}
	}
	if cropAndResize(p, box{0, 0, 64, 64}) != p {
		t.Error("the whole picture was copied for nothing")
	}
}

func FuzzApply(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint16(1), uint16(1), int64(0), 0, uint8(7))
	f.Add(uint8(64), uint8(48), uint16(500), uint16(375), int64(-1), 9, uint8(7))
	f.Add(uint8(2), uint8(40), uint16(0), uint16(9), int64(5), -3, uint8(4))
	f.Fuzz(func(t *testing.T, w, h uint8, sourceW, sourceH uint16, seed int64, epoch int, steps uint8) {
		p := noise(int(w)%64+1, int(h)%48+1, uint32(seed), 0, 255)
		before := digest(p)
		r := Recipe{steps&1 != 0, steps&2 != 0, steps&4 != 0}
		of := Record{ID: "a", Width: int(sourceW), Height: int(sourceH), Caption: int(steps)}
		for range 4 {
			out := r.Apply(p, of, seed, epoch)
			if out.W != p.W || out.H != p.H || out.Validate() != nil {
				t.Errorf("%dx%d became %dx%d, %v", p.W, p.H, out.W, out.H, out.Validate())
			}
			epoch++
		}
		if digest(p) != before {
			t.Error("the picture was written to")
		}
	})
}

func BenchmarkApply(b *testing.B) {
	p := imaging.Resize(noise(60, 45, 1, 0, 255), 384, 384, imaging.Bicubic)
	for _, r := range []Recipe{{Crop: true}, {Flip: true}, {RandAugment: true}, BLIP} {
		b.Run(r.String(), func(b *testing.B) {
			b.ReportAllocs()
			of := Record{Width: 500, Height: 375}
			for of.Caption = 0; b.Loop(); of.Caption++ {
				r.Apply(p, of, 1, 1)
			}
		})
	}
}

func BenchmarkOperation(b *testing.B) {
	p := noise(384, 384, 1, 0, 255)
	for _, op := range operations {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op.apply(p, level+1, 1) // at the level itself two do nothing
			}
		})
	}
}
