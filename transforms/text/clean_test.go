package text

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestCleanGolden(t *testing.T) {
	f, err := os.Open("../../testdata/golden/text/clean.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for dec := json.NewDecoder(f); dec.More(); n++ {
		var c struct {
			In, Clean, First string
			Words            int
		}
		if err := dec.Decode(&c); err != nil {
			t.Fatal(err)
		}
		if got := Clean(OneLine(c.In)); got != c.Clean {
			t.Errorf("Clean(%q) = %q, want %q", c.In, got, c.Clean)
		}
		if got := FirstWords(c.Clean, c.Words); got != c.First {
			t.Errorf("FirstWords(%q, %d) = %q, want %q", c.Clean, c.Words, got, c.First)
		}
	}
	if n < 100 {
		t.Fatalf("only %d cases", n)
	}
}

func TestFirstWords(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"a b c", 0, "a b c"}, {"a b c", -1, "a b c"}, {"a b c", 2, "a b"}, {"a b c", 3, "a b c"},
		{"a b c", 9, "a b c"}, {"", 2, ""}, {"one", 1, "one"}, {"a  b c", 2, "a  b"},
	} {
		if got := FirstWords(tt.in, tt.n); got != tt.want {
			t.Errorf("FirstWords(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("A man (left) & a dog!")
	f.Add("ΣΑΣ İ \xff")
	f.Fuzz(func(t *testing.T, caption string) {
		once := Clean(OneLine(caption))
		if again := Clean(OneLine(once)); again != once {
			t.Errorf("%q cleans to %q and then to %q", caption, once, again)
		}
		if strings.ContainsAny(once, cleaned) || strings.TrimSpace(once) != once {
			t.Errorf("%q cleans to %q", caption, once)
		}
	})
}
