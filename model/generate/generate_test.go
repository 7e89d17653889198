package generate

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
)

// The golden answers are those of transformers' own generate. Tokens and beam
// scores must be equal to the last bit: the fake model's scores are the same
// float32 numbers on both sides, and the search adds and divides them in the
// reference's order. Greedy scores, which the reference does not have, are
// compared with a float64 sum over its raw logits, to 1e-5.
func TestGenerateAsReference(t *testing.T) {
	g := readGolden(t)
	wrong := 0
	for i, c := range g.Cases {
		got, err := Generate(t.Context(), newFake(t, g, c), c.Prompts, c.Config)
		if err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		for p := range c.Out {
			if !sameAsReference(got[p], c.Out[p], c.Config) {
				wrong++
				settings, _ := json.Marshal(c.Config)
				t.Errorf("case %d, picture %d, model %d, %s, prompt %v:\n got %v\nwant %v", i, p, c.Model, settings, c.Prompts[p], got[p], c.Out[p])
			}
		}
		if wrong > 10 {
			t.Fatal("too many differences")
		}
	}
	t.Logf("%d cases", len(g.Cases))
}

func sameAsReference(got []Hypothesis, want []reference, c Config) bool {
	return slices.EqualFunc(got, want, func(h Hypothesis, r reference) bool {
		if !slices.Equal(h.Tokens, r.tokens) {
			return false
		}
		if c.Width() > 1 {
			return h.Score == r.score
		}
		return math.Abs(float64(h.Score-r.score)) <= 1e-5*max(1, math.Abs(float64(r.score)))
	})
}

// The goldens have to hold what they are for: pictures of one batch that
// finish at different steps, at the limit and before it, and beams of one
// picture that finish at one length.
func TestGoldensFinishVariously(t *testing.T) {
	var uneven, limited, ended, ties int
	for _, c := range readGolden(t).Cases {
		lengths := map[int]bool{}
		for p, list := range c.Out {
			own := map[int]int{}
			for _, r := range list {
				n := len(r.tokens) - len(c.Prompts[p])
				own[n]++
				lengths[n] = true
				if slices.Contains(c.Config.EOSTokenID, r.tokens[len(r.tokens)-1]) {
					ended++
				} else {
					limited++
				}
			}
			for _, n := range own {
				if n > 1 {
					ties++
				}
			}
		}
		if len(c.Out) > 1 && len(lengths) > 1 {
			uneven++
		}
	}
	t.Logf("%d uneven batches, %d sequences at the limit, %d ended, %d ties in length", uneven, limited, ended, ties)
	if uneven < 50 || limited < 50 || ended < 50 || ties < 20 {
		t.Error("the goldens do not cover what they are for")
	}
}

// A picture's answer is the same alone and in any batch.
func TestBatchEqualsSingle(t *testing.T) {
	g := readGolden(t)
	for _, beams := range []int{1, 3, 5} {
		config := Config{NumBeams: beams, MaxNewTokens: 25, EOSTokenID: TokenIDs{2}, NumReturnSequences: beams}
		c := goldenCase{Config: config}
		for p := range 16 {
			c.Pictures = append(c.Pictures, p*77)
			c.Prompts = append(c.Prompts, []int32{1, 5, 9, 4, 7}[:1+p%5])
		}
		d := newFake(t, g, c)
		batch, err := Generate(t.Context(), d, c.Prompts, config)
		if err != nil {
			t.Fatal(err)
		}
		full := len(c.Prompts) + d.steps*len(c.Prompts)*beams
		if d.total >= full {
			t.Errorf("%d beams: %d rows over %d steps: finished pictures were kept", beams, d.total, d.steps)
		}
		for p := range c.Prompts {
			one := goldenCase{Config: config, Pictures: c.Pictures[p : p+1]}
			single, err := Generate(t.Context(), newFake(t, g, one), c.Prompts[p:p+1], config)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(single[0], batch[p], equalHypotheses) {
				t.Errorf("%d beams, picture %d: %v alone, %v in a batch", beams, p, single[0], batch[p])
			}
		}
	}
}

func equalHypotheses(a, b Hypothesis) bool {
	return slices.Equal(a.Tokens, b.Tokens) && a.Prompt == b.Prompt && a.Score == b.Score && a.Ended == b.Ended
}

// Where no processor is on, a beam's score is the model's log-probability of
// its tokens: the sum that greedy search reports for the same ones.
func TestScoreIsLogProbability(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Cases {
		s := c.Config.settled()
		if s.NumBeams == 1 || s.RepetitionPenalty != 1 || s.NoRepeatNGramSize > 0 || s.MinNewTokens > 0 || s.MinLength > 0 {
			continue
		}
		d := newFake(t, g, c)
		got, err := Generate(t.Context(), d, c.Prompts, c.Config)
		if err != nil {
			t.Fatal(err)
		}
		for p, list := range got {
			for _, h := range list {
				var sum float64
				for n := h.Prompt; n < len(h.Tokens); n++ {
					row := d.model.scores(c.Pictures[p], h.Tokens[:n], Logits)
					sum += float64(row[h.Tokens[n]]) - logSumExp(row)
				}
				want := sum / math.Pow(float64(len(h.Generated())), *s.LengthPenalty)
				if math.Abs(want-float64(h.Score)) > 1e-5*max(1, math.Abs(want)) {
					t.Fatalf("score %v, want %v", h.Score, want)
				}
			}
		}
	}
}

func TestGenerateErrors(t *testing.T) {
	g := readGolden(t)
	nan := func(s [][]float32) [][]float32 { s[len(s)-1][3] = float32(math.NaN()); return s }
	infinite := func(s [][]float32) [][]float32 { s[0][3] = float32(math.Inf(1)); return s }
	short := func(s [][]float32) [][]float32 { return s[1:] }
	ragged := func(s [][]float32) [][]float32 { s[1] = s[1][1:]; return s }
	empty := func(s [][]float32) [][]float32 { return make([][]float32, len(s)) }
	tiny := func(s [][]float32) [][]float32 { return [][]float32{s[0][:1], s[1][:1]} }
	ok := [][]int32{{1}, {1, 4}}
	for _, tt := range []struct {
		name    string
		config  Config
		prompts [][]int32
		set     func(*fakeDecoder)
		want    error
	}{
		{"start fails", Config{}, ok, func(d *fakeDecoder) { d.fail = errFake }, errFake},
		{"step fails", Config{NumBeams: 2}, ok, func(d *fakeDecoder) { d.fail, d.failAt = errFake, 2 }, errFake},
		{"greedy NaN", Config{}, ok, func(d *fakeDecoder) { d.spoil = nan }, ErrNaN},
		{"beam NaN", Config{NumBeams: 3}, ok, func(d *fakeDecoder) { d.spoil, d.spoilAt = nan, 1 }, ErrNaN},
		{"greedy infinity", Config{}, ok, func(d *fakeDecoder) { d.spoil = infinite }, ErrNaN},
		{"missing row", Config{}, ok, func(d *fakeDecoder) { d.spoil = short }, ErrScores},
		{"ragged rows", Config{NumBeams: 3}, ok, func(d *fakeDecoder) { d.spoil, d.spoilAt = ragged, 1 }, ErrScores},
		{"empty rows", Config{}, ok, func(d *fakeDecoder) { d.spoil = empty }, ErrScores},
		{"vocabulary of one", Config{NumBeams: 3}, ok, func(d *fakeDecoder) { d.spoil = tiny }, ErrScores},
		{"empty prompt", Config{}, [][]int32{{1}, {}}, nil, ErrPrompt},
		{"negative id", Config{}, [][]int32{{1, -1}}, nil, ErrPrompt},
		{"no room", Config{MaxLength: 2}, ok, nil, ErrPrompt},
		{"bad config", Config{NumBeams: -1}, ok, nil, ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newFake(t, g, goldenCase{Pictures: []int{4, 5}, Config: tt.config})
			if tt.set != nil {
				tt.set(d)
			}
			out, err := Generate(t.Context(), d, tt.prompts, tt.config)
			if !errors.Is(err, tt.want) || out != nil {
				t.Errorf("got %v, %v, want %v", out, err, tt.want)
			}
		})
	}
}

func TestGenerateNothing(t *testing.T) {
	out, err := Generate(t.Context(), nil, nil, Config{})
	if out != nil || err != nil {
		t.Errorf("got %v, %v", out, err)
	}
}

// cancelling cancels its context in the third step.
type cancelling struct {
	*fakeDecoder
	cancel context.CancelFunc
}

func (c cancelling) Step(rows []Row) ([][]float32, error) {
	if c.steps == 2 {
		c.cancel()
	}
	return c.fakeDecoder.Step(rows)
}

func TestGenerateCancelled(t *testing.T) {
	g := readGolden(t)
	ctx, cancel := context.WithCancel(t.Context())
	d := newFake(t, g, goldenCase{Pictures: []int{1}, Config: Config{}})
	_, err := Generate(ctx, cancelling{d, cancel}, [][]int32{{1}}, Config{})
	if !errors.Is(err, context.Canceled) || d.steps != 3 {
		t.Errorf("got %v after %d steps", err, d.steps)
	}
	d = newFake(t, g, goldenCase{Pictures: []int{1}, Config: Config{}})
	if _, err = Generate(ctx, d, [][]int32{{1}}, Config{}); !errors.Is(err, context.Canceled) || d.total != 0 {
		t.Errorf("got %v after %d rows", err, d.total)
	}
}

// The caller's prompts are read, never changed or kept.
func TestPromptsAreNotTouched(t *testing.T) {
	g := readGolden(t)
	for _, beams := range []int{1, 3} {
		back := []int32{1, 4, 99, 98, 97}
		config := Config{NumBeams: beams, NumReturnSequences: beams}
		d := newFake(t, g, goldenCase{Pictures: []int{1}, Config: config})
		out, err := Generate(t.Context(), d, [][]int32{back[:2]}, config)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back, []int32{1, 4, 99, 98, 97}) {
			t.Errorf("%d beams: prompt's memory is now %v", beams, back)
		}
		back[0] = 50
		for _, h := range out[0] {
			if h.Tokens[0] != 1 {
				t.Errorf("%d beams: the hypothesis shares the prompt's memory", beams)
			}
		}
	}
}
