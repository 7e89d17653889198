package meteor

import (
	"cmp"
	"slices"
)

// beam is how many partial alignments are kept at each word, the reference's
// default.
const beam = 40

// aligner finds the best alignment of two sentences. It goes through the words
// of the reference from left to right and keeps the best partial alignments.
// Better is, first, who covers more words of both sentences, then who has fewer
// chunks, then whose matches lie closer to the diagonal (Denkowski and Lavie
// 2011, section 2.1). The package comment says what the reference makes of that.
//
// The zero value is ready. What it allocates serves the next pair too.
type aligner struct {
	matches
	paths, next []path
	words       int      // of 64 bits, that a path takes
	bits, spare []uint64 // of paths and of next, path by path: the words that they cover
	steps       []step
	chosen      []int
}

// path is a partial alignment, or what follows from one.
type path struct {
	covered  int // words, weighted and rounded down for each match
	chunks   int // closed ones
	distance int
	end      int // in the prediction, of the match before this word; -1 if there is none
	last     int // the last of its steps, or -1
	parent   int // while it is a candidate: what it follows from
	match    int // and by which match, or -1
}

// step is a choice that a path made.
type step struct{ match, before int }

// align returns the matches of the best alignment, as places in all, and its
// chunks.
func (a *aligner) align(t *Tables, prediction, reference *sentence) (chosen []int, chunks int) {
	a.find(t, prediction, reference)
	a.begin(len(prediction.tokens), len(reference.tokens))
	for j := range reference.tokens {
		a.advance(j)
	}
	for i := range a.paths {
		a.paths[i].breakChunk()
	}
	slices.SortStableFunc(a.paths, better)
	a.chosen = a.chosen[:0]
	for s := a.paths[0].last; s >= 0; s = a.steps[s].before {
		a.chosen = append(a.chosen, a.steps[s].match)
	}
	for _, m := range a.fixed {
		if m >= 0 {
			a.chosen = append(a.chosen, m)
		}
	}
	return a.chosen, a.paths[0].chunks
}

// begin makes the path that has the fixed matches alone.
func (a *aligner) begin(prediction, reference int) {
	a.words = (reference + prediction + 63) / 64
	a.bits = slices.Grow(a.bits[:0], a.words)[:a.words]
	clear(a.bits)
	first := path{end: -1, last: -1, match: -1}
	for _, m := range a.fixed {
		if m >= 0 {
			a.cover(a.bits, m)
			first.covered += weigh(a.all[m])
		}
	}
	a.paths, a.steps = append(a.paths[:0], first), a.steps[:0]
}

// has reports whether any of n words is covered. A path has a bit for each word
// of the reference, then one for each of the prediction.
func has(bits []uint64, at, n int) bool {
	for i := at; i < at+n; i++ {
		if bits[i/64]>>(i%64)&1 != 0 {
			return true
		}
	}
	return false
}

func set(bits []uint64, at, n int) {
	for i := at; i < at+n; i++ {
		bits[i/64] |= 1 << (i % 64)
	}
}

func (a *aligner) cover(bits []uint64, m int) {
	p, r := a.all[m].prediction, a.all[m].reference
	set(bits, r.at, r.words)
	set(bits, len(a.fixed)+p.at, p.words)
}

func (a *aligner) free(bits []uint64, m int) bool {
	p, r := a.all[m].prediction, a.all[m].reference
	return !has(bits, r.at, r.words) && !has(bits, len(a.fixed)+p.at, p.words)
}

// weigh returns how many words a match covers, on both sides, when alignments
// are compared. Words that are not equal count half, and halves are lost.
func weigh(m match) int {
	if m.stage == exact {
		return m.prediction.words + m.reference.words
	}
	return m.prediction.words/2 + m.reference.words/2
}

// advance takes the paths past a word of the reference.
func (a *aligner) advance(j int) {
	a.next = a.next[:0]
	for i, p := range a.paths {
		p.parent, p.match = i, -1
		switch bits := a.bits[i*a.words:]; {
		case a.fixed[j] >= 0:
			p.follow(a.all[a.fixed[j]].prediction)
			a.offer(p)
		case has(bits, j, 1): // within a match of several words
			a.offer(p)
		default:
			a.branch(p, j, bits)
		}
	}
	if len(a.next) == 1 && a.next[0].match < 0 {
		a.paths[0] = a.next[0]
		return
	}
	a.settle()
}

// offer puts a candidate in its place among the best, behind its equals.
func (a *aligner) offer(c path) {
	at := len(a.next)
	for at > 0 && better(c, a.next[at-1]) < 0 {
		at--
	}
	if at == beam {
		return
	}
	if len(a.next) < beam {
		a.next = append(a.next, path{})
	}
	copy(a.next[at+1:], a.next[at:])
	a.next[at] = c
}

// branch lets a path take each match that begins at a word, or none.
func (a *aligner) branch(p path, j int, bits []uint64) {
	for m := a.first[j]; m < a.first[j+1]; m++ {
		if !a.free(bits, m) {
			continue
		}
		c := p
		c.match = m
		c.covered += weigh(a.all[m])
		c.follow(a.all[m].prediction)
		a.offer(c)
		// The reference implementation charges the distance to the path
		// that is left, not to the one that takes the match.
		p.distance += abs(j - a.all[m].prediction.at)
	}
	p.breakChunk()
	a.offer(p)
}

// settle makes paths of the candidates.
func (a *aligner) settle() {
	a.spare = slices.Grow(a.spare[:0], a.words*len(a.next))[:a.words*len(a.next)]
	for i := range a.next {
		c := &a.next[i]
		bits := a.spare[i*a.words : (i+1)*a.words]
		copy(bits, a.bits[c.parent*a.words:])
		if c.match >= 0 {
			a.cover(bits, c.match)
			a.steps = append(a.steps, step{c.match, c.last})
			c.last = len(a.steps) - 1
		}
	}
	a.paths, a.next = a.next, a.paths
	a.bits, a.spare = a.spare, a.bits
}

// follow goes on with a match.
func (p *path) follow(r run) {
	if p.end >= 0 && p.end != r.at {
		p.chunks++
	}
	p.end = r.at + r.words
}

// breakChunk ends a chunk if one is open.
func (p *path) breakChunk() {
	if p.end >= 0 {
		p.chunks++
		p.end = -1
	}
}

// better orders paths, the best first.
func better(a, b path) int {
	return cmp.Or(b.covered-a.covered, a.chunks-b.chunks, a.distance-b.distance)
}

func abs(x int) int { return max(x, -x) }
