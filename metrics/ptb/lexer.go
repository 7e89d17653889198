package ptb

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// pattern is one alternative of a lexer: a regular expression in Go's syntax,
// without anchors, word borders or captures that matter.
type pattern struct {
	name string
	expr string
}

// lexer finds, at a place in a text, the longest prefix that any of its
// patterns matches; of patterns that match equally far the first one wins.
// That is the rule of lex and its kin. regexp cannot say which alternative of
// a leftmost-longest match won, and trying the patterns one by one costs their
// number at every character.
//
// It runs a deterministic automaton over classes of runes. A state is built
// when a text first leads to it, and is then shared by all goroutines: reading
// a transition is one atomic load, building one takes the lock.
type lexer struct {
	insts   []inst
	start   *state
	classes runeClasses

	mu     sync.Mutex
	states map[string]*state
}

// inst is an instruction of one of the patterns' programs, renumbered so that
// all programs stand in one slice.
type inst struct {
	syntax.Inst
	rule int // which pattern it belongs to
}

// waits reports whether the instruction consumes a rune.
func (in inst) waits() bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// runeRange is an inclusive range.
type runeRange struct{ lo, hi rune }

// ranges lists the runes that the instruction may accept. A single rune stands
// for all its cases, as the compiler turns [Aa] into a case-blind a.
func (in inst) ranges() []runeRange {
	var out []runeRange
	if len(in.Rune) == 1 {
		for r, first := in.Rune[0], true; first || r != in.Rune[0]; r, first = unicode.SimpleFold(r), false {
			out = append(out, runeRange{r, r})
		}
		return out
	}
	for i := 0; i < len(in.Rune); i += 2 {
		out = append(out, runeRange{in.Rune[i], in.Rune[i+1]})
	}
	return out
}

// state is a set of instructions, each waiting for a rune or a match.
type state struct {
	next []atomic.Pointer[state] // by rune class; nil: not built yet
	pcs  []uint32                // ascending
	rule int                     // the first pattern that matches here, or noRule
	dead bool                    // nothing waits for a rune
}

const noRule = -1

// newLexer compiles the patterns. They are part of this package, so a fault in
// one of them is reported by the tests that call newLexer.
func newLexer(patterns []pattern) (*lexer, error) {
	l := &lexer{states: map[string]*state{}}
	var starts []uint32
	for i, p := range patterns {
		re, err := syntax.Parse(p.expr, syntax.Perl&^syntax.UnicodeGroups)
		if err != nil {
			return nil, fmt.Errorf("compile pattern %s: %w", p.name, err)
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			return nil, fmt.Errorf("compile pattern %s: %w", p.name, err)
		}
		starts = append(starts, l.add(prog, i))
	}
	l.classes = classify(l.insts)
	l.start = l.state(starts)
	return l, nil
}

// add appends a program and returns where it starts.
func (l *lexer) add(prog *syntax.Prog, rule int) uint32 {
	base := uint32(len(l.insts))
	for _, in := range prog.Inst {
		in.Out += base
		if in.Op == syntax.InstAlt || in.Op == syntax.InstAltMatch {
			in.Arg += base
		}
		l.insts = append(l.insts, inst{in, rule})
	}
	return base + uint32(prog.Start)
}

// scanner goes through one text.
type scanner struct {
	*lexer
	text string
	// futile holds states from which the rest of the text leads to no match, at
	// places some way beyond a match. Without it a text in which a long match
	// begins at every character and fails at the end would take the square of
	// its length (Reps, "Maximal-munch" tokenization in linear time, 1998).
	futile map[futileAt]bool
}

type futileAt struct {
	st *state
	at int
}

// futileStep is how many bytes lie between the places that a scanner remembers.
const futileStep = 64

// longest returns the pattern that wins at a place and where its match ends. The
// rule is noRule if no pattern matches at least one rune.
func (s *scanner) longest(at int) (rule, end int) {
	rule, end = noRule, at
	var passed []futileAt // since the last match
	st := s.start
	for i := at; i < len(s.text) && !st.dead; {
		class, width := s.classes.next(s.text, i)
		for range max(1, width-2) { // four bytes of UTF-8 are two units of UTF-16
			if st = s.follow(st, class); st.rule != noRule {
				rule, end, passed = st.rule, i+width, passed[:0]
			}
		}
		if i/futileStep != (i+width)/futileStep {
			here := futileAt{st, i + width}
			if s.futile[here] {
				break
			}
			passed = append(passed, here)
		}
		i += width
	}
	for _, p := range passed {
		if s.futile == nil {
			s.futile = map[futileAt]bool{}
		}
		s.futile[p] = true
	}
	return rule, end
}

func (l *lexer) follow(st *state, class uint8) *state {
	if nx := st.next[class].Load(); nx != nil {
		return nx
	}
	return l.step(st, class)
}

// step builds the transition of a state on a class of runes.
func (l *lexer) step(from *state, class uint8) *state {
	r := l.classes.sample[class]
	var out []uint32
	for _, pc := range from.pcs {
		if in := &l.insts[pc]; in.Op != syntax.InstMatch && in.MatchRune(r) {
			out = append(out, in.Out)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	nx := l.state(out)
	from.next[class].Store(nx)
	return nx
}

// state returns the state reached when the given instructions come next.
// The caller holds the lock, except while the lexer is built.
func (l *lexer) state(from []uint32) *state {
	seen := map[uint32]bool{}
	st := &state{rule: noRule, dead: true}
	for len(from) > 0 {
		pc := from[len(from)-1]
		from = from[:len(from)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &l.insts[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			from = append(from, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			from = append(from, in.Out)
		case syntax.InstFail:
		case syntax.InstMatch:
			if st.rule == noRule || in.rule < st.rule {
				st.rule = in.rule
			}
			st.pcs = append(st.pcs, pc)
		default:
			st.dead = false
			st.pcs = append(st.pcs, pc)
		}
	}
	slices.Sort(st.pcs)
	key := fmt.Sprint(st.pcs)
	if old := l.states[key]; old != nil {
		return old
	}
	st.next = make([]atomic.Pointer[state], len(l.classes.sample))
	l.states[key] = st
	return st
}

// runeClasses maps runes that no pattern tells apart to one number.
type runeClasses struct {
	bmp    [1 << 16]uint8
	astral uint8 // one class for all of it, see classify
	sample []rune
}

// next returns the class of the rune at text[i:] and its length in bytes. A
// byte that is not UTF-8 counts as U+FFFD.
func (c *runeClasses) next(text string, i int) (class uint8, width int) {
	if b := text[i]; b < utf8.RuneSelf {
		return c.bmp[b], 1
	}
	r, w := utf8.DecodeRuneInString(text[i:])
	if r >= 1<<16 {
		return c.astral, w
	}
	return c.bmp[r], w
}

// classify cuts the runes where any instruction's ranges begin or end and
// joins the pieces that the same instructions accept. No pattern names a rune
// outside the BMP, so all of those behave alike.
func classify(insts []inst) runeClasses {
	cuts := []rune{0, 1 << 16}
	for _, in := range insts {
		if !in.waits() {
			continue
		}
		for _, r := range in.ranges() {
			cuts = append(cuts, r.lo, r.hi+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)

	var c runeClasses
	known := map[string]uint8{}
	for i, lo := range cuts {
		if lo > 1<<16 {
			break
		}
		key := make([]byte, len(insts)/8+1)
		for pc, in := range insts {
			if in.waits() && in.MatchRune(lo) {
				key[pc/8] |= 1 << (pc % 8)
			}
		}
		class, ok := known[string(key)]
		if !ok {
			class = uint8(len(c.sample))
			known[string(key)] = class
			c.sample = append(c.sample, lo)
		}
		if lo == 1<<16 {
			c.astral = class
			break
		}
		for r := lo; r < min(cuts[i+1], 1<<16); r++ {
			c.bmp[r] = class
		}
	}
	return c
}
