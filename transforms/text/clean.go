package text

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// cleaned are the characters that BLIP's training takes out of a caption.
const cleaned = `.!"()*#:;~`

// Clean prepares a caption as BLIP's own training does (pre_caption of its
// data/utils.py): lower case, with a space for each of . ! " ( ) * # : ; ~ and one
// space for several. Commas, hyphens and apostrophes stay. A caption of
// punctuation alone becomes empty. It expects a caption that went through
// [OneLine].
func Clean(caption string) string {
	lower := cases.Lower(language.Und).String(caption)
	return strings.Join(strings.FieldsFunc(lower, func(r rune) bool {
		return r == ' ' || strings.ContainsRune(cleaned, r)
	}), " ")
}

// FirstWords cuts a caption after n words, which are what stands between spaces.
// 0 means no limit.
func FirstWords(caption string, n int) string {
	if n <= 0 {
		return caption
	}
	end := 0
	for range n {
		for end < len(caption) && caption[end] == ' ' {
			end++
		}
		next := strings.IndexByte(caption[end:], ' ')
		if next < 0 {
			return caption
		}
		end += next
	}
	return caption[:end]
}
