package spice

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/blipflow/blipflow/metrics"
)

// picture is an item on its way to the jar.
type picture struct {
	place int // among the items
	test  string
	refs  []string
	cut   int
	limit time.Duration // what it may take
}

// pictures makes items ready.
func (c Config) pictures(items []Item) ([]picture, error) {
	out := make([]picture, len(items))
	for i, it := range items {
		if len(it.References) == 0 {
			return nil, fmt.Errorf("score picture %q: %w", it.ID, metrics.ErrNoReferences)
		}
		p := picture{place: i, refs: make([]string, len(it.References))}
		p.test = p.caption(it.Prediction, c.maxWords())
		for j, r := range it.References {
			p.refs[j] = p.caption(r, c.maxWords())
		}
		out[i] = p
	}
	return out, nil
}

// caption makes a caption ready, and counts what it costs.
func (p *picture) caption(text string, most int) string {
	text = clean(text)
	words, end := measure(text, most)
	if end < len(text) {
		text = strings.TrimRightFunc(text[:end], unicode.IsSpace)
		p.cut++
	}
	// It takes 20 ms and, as a single sentence, 15 µs times the third power of its
	// words, on one core.
	p.limit += 150*time.Millisecond + time.Duration(words*words*words)*100*time.Microsecond
	return text
}

// clean replaces what would be read as something else than a character of the
// caption.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r // what is not UTF-8 comes as U+FFFD
	}, text)
}

// longWord is how many letters without a break count as a word.
const longWord = 40

// measure counts the words of a caption, up to most, and says where the last of
// these ends. Of what the parser may take for several tokens each is a word: in
// "black-and-white" there are five.
func measure(text string, most int) (words, end int) {
	var before rune
	letters := 0 // of the word so far
	for i, r := range text {
		begins := false
		switch {
		case unicode.IsSpace(r):
			letters = 0
		case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r):
			begins = letters%longWord == 0
			letters++
		default: // "...", but for its first, is no further word
			begins = r != before
			letters = 0
		}
		if begins {
			if words == most {
				return words, i
			}
			words++
		}
		before = r
	}
	return words, len(text)
}

// encode is the jar's input, in ASCII: it reads files in an encoding that depends
// on the machine. A picture's id is its place in the list.
func encode(pictures []picture) []byte {
	b := []byte("[")
	for i, p := range pictures {
		if i > 0 {
			b = append(b, ',', '\n')
		}
		b = fmt.Appendf(b, `{"image_id":%d,"test":`, i)
		b = appendString(b, p.test)
		b = append(b, `,"refs":[`...)
		for j, r := range p.refs {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendString(b, r)
		}
		b = append(b, "]}"...)
	}
	return append(b, ']')
}

// appendString appends a JSON string in ASCII.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r < utf8.RuneSelf-1:
			b = append(b, byte(r))
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				b = fmt.Appendf(b, `\u%04x`, unit)
			}
		}
	}
	return append(b, '"')
}
