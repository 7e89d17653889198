package generate

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
)

const goldenFile = "../../testdata/golden/generate/generate.json.gz"

// golden is what testdata/generate.py writes.
type golden struct {
	Models []fakeModel
	Cases  []goldenCase
	TopK   [][2][]int // values, the indices that torch.topk gives
}

type goldenCase struct {
	Model    int
	Pictures []int
	Prompts  [][]int32
	Config   Config
	Out      [][]reference // per picture, best first
}

// reference is one sequence as the pair [tokens, score].
type reference struct {
	tokens []int32
	score  float32
}

func (r *reference) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&r.tokens, &r.score})
}

// readGolden reads the committed file, or the one that GENERATE_GOLDEN names.
func readGolden(tb testing.TB) golden {
	tb.Helper()
	path := goldenFile
	if other := os.Getenv("GENERATE_GOLDEN"); other != "" {
		path = other
	}
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var g golden
	if err := json.NewDecoder(z).Decode(&g); err != nil {
		tb.Fatal(err)
	}
	return g
}

// fakeModel is the language model of testdata/generate.py: the logits of a row
// hang on the picture and the last two tokens.
type fakeModel struct {
	Seed   uint32
	Vocab  int
	Bias   int
	Coarse int       // bits of the fraction that are 0
	LogSum []float32 // per state, as torch's log-softmax kernel has it

	table [][]float32
}

const fakeStates = 64

func mix(parts ...uint32) uint32 {
	h := uint32(0x9E3779B9)
	for _, p := range parts {
		h = (h ^ p) * 0x85EBCA6B
		h ^= h >> 13
		h *= 0xC2B2AE35
		h ^= h >> 16
	}
	return h
}

func (m *fakeModel) build() {
	m.table = make([][]float32, fakeStates)
	for s := range m.table {
		m.table[s] = make([]float32, m.Vocab)
		for t := range m.table[s] {
			m.table[s][t] = float32(m.fixed(uint32(s), uint32(t))) / (1 << 18)
		}
	}
}

// fixed is a logit with 18 bits of fraction.
func (m *fakeModel) fixed(s, t uint32) int {
	return m.unbiased(s, t)>>m.Coarse<<m.Coarse + m.Bias<<18
}

func (m *fakeModel) unbiased(s, t uint32) int {
	if t == 2 {
		if e := mix(m.Seed, 2, s); e%3 == 0 {
			return int(e>>8&0x3FFFF)*4 + 6<<18
		}
		return -6 << 18
	}
	h := mix(m.Seed, 1, s, t)
	v := int(h&0x3FFFF) * 4
	if h>>20&7 == 0 {
		v += int(h>>23&0xFF) << 13
	}
	return v
}

// scores returns a row of its own, as the search may change it.
func (m *fakeModel) scores(picture int, tokens []int32, mode Mode) []float32 {
	before := uint32(0xFFFF)
	if len(tokens) > 1 {
		before = uint32(tokens[len(tokens)-2])
	}
	s := mix(m.Seed, 3, uint32(picture), uint32(tokens[len(tokens)-1]), before) % fakeStates
	row := append([]float32(nil), m.table[s]...)
	if mode == LogProbs {
		top := row[argmax(row)]
		for i := range row {
			row[i] = (row[i] - top) - m.LogSum[s]
		}
	}
	return row
}

// fakeDecoder runs a fakeModel and checks what the search asks of it.
type fakeDecoder struct {
	model    *fakeModel
	pictures []int // the model's picture for each prompt
	width    int
	tb       testing.TB

	mode Mode
	rows []fakeRow // the rows of the previous call
	// Seen by the tests.
	steps   int
	widest  int
	total   int
	failAt  int // step at which to fail, if failWith is set
	fail    error
	spoilAt int // step at which spoil changes the scores
	spoil   func([][]float32) [][]float32
}

type fakeRow struct {
	picture int
	tokens  []int32
}

func (d *fakeDecoder) Start(prompts [][]int32, mode Mode) ([][]float32, error) {
	if len(prompts) != len(d.pictures) {
		return nil, fmt.Errorf("%d prompts for %d pictures", len(prompts), len(d.pictures))
	}
	d.mode, d.rows, d.steps = mode, nil, 0
	for i, p := range prompts {
		d.rows = append(d.rows, fakeRow{i, p})
	}
	return d.answer()
}

func (d *fakeDecoder) Step(rows []Row) ([][]float32, error) {
	d.steps++
	next := make([]fakeRow, len(rows))
	for i, r := range rows {
		if r.Parent < 0 || r.Parent >= len(d.rows) || d.rows[r.Parent].picture != r.Picture {
			return nil, fmt.Errorf("row %d: parent %d is not of picture %d", i, r.Parent, r.Picture)
		}
		parent := d.rows[r.Parent].tokens
		next[i] = fakeRow{r.Picture, append(append([]int32(nil), parent...), r.Token)}
	}
	d.checkOrder(rows)
	d.rows = next
	return d.answer()
}

// checkOrder holds the search to Decoder's promise: pictures in rising order,
// width rows each.
func (d *fakeDecoder) checkOrder(rows []Row) {
	d.tb.Helper()
	for i, r := range rows {
		first := i - i%d.width
		if r.Picture != rows[first].Picture || first > 0 && i == first && rows[first-1].Picture >= r.Picture {
			d.tb.Fatalf("step %d: rows out of order: %v", d.steps, rows)
		}
	}
	if len(rows)%d.width != 0 {
		d.tb.Fatalf("step %d: %d rows are not a multiple of %d", d.steps, len(rows), d.width)
	}
}

func (d *fakeDecoder) answer() ([][]float32, error) {
	if d.fail != nil && d.steps == d.failAt {
		return nil, d.fail
	}
	d.widest = max(d.widest, len(d.rows))
	d.total += len(d.rows)
	scores := make([][]float32, len(d.rows))
	for i, r := range d.rows {
		scores[i] = d.model.scores(d.pictures[r.picture], r.tokens, d.mode)
	}
	if d.spoil != nil && d.steps == d.spoilAt {
		scores = d.spoil(scores)
	}
	return scores, nil
}

func newFake(tb testing.TB, g golden, c goldenCase) *fakeDecoder {
	m := &g.Models[c.Model]
	if m.table == nil {
		m.build()
	}
	return &fakeDecoder{model: m, pictures: c.Pictures, width: c.Config.Width(), tb: tb}
}

var errFake = errors.New("fake failure")
