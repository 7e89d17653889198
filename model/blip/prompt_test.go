package blip

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/blipflow/blipflow/model/torch"
)

// promptCase is a batch whose captions begin with prompts, and the reference's
// loss where those are no labels.
type promptCase struct {
	Config  json.RawMessage
	Kind    string
	Seed    uint64
	Scale   float32
	Lengths []int
	Prompts []int
	Loss    float64
}

func TestPromptIsNotLearned(t *testing.T) {
	var cases []promptCase
	golden(t, "prompt", &cases)
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s/%v", c.Kind, c.Prompts), func(t *testing.T) {
			noneLeft(t)
			config, err := ParseConfig(c.Config)
			if err != nil {
				t.Fatal(err)
			}
			d := cpu(t)
			m, err := build(d, config, hashedSource(d, c.Seed, c.Scale))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			batch := forwardCase{Seed: c.Seed, Lengths: c.Lengths}.batch(config)
			batch.Prompt = c.Prompts
			want := 0
			for i, n := range c.Lengths {
				want += n - 1 - c.Prompts[i]
			}
			if err := d.Run(torch.Inference, func() error {
				out, err := m.Forward(batch)
				if err != nil {
					return err
				}
				if out.Labels != want {
					t.Errorf("%d labels count, want %d", out.Labels, want)
				}
				if loss := out.Loss.Float(); !(math.Abs(loss-c.Loss) <= relativeLoss*c.Loss) {
					t.Errorf("loss %v, the reference's is %v", loss, c.Loss)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPromptsThatDoNotFit(t *testing.T) {
	m := generationModel(t, 1)
	defer m.Close()
	tokens := [][]int32{{51, 7, 8, 3}, {51, 3}}
	for _, tt := range []struct {
		prompt []int
		ok     bool
	}{
		{nil, true}, {[]int{0, 0}, true}, {[]int{2, 0}, true},
		{[]int{}, false}, {[]int{1}, false}, {[]int{0, 0, 0}, false},
		{[]int{3, 0}, false}, {[]int{0, 1}, false}, {[]int{-1, 0}, false},
	} {
		_, _, _, err := m.lay(Batch{Tokens: tokens, Prompt: tt.prompt})
		if errors.Is(err, ErrBatch) == tt.ok {
			t.Errorf("%v: %v", tt.prompt, err)
		}
	}
}
