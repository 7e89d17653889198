// Package ptb tokenises captions as the COCO caption evaluation does.
//
// The reference is the PTBTokenizer of Python's pycocoevalcap 1.2: CoreNLP
// 3.4.1's English tokenizer in Penn Treebank style, run with -preserveLines
// and -lowerCase, then cleared of punctuation. This package needs no Java and
// holds none of CoreNLP's code: its rules were written down from what the
// tokenizer does, in experiments on single characters, word lists, all short
// strings over many alphabets, and mutated captions.
//
// # Behaviour
//
// A caption becomes its tokens, in lower case, with single spaces between.
// Contractions are split (can't → ca n't, cannot → can not, gonna → gon na,
// it's → it 's), abbreviations keep their dot (mr. smith), hyphenated and
// slashed words stay whole, quotation marks turn into “ and ” of the Treebank
// and are removed, as are . ? ! , : ; - -- ... and single quotes. Brackets stay,
// spelled -lrb- and so on, because the reference's list of punctuation has them
// in capitals only; so do ?? and !!, / and *. A space inside a token ("22 3/4",
// a phone number, a tag) becomes U+00A0. Emoji, control characters and some
// other symbols vanish. An empty caption, or one of punctuation only, gives "".
//
// # Differences from the reference
//
//   - Every kind of line break in a caption counts as a space. The reference
//     replaces \n alone; any other kind (\r, \v, \f, U+2028, U+2029) makes it
//     pair all captions that follow with the wrong pictures.
//   - A tag or attribute that a caption leaves open is text. In the reference it
//     can run on into the captions after it.
//   - Lower-casing follows Go's Unicode tables, and word borders around a Greek
//     final sigma are found in a simpler way.
//
// The reference reads all captions as one text, so a caption's tokens can
// depend on the one after it: in "the letter K." the dot belongs to the K
// unless the next caption begins with a capitalised A, The, He or the like.
// Tokenize looks at its caption alone; TokenizeBefore and TokenizeAll look
// ahead as the reference does. Of the 616,767 captions of COCO 2014, 17 differ
// without the look ahead, none with it.
package ptb

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Tokenize returns the tokens of a caption, joined by single spaces. It is safe
// for concurrent use, and its time grows with the caption's length.
func Tokenize(caption string) string { return TokenizeBefore(caption, "") }

// TokenizeBefore is Tokenize for a caption that is followed by another one in
// the text that the reference would read. Before returns what to hand it where
// blank captions come between; "" means that nothing follows.
func TokenizeBefore(caption, next string) string {
	caption = unbreak(caption)
	return tokenize(caption+"\n"+opening(caption, next), len(caption))
}

// Before returns what follows the caption before this one, for TokenizeBefore:
// this one, or if it is blank the next one and the mark of a gap.
func Before(caption, next string) string {
	if strings.IndexFunc(caption, func(r rune) bool { return !isGap(r) && !isBreak(r) }) >= 0 {
		return caption
	}
	return " " + strings.TrimLeftFunc(next, isGap)
}

// TokenizeAll tokenises captions as the reference does when it is given them in
// this order.
func TokenizeAll(captions []string) []string {
	out := make([]string, len(captions))
	next := ""
	for i := len(captions) - 1; i >= 0; i-- {
		out[i] = TokenizeBefore(captions[i], next)
		next = Before(captions[i], next)
	}
	return out
}

// opening returns as much of the next caption as can matter to this one: if this
// one ends in a dot, its first word, or all of it if that may be a tag. Of gaps
// before it, one is as good as many.
func opening(caption, next string) string {
	if next == "" || !strings.HasSuffix(strings.TrimRightFunc(caption, isGap), ".") {
		return ""
	}
	next = unbreak(next)
	word := strings.TrimLeftFunc(next, isGap)
	gap := ""
	if len(word) < len(next) {
		gap = " "
	}
	if end := strings.IndexFunc(word, isGap); end >= 0 && word[0] != '<' {
		word = word[:end]
	}
	return gap + word + "\n"
}

// isBreak reports whether the reference takes r for the end of a line.
func isBreak(r rune) bool {
	return '\n' <= r && r <= '\r' || r == '\u2028' || r == '\u2029'
}

// unbreak replaces line breaks by spaces.
func unbreak(s string) string {
	if strings.IndexFunc(s, isBreak) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isBreak(r) {
			return ' '
		}
		return r
	}, s)
}

// isPunctuation reports whether the reference removes a token. Its -LRB- and the
// like are not here: no token has capitals any more when it looks.
func isPunctuation(token string) bool {
	switch token {
	case "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";":
		return true
	}
	return false
}

// tokenize gives the tokens that begin before limit. The text goes on with a
// line break at least.
func tokenize(text string, limit int) string {
	var out strings.Builder
	out.Grow(limit + 8)
	scan := scanner{lexer: grammar(), text: text}
	hold := "" // the last token: the reference strips spaces off the end of the line
	for i := 0; i < limit; {
		if text[i] == ' ' && text[i+1] < utf8.RuneSelf { // a space, and no more of other kinds after it
			i++
			continue
		}
		token, width := scan.next(i)
		i += width
		if token == "" {
			continue
		}
		write(&out, hold)
		hold = lower(token)
	}
	write(&out, strings.TrimRightFunc(hold, isPythonSpace))
	return out.String()
}

// write adds a token unless it is punctuation.
func write(out *strings.Builder, token string) {
	if token == "" || isPunctuation(token) {
		return
	}
	if out.Len() > 0 {
		out.WriteByte(' ')
	}
	out.WriteString(token)
}

// isPythonSpace reports whether Python's str.strip and str.split take r for
// white space.
func isPythonSpace(r rune) bool {
	return 0x1C <= r && r <= 0x1F || unicode.IsSpace(r)
}

// next returns the token at a place and how many bytes it takes. The token is
// empty for spaces and for characters that belong to none.
func (s *scanner) next(at int) (token string, width int) {
	n, end := s.longest(at)
	if n == noRule {
		_, width = utf8.DecodeRuneInString(s.text[at:])
		return "", width
	}
	r, token := &rules[n], s.text[at:end]
	switch {
	case r.keep != nil:
		token = token[:r.keep(token)]
	case r.ahead != "":
		_, last := utf8.DecodeLastRuneInString(token)
		token = token[:len(token)-last]
	}
	width = len(token)
	if r.spell != nil {
		token = r.spell(token)
	}
	return token, width
}

// grammar is the lexer of the rules. They are constants of this package and the
// tests compile them, so a fault in them can't reach a caller.
var grammar = sync.OnceValue(func() *lexer {
	l, err := newLexer(patterns())
	if err != nil {
		panic(err)
	}
	return l
})

// patterns are the rules with what must follow.
func patterns() []pattern {
	out := make([]pattern, len(rules))
	for i, r := range rules {
		out[i] = pattern{r.name, `(?:` + r.expr + `)(?:` + r.ahead + `)`}
	}
	return out
}
