package ptb

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// What part of a match is the token.

func allBut(n int) func(string) int { return func(m string) int { return len(m) - n } }

func firstByte(string) int { return 1 }

func untilDot(m string) int { return strings.IndexByte(m, '.') + 1 }

// untilLastDot leaves out the two characters after an abbreviation. They may be
// dots too, so it goes by the one abbreviation that has a dot inside.
func untilLastDot(m string) int {
	end := untilDot(m)
	if strings.EqualFold(m[:end], "ph.") {
		return end + len("d.")
	}
	return end
}

func untilApostrophe(m string) int { return strings.LastIndexAny(m, "'\u0092\u2019&") }

// untilNegation leaves out the n, one quotation mark of any kind and the t.
func untilNegation(m string) int {
	return strings.LastIndexAny(m, "'`\u0091\u0092\u2018\u2019\u201B&") - 1
}

func untilT(m string) int { return strings.LastIndexAny(m, "tT") + 1 }

// untilGap ends before the dot, which lastInitial puts back.
func untilGap(m string) int { return strings.IndexFunc(m, isGap) - 1 }

// isGap reports whether r separates tokens: see gap.
func isGap(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == 0xA0 || 0x2000 <= r && r <= 0x200A || r == 0x3000
}

// How tokens are spelled.

func as(text string) func(string) string { return func(string) string { return text } }

func hardSpaces(s string) string { return strings.ReplaceAll(s, " ", "\u00A0") }

// softHyphens removes them; of nothing else it leaves one hyphen.
func softHyphens(s string) string {
	if !strings.Contains(s, "\u00AD") {
		return s
	}
	if s = strings.ReplaceAll(s, "\u00AD", ""); s == "" {
		return "-"
	}
	return s
}

// lastInitial gives initials their dot back. A single letter stays without:
// there the dot is the sentence's.
func lastInitial(s string) string {
	if utf8.RuneCountInString(s) == 1 {
		return s
	}
	return s + "."
}

var straightener = strings.NewReplacer("&apos;", "'", "\u2019", "'", "\u0092", "'", "\u2018", "`", "\u0091", "`", "\u201B", "`")

func straightQuotes(s string) string { return straightener.Replace(s) }

var quoteReplacer = strings.NewReplacer("&apos;", "'",
	"\u0091", "`", "\u2018", "`", "\u201B", "`", "\u2039", "`",
	"\u0092", "'", "\u2019", "'", "\u203A", "'",
	"\u0093", "``", "\u201C", "``", "\u00AB", "``",
	"\u0094", "''", "\u201D", "''", "\u00BB", "''")

func quotes(s string) string { return quoteReplacer.Replace(s) }

// doubleQuote spells a double quotation mark. The entity &quot; is one only in
// lower case.
func doubleQuote(text string) func(string) string {
	return func(s string) string {
		if s == `"` || s == "&quot;" {
			return text
		}
		return s
	}
}

var ampEntity = regexp.MustCompile(`(?i)&amp;`)

func ampersands(s string) string { return ampEntity.ReplaceAllLiteralString(s, "&") }

var (
	roundReplacer   = strings.NewReplacer("(", "-LRB-", ")", "-RRB-")
	bracketReplacer = strings.NewReplacer("(", "-LRB-", ")", "-RRB-", "[", "-LSB-", "]", "-RSB-", "{", "-LCB-", "}", "-RCB-")
)

func roundBrackets(s string) string { return roundReplacer.Replace(s) }
func brackets(s string) string      { return bracketReplacer.Replace(s) }
func phoneNumber(s string) string   { return hardSpaces(roundBrackets(s)) }

// hyphens spells three or four as the two of a dash.
func hyphens(s string) string {
	if len(s) == 3 || len(s) == 4 {
		return "--"
	}
	return s
}

var fractionReplacer = strings.NewReplacer("\u00BC", "1/4", "\u00BD", "1/2", "\u00BE", "3/4", "\u2153", "1/3", "\u2154", "2/3")

func vulgarFraction(s string) string { return fractionReplacer.Replace(s) }

// currencyReplacer follows the Penn Treebank, which had no sign for a pound
// but the # of its typewriters.
var currencyReplacer = strings.NewReplacer("\u00A2", "cents", "\u00A3", "#", "\u0080", "$", "\u00A4", "$", "\u20A0", "$", "\u20AC", "$")

func currency(s string) string { return currencyReplacer.Replace(s) }
