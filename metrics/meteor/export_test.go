package meteor

import "io"

// Words is what the tables' normaliser makes of a caption.
func (t *Tables) Words(caption string) []string { return t.prefixes.words(caption) }

// Match reports whether two words have the same stem or a sense in common.
// Equal words have neither.
func (t *Tables) Match(a, b string) (stem, synonym bool) {
	x, y := t.token(a), t.token(b)
	return !x.is(y) && x.sameStem(y), !x.is(y) && x.synonym(y)
}

// ReadParaphrases reads a table and returns a function that says whether it
// has the second phrase as a paraphrase of the first.
func ReadParaphrases(r io.Reader) (func(phrase, other string) bool, error) {
	p, err := readParaphrases(r)
	return func(phrase, other string) bool {
		a, ok := p.find(newHash.text(phrase))
		b, okB := p.find(newHash.text(other))
		if !ok || !okB {
			return false
		}
		s := p.starts[a]
		for _, o := range p.others[s.from:s.to] {
			if o == b {
				return true
			}
		}
		return false
	}, err
}

// Parse reads the small tables and returns Tables without paraphrases.
func Parse(function, abbreviations, synsets, exceptions string) (*Tables, error) {
	t := &Tables{}
	err := t.parse(map[string]string{functionName: function, prefixName: abbreviations, synsetName: synsets, exceptionName: exceptions})
	return t, err
}

var JavaHash = javaHash
