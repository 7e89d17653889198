package metrics

import (
	"fmt"
	"math"
	"strings"

	"github.com/blipflow/blipflow/metrics/internal/pytext"
)

// SacreBleuVersion is the version of sacrebleu whose numbers these are.
const SacreBleuVersion = "2.6.0"

// SacreBleu is a sacrebleu score and what it was computed with.
type SacreBleu struct {
	Score     float64 `json:"score"`     // 0 to 100
	Signature string  `json:"signature"` // as sacrebleu prints it
}

// SacreBleuStats adds up the counts of sacrebleu's BLEU. The zero value is an
// empty set.
type SacreBleuStats struct {
	Matches
	Images                           int64
	FewestReferences, MostReferences int64 // per picture, for the signature
}

// Add counts a picture. The prediction and the references are plain text.
func (s *SacreBleuStats) Add(prediction string, references []string) {
	withCounter("", nil, func(c *counter) { s.add(c, prediction, references) })
}

// add counts a picture with a counter, whose content it replaces.
func (s *SacreBleuStats) add(c *counter, prediction string, references []string) {
	tokens := make([]string, len(references))
	for i, r := range references {
		tokens[i] = Tokenize13a(r)
	}
	c.load(Tokenize13a(prediction), tokens)
	n := int64(len(references))
	s.Merge(SacreBleuStats{Matches: c.matches(), Images: 1, FewestReferences: n, MostReferences: n})
}

// Merge adds the counts of another set.
func (s *SacreBleuStats) Merge(o SacreBleuStats) {
	switch {
	case o.Images == 0:
	case s.Images == 0:
		*s = o
	default:
		s.Matches.Merge(o.Matches)
		s.Images += o.Images
		s.FewestReferences = min(s.FewestReferences, o.FewestReferences)
		s.MostReferences = max(s.MostReferences, o.MostReferences)
	}
}

// Score returns the score of the set: 0 if no word matches, and else with each
// order that has no match counted as half, a quarter, ... of one (sacrebleu's
// smoothing "exp", from NIST's mteval-v13a).
func (s SacreBleuStats) Score() SacreBleu {
	return SacreBleu{Score: s.score(), Signature: s.signature()}
}

func (s SacreBleuStats) score() float64 {
	if s.Correct == [maxOrder]int64{} {
		return 0
	}
	var logs float64
	smooth := 1.0
	for k := range maxOrder {
		if s.Total[k] == 0 {
			return 0 // the logarithm of nothing, which sacrebleu takes for −10¹⁰
		}
		precision := 100 * float64(s.Correct[k]) / float64(s.Total[k])
		if s.Correct[k] == 0 {
			smooth *= 2
			precision = 100 / (smooth * float64(s.Total[k]))
		}
		logs += math.Log(precision)
	}
	penalty := 1.0
	if s.PredictionLength < s.ReferenceLength {
		penalty = math.Exp(1 - float64(s.ReferenceLength)/float64(s.PredictionLength))
	}
	return penalty * math.Exp(logs/maxOrder)
}

func (s SacreBleuStats) signature() string {
	references := fmt.Sprint(s.FewestReferences)
	if s.FewestReferences != s.MostReferences {
		references = "var"
	}
	return "nrefs:" + references + "|case:mixed|eff:no|tok:13a|smooth:exp|version:" + SacreBleuVersion
}

// Tokenize13a splits a text as sacrebleu's tokeniser 13a does, after the
// Moses-era script mteval-v13a.pl: punctuation and symbols apart, but dots and
// commas between digits not. Tokens are joined by single spaces.
func Tokenize13a(text string) string {
	text = strings.TrimRightFunc(text, pytext.IsSpace)
	text = strings.ReplaceAll(text, "<skipped>", "")
	text = strings.ReplaceAll(text, "-\n", "")
	text = strings.ReplaceAll(text, "\n", " ")
	for _, e := range entities13a {
		text = strings.ReplaceAll(text, e.name, e.char)
	}
	b := spaceSymbols([]byte(" " + text + " "))
	b = spacePairs(b, after, func(a, c byte) bool { return !isDigit(a) && isStop(c) })
	b = spacePairs(b, before, func(a, c byte) bool { return isStop(a) && !isDigit(c) })
	b = spacePairs(b, after, func(a, c byte) bool { return isDigit(a) && c == '-' })
	return pytext.Squeeze(string(b))
}

// entities13a are decoded one after the other, so that &amp;lt; ends up as <.
var entities13a = []struct{ name, char string }{{"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isStop(c byte) bool  { return c == '.' || c == ',' }

// isSymbol reports whether the tokeniser sets c apart wherever it stands: ASCII
// punctuation but ' , - and the dot.
func isSymbol(c byte) bool {
	return ' ' <= c && c <= '&' || '(' <= c && c <= '+' || c == '/' ||
		':' <= c && c <= '@' || '[' <= c && c <= '`' || '{' <= c && c <= '~'
}

// spaceSymbols puts a space on each side of every symbol.
func spaceSymbols(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/2)
	for _, c := range text {
		if isSymbol(c) {
			out = append(out, ' ', c, ' ')
		} else {
			out = append(out, c)
		}
	}
	return out
}

// side says where spacePairs puts the spaces besides the one in the middle.
type side uint8

const (
	before side = iota
	after
)

// spacePairs puts two spaces at every pair of bytes that matches: one between
// them, one before or after. As in a regular expression's substitution, pairs
// don't overlap. Bytes do where the reference has characters, since no part of
// a longer UTF-8 sequence is a digit, stop or hyphen.
func spacePairs(text []byte, other side, match func(a, b byte) bool) []byte {
	out := make([]byte, 0, len(text)+len(text)/4)
	for i := 0; i < len(text); i++ {
		if i+1 == len(text) || !match(text[i], text[i+1]) {
			out = append(out, text[i])
			continue
		}
		if other == before {
			out = append(out, ' ', text[i], ' ', text[i+1])
		} else {
			out = append(out, text[i], ' ', text[i+1], ' ')
		}
		i++
	}
	return out
}
