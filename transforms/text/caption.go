package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine makes a caption one tidy line: runs of white space, line breaks of
// every kind among them, become one space, other control characters and invalid
// bytes go, and so does space at the ends. The words stay as they are. A line
// break left in a caption would shift all captions after it in tools that read
// one caption a line.
func OneLine(caption string) string {
	var b strings.Builder
	b.Grow(len(caption))
	gap := false
	for i, r := range caption {
		switch {
		case unicode.IsSpace(r):
			gap = b.Len() > 0
			continue
		case unicode.IsControl(r), r == utf8.RuneError && !strings.HasPrefix(caption[i:], "\ufffd"):
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
