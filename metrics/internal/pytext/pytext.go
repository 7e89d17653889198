// Package pytext has the one notion of Python strings that the caption metrics
// lean on: what counts as white space.
package pytext

import (
	"strings"
	"unicode"
)

// IsSpace reports whether Python's str.split and str.strip take r for white
// space. They know four more characters than Go, U+001C to U+001F.
func IsSpace(r rune) bool { return 0x1C <= r && r <= 0x1F || unicode.IsSpace(r) }

// Squeeze returns the words of s, split as str.split does, with single spaces
// between them.
func Squeeze(s string) string {
	if isSqueezed(s) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, IsSpace), " ")
}

// isSqueezed tells, without looking closely at anything but ASCII, whether
// Squeeze would leave s as it is.
func isSqueezed(s string) bool {
	last := byte(' ')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == ' ' && last == ' ' || '\t' <= c && c <= '\r' || 0x1C <= c && c <= 0x1F {
			return false
		}
		if c >= 0x80 {
			return last != ' ' && strings.IndexFunc(s, isOddSpace) < 0 && !strings.Contains(s, "  ") && !strings.HasSuffix(s, " ")
		}
		last = c
	}
	return s == "" || last != ' '
}

func isOddSpace(r rune) bool { return r != ' ' && IsSpace(r) }
