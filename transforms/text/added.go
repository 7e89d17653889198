package text

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addTokens gives ids to the added tokens of the options and to the named ones
// and prepares the search for them.
func (t *Tokenizer) addTokens() error {
	t.hidden, t.shown = map[int32]bool{}, map[int32]string{}
	for _, a := range t.opts.Added {
		if err := t.addToken(a); err != nil {
			return err
		}
	}
	for _, name := range t.opts.Names.inOrder() {
		if name == "" {
			continue
		}
		if err := t.addToken(AddedToken{Content: name, Special: true}); err != nil {
			return err
		}
	}
	if len(t.tokens) > MaxVocabulary {
		return fmt.Errorf("%w: %d tokens with the added ones, at most %d", ErrVocabulary, len(t.tokens), MaxVocabulary)
	}
	slices.SortFunc(t.added, func(a, b AddedToken) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range t.added {
		m, pattern := &t.raw, a.Content
		if a.Normalized {
			m, pattern = &t.folded, string(t.normalize(nil, a.Content))
			t.shown[a.ID] = pattern
		}
		if err := m.add(pattern, a); err != nil {
			return err
		}
	}
	return nil
}

// addToken enters one token. A token entered twice keeps its first form, and is
// special if it is so in either.
func (t *Tokenizer) addToken(a AddedToken) error {
	if a.Content == "" || !utf8.ValidString(a.Content) {
		return fmt.Errorf("%w: the added token %q is empty or not valid UTF-8", ErrVocabulary, a.Content)
	}
	id, known := t.ids[a.Content]
	if !known {
		id = int32(len(t.tokens))
	}
	if a.ID != 0 && a.ID != id {
		return fmt.Errorf("%w: added token %q wants the id %d, but has or would get %d", ErrVocabulary, a.Content, a.ID, id)
	}
	if a.ID = id; !known {
		t.tokens = append(t.tokens, a.Content)
		t.ids[a.Content] = id
	}
	if a.Special {
		t.hidden[id] = true
	}
	for i := range t.added {
		if t.added[i].ID == id {
			t.added[i].Special = t.added[i].Special || a.Special
			return nil
		}
	}
	t.added = append(t.added, a)
	return nil
}

// matcher finds tokens in a text, the leftmost first and of several at one
// place the longest. There are a handful of them, so they are tried in turn
// wherever a first byte fits.
type matcher struct {
	byFirst map[byte][]candidate // longest first
}

type candidate struct {
	pattern string
	token   AddedToken
}

func (m *matcher) add(pattern string, a AddedToken) error {
	if pattern == "" {
		return fmt.Errorf("%w: nothing is left of the added token %q when it is normalised", ErrVocabulary, a.Content)
	}
	if m.byFirst == nil {
		m.byFirst = map[byte][]candidate{}
	}
	first := pattern[0]
	for _, c := range m.byFirst[first] {
		if c.pattern == pattern {
			return fmt.Errorf("%w: the added tokens %q and %q look the same when normalised", ErrVocabulary, c.token.Content, a.Content)
		}
	}
	m.byFirst[first] = append(m.byFirst[first], candidate{pattern, a})
	slices.SortStableFunc(m.byFirst[first], func(a, b candidate) int { return cmp.Compare(len(b.pattern), len(a.pattern)) })
	return nil
}

// find returns the first match at or after from.
func (m *matcher) find(s string, from int) (start int, c candidate, ok bool) {
	for i := from; i < len(s); i++ {
		for _, c := range m.byFirst[s[i]] {
			if strings.HasPrefix(s[i:], c.pattern) {
				return i, c, true
			}
		}
	}
	return 0, candidate{}, false
}

// split cuts s at the added tokens in it. It calls between for the text before,
// between and after them, unless that is empty, and token for each of them.
func (m *matcher) split(s string, skipSpecial skip, between func(string), token func(id int32)) {
	done := 0 // s up to here is dealt with
	for from := 0; ; {
		start, c, ok := m.find(s, from)
		if !ok {
			break
		}
		stop := start + len(c.pattern)
		from = stop
		if bool(skipSpecial) && c.token.Special || c.token.SingleWord && inWord(s, start, stop) {
			continue
		}
		if c.token.EatLeft {
			start = max(done, len(strings.TrimRightFunc(s[:start], unicode.IsSpace)))
		}
		if c.token.EatRight {
			stop = len(s) - len(strings.TrimLeftFunc(s[stop:], unicode.IsSpace))
		}
		if done < start {
			between(s[done:start])
		}
		token(c.token.ID)
		done = stop
	}
	if done < len(s) {
		between(s[done:])
	}
}

// skip says whether special tokens are passed over as ordinary text.
type skip bool

// inWord reports whether a letter, digit, mark or joiner is next to s[start:stop].
func inWord(s string, start, stop int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[stop:])
	return start > 0 && wordRune(before) || stop < len(s) && wordRune(after)
}

// wordRune is \w of Unicode's regular expressions (UTS 18, annex C).
func wordRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
