package meteor

import (
	"strings"
)

// prefixes are the words after which a full stop ends no sentence, from the
// table nonbreaking/english.prefixes. The value is true for those of which that
// holds before a number only.
type prefixes map[string]bool

// numericOnly marks such a word in the table.
const numericOnly = "#NUMERIC_ONLY#"

// parsePrefixes reads the table: a word a line, comments after #.
func parsePrefixes(text string) prefixes {
	p := prefixes{}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || word[0] == '#' {
			continue
		}
		p[word] = strings.Contains(rest, numericOnly)
	}
	return p
}

// words splits a caption as the reference's -norm does: punctuation off, quotes
// and dashes made alike, compounds apart, abbreviations without dots, lower case.
func (p prefixes) words(caption string) []string {
	if plain(caption) {
		return strings.Fields(caption)
	}
	text := isolate(alike(strings.TrimFunc(caption, isControl)))
	text = replace(text, commas)
	text = []rune(strings.ReplaceAll(string(text), "--", "-"))
	text = replace(text, apostrophes)
	words := strings.FieldsFunc(string(text), breaksWords)
	out := make([]string, 0, len(words))
	for i, w := range words {
		if w == wideSpace {
			continue
		}
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		word, stop := p.fullStop(w, next)
		out = append(out, lower(word))
		if stop {
			out = append(out, ".")
		}
	}
	return trim(out)
}

// trim takes spaces and control characters off both ends of a caption.
func trim(words []string) []string {
	for len(words) > 0 {
		if words[0] = strings.TrimLeftFunc(words[0], isControl); words[0] != "" {
			break
		}
		words = words[1:]
	}
	for n := len(words); n > 0; n = len(words) {
		if words[n-1] = strings.TrimRightFunc(words[n-1], isControl); words[n-1] != "" {
			break
		}
		words = words[:n-1]
	}
	return words
}

// isControl reports what Java trims.
func isControl(r rune) bool { return r <= ' ' }

// plain reports whether a caption has nothing to normalise, as most have.
func plain(caption string) bool {
	for i := range len(caption) {
		if c := caption[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != ' ' {
			return false
		}
	}
	return true
}

// breaksWords reports whether a character separates words.
func breaksWords(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' }

// likeness replaces characters and pairs of them by their plain likeness.
var likeness = strings.NewReplacer(
	"‘", "'", "’", "'", "`", "'",
	"“", `"`, "”", `"`,
	"–", " - ",
)

// wideSpace stands for every space that is not ASCII. It separates words, and
// until then it is one.
const wideSpace = "\u00a0"

// alike makes quotes, dashes and spaces alike.
func alike(caption string) []rune {
	text := []rune(likeness.Replace(" " + caption + " "))
	for i, r := range text {
		if r == '\u00a0' || r >= '\u2000' && r <= '\u200a' || r == '\u202f' || r == '\u205f' || r == '\u3000' {
			text[i] = []rune(wideSpace)[0]
		}
	}
	return text
}

// isolate puts spaces around every character that is no part of a word, and
// around runs of two and more dots and two apostrophes, which are a quote.
func isolate(text []rune) []rune {
	out := make([]rune, 0, 2*len(text))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\'' && i+1 < len(text) && text[i+1] == '\'':
			out = append(out, ' ', '"', ' ')
			i++
		case r == '.' && i+1 < len(text) && text[i+1] == '.':
			out = append(out, ' ')
			for i < len(text) && text[i] == '.' {
				out = append(out, '.')
				i++
			}
			out = append(out, ' ')
			i--
		case isAlpha(r), isDigit(r), isSpace(r), r == '.', r == '\'', r == ',', r == '-':
			out = append(out, r)
		default:
			out = append(out, ' ', r, ' ')
		}
	}
	return out
}

// border says what becomes of a character between two others.
type border struct {
	char        rune
	left, right func(rune) bool
	insert      string
}

// commas stay inside numbers only.
var commas = []border{
	{',', not(isDigit), not(isDigit), " , "},
	{',', isDigit, not(isDigit), " , "},
	{',', not(isDigit), isDigit, " , "},
}

// apostrophes begin a word when they end a contraction. Hyphens part the words
// that they join.
var apostrophes = []border{
	{'\'', not(isAlpha), not(isAlpha), " ' "},
	{'\'', not(isAlnum), isAlpha, " ' "},
	{'\'', isAlpha, not(isAlpha), " ' "},
	{'\'', isAlpha, isAlpha, " '"},
	{'\'', isDigit, func(r rune) bool { return r == 's' }, " '"},
	{'-', func(r rune) bool { return isAlnum(r) || r == '.' }, isAlnum, " "},
}

// replace applies borders one after the other.
func replace(text []rune, borders []border) []rune {
	for _, b := range borders {
		text = b.apply(text)
	}
	return text
}

// apply replaces the character wherever it stands between such neighbours. As
// in a regular expression's replacement a neighbour on the right is used up: it
// can't be the left one of the next.
func (b border) apply(text []rune) []rune {
	if !strings.ContainsRune(string(text), b.char) {
		return text
	}
	out := make([]rune, 0, len(text)+8)
	for i := 0; i < len(text); i++ {
		out = append(out, text[i])
		if i+2 < len(text) && text[i+1] == b.char && b.left(text[i]) && b.right(text[i+2]) {
			out = append(out, []rune(b.insert)...)
			out = append(out, text[i+2])
			i += 2
		}
	}
	return out
}

// fullStop takes the dot off the end of a word unless it belongs there, and all
// dots out of an abbreviation. It says whether the dot is a word of its own.
func (p prefixes) fullStop(word, next string) (string, bool) {
	before, ok := strings.CutSuffix(word, ".")
	if !ok || before == "" || strings.HasSuffix(before, ".") {
		return word, false
	}
	if strings.Contains(before, ".") && strings.ContainsFunc(before, isAlpha) {
		return strings.ReplaceAll(before, ".", ""), false
	}
	numeric, breaking := p[before]
	first := (next + " ")[0]
	if breaking && !numeric || 'a' <= first && first <= 'z' || breaking && '0' <= first && first <= '9' {
		return word, false
	}
	return before, true
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
func isAlnum(r rune) bool { return isAlpha(r) || isDigit(r) }

// isAlpha reports whether a character is a letter to the reference, which knows
// the Latin and Cyrillic alphabets.
func isAlpha(r rune) bool {
	switch {
	case r < 0xc0:
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	case r < 0x17f:
		return r != '×' && r != '÷'
	}
	return 0x400 <= r && r <= 0x527 || 0x1d00 <= r && r <= 0x1d7f || 0xa640 <= r && r <= 0xa66e || 0xa67e <= r && r <= 0xa697
}

func not(is func(rune) bool) func(rune) bool {
	return func(r rune) bool { return !is(r) }
}

// lower puts a word in lower case as Java does, which makes two characters of
// a dotted capital I.
func lower(word string) string {
	return strings.ToLower(strings.ReplaceAll(word, "İ", "i\u0307"))
}
