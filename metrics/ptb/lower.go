package ptb

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower puts a token in lower case as Java does.
func lower(token string) string {
	for i := 0; i < len(token); i++ {
		if token[i] >= utf8.RuneSelf {
			return lowerUnicode(token)
		}
	}
	return strings.ToLower(token)
}

// lowerUnicode knows the two cases in which Java looks past the single letter:
// a dotted capital I becomes i and a combining dot, and a sigma that ends a
// word becomes the final one.
func lowerUnicode(token string) string {
	var b strings.Builder
	for i, r := range token {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(token[:i], token[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord reports whether a letter between before and after is the last cased
// one of its word and not the first.
func endsWord(before, after string) bool {
	back := []rune(before)
	slices.Reverse(back)
	return reachesCase(back) && !reachesCase([]rune(after))
}

// reachesCase reports whether a cased letter follows before the word ends that a
// letter began. Marks and digits don't end a word, nor does one hyphen, dot or
// the like between two letters or two digits.
func reachesCase(rest []rune) bool {
	inNumber := false
	for i, r := range rest {
		switch {
		case unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r):
			return true
		case unicode.IsMark(r) || unicode.Is(unicode.Cf, r) || r == '_':
		case unicode.IsDigit(r):
			inNumber = true
		case unicode.IsLetter(r) && !unicode.Is(unicode.Han, r):
			inNumber = false
		case r == '-' || r == '.' || r == '\'':
			if i+1 == len(rest) || inNumber != unicode.IsDigit(rest[i+1]) || !inNumber && !unicode.IsLetter(rest[i+1]) {
				return false
			}
		default:
			return false
		}
	}
	return false
}
