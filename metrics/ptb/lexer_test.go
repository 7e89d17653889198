package ptb

import "testing"

func TestLexer(t *testing.T) {
	l, err := newLexer([]pattern{
		{"if", `if`},
		{"word", `[a-z]+`},
		{"long", `[a-z]+\.[a-z]+`},
		{"any case", `[Xx]`},
		{"two units", `#[^a]{2}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text      string
		rule, end int
	}{
		{"if", 0, 2},        // the first of two equals
		{"iff", 1, 3},       // the longest
		{"if.x ", 2, 4},     // over a place where another pattern ended
		{"if. ", 0, 2},      // back to where one did
		{"X", 3, 1},         // a case-blind letter, other case
		{"x", 1, 1},         //
		{"#😀", 4, 5},        // a character outside the BMP is two units of UTF-16
		{"#é", noRule, 0},   // one inside is one
		{"", noRule, 0},     //
		{"\xff", noRule, 0}, //
	}
	for _, tt := range tests {
		for range 2 { // the second time over states that are there
			s := scanner{lexer: l, text: tt.text}
			if rule, end := s.longest(0); rule != tt.rule || rule != noRule && end != tt.end {
				t.Errorf("longest(%q) = %d, %d, want %d, %d", tt.text, rule, end, tt.rule, tt.end)
			}
		}
	}
}

func TestLexerRejectsBadPattern(t *testing.T) {
	if _, err := newLexer([]pattern{{"open", `(a`}}); err == nil {
		t.Error("no error for an open group")
	}
}

// TestStatesAreBounded builds the whole automaton. States are kept for good, so
// its size bounds the memory that any text can make the lexer take.
func TestStatesAreBounded(t *testing.T) {
	l, err := newLexer(patterns())
	if err != nil {
		t.Fatal(err)
	}
	queue := []*state{l.start}
	seen := map[*state]bool{l.start: true}
	for len(queue) > 0 {
		st := queue[0]
		queue = queue[1:]
		for class := range l.classes.sample {
			if nx := l.follow(st, uint8(class)); !seen[nx] {
				seen[nx] = true
				queue = append(queue, nx)
			}
		}
		if len(seen) > 20000 {
			t.Fatal("more than 20,000 states")
		}
	}
	t.Logf("%d states of %d classes", len(seen), len(l.classes.sample))
}
