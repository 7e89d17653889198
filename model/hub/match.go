package hub

import (
	"regexp"
	"strings"
)

// Match returns a keep for [Client.Snapshot] that wants the names that one of
// the patterns fits, as huggingface_hub's allow_patterns do: '*' is any number
// of characters, '/' too, '?' is one, "[a-c]" is one of some and "[!a-c]" one of
// all others. A pattern that ends in '/' is all below that folder. Capitals
// matter. Without patterns nothing fits.
func Match(patterns ...string) func(name string) bool {
	fits := make([]*regexp.Regexp, len(patterns))
	for i, pattern := range patterns {
		pattern = strings.ReplaceAll(pattern, `\`, "/")
		if strings.HasSuffix(pattern, "/") {
			pattern += "*"
		}
		fits[i] = regexp.MustCompile(translate(pattern))
	}
	return func(name string) bool {
		for _, fit := range fits {
			if fit.MatchString(name) {
				return true
			}
		}
		return false
	}
}

// translate makes a regular expression of a pattern. Python's fnmatch is the
// reference: "[" without an end is itself, "]" right after it is a member, a
// range that runs backwards has no members. Unlike there, a '!' that comes to
// stand first where such a range is left out ("[b-a!c]") negates nothing.
func translate(pattern string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	rest := []rune(pattern)
	for len(rest) > 0 {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		case '[':
			end := classEnd(rest)
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			b.WriteString(class(rest[:end]))
			rest = rest[end+1:]
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

// classEnd finds the bracket that ends a class whose members are at the start
// of rest, or returns -1.
func classEnd(rest []rune) int {
	i := 0
	if i < len(rest) && rest[i] == '!' {
		i++
	}
	for first := i; i < len(rest); i++ {
		if rest[i] == ']' && i > first {
			return i
		}
	}
	return -1
}

func class(members []rune) string {
	negated := members[0] == '!'
	if negated {
		members = members[1:]
	}
	var b strings.Builder
	for i := 0; i < len(members); {
		from, to := members[i], members[i]
		// A hyphen at an end is a member, between two it makes a range.
		if i+2 < len(members) && members[i+1] == '-' {
			to = members[i+2]
			i += 3
		} else {
			i++
		}
		if from <= to {
			b.WriteString(escapeMember(from) + "-" + escapeMember(to))
		}
	}
	switch {
	case b.Len() == 0 && negated:
		return `.`
	case b.Len() == 0:
		return `[^\x{0}-\x{10FFFF}]`
	case negated:
		return "[^" + b.String() + "]"
	}
	return "[" + b.String() + "]"
}

// escapeMember quotes what has a meaning in a class.
func escapeMember(r rune) string {
	if strings.ContainsRune(`\]^-[`, r) {
		return `\` + string(r)
	}
	return string(r)
}
