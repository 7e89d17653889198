package text

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"maps"
	"slices"
	"unicode/utf8"
)

// VocabOptions say how [BuildVocab] makes a vocabulary.
type VocabOptions struct {
	// Size is the most tokens that the tokenizer may have, special and added
	// ones included. 0 means 30,524, as many as BLIP's.
	Size int
	// MinFrequency is how often two pieces must stand side by side in the corpus
	// to become one. 0 means 2.
	MinFrequency int
	// Alphabet is the most characters that get a piece of their own; the rarest
	// of more are left to the unknown token. 0 means 1,000.
	Alphabet int
	// Added are special tokens that get the last ids. Nil means BLIP's [DEC] and
	// [ENC]; an empty list, none.
	Added []string
	// Tokenizer has the settings of the tokenizer, with which the corpus is split
	// too. Its field Added must be empty. If its Names have no Start, and [DEC]
	// is among the Added above, that is the Start.
	Tokenizer Options
}

// BuildVocab makes a WordPiece vocabulary out of a corpus, a text at a time, and
// a tokenizer with it. The ids are, in this order: [PAD], [UNK], [CLS], [SEP],
// [MASK]; the characters in order of code points, each once to begin and once to
// continue a word; pieces in the order in which they were joined; the added
// tokens.
//
// Pieces are joined as in byte-pair encoding (Sennrich, Haddow and Birch, 2016,
// arXiv:1508.07909): all words start as single characters, and the two
// neighbours that occur most often become one piece, again and again. Of equally
// frequent pairs the one that sorts first is taken, so the outcome depends on
// how often words occur, not on the order of the corpus.
func BuildVocab(corpus iter.Seq[string], o VocabOptions) (*Tokenizer, error) {
	o, err := o.settled()
	if err != nil {
		return nil, fmt.Errorf("build vocabulary: %w", err)
	}
	words, err := countWords(corpus, o.Tokenizer)
	if err != nil {
		return nil, fmt.Errorf("build vocabulary: %w", err)
	}
	names := o.Tokenizer.Names.withDefaults()
	vocab := []string{names.Padding, names.Unknown, names.Class, names.Separator, names.Mask}
	letters := alphabet(words, o.Alphabet)
	for _, r := range letters {
		vocab = append(vocab, string(r), o.prefix()+string(r))
	}
	room := o.Size - len(o.Added)
	if len(vocab) > room {
		return nil, fmt.Errorf("build vocabulary: %d tokens are too few for special tokens and %d characters: need %d or a smaller alphabet",
			o.Size, len(letters), len(vocab)+len(o.Added))
	}
	vocab = newJoiner(words, letters, o.prefix()).join(vocab, room, o.MinFrequency)
	for _, a := range o.Added {
		o.Tokenizer.Added = append(o.Tokenizer.Added, AddedToken{Content: a, Special: true})
	}
	return New(vocab, o.Tokenizer)
}

func (o VocabOptions) settled() (VocabOptions, error) {
	set := func(n *int, usual int) {
		if *n == 0 {
			*n = usual
		}
	}
	set(&o.Size, 30524)
	set(&o.MinFrequency, 2)
	set(&o.Alphabet, 1000)
	if o.Added == nil {
		o.Added = []string{"[DEC]", "[ENC]"}
	}
	if o.Size < 0 || o.Size > MaxVocabulary || o.MinFrequency < 0 || o.Alphabet < 0 {
		return o, fmt.Errorf("Size %d, MinFrequency %d and Alphabet %d must be positive, Size at most %d",
			o.Size, o.MinFrequency, o.Alphabet, MaxVocabulary)
	}
	if len(o.Tokenizer.Added) > 0 {
		return o, fmt.Errorf("added tokens belong into VocabOptions.Added")
	}
	if o.Tokenizer.Names.Start == "" && slices.Contains(o.Added, "[DEC]") {
		o.Tokenizer.Names.Start = "[DEC]"
	}
	return o, nil
}

func (o VocabOptions) prefix() string { return cmp.Or(o.Tokenizer.Prefix, "##") }

// countWords counts the words of a corpus, split as the tokenizer splits text.
// Words too long for a tokenizer are left out.
func countWords(corpus iter.Seq[string], o Options) (map[string]int, error) {
	// The tokenizer of no words at all takes every word for unknown.
	t, err := New([]string{o.Names.withDefaults().Unknown}, o)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	var buf []byte
	for s := range corpus {
		buf = t.normalize(buf[:0], s)
		for word := range wordsOf(buf) {
			if utf8.RuneCount(word) <= t.opts.MaxWordChars {
				counts[string(word)]++
			}
		}
	}
	return counts, nil
}

// alphabet returns the most frequent characters, at most n, by code point.
func alphabet(words map[string]int, n int) []rune {
	counts := map[rune]int{}
	for word, count := range words {
		for _, r := range word {
			counts[r] += count
		}
	}
	letters := slices.SortedFunc(maps.Keys(counts), func(a, b rune) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	letters = letters[:min(n, len(letters))]
	slices.Sort(letters)
	return letters
}

// joiner joins pieces. Pieces are numbers into tokens.
type joiner struct {
	prefix string
	tokens []string
	known  map[string]int
	words  []countedWord
	pairs  map[twoPieces]*pairCount
	queue  pairQueue
}

type countedWord struct {
	pieces []int
	count  int
}

type twoPieces struct{ left, right int }

// pairCount is how often two pieces are neighbours, and the words where they
// are or have been.
type pairCount struct {
	two   twoPieces
	count int
	in    map[int]bool
}

func newJoiner(words map[string]int, letters []rune, prefix string) *joiner {
	j := &joiner{prefix: prefix, known: map[string]int{}, pairs: map[twoPieces]*pairCount{}}
	have := map[rune]bool{}
	for _, r := range letters {
		have[r] = true
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if pieces := j.characters(word, have); pieces != nil {
			j.words = append(j.words, countedWord{pieces, words[word]})
		}
	}
	for i, w := range j.words {
		for k := range len(w.pieces) - 1 {
			j.count(twoPieces{w.pieces[k], w.pieces[k+1]}, i, w.count)
		}
	}
	j.queue.tokens = &j.tokens
	for two, p := range j.pairs {
		j.queue.entries = append(j.queue.entries, queued{two, p.count})
	}
	heap.Init(&j.queue)
	return j
}

// characters takes a word apart, unless it has one that the alphabet lacks.
func (j *joiner) characters(word string, have map[rune]bool) []int {
	var pieces []int
	for i, r := range word {
		if !have[r] {
			return nil
		}
		token := string(r)
		if i > 0 {
			token = j.prefix + token
		}
		pieces = append(pieces, j.number(token))
	}
	return pieces
}

func (j *joiner) number(token string) int {
	n, ok := j.known[token]
	if !ok {
		n = len(j.tokens)
		j.known[token] = n
		j.tokens = append(j.tokens, token)
	}
	return n
}

func (j *joiner) count(two twoPieces, word, n int) *pairCount {
	p := j.pairs[two]
	if p == nil {
		p = &pairCount{two: two, in: map[int]bool{}}
		j.pairs[two] = p
	}
	p.count += n
	p.in[word] = true
	return p
}

// join appends pieces to the vocabulary until it has no room or no pair is
// frequent enough.
func (j *joiner) join(vocab []string, room, least int) []string {
	have := map[string]bool{}
	for _, token := range vocab {
		have[token] = true
	}
	for len(vocab) < room && j.queue.Len() > 0 {
		top := heap.Pop(&j.queue).(queued)
		p := j.pairs[top.two]
		if p.count != top.count {
			// The entry is out of date. Its pair, if still there, waits at its
			// present count, which was queued when it changed.
			continue
		}
		if p.count < max(least, 1) {
			break
		}
		token := j.tokens[p.two.left] + j.tokens[p.two.right][len(j.prefix):]
		j.merge(p, j.number(token))
		if !have[token] { // two pairs may spell the same piece
			have[token] = true
			vocab = append(vocab, token)
		}
	}
	return vocab
}

// merge makes one piece of a pair wherever it stands.
func (j *joiner) merge(p *pairCount, whole int) {
	changed := map[twoPieces]bool{}
	for _, i := range slices.Sorted(maps.Keys(p.in)) {
		w := &j.words[i]
		j.recount(i, -w.count, changed)
		w.pieces = replace(w.pieces, p.two, whole)
		j.recount(i, w.count, changed)
	}
	for two := range changed {
		if n := j.pairs[two].count; n > 0 {
			heap.Push(&j.queue, queued{two, n})
		}
	}
}

// recount adds n for every pair of a word.
func (j *joiner) recount(word, n int, changed map[twoPieces]bool) {
	pieces := j.words[word].pieces
	for k := range len(pieces) - 1 {
		two := twoPieces{pieces[k], pieces[k+1]}
		j.count(two, word, n)
		changed[two] = true
	}
}

// replace puts whole in the place of the pair, from the left.
func replace(pieces []int, two twoPieces, whole int) []int {
	out := pieces[:0]
	for k := 0; k < len(pieces); k++ {
		if k+1 < len(pieces) && pieces[k] == two.left && pieces[k+1] == two.right {
			out = append(out, whole)
			k++
			continue
		}
		out = append(out, pieces[k])
	}
	return out
}

// pairQueue gives the most frequent pair first, of several the first in order
// of spelling.
type pairQueue struct {
	entries []queued
	tokens  *[]string
}

type queued struct {
	two   twoPieces
	count int
}

func (q *pairQueue) Len() int { return len(q.entries) }

func (q *pairQueue) Less(a, b int) bool {
	x, y := q.entries[a], q.entries[b]
	if x.count != y.count {
		return x.count > y.count
	}
	t := *q.tokens
	return cmp.Or(cmp.Compare(t[x.two.left], t[y.two.left]), cmp.Compare(t[x.two.right], t[y.two.right])) < 0
}

func (q *pairQueue) Swap(a, b int) { q.entries[a], q.entries[b] = q.entries[b], q.entries[a] }

// Push implements [heap.Interface].
func (q *pairQueue) Push(x any) { q.entries = append(q.entries, x.(queued)) }

// Pop implements [heap.Interface].
func (q *pairQueue) Pop() any {
	last := q.entries[len(q.entries)-1]
	q.entries = q.entries[:len(q.entries)-1]
	return last
}
