package generate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// top against a full sort, with many equal values and values of -Inf.
func TestTop(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n, k, levels := 1+rng.IntN(300), 1+rng.IntN(20), 1+rng.IntN(40)
		rows := 1 + rng.IntN(4)
		k = min(k, n*rows)
		var all []scored
		tp := newTop(k, n*rows)
		for r := range rows {
			row := make([]float32, n)
			offset := -rng.Float32()
			for i := range row {
				row[i] = -float32(rng.IntN(levels))
				if rng.IntN(10) == 0 {
					row[i] = minusInf
				}
				all = append(all, scored{row[i] + offset, r*n + i})
			}
			if err := tp.add(row, offset, r*n); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(all, func(a, b scored) int { return -cmp.Compare(a.score, b.score) })
		got := tp.sorted()
		if !slices.EqualFunc(got, all[:k], func(a, b scored) bool { return a.score == b.score }) {
			t.Fatalf("got %v, want %v", got, all[:k])
		}
	}
}

// Equal scores come out in torch.topk's own order.
func TestTopAsTorch(t *testing.T) {
	for i, c := range readGolden(t).TopK {
		row := make([]float32, len(c[0]))
		for j, v := range c[0] {
			row[j] = float32(v)
		}
		tp := newTop(len(c[1]), len(row))
		if err := tp.add(row, 0, 0); err != nil {
			t.Fatal(err)
		}
		for j, s := range tp.sorted() {
			if s.index != c[1][j] {
				t.Errorf("case %d, %d of %d: rank %d is at %d, want %d", i, len(c[1]), len(row), j, s.index, c[1][j])
				break
			}
		}
	}
}

// Where the splits go badly a heap takes over: an order that random values do
// not bring about.
func TestSelectFallsBackToHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		n := 4 + rng.IntN(60)
		k := 1 + rng.IntN(n)
		s := make([]scored, n)
		for i := range s {
			s[i] = scored{float32(rng.IntN(30)), i}
		}
		want := slices.SortedFunc(slices.Values(s), func(a, b scored) int { return -cmp.Compare(a.score, b.score) })
		heapSelect(s, k)
		if s[0].score != want[k-1].score {
			t.Fatalf("the root is %v, want %v", s[0].score, want[k-1].score)
		}
		quickSort(s[:k], 0)
		insertionSort(s[:k])
		if !slices.EqualFunc(s[:k], want[:k], func(a, b scored) bool { return a.score == b.score }) {
			t.Fatalf("got %v, want %v", s[:k], want[:k])
		}
	}
}

func TestTopNaN(t *testing.T) {
	for _, at := range []int{0, 3, 99} {
		for _, n := range []int{100, 1000} {
			row := make([]float32, n)
			row[at] = float32(math.NaN())
			if err := newTop(4, n).add(row, 0, 0); !errors.Is(err, ErrNaN) {
				t.Errorf("NaN at %d: %v", at, err)
			}
		}
	}
}

// A step of beam search on one picture with BLIP's vocabulary.
func BenchmarkTop(b *testing.B) {
	for _, beams := range []int{1, 3, 5} {
		b.Run(fmt.Sprintf("beams=%d", beams), func(b *testing.B) {
			rows := randomRows(beams, 30524)
			b.SetBytes(int64(beams * 30524 * 4))
			for b.Loop() {
				tp := newTop(2*beams, beams*30524)
				for i, row := range rows {
					if err := tp.add(row, -float32(i), i*len(row)); err != nil {
						b.Fatal(err)
					}
				}
				tp.sorted()
			}
		})
	}
}

func randomRows(n, vocab int) [][]float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = make([]float32, vocab)
		for j := range rows[i] {
			rows[i][j] = float32(rng.NormFloat64()*2 - 12)
		}
	}
	return rows
}

// constant is a decoder that costs nothing: what is left is the search.
type constant struct{ rows [][]float32 }

func (c constant) Start(prompts [][]int32, _ Mode) ([][]float32, error) {
	return c.rows[:len(prompts)], nil
}

func (c constant) Step(rows []Row) ([][]float32, error) { return c.rows[:len(rows)], nil }

// Eight pictures, twenty tokens, BLIP's vocabulary; reported per picture and step.
func BenchmarkGenerate(b *testing.B) {
	for _, beams := range []int{1, 5} {
		b.Run(fmt.Sprintf("beams=%d", beams), func(b *testing.B) {
			d := constant{randomRows(8*beams, 30524)}
			prompts := slices.Repeat([][]int32{{30522}}, 8)
			c := Config{NumBeams: beams, EOSTokenID: TokenIDs{102}}
			for b.Loop() {
				if _, err := Generate(b.Context(), d, prompts, c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*8*20), "ns/picture-step")
		})
	}
}
