package demo

import (
	"slices"
	"strings"
	"testing"
)

// TestCaptionsTellTheTruth: five different captions, each of which states what
// the scene is, in full for shape, colour and count, and never anything else.
func TestCaptionsTellTheTruth(t *testing.T) {
	words := map[string]bool{}
	for i, s := range scenes(5, 3000) {
		captions := s.Captions()
		if len(captions) != CaptionsPerPicture || len(slices.Compact(slices.Sorted(slices.Values(captions)))) != CaptionsPerPicture {
			t.Fatalf("scene %d: captions %q", i, captions)
		}
		for _, c := range captions {
			f, ok := Parse(c)
			if !ok || f.Shape != s.Shape || f.Colour != s.Colour || f.Count != s.Count {
				t.Errorf("scene %d %+v: %q reads as %+v, %v", i, s.Facts, c, f, ok)
			}
			if f.Size != "" && f.Size != s.Size || f.Place != "" && f.Place != s.Place {
				t.Errorf("scene %d %+v: %q says %+v", i, s.Facts, c, f)
			}
			if c != strings.ToLower(c) || c != strings.Join(strings.Fields(c), " ") || strings.Contains(c, "$") {
				t.Errorf("scene %d: untidy caption %q", i, c)
			}
			for w := range strings.FieldsSeq(c) {
				words[w] = true
			}
		}
		// Of the templates three leave out the size and two the place, so any five
		// of them have both.
		if all, ok := ParseAll(captions); !ok || all != s.Facts {
			t.Errorf("scene %d: together the captions say %+v, want %+v", i, all, s.Facts)
		}
	}
	if n := len(words); n < 35 || n > 60 {
		t.Errorf("%d different words", n)
	}
}

func TestCaptionsGrammar(t *testing.T) {
	for _, s := range scenes(9, 3000) {
		for _, c := range s.Captions() {
			wrongs := []string{" are ", " " + plural(s.Shape) + " ", " a orange ", " an small ", " an big "}
			if s.Count > 1 {
				wrongs = []string{" a " + string(s.Colour), " is ", " " + string(s.Shape) + " ", " one "}
			}
			for _, wrong := range wrongs {
				if strings.Contains(" "+c+" ", wrong) {
					t.Errorf("%+v: %q has %q", s.Facts, c, wrong)
				}
			}
			if s.Colour != Orange && strings.Contains(" "+c, " an ") {
				t.Errorf("%+v: %q has an", s.Facts, c)
			}
		}
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		caption string
		want    Facts
		ok      bool
	}{
		{"two small red circles on the left", Facts{Circle, Red, 2, Small, Left}, true},
		{"A picture of an orange star.", Facts{Star, Orange, 1, "", ""}, true},
		{"there is one big black ring in the centre of the picture", Facts{Ring, Black, 1, Big, Centre}, true},
		{"at the TOP there are Four, pink triangles!", Facts{Triangle, Pink, 4, "", Top}, true},
		{"three blue squares in the middle", Facts{Square, Blue, 3, "", Centre}, true},
		{"two two red red circles circles", Facts{Circle, Red, 2, "", ""}, true}, // clumsy, but true
		{"two red circles and two red circles", Facts{Circle, Red, 2, "", ""}, true},
		{"two red circles and a red circle", Facts{}, false},
		{"two red circles and two red squares", Facts{}, false},
		{"two red blue circles", Facts{}, false},
		{"a big small red circle", Facts{}, false},
		{"a red circle on the left on the right", Facts{}, false},
		{"red circles", Facts{Circle, Red, 0, "", ""}, false},
		{"a circle on a light background", Facts{Circle, "", 1, "", ""}, false},
		{"a picture of red circles", Facts{Circle, Red, 0, "", ""}, false},
		{"", Facts{}, false},
		{"two", Facts{}, false},
		{"zwei rote kreise", Facts{}, false},
		{"two r\xffed circlés", Facts{}, false},
	}
	for _, tt := range tests {
		if got, ok := Parse(tt.caption); got != tt.want || ok != tt.ok {
			t.Errorf("Parse(%q) = %+v, %v, want %+v, %v", tt.caption, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("two small red circles on the left")
	f.Add("a a an an orange\xff stars, 4 blue ring")
	f.Fuzz(func(t *testing.T, caption string) {
		facts, ok := Parse(caption)
		if ok != (facts.Shape != "" && facts.Colour != "" && facts.Count != 0) {
			t.Errorf("Parse(%q) = %+v, %v", caption, facts, ok)
		}
		if again, _ := Parse(strings.ToUpper(caption)); ok && isASCII(caption) && again != facts {
			t.Errorf("%q in capitals reads as %+v, not %+v", caption, again, facts)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func TestParseAll(t *testing.T) {
	if f, ok := ParseAll([]string{"two red rings", "two big red rings at the top"}); !ok || f != (Facts{Ring, Red, 2, Big, Top}) {
		t.Errorf("%+v, %v", f, ok)
	}
	for _, captions := range [][]string{nil, {"two red rings", "a dog"}, {"two red rings", "three red rings"}} {
		if f, ok := ParseAll(captions); ok {
			t.Errorf("%q read as %+v", captions, f)
		}
	}
}

func TestScore(t *testing.T) {
	truth := Facts{Circle, Red, 2, Small, Left}
	captions := []string{
		"two red circles", // all right
		"two red squares on the left",
		"three blue circles",
		"red circles", // no count
		"two red blue circles",
		"nothing",
	}
	truths := slices.Repeat([]Facts{truth}, len(captions))
	got, err := Score(captions, truths)
	if want := (Accuracy{Captions: 6, Shape: 3, Colour: 3, Count: 2, Exact: 1}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got.Share() != 1.0/6 {
		t.Errorf("share %v", got.Share())
	}
	if want := "exact 16.7 % (shape 50.0 %, colour 50.0 %, count 33.3 %) of 6 captions"; got.String() != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := Score(captions, truths[1:]); err == nil {
		t.Error("no error for a truth too few")
	}
	if (Accuracy{}).Share() != 0 {
		t.Error("the share of nothing is not 0")
	}
}
