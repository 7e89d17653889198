package generate_test

import (
	"context"
	"fmt"
	"math"

	"github.com/blipflow/blipflow/model/generate"
)

// chain is a decoder that knows one sentence: each of its tokens is likely
// after the one before.
type chain struct {
	next map[int32]int32
}

func (c chain) Start(prompts [][]int32, _ generate.Mode) ([][]float32, error) {
	var scores [][]float32
	for _, p := range prompts {
		scores = append(scores, c.scores(p[len(p)-1]))
	}
	return scores, nil
}

func (c chain) Step(rows []generate.Row) ([][]float32, error) {
	var scores [][]float32
	for _, r := range rows {
		scores = append(scores, c.scores(r.Token))
	}
	return scores, nil
}

// scores gives log-probabilities, which are logits too.
func (c chain) scores(last int32) []float32 {
	row := make([]float32, 8)
	for i := range row {
		row[i] = float32(math.Log(0.01))
	}
	row[c.next[last]] = float32(math.Log(0.93))
	return row
}

func Example() {
	d := chain{next: map[int32]int32{0: 5, 5: 3, 3: 6, 6: 1}}
	config := generate.Config{NumBeams: 3, EarlyStopping: generate.StopWhenFull, EOSTokenID: generate.TokenIDs{1}}
	captions, err := generate.Generate(context.Background(), d, [][]int32{{0}, {0, 3}}, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range captions {
		fmt.Printf("%v after the prompt, score %.3f, ended %v\n", c[0].Generated(), c[0].Score, c[0].Ended)
	}
	// Output:
	// [5 3 6 1] after the prompt, score -0.073, ended true
	// [6 1] after the prompt, score -0.073, ended true
}
