package blip

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/torch"
)

type generateGolden struct {
	Cases []struct {
		Seed     uint64
		Batch    int
		Prompt   string
		Settings json.RawMessage
		Rows     [][]int32
		Scores   []float64
	}
	Prompts map[string][]int32
}

// generationModel is the script's: sharp logits, and a bias for the end token,
// so that captions end early and at different steps.
func generationModel(t testing.TB, seed uint64) *Model {
	t.Helper()
	var cases []forwardCase
	golden(t, "tiny", &cases)
	config, err := ParseConfig(cases[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	d := cpu(t)
	m, err := build(d, config, hashedSource(d, seed, 0.6))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(torch.Inference, func() error {
		m.Text.head.decoder.Scale_(1.7)
		m.Text.head.bias.Narrow(0, 3, 1).AddScalar_(3.5)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

// pictures are the first n of the 16 that the script generates for.
func (m *Model) testPictures(seed uint64, n int) []float32 {
	side := int(m.Config.Vision.ImageSize)
	return newHashed(seed, "generation pixels").floats(16*3*side*side, 2)[:n*3*side*side]
}

func TestGenerateAgreesWithReference(t *testing.T) {
	noneLeft(t)
	var g generateGolden
	golden(t, "generate", &g)
	models := map[uint64]*Model{}
	lengths := map[int]int{}
	for i, c := range g.Cases {
		m := models[c.Seed]
		if m == nil {
			m = generationModel(t, c.Seed)
			defer m.Close()
			models[c.Seed] = m
		}
		config := testConfig(t, m, c.Settings)
		prompts := make([][]int32, c.Batch)
		for j := range prompts {
			prompts[j] = append([]int32{int32(m.Config.Text.BOSTokenID)}, g.Prompts[c.Prompt]...)
		}
		found, err := m.Generate(context.Background(), m.testPictures(c.Seed, c.Batch), prompts, config)
		if err != nil {
			t.Fatalf("case %d, %s: %v", i, c.Settings, err)
		}
		for j, want := range c.Rows {
			lengths[len(want)]++
			got := found[j][0]
			if !slices.Equal(got.Tokens, want) {
				t.Errorf("case %d (seed %d, batch %d, prompt %s, %s), picture %d: %v, want %v", i, c.Seed, c.Batch, c.Prompt, c.Settings, j, got.Tokens, want)
			}
			// Scores are float32 sums of up to 18 log-probabilities.
			if c.Scores != nil && math.Abs(float64(got.Score)-c.Scores[j]) > 1e-4*(1+math.Abs(c.Scores[j])) {
				t.Errorf("case %d, picture %d: score %v, want %v", i, j, got.Score, c.Scores[j])
			}
		}
	}
	if len(lengths) < 8 {
		t.Errorf("captions of %d lengths only: the golden set does not try what it should", len(lengths))
	}
}

func testConfig(t testing.TB, m *Model, settings json.RawMessage) generate.Config {
	t.Helper()
	var c generate.Config
	if err := json.Unmarshal(settings, &c); err != nil {
		t.Fatal(err)
	}
	c.EOSTokenID = generate.TokenIDs{int32(m.Config.Text.SepTokenID)}
	return c
}

// A picture has the caption that it has alone, whatever stands beside it, also
// where prompts differ in length.
func TestSameCaptionInAnyBatch(t *testing.T) {
	noneLeft(t)
	m := generationModel(t, 5)
	defer m.Close()
	const n = 16
	all := m.testPictures(5, n)
	one := len(all) / n
	prompts := make([][]int32, n)
	for i := range prompts {
		prompts[i] = []int32{int32(m.Config.Text.BOSTokenID), 7, 11, 13, 17}[:1+i%5]
	}
	for _, beams := range []int{1, 4} {
		config := testConfig(t, m, json.RawMessage(fmt.Sprintf(`{"num_beams":%d,"max_new_tokens":15}`, beams)))
		together, err := m.Generate(context.Background(), all, prompts, config)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			alone, err := m.Generate(context.Background(), all[i*one:][:one], prompts[i:i+1], config)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone[0][0].Tokens, together[i][0].Tokens) {
				t.Errorf("%d beams, picture %d: %v alone, %v in the batch", beams, i, alone[0][0].Tokens, together[i][0].Tokens)
			}
		}
	}
}

func TestDecodingRefusesWhatDoesNotFit(t *testing.T) {
	noneLeft(t)
	m := generationModel(t, 1)
	defer m.Close()
	pixels := m.testPictures(1, 1)
	for name, prompt := range map[string][]int32{
		"token outside the vocabulary": {51, 53},
		"negative token":               {51, -1},
		"longer than the positions":    make([]int32, 41),
	} {
		if _, err := m.Generate(context.Background(), pixels, [][]int32{prompt}, generate.Config{MaxNewTokens: 3}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := m.Generate(context.Background(), pixels, [][]int32{{51}}, generate.Config{MaxNewTokens: 60}); err == nil {
		t.Error("60 new tokens in 40 positions: no error")
	}
	if _, err := m.Generate(context.Background(), pixels[1:], [][]int32{{51}}, generate.Config{}); err == nil {
		t.Error("a picture of the wrong size: no error")
	}
}
