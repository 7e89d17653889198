package spice

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/blipflow/blipflow/metrics"
)

func TestMeasure(t *testing.T) {
	tests := []struct {
		text  string
		most  int
		words int
		rest  string // what is left of the text
	}{
		{"", 3, 0, ""},
		{"  ", 3, 0, "  "},
		{"a dog", 3, 2, "a dog"},
		{"a dog runs ", 3, 3, "a dog runs "},
		{"a dog runs far", 3, 3, "a dog runs "},
		{"black-and-white", 3, 3, "black-and"},
		{"a, b", 9, 3, "a, b"},
		{"......", 9, 1, "......"},
		{"a...b", 9, 3, "a...b"},
		{"café näive", 9, 2, "café näive"},
		{"日本語", 9, 1, "日本語"},
		{strings.Repeat("a", 100), 9, 3, strings.Repeat("a", 100)},
		{strings.Repeat("a", 100), 2, 2, strings.Repeat("a", 80)},
	}
	for _, test := range tests {
		if words, end := measure(test.text, test.most); words != test.words || test.text[:end] != test.rest {
			t.Errorf("%q cut to %d has %d words, %q; want %d, %q", test.text, test.most, words, test.text[:end], test.words, test.rest)
		}
	}
}

// What is too long is cut and said; the rest stays as it is.
func TestPictures(t *testing.T) {
	long := strings.Repeat("word ", 100)
	items := []Item{
		{ID: "a", Prediction: "a \"dog\"\n\x00runs", References: []string{"a\u2028cat\x80", ""}},
		{ID: "b", Prediction: long, References: []string{long, "a dog"}},
	}
	got, err := Config{}.pictures(items)
	if err != nil {
		t.Fatal(err)
	}
	if p := got[0]; p.test != "a \"dog\"  runs" || !reflect.DeepEqual(p.refs, []string{"a cat�", ""}) || p.cut != 0 {
		t.Errorf("%+v", p)
	}
	if p := got[1]; p.place != 1 || p.cut != 2 || p.test != strings.TrimSpace(strings.Repeat("word ", 80)) || p.refs[1] != "a dog" {
		t.Errorf("%+v", p)
	}
	if got[1].limit < 10*got[0].limit {
		t.Errorf("long captions may take %v, short ones %v", got[1].limit, got[0].limit)
	}
}

func FuzzEncode(f *testing.F) {
	for _, seed := range []string{"", "a dog", `"\`, "é日😀", "\x00\n\r\t\x7f", "\xff\xed\xa0\x80", "</script>"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(most, 1)
		pictures, err := Config{MaxWords: most}.pictures([]Item{{Prediction: text, References: []string{text, "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		data := encode(pictures)
		for _, b := range data {
			if b >= utf8.RuneSelf || b < ' ' && b != '\n' {
				t.Fatalf("%q has the byte %#x", data, b)
			}
		}
		var got []struct {
			Place int `json:"image_id"`
			Test  string
			Refs  []string
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Test != pictures[0].test || !reflect.DeepEqual(got[0].Refs, pictures[0].refs) {
			t.Errorf("%+v became %+v", pictures, got)
		}
		if words, end := measure(got[0].Test, most); end < len(got[0].Test) || words > most {
			t.Errorf("%q was cut to %d words and has %d", text, most, words)
		}
	})
}

// output is what the jar writes of one picture, with one category as told.
func output(place, category, scores string) string {
	var b strings.Builder
	b.WriteString(`{"scores":{`)
	for i, name := range categories {
		if i > 0 {
			b.WriteString(",")
		}
		text := `{"pr":0.5,"re":1,"f":0.6666666666666666,"fn":0,"numImages":1,"fp":1,"tp":1}`
		if name == category {
			text = scores
		}
		b.WriteString(`"` + name + `":` + text)
	}
	return b.String() + `},"image_id":` + place + `}`
}

const absent = `{"pr":null,"re":null,"f":null,"fn":0,"numImages":1,"fp":1,"tp":0}`

func TestDecode(t *testing.T) {
	scores, err := decode([]byte("["+output("1", "Color", absent)+","+output("0", "", "")+"]\n"), 2)
	if err != nil {
		t.Fatal(err)
	}
	want := Tuples{metrics.Value{Score: 2. / 3, Known: true}, metrics.Value{Score: .5, Known: true}, metrics.Value{Score: 1, Known: true}, 1, 1, 0}
	if scores[0].Color != want || scores[0].All != want || scores[1].All != want || scores[1].Color != (Tuples{FalsePositives: 1}) {
		t.Errorf("%+v", scores)
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"cut short", "[" + output("0", "", "")},
		{"more follows", "[" + output("0", "", "") + "]]"},
		{"no picture", "[]"},
		{"too many", "[" + output("0", "", "") + "," + output("1", "", "") + "]"},
		{"another's", "[" + output("1", "", "") + "]"},
		{"no place", "[" + output("null", "", "") + "]"},
		{"no scores", `[{"image_id":0}]`},
		{"a category is missing", "[" + strings.Replace(output("0", "", ""), "Color", "Colour", 1) + "]"},
		{"a category is null", "[" + output("0", "Size", "null") + "]"},
		{"no score of all", "[" + output("0", "All", absent) + "]"},
		{"half a score", "[" + output("0", "Size", `{"pr":1,"f":null,"re":null,"tp":0,"fp":0,"fn":0}`) + "]"},
		{"NaN", "[" + output("0", "Size", `{"pr":NaN,"f":NaN,"re":NaN,"tp":0,"fp":0,"fn":0}`) + "]"},
		{"too high", "[" + output("0", "Size", `{"pr":1,"f":2,"re":1,"tp":0,"fp":0,"fn":0}`) + "]"},
		{"negative", "[" + output("0", "Size", `{"pr":1,"f":1,"re":1,"tp":-1,"fp":0,"fn":0}`) + "]"},
	}
	for _, test := range tests {
		if scores, err := decode([]byte(test.text), 1); err == nil || scores != nil {
			t.Errorf("%s: %v, %v", test.name, scores, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("["+output("0", "Color", absent)+","+output("1", "", "")+"]"), 2)
	f.Add([]byte("["+output("0", "", "")+"]"), 1)
	f.Add([]byte("[]"), 0)
	f.Add([]byte(`[{"image_id":0,"scores":{"All":{"f":1e400}}}]`), 1)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 0 || n > 100 {
			return
		}
		scores, err := decode(data, n)
		if err != nil {
			return
		}
		var sum Stats
		for _, s := range scores {
			sum.Add(s)
		}
		if v := sum.Score(); len(scores) != n || v.Known != (n > 0) || math.IsNaN(v.Score) || v.Score < 0 || v.Score > 1 {
			t.Errorf("%d scores of %d, and their mean %+v", len(scores), n, v)
		}
	})
}

func TestStats(t *testing.T) {
	f := func(x float64) Tuples { return Tuples{F: metrics.Value{Score: x, Known: true}} }
	pictures := []Scores{
		{All: f(0.1), Color: f(1), Cut: 2}, {All: f(0.2)}, {All: f(0.7), Color: f(0)}, {Err: ErrTimeout}, {All: f(1. / 3)},
	}
	var all Stats
	for _, p := range pictures {
		all.Add(p)
	}
	var parts [2]Stats
	for i := len(pictures) - 1; i >= 0; i-- {
		parts[i%2].Add(pictures[i])
	}
	data, err := json.Marshal(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var merged Stats
	if err := json.Unmarshal(data, &merged); err != nil {
		t.Fatal(err)
	}
	merged.Merge(parts[1])
	if merged != all {
		t.Errorf("merged %+v, at once %+v", merged, all)
	}
	if v := all.Score(); !v.Known || math.Abs(v.Score-(0.1+0.2+0.7+1./3)/4) > 1e-15 || all.Failed != 1 || all.Cut != 1 || all.Color.Value() != 0.5 || all.Color.Count != 2 {
		t.Errorf("%+v", all)
	}
	if (&Stats{}).Score().Known {
		t.Error("no pictures have a score")
	}
}
