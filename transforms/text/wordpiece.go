package text

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// Encode returns the ids of a text, without [CLS] and [SEP] around them. Added
// tokens in the text become their ids. An empty text has none. It never fails:
// what the vocabulary can't express is the unknown token.
func (t *Tokenizer) Encode(s string) []int32 {
	return t.appendIDs(nil, s)
}

// EncodeWithSpecials returns [CLS], the ids of a text and [SEP], at most limit
// ids in all: what does not fit is dropped from the end (from the start under
// [Options.CutLeft]). A limit of 0 or less means none.
func (t *Tokenizer) EncodeWithSpecials(s string, limit int) []int32 {
	ids := t.appendIDs([]int32{t.named.Class}, s)
	if limit > 0 {
		if room := max(limit, 2) - 2; len(ids)-1 > room {
			if t.opts.CutLeft {
				copy(ids[1:], ids[len(ids)-room:])
			}
			ids = ids[:1+room]
		}
	}
	return append(ids, t.named.Separator)
}

func (t *Tokenizer) appendIDs(ids []int32, s string) []int32 {
	var buf []byte
	t.raw.split(s, skip(t.opts.SplitSpecials), func(s string) {
		buf = t.normalize(buf[:0], s)
		if len(t.folded.byFirst) == 0 {
			ids = t.appendWords(ids, buf)
			return
		}
		t.folded.split(string(buf), skip(t.opts.SplitSpecials), func(s string) {
			ids = t.appendWords(ids, []byte(s))
		}, func(id int32) { ids = append(ids, id) })
	}, func(id int32) { ids = append(ids, id) })
	return ids
}

// appendWords appends the ids of the words of a normalised text.
func (t *Tokenizer) appendWords(ids []int32, s []byte) []int32 {
	for word := range wordsOf(s) {
		ids = t.appendWord(ids, word)
	}
	return ids
}

// wordsOf splits a normalised text at white space and around punctuation.
func wordsOf(s []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := 0 // of the word being read
		for i := 0; i < len(s); {
			n, kind := classify(s[i:])
			if kind != inner {
				if start < i && !yield(s[start:i]) || kind == alone && !yield(s[i:i+n]) {
					return
				}
				start = i + n
			}
			i += n
		}
		if start < len(s) {
			yield(s[start:])
		}
	}
}

// The parts that characters play in splitting: inside a word, a word of their
// own, between words.
const (
	inner = iota
	alone
	between
)

// classify returns the length of the first character in bytes and its part.
func classify(s []byte) (n, kind int) {
	if c := s[0]; c < utf8.RuneSelf {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
			return 1, inner
		case c == ' ' || '\t' <= c && c <= '\r':
			return 1, between
		case c > ' ' && c < 0x7f: // all other visible ASCII, symbols too
			return 1, alone
		}
		return 1, inner
	}
	r, n := utf8.DecodeRune(s)
	switch {
	case unicode.IsSpace(r):
		return n, between
	case unicode.Is(punctuation, r):
		return n, alone
	}
	return n, inner
}

// pieceTable looks up the pieces that words are made of.
type pieceTable struct {
	first, next       map[string]int32 // next without its prefix
	maxFirst, maxNext int              // lengths of the longest, in bytes
}

func newPieceTable(vocab []string, prefix string) pieceTable {
	p := pieceTable{first: make(map[string]int32, len(vocab)), next: map[string]int32{}}
	for i, token := range vocab {
		p.first[token] = int32(i)
		p.maxFirst = max(p.maxFirst, len(token))
		if len(token) > len(prefix) && token[:len(prefix)] == prefix {
			rest := token[len(prefix):]
			p.next[rest] = int32(i)
			p.maxNext = max(p.maxNext, len(rest))
		}
	}
	return p
}

// appendWord appends the ids of the longest pieces of a word, from the left, or
// the unknown token's if the word is too long or a part of it has no piece.
func (t *Tokenizer) appendWord(ids []int32, word []byte) []int32 {
	if len(word) > t.opts.MaxWordChars && utf8.RuneCount(word) > t.opts.MaxWordChars {
		return append(ids, t.named.Unknown)
	}
	before := len(ids)
	table, longest := t.pieces.first, t.pieces.maxFirst
	for rest := word; len(rest) > 0; {
		id, n := longestPiece(table, rest[:min(longest, len(rest))])
		if n == 0 {
			return append(ids[:before], t.named.Unknown)
		}
		ids = append(ids, id)
		rest = rest[n:]
		table, longest = t.pieces.next, t.pieces.maxNext
	}
	return ids
}

// longestPiece returns the longest start of s in the table, and its length or 0.
// Starts that end within a character are in no table.
func longestPiece(table map[string]int32, s []byte) (int32, int) {
	for n := len(s); n > 0; n-- {
		if id, ok := table[string(s[:n])]; ok {
			return id, n
		}
	}
	return 0, 0
}
