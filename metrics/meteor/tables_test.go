package meteor_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/metrics/meteor"
)

// files are small tables, by their names in folder and jar.
type files map[string]string

const paraphraseFile = "paraphrase"

func smallFiles() files {
	return files{
		"function/english.words":       "the\nan\na\non\nis\nof\n",
		"nonbreaking/english.prefixes": "# titles\nMr\nNo #NUMERIC_ONLY#\n",
		"synonym/english.synsets":      "car\n1 2\nauto\n2 3\nautos_da_fe\n2\nstop\n7\nhalt\n8 7\nmouse\n4\nrodent\n4\nglade\n5\nglad\n6\nhappy\n6\n",
		"synonym/english.exceptions":   "mouse\nmice\nhappy\nhappiest happier\n",
		paraphraseFile:                 entries("big hill", "mountain", "hill", "mount", "mount", "hill", "sits down", "takes a seat", "sits down", "is seated"),
	}
}

// entries writes paraphrases as the table has them.
func entries(phrases ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(phrases); i += 2 {
		fmt.Fprintf(&b, "0.25\n%s\n%s\n", phrases[i], phrases[i+1])
	}
	return b.String()
}

// write writes the tables into a folder as those of the wheel are.
func (f files) write(folder string) error {
	var jar, packed bytes.Buffer
	z := zip.NewWriter(&jar)
	for name, text := range f {
		if name == paraphraseFile {
			continue
		}
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
	}
	g := gzip.NewWriter(&packed)
	_, err := g.Write([]byte(f[paraphraseFile]))
	if err := errors.Join(err, z.Close(), g.Close(), os.MkdirAll(filepath.Join(folder, "data"), 0o777)); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "meteor-1.5.jar"), jar.Bytes(), 0o666),
		os.WriteFile(filepath.Join(folder, "data", "paraphrase-en.gz"), packed.Bytes(), 0o666))
}

// small opens the small tables.
func small(tb testing.TB) *meteor.Tables {
	tb.Helper()
	folder := tb.TempDir()
	if err := smallFiles().write(folder); err != nil {
		tb.Fatal(err)
	}
	t, err := meteor.Open(folder)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestStages(t *testing.T) {
	tb := small(t)
	tests := []struct {
		name, prediction, reference string
		matched                     [4]int64 // words of the prediction
		chunks                      int64
	}{
		{"exact", "the red car", "a red car", [4]int64{2}, 1},
		{"whole", "red car", "red car", [4]int64{2}, 0},
		{"stem", "red cars", "one red car", [4]int64{1, 1}, 1},
		{"synonym", "red autos stop", "red car stops", [4]int64{1, 1, 1}, 0},
		{"irregular synonym", "rodents", "mice", [4]int64{0, 0, 1}, 0},
		{"the first rule that leads to a word", "glades", "happy", [4]int64{}, 0},
		{"the rule for er drops all of it first", "glader", "happy", [4]int64{0, 0, 1}, 0},
		{"paraphrase", "the big hill", "the mountain", [4]int64{1, 0, 0, 2}, 0},
		{"paraphrase the other way", "the mountain", "a big hill", [4]int64{0, 0, 0, 1}, 1},
		{"rival of itself", "mount", "hill", [4]int64{}, 0}, // the table has it both ways
		{"rival that joins chunks", "a mount of sand", "a hill of sand", [4]int64{3, 0, 0, 1}, 0},
		{"order", "b a", "a b", [4]int64{2}, 2},
		{"one match a word", "a a a", "a b", [4]int64{1}, 1},
		{"hash codes", "c0 dog", "an dog", [4]int64{2}, 0},
		{"nothing", "x", "y", [4]int64{}, 0},
		{"empty", "", "y", [4]int64{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tb.Segment(tt.prediction, []string{tt.reference})
			for k, m := range got.Prediction.Matched {
				if m.Content+m.Function != tt.matched[k] {
					t.Errorf("stage %d matched %d words, want %d", k, m.Content+m.Function, tt.matched[k])
				}
			}
			if got.Chunks != tt.chunks {
				t.Errorf("%d chunks, want %d", got.Chunks, tt.chunks)
			}
		})
	}
}

func TestScoreOfCounts(t *testing.T) {
	// The formula of the paper, spelt out for "the red car" against "a red car
	// stops": red and car match, in one chunk.
	p, r := 0.75*2/(0.75*2+0.25), 0.75*2/(0.75*3+0.25)
	want := p * r / (0.85*p + 0.15*r) * (1 - 0.6*math.Pow(0.5, 0.2))
	got := small(t).Segment("the red car", []string{"an x", "a red car stops"})
	if math.Abs(got.Score()-want) > 1e-15 {
		t.Errorf("score is %v, want %v", got.Score(), want)
	}
	if s := (meteor.Stats{}).Score(); s != 0 {
		t.Errorf("the score of nothing is %v", s)
	}
}

func TestTheFirstOfEqualReferencesCounts(t *testing.T) {
	tb := small(t)
	got := tb.Segment("x", []string{"a b c", "d"})
	if got.Reference.Words != (meteor.Counts{Content: 2, Function: 1}) {
		t.Errorf("counted against %+v", got.Reference.Words)
	}
	if got, want := tb.Segment("red|||  car", []string{"x ||| red car"}), tb.Segment("red car", []string{"x", "red car"}); got != want {
		t.Errorf("with separators %+v, want %+v", got, want)
	}
	if got, want := tb.Segment("red", nil), tb.Segment("red", []string{""}); got != want {
		t.Errorf("without references %+v, want %+v", got, want)
	}
}

func TestJavaHash(t *testing.T) {
	for text, want := range map[string]int32{"": 0, "an": 3117, "c0": 3117, "hello world": 1794106052, "é": 233, "😀": 1772899} {
		if got := meteor.JavaHash(text); got != want {
			t.Errorf("hash of %q is %d, want %d", text, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name    string
		spoil   func(folder string, f files) error
		missing bool
		says    string
	}{
		{"no folder", func(string, files) error { return nil }, true, "meteor-1.5.jar"},
		{"no jar", func(folder string, f files) error {
			return errors.Join(f.write(folder), os.Remove(filepath.Join(folder, "meteor-1.5.jar")))
		}, true, "meteor-1.5.jar"},
		{"no paraphrases", func(folder string, f files) error {
			return errors.Join(f.write(folder), os.Remove(filepath.Join(folder, "data", "paraphrase-en.gz")))
		}, true, "paraphrase-en.gz"},
		{"another jar", func(folder string, f files) error {
			delete(f, "synonym/english.synsets")
			return f.write(folder)
		}, true, "synonym/english.synsets"},
		{"no zip", func(folder string, f files) error {
			return errors.Join(f.write(folder), os.WriteFile(filepath.Join(folder, "meteor-1.5.jar"), []byte("<html>"), 0o666))
		}, false, "meteor-1.5.jar: zip"},
		{"cut gzip", func(folder string, f files) error {
			f[paraphraseFile] = strings.Repeat(f[paraphraseFile], 50)
			return errors.Join(f.write(folder), os.Truncate(filepath.Join(folder, "data", "paraphrase-en.gz"), 60))
		}, false, "paraphrase-en.gz: unexpected EOF"},
		{"no number", spoil("synonym/english.synsets", "car\nx\n"), false, "synsets, line 2"},
		{"cut entry", spoil(paraphraseFile, "0.5\na\nb\n0.5\nc\n"), false, "line 5: the table ends within an entry"},
		{"no probability", spoil(paraphraseFile, "0.5\na\nb\nc\n0.5\nd\n"), false, `line 4: "c": not a probability`},
		{"apart", spoil(paraphraseFile, entries("a", "b", "c", "d", "a", "e")), false, `line 8: "a": the paraphrases of a phrase stand apart`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "meteor")
			if err := tt.spoil(folder, smallFiles()); err != nil {
				t.Fatal(err)
			}
			_, err := meteor.Open(folder)
			if err == nil || errors.Is(err, meteor.ErrNoTables) != tt.missing || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want one with %q, missing: %t", err, tt.says, tt.missing)
			}
		})
	}
}

func spoil(name, text string) func(string, files) error {
	return func(folder string, f files) error {
		f[name] = text
		return f.write(folder)
	}
}

// TestParaphrasesAcrossBlocks reads a table of several blocks.
func TestParaphrasesAcrossBlocks(t *testing.T) {
	var b strings.Builder
	for i := range 30000 {
		b.WriteString(entries(fmt.Sprint("phrase ", i), fmt.Sprint("other ", i), fmt.Sprint("phrase ", i), "phrase 7"))
	}
	has, err := meteor.ReadParaphrases(strings.NewReader(strings.TrimSuffix(b.String(), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30000 {
		p, o := fmt.Sprint("phrase ", i), fmt.Sprint("other ", i)
		if !has(p, o) || !has(p, "phrase 7") || has(o, p) || has(p, "other") {
			t.Fatalf("wrong paraphrases of %q", p)
		}
	}
}

func FuzzReadParaphrases(f *testing.F) {
	f.Add([]byte(smallFiles()[paraphraseFile]))
	for _, s := range []string{"", "\n", "0.5\na\nb", "0.5\n\n\n", "0.5\na\nb\n1\na\nc\n1\nb\na\n", "x\na\nb\n", "1\n\xff \xff\n \n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		has, err := meteor.ReadParaphrases(bytes.NewReader(data))
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		if err != nil {
			return
		}
		for i := 0; i+2 < len(lines); i += 3 {
			if !has(lines[i+1], lines[i+2]) {
				t.Fatalf("%q lacks entry %d", data, i/3)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	s := smallFiles()
	f.Add(s["function/english.words"], s["nonbreaking/english.prefixes"], s["synonym/english.synsets"], s["synonym/english.exceptions"], "the mice. No 5 glades")
	f.Add("a", "a #NUMERIC_ONLY#", "car\n1\nx", "\n\n\nx y", "a. 5 xs ss")
	f.Add("", "", "car\n-1", "", "")
	f.Fuzz(func(t *testing.T, function, abbreviations, synsets, exceptions, caption string) {
		tb, err := meteor.Parse(function, abbreviations, synsets, exceptions)
		if err != nil {
			return
		}
		checkScore(t, tb, caption, []string{function, caption})
	})
}

func FuzzSegment(f *testing.F) {
	tb := small(f)
	for _, s := range [][2]string{
		{"the big hill", "a mountain"},
		{"", "|||"},
		{"a a a a b b", "b b a a a"},
		{"don't -- u.s. 1,000 a-b ``x''", "mr. No. 5 … İ\u00a0\v\xff"},
		{"mount hill mount", "hill mount hill"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, prediction, reference string) {
		checkScore(t, tb, prediction, []string{reference, prediction})
		for _, w := range tb.Words(prediction) {
			if w == "" || strings.ContainsAny(w, " \t\n\r\f") {
				t.Errorf("%q has the word %q", prediction, w)
			}
		}
	})
}

// checkScore checks what holds for any captions.
func checkScore(t *testing.T, tb *meteor.Tables, prediction string, references []string) {
	t.Helper()
	var set meteor.Stats
	for _, r := range references {
		s := tb.Segment(prediction, []string{r})
		if x := s.Score(); !(x >= 0 && x <= 1) {
			t.Errorf("%q against %q scores %v", prediction, r, x)
		}
		for k, n := range counts(s) {
			if n < 0 {
				t.Errorf("count %d of %q against %q is %d", k, prediction, r, n)
			}
		}
		set.Merge(s)
	}
	if x := set.Score(); !(x >= 0 && x <= 1) {
		t.Errorf("the set of %q scores %v", prediction, x)
	}
}
