package evaluate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/ptb"
)

// ErrLeak: the model was shown a reference, in its prompt.
var ErrLeak = errors.New("pictures whose prompt tells a reference")

// notes are what is to be said of scores besides their numbers.
type notes struct {
	// Leaks are pictures whose prompt tells a reference.
	Leaks offenders
	// Same are pictures whose caption is one of their references.
	Same offenders
	// Unscored are pictures that SPICE failed on, and Cut those of which it was
	// given a part of a caption.
	Unscored, Cut offenders
	// Warnings are those of the programs that compute scores.
	Warnings []string
}

func (n *notes) merge(o notes) {
	n.Leaks.add(o.Leaks)
	n.Same.add(o.Same)
	n.Unscored.add(o.Unscored)
	n.Cut.add(o.Cut)
	n.Warnings = append(n.Warnings, o.Warnings...)
	slices.Sort(n.Warnings)
	n.Warnings = slices.Compact(n.Warnings)
}

// look looks for signs that the captions were made with the references at hand.
func (n *notes) look(pictures []placed, tokens []metrics.Tokens) {
	for i, p := range pictures {
		one := offenders{Count: 1, IDs: []string{p.ID}}
		if tells(p.Prompt, tokens[i].References) {
			n.Leaks.add(one)
		}
		if tokens[i].Prediction != "" && slices.Contains(tokens[i].References, tokens[i].Prediction) {
			n.Same.add(one)
		}
	}
}

// Words that a reference needs to be told whole by a prompt, and a prompt to tell
// a part of one: less may be chance.
const (
	wholeWords = 3
	partWords  = 5
)

// tells reports whether a prompt holds a reference, or a good part of one.
func tells(prompt string, references []string) bool {
	if prompt == "" {
		return false
	}
	prompt = ptb.Tokenize(prompt)
	for _, r := range references {
		if within(r, prompt, wholeWords) || within(prompt, r, partWords) {
			return true
		}
	}
	return false
}

// within reports whether a text of at least so many words stands in another.
func within(text, other string, words int) bool {
	return len(strings.Fields(text)) >= words && strings.Contains(" "+other+" ", " "+text+" ")
}

// What is better than any known system does on photographs, and a share of
// captions equal to a reference that none of them reaches.
const (
	doubtfulCIDEr = 2
	doubtfulShare = 0.2
	doubtfulFrom  = 50 // pictures, below which chance may do it
)

// warnings are in words.
func (n *notes) warnings(sum metrics.Statistics) []string {
	out := slices.Clone(n.Warnings)
	if share := float64(n.Same.Count) / float64(max(1, sum.Images)); share > doubtfulShare && sum.Images >= doubtfulFrom {
		out = append(out, fmt.Sprintf("%d of %d captions are one of their references word for word, such as those of %s: was the model shown them, or trained on these pictures?", n.Same.Count, sum.Images, n.Same))
	}
	if v := sum.Scores().CIDEr; v.Known && v.Score > doubtfulCIDEr && sum.Images >= doubtfulFrom {
		out = append(out, fmt.Sprintf("a CIDEr of %.2f is above what any system reaches on photographs: are these the references of other captions, or very uniform ones?", v.Score))
	}
	if n.Unscored.Count > 0 {
		out = append(out, fmt.Sprintf("SPICE failed on %d pictures, which are left out of its mean: %s", n.Unscored.Count, n.Unscored))
	}
	if n.Cut.Count > 0 {
		out = append(out, fmt.Sprintf("%d pictures have a caption that was too long for SPICE, which was given its beginning: %s", n.Cut.Count, n.Cut))
	}
	return out
}
