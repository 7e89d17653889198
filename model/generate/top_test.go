package generate

import (
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
		tp := newTop(k)
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
		slices.SortFunc(all, compareScored)
		if got := tp.sorted(); !slices.Equal(got, all[:k]) {
			t.Fatalf("got %v, want %v", got, all[:k])
		}
	}
}

func TestTopNaN(t *testing.T) {
	for _, at := range []int{0, 3, 99} {
		row := make([]float32, 100)
		row[at] = float32(math.NaN())
		if err := newTop(4).add(row, 0, 0); !errors.Is(err, ErrNaN) {
			t.Errorf("NaN at %d: %v", at, err)
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
				tp := newTop(2 * beams)
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
