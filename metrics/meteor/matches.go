package meteor

// stage is a way in which words match, in the order in which they are tried.
type stage uint8

const (
	exact stage = iota
	stem
	synonym
	paraphrase
	stages = 4
)

// run is a run of words.
type run struct{ at, words int }

// match pairs words of the prediction with words of the reference.
type match struct {
	prediction, reference run
	stage                 stage
}

// matches are all possible matches of two sentences. Those that begin at a
// word of the reference stand together, in the order in which the stages found
// them: of alignments that are equally good the first one found wins.
type matches struct {
	all    []match
	first  []int    // by place in the reference, with one more: where its matches begin
	fixed  []int    // by place in the reference: the match that has no rival, or -1
	found  []match  // as the stages find them
	counts [2][]int // by place in prediction and reference: the matches that have the word
}

// find finds the matches. The reference implementation looks for no more than
// equal words when all are equal.
func (m *matches) find(t *Tables, prediction, reference *sentence) {
	m.found = m.found[:0]
	m.compare(exact, prediction, reference, (*token).is)
	if !prediction.same(reference) {
		m.compare(stem, prediction, reference, unequal((*token).sameStem))
		m.compare(synonym, prediction, reference, unequal((*token).synonym))
		m.paraphrases(t, prediction, reference)
	}
	m.sort(len(reference.tokens))
	m.fix(len(prediction.tokens), len(reference.tokens))
}

func unequal(match func(a, b *token) bool) func(a, b *token) bool {
	return func(a, b *token) bool { return match(a, b) && !a.is(b) }
}

// compare runs a stage that compares word by word.
func (m *matches) compare(s stage, prediction, reference *sentence, match func(a, b *token) bool) {
	for j, r := range reference.tokens {
		for i, p := range prediction.tokens {
			if match(r, p) {
				m.add(s, run{i, 1}, run{j, 1})
			}
		}
	}
}

// paraphrases finds what the table has for the reference's phrases, then for
// the prediction's. A pair that it has in both directions is found twice.
func (m *matches) paraphrases(t *Tables, prediction, reference *sentence) {
	for _, r := range reference.phrases {
		t.paraphrases.within(r.id, prediction, func(p phrase) {
			m.add(paraphrase, run{p.at, p.words}, run{r.at, r.words})
		})
	}
	for _, p := range prediction.phrases {
		t.paraphrases.within(p.id, reference, func(r phrase) {
			m.add(paraphrase, run{p.at, p.words}, run{r.at, r.words})
		})
	}
}

func (m *matches) add(s stage, prediction, reference run) {
	m.found = append(m.found, match{prediction, reference, s})
}

// sort orders the matches by their places in the reference.
func (m *matches) sort(words int) {
	m.first = resize(m.first, words+1)
	for _, f := range m.found {
		m.first[f.reference.at]++
	}
	for j, sum := 0, 0; j <= words; j++ {
		m.first[j], sum = sum, sum+m.first[j]
	}
	m.all = append(m.all[:0], m.found...)
	for _, f := range m.found {
		m.all[m.first[f.reference.at]] = f
		m.first[f.reference.at]++
	}
	for j := words; j > 0; j-- {
		m.first[j] = m.first[j-1]
	}
	m.first[0] = 0
}

// fix finds the matches none of whose words any other match has. They belong
// to every alignment.
func (m *matches) fix(prediction, reference int) {
	p, r := resize(m.counts[0], prediction), resize(m.counts[1], reference)
	m.counts = [2][]int{p, r}
	for _, f := range m.all {
		for i := range f.prediction.words {
			p[f.prediction.at+i]++
		}
		for j := range f.reference.words {
			r[f.reference.at+j]++
		}
	}
	m.fixed = resize(m.fixed, reference)
	for j := range m.fixed {
		m.fixed[j] = -1
		if at := m.first[j]; m.first[j+1] == at+1 && ones(p, m.all[at].prediction) && ones(r, m.all[at].reference) {
			m.fixed[j] = at
		}
	}
}

// ones reports whether all counts of a run are one.
func ones(counts []int, r run) bool {
	for _, n := range counts[r.at : r.at+r.words] {
		if n != 1 {
			return false
		}
	}
	return true
}

// resize returns n zeros, in the same memory where there is enough.
func resize(s []int, n int) []int {
	if cap(s) < n {
		return make([]int, n, 2*n)
	}
	s = s[:n]
	clear(s)
	return s
}
