package meteor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// paraphrases is the table of phrases that say the same. It knows phrases by
// hashes of 64 bits only, since their text would take several times the memory:
// the reference's has 2.6 million phrases. That any of a million other phrases
// is taken for one of them has a chance below 10⁻⁶.
type paraphrases struct {
	slots   []slot   // a hash table with open addressing; its size is a power of two
	starts  []span   // by phrase: its part of others
	others  []uint32 // phrases
	longest int      // words of the longest phrase
}

// slot is a place of the hash table: a hash and the phrase's number. The hash
// is in halves so that no byte is lost to alignment. Zero is an empty place.
type slot struct{ low, high, id uint32 }

func (s slot) hash() hash { return hash(s.high)<<32 | hash(s.low) }

type span struct{ from, to uint32 }

// hash is an FNV-1a hash, which can go on from where it is.
type hash uint64

const (
	newHash  hash = 14695981039346656037
	fnvPrime hash = 1099511628211
)

func (h hash) text(s string) hash {
	for i := range len(s) {
		h = (h ^ hash(s[i])) * fnvPrime
	}
	return h
}

// place returns where a hash is or would be.
func (p *paraphrases) place(h hash) *slot {
	mask := len(p.slots) - 1
	for i := int(uint32((h * 0x9e3779b97f4a7c15) >> 32)); ; i++ {
		if s := &p.slots[i&mask]; *s == (slot{}) || s.hash() == h {
			return s
		}
	}
}

// find returns a phrase's number.
func (p *paraphrases) find(h hash) (id uint32, ok bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	s := p.place(h)
	return s.id, *s != slot{}
}

// within calls yield for each paraphrase of a phrase that is in the sentence,
// in the order of the table, then of their places.
func (p *paraphrases) within(id uint32, s *sentence, yield func(phrase)) {
	part := p.starts[id]
	for _, other := range p.others[part.from:part.to] {
		if !s.mayHave(other) {
			continue
		}
		for _, ph := range s.phrases {
			if ph.id == other {
				yield(ph)
			}
		}
	}
}

// add returns the number of a phrase, new or not.
func (p *paraphrases) add(h hash) uint32 {
	if len(p.starts)*3 >= len(p.slots)*2 {
		p.grow()
	}
	s := p.place(h)
	if *s == (slot{}) {
		*s = slot{uint32(h), uint32(h >> 32), uint32(len(p.starts))}
		p.starts = append(p.starts, span{})
	}
	return s.id
}

// grow doubles the hash table.
func (p *paraphrases) grow() {
	old := p.slots
	p.slots = make([]slot, max(1024, 2*len(old)))
	for _, s := range old {
		if s != (slot{}) {
			*p.place(s.hash()) = s
		}
	}
}

// What can be wrong with the table.
var (
	errProbability = errors.New("not a probability")
	errOrder       = errors.New("the paraphrases of a phrase stand apart")
	errCut         = errors.New("the table ends within an entry")
)

// paraphraseParser takes the table block by block.
type paraphraseParser struct {
	table paraphrases
	line  int
	last  []byte // the phrase whose paraphrases are being read
	id    uint32 // its number
}

// block takes whole lines. Three make an entry: a probability, which plays no
// part in METEOR, a phrase, and a paraphrase.
func (p *paraphraseParser) block(lines []byte) error {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		line := lines[:end]
		lines = lines[end+1:]
		p.line++
		switch p.line % 3 {
		case 1:
			if len(line) == 0 || line[0] < '0' || line[0] > '9' {
				return fmt.Errorf("line %d: %q: %w", p.line, line, errProbability)
			}
		case 2:
			if err := p.head(line); err != nil {
				return fmt.Errorf("line %d: %q: %w", p.line, line, err)
			}
		case 0:
			other := p.phrase(line)
			p.table.others = append(p.table.others, other)
			p.table.starts[p.id].to++
		}
	}
	return nil
}

// head takes the phrase of an entry. All entries of a phrase stand together.
func (p *paraphraseParser) head(line []byte) error {
	if p.line > 2 && bytes.Equal(line, p.last) {
		return nil
	}
	p.last = append(p.last[:0], line...)
	p.id = p.phrase(line)
	s := &p.table.starts[p.id]
	if s.to > 0 {
		return errOrder
	}
	n := uint32(len(p.table.others))
	*s = span{n, n}
	return nil
}

// phrase returns a phrase's number.
func (p *paraphraseParser) phrase(line []byte) uint32 {
	h, words := newHash, 1
	for _, c := range line {
		if c == ' ' {
			words++
		}
		h = (h ^ hash(c)) * fnvPrime
	}
	p.table.longest = max(p.table.longest, words)
	return p.table.add(h)
}

// readParaphrases reads the table. One goroutine reads, and unpacks if r does,
// while this one parses.
func readParaphrases(r io.Reader) (paraphrases, error) {
	blocks, free := make(chan []byte, 4), make(chan []byte, 8)
	for range cap(free) {
		free <- nil
	}
	read := make(chan error, 1)
	go func() {
		read <- readBlocks(r, blocks, free)
		close(blocks)
	}()
	var p paraphraseParser
	var wrong error
	for b := range blocks {
		if wrong == nil {
			wrong = p.block(b)
		}
		free <- b
	}
	if err := errors.Join(wrong, <-read); err != nil {
		return paraphrases{}, err
	}
	if p.line%3 != 0 {
		return paraphrases{}, fmt.Errorf("line %d: %w", p.line, errCut)
	}
	return p.table, nil
}

// blockSize is how much of the table is handed over at a time.
const blockSize = 1 << 18

// readBlocks cuts what it reads into blocks of whole lines, in memory that
// comes back through free.
func readBlocks(r io.Reader, blocks chan<- []byte, free <-chan []byte) error {
	var rest []byte // the beginning of a line
	for {
		b := append((<-free)[:0], rest...)
		b = slices.Grow(b, blockSize)[:len(rest)+blockSize]
		n, err := r.Read(b[len(rest):])
		b = b[:len(rest)+n]
		done := err == io.EOF // bare, as Readers return it; a cut gzip is io.ErrUnexpectedEOF
		if err != nil && !done {
			return err
		}
		if done && len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		end := bytes.LastIndexByte(b, '\n') + 1
		rest = append(rest[:0], b[end:]...)
		blocks <- b[:end]
		if done {
			return nil
		}
	}
}
