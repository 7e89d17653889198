package augment

import (
	"strings"
	"unicode"
)

// sides are the English words that say where left and right are.
var sides = map[string]bool{
	"left": true, "leftmost": true, "leftward": true, "leftwards": true, "lefthand": true, "lefthanded": true,
	"right": true, "rightmost": true, "rightward": true, "rightwards": true, "righthand": true, "righthanded": true,
}

// NamesSide reports whether an English caption names a side, so that it would be
// untrue of the mirror image: whether left, right or a word made of them, such as
// "leftmost" or "right-hand", stands in it as a word of its own. Other meanings of
// the two words count too ("food left on the plate"): such a picture loses no more
// than its mirror image. "Bright", "upright" or "leftovers" do not count.
func NamesSide(caption string) bool {
	words := strings.FieldsFuncSeq(caption, func(r rune) bool { return !unicode.IsLetter(r) })
	for word := range words {
		if sides[strings.ToLower(word)] {
			return true
		}
	}
	return false
}
