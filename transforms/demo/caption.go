package demo

import "strings"

// CaptionsPerPicture is the length of what [Scene.Captions] returns.
const CaptionsPerPicture = 5

// numbers are the words for counts, by count.
var numbers = [MaxCount + 1]string{1: "one", 2: "two", 3: "three", 4: "four"}

// placePhrases say where the figures are.
var placePhrases = map[Place]string{
	Left:   "on the left",
	Right:  "on the right",
	Top:    "at the top",
	Bottom: "at the bottom",
	Centre: "in the centre",
}

// templates are the sentences that captions are made of. A dollar and a letter
// stand for a part: N count, S size with a space after it, C colour, F figure,
// P place, V is or are.
var templates = []string{
	"$N $S$C $F $P",
	"$N $C $F on a light background",
	"there $V $N $S$C $F $P",
	"a picture of $N $S$C $F",
	"$P there $V $N $C $F",
	"a drawing with $N $C $F $P",
	"$N $S$C $F $P of the picture",
}

// Captions returns five different captions of the scene, in lower case and
// without a full stop. All state count, colour and shape.
func (s Scene) Captions() []string {
	r := newRandom(s.seed+golden, s.index) // apart from the stream that drew the scene
	order := make([]string, len(templates))
	copy(order, templates)
	captions := make([]string, CaptionsPerPicture)
	for i := range captions {
		k := r.between(i, len(order)-1)
		order[i], order[k] = order[k], order[i]
		captions[i] = s.say(order[i], r)
	}
	return captions
}

// say fills in a template.
func (s Scene) say(template string, r *random) string {
	number, figure, verb := numbers[s.Count], plural(s.Shape), "are"
	if s.Count == 1 {
		number, figure, verb = s.article(template), string(s.Shape), "is"
		if r.between(0, 3) == 0 {
			number = numbers[1]
		}
	}
	return strings.NewReplacer(
		"$N", number, "$S", string(s.Size)+" ", "$C", string(s.Colour),
		"$F", figure, "$P", placePhrases[s.Place], "$V", verb,
	).Replace(template)
}

// article is the one that goes with the word after the count.
func (s Scene) article(template string) string {
	if s.Colour == Orange && !strings.Contains(template, "$S") {
		return "an"
	}
	return "a"
}

func plural(s Shape) string { return string(s) + "s" }

// wordFacts is what single words of a caption say.
var wordFacts = func() map[string]Facts {
	m := map[string]Facts{
		"a": {Count: 1}, "an": {Count: 1}, "middle": {Place: Centre}, "center": {Place: Centre},
	}
	for n := 1; n <= MaxCount; n++ {
		m[numbers[n]] = Facts{Count: n}
	}
	for _, s := range shapes {
		m[string(s)], m[plural(s)] = Facts{Shape: s}, Facts{Shape: s}
	}
	for _, c := range colours {
		m[string(c)] = Facts{Colour: c}
	}
	for _, s := range sizes {
		m[string(s)] = Facts{Size: s}
	}
	for _, p := range places {
		m[string(p)] = Facts{Place: p}
	}
	return m
}()

// Parse reads the facts that a caption states. It is ok only if the caption
// names one shape, one colour and one count, in one phrase ("two small red
// circles") and without contradiction anywhere; size and place may be missing,
// but not contradict each other either. Case and punctuation do not matter,
// and number and grammar of the noun are not judged.
func Parse(caption string) (Facts, bool) {
	words := strings.FieldsFunc(strings.ToLower(caption), func(r rune) bool {
		return (r < 'a' || r > 'z') && r < 0x80
	})
	var facts Facts
	for i, word := range words {
		said := wordFacts[word]
		// "a picture", "a light background": an article counts figures only
		// where a phrase about them begins.
		if said.Count != 0 && !beginsPhrase(words[i+1:]) {
			said.Count = 0
		}
		if !facts.add(said) {
			return Facts{}, false
		}
	}
	return facts, facts.Shape != "" && facts.Colour != "" && facts.Count != 0
}

// beginsPhrase reports whether the words start with a figure, after any number
// of words for size and colour.
func beginsPhrase(words []string) bool {
	for _, w := range words {
		switch f := wordFacts[w]; {
		case f.Shape != "":
			return true
		case f.Size == "" && f.Colour == "":
			return false
		}
	}
	return false
}

// add takes over what is said, unless it contradicts what was said before.
func (f *Facts) add(said Facts) bool {
	return settle(&f.Shape, said.Shape) && settle(&f.Colour, said.Colour) &&
		settle(&f.Count, said.Count) && settle(&f.Size, said.Size) && settle(&f.Place, said.Place)
}

func settle[T comparable](have *T, said T) bool {
	var nothing T
	if said == nothing || said == *have {
		return true
	}
	if *have != nothing {
		return false
	}
	*have = said
	return true
}

// ParseAll joins the facts of several captions of one picture, as they come
// with it. It is ok if each caption can be parsed and none contradicts another.
func ParseAll(captions []string) (Facts, bool) {
	var all Facts
	for _, c := range captions {
		f, ok := Parse(c)
		if !ok || !all.add(f) {
			return Facts{}, false
		}
	}
	return all, len(captions) > 0
}
