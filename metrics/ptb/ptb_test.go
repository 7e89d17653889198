package ptb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/blipflow/blipflow/metrics/internal/golden"
	"github.com/blipflow/blipflow/metrics/ptb"
)

func ExampleTokenize() {
	fmt.Println(ptb.Tokenize(`Mr. Smith's dog can't catch the "frisbee" at 9:30am, w/o help...`))
	// Output: mr. smith 's dog ca n't catch the frisbee at 9:30 am w/o help
}

func ExampleTokenizeAll() {
	for _, tokens := range ptb.TokenizeAll([]string{"It shows the letter K.", "A sign.", "The letter K.", "a sign"}) {
		fmt.Println(tokens)
	}
	// Output:
	// it shows the letter k
	// a sign
	// the letter k.
	// a sign
}

// pairs loads a golden file of captions and their tokens.
func pairs(t *testing.T, name string) (captions, tokens []string) {
	var file [][2]string
	golden.Load(t, name, &file)
	for _, p := range file {
		captions, tokens = append(captions, p[0]), append(tokens, p[1])
	}
	return captions, tokens
}

func TestTokenizeAgainstCoreNLP(t *testing.T) {
	captions, want := pairs(t, "tokens")
	for i, c := range captions {
		if got := ptb.Tokenize(c); got != want[i] {
			t.Errorf("Tokenize(%q)\n got %q\nwant %q", c, got, want[i])
		}
	}
}

func TestTokenizeAllAgainstCoreNLP(t *testing.T) {
	captions, want := pairs(t, "lines")
	differ := 0
	for i, got := range ptb.TokenizeAll(captions) {
		if got != want[i] {
			t.Errorf("caption %d, %q\n got %q\nwant %q", i, captions[i], got, want[i])
		}
		if ptb.Tokenize(captions[i]) != got {
			differ++
		}
	}
	if differ == 0 {
		t.Error("no caption depends on the next one: the golden file does not test the look ahead")
	}
}

// charRange is a stretch of characters that CoreNLP treats alike. Its JSON is
// [first, last, tokens].
type charRange struct {
	first, last rune
	tokens      string
}

func (c *charRange) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&c.first, &c.last, &c.tokens})
}

// TestEveryCharacter takes each character of the BMP through the surroundings
// of the golden file.
func TestEveryCharacter(t *testing.T) {
	var ranges []charRange
	golden.Load(t, "characters", &ranges)
	total, bad := 0, 0
	for _, cr := range ranges {
		for r := cr.first; r <= cr.last; r++ {
			c := string(r)
			got := ptb.Tokenize("a" + c + "b 1" + c + "2 " + c + " x" + c)
			got = strings.ReplaceAll(got, c, "?")
			got = strings.ReplaceAll(got, lowerCase(c), "?")
			if total++; got != cr.tokens {
				if bad++; bad < 20 {
					t.Errorf("U+%04X\n got %q\nwant %q", r, got, cr.tokens)
				}
			}
		}
	}
	if total < 60000 {
		t.Errorf("only %d characters in the golden file", total)
	}
	if bad > 0 {
		t.Errorf("%d characters of %d differ", bad, total)
	}
}

// lowerCase is Python's str.lower for one character: Go has no case mapping to
// two characters, and this is the only one.
func lowerCase(c string) string {
	if c == "İ" {
		return "i̇"
	}
	return strings.ToLower(c)
}

func TestTokenize(t *testing.T) {
	tests := []struct{ name, caption, want string }{
		{"empty", "", ""},
		{"blank", " \t\n", ""},
		{"punctuation", " ... !", ""},
		{"brackets stay in lower case", "(a) [b]", "-lrb- a -rrb- -lsb- b -rsb-"},
		{"line breaks are spaces", "a\rb\vc\fd\u2028e\u2029f\r\ng", "a b c d e f g"},
		{"space inside a token", "22 3/4 in.", "22\u00a03/4 in"},
		{"emoji vanish", "a😀b", "a b"},
		{"no character", "a\xffb", "a b"},
		{"final sigma", "ΟΔΟΣ ΣΑ Σ", "οδος σα σ"},
		{"trailing hard space of an address", "http://a.bc\u2003", "http://a.bc"},
		{"spaces before an address", "x \u00a0x.com", "x x.com"},
		{"open tag", "<a b='c", "< a b = c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ptb.Tokenize(tt.caption); got != tt.want {
				t.Errorf("Tokenize(%q) = %q, want %q", tt.caption, got, tt.want)
			}
		})
	}
}

// TestTokenizeConcurrently builds the lexer's states from many goroutines.
func TestTokenizeConcurrently(t *testing.T) {
	captions, want := pairs(t, "tokens")
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range captions {
				i = (i*7 + worker*131) % len(captions)
				if got := ptb.Tokenize(captions[i]); got != want[i] {
					t.Errorf("Tokenize(%q) = %q, want %q", captions[i], got, want[i])
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestTimeIsLinear takes texts in which a long match begins nearly everywhere and
// fails at the end. With the square of their length it would run for an hour.
func TestTimeIsLinear(t *testing.T) {
	for _, piece := range []string{"<!a", "[a", "x&amp;", "a@"} {
		text := strings.Repeat(piece, 1<<19/len(piece))
		if got := ptb.Tokenize(text); got == "" {
			t.Errorf("no tokens of %q, repeated", piece)
		}
	}
}

func FuzzTokenize(f *testing.F) {
	for _, s := range []string{"A dog's bone.", "<a b='c'>", "(415) 555-1212 1 1/2", "x.com/a a@b.c #d", "Σ\u00ad\u0301'. The", "\xff😀&amp;"} {
		f.Add(s, "The next")
	}
	f.Fuzz(func(t *testing.T, caption, next string) {
		got := ptb.TokenizeBefore(caption, next)
		if strings.HasPrefix(got, " ") || strings.HasSuffix(got, " ") || strings.Contains(got, "  ") {
			t.Errorf("%q has an empty token", got)
		}
		if strings.IndexFunc(got, func(r rune) bool { return 'A' <= r && r <= 'Z' }) >= 0 {
			t.Errorf("%q has a capital", got)
		}
		if utf8.ValidString(caption) && !utf8.ValidString(got) {
			t.Errorf("Tokenize(%q) = %q is no UTF-8", caption, got)
		}
		for _, token := range strings.Split(got, " ") {
			if token == "." || token == "," || token == "''" || token == "--" {
				t.Errorf("%q has punctuation", got)
			}
		}
		if alone := ptb.Tokenize(caption); !strings.HasSuffix(strings.TrimSpace(caption), ".") && alone != got &&
			strings.TrimSpace(caption) == caption {
			t.Errorf("tokens of %q change with the next caption", caption)
		}
	})
}

func BenchmarkTokenize(b *testing.B) {
	var file [][2]string
	golden.Load(b, "tokens", &file)
	bytes := 0
	for _, p := range file {
		bytes += len(p[0])
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range file {
			ptb.Tokenize(p[0])
		}
	}
}
