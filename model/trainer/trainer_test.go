package trainer

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// batches is a data set in memory: four pictures of noise, a caption each.
type batches []blip.Batch

func (b batches) Len() int { return len(b) }

func (b batches) Batches(epoch int) iter.Seq2[blip.Batch, error] {
	order := rand.New(rand.NewPCG(7, uint64(epoch))).Perm(len(b))
	return func(yield func(blip.Batch, error) bool) {
		for _, i := range order {
			if !yield(b[i], nil) {
				return
			}
		}
	}
}

func newRun(t *testing.T, epochs int) *Run {
	t.Helper()
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := text.New([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two", "three", "four", "[DEC]"}, text.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := blip.Base()
	c.Text = blip.TextConfig{
		VocabSize: 10, HiddenSize: 16, IntermediateSize: 32, NumHiddenLayers: 1, NumAttentionHeads: 2, MaxPositionEmbeddings: 16,
		HiddenAct: torch.GELU, LayerNormEps: 1e-12, InitializerRange: 0.1, HiddenDropout: 0.1, BOSTokenID: 9, EOSTokenID: 3, SepTokenID: 3, IsDecoder: true,
	}
	c.Vision.HiddenSize, c.Vision.IntermediateSize, c.Vision.NumHiddenLayers, c.Vision.NumAttentionHeads = 16, 32, 1, 2
	c.Vision.ImageSize, c.Vision.PatchSize, c.Vision.InitializerRange = 16, 8, 0.1
	c.Text.EncoderHiddenSize = 16
	m, err := blip.New(d, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir := t.TempDir()
	f := &checkpoint.Folder{Config: c, Processor: imaging.DefaultProcessor(16), Tokenizer: tok}
	if err := f.Save(filepath.Join(dir, "base"), m, ""); err != nil {
		t.Fatal(err)
	}
	if f, err = checkpoint.Open(filepath.Join(dir, "base")); err != nil {
		t.Fatal(err)
	}
	config := Defaults()
	config.NumTrainEpochs, config.LearningRate, config.LoggingSteps, config.GradientAccumulationSteps = epochs, 1e-2, 1, 2
	return &Run{Config: config, Folder: f, Device: d, Output: filepath.Join(dir, "run"), Settings: "a", Data: noise()}
}

func noise() batches {
	r := rand.New(rand.NewPCG(1, 2))
	var out batches
	for i := range 4 {
		b := blip.Batch{Pixels: make([]float32, 3*16*16), Tokens: [][]int32{{9, int32(5 + i), int32(5 + i/2), 3}}}
		for j := range b.Pixels {
			b.Pixels[j] = float32(r.NormFloat64())
		}
		out = append(out, b)
	}
	return out
}

func train(t *testing.T, r *Run) (State, string) {
	t.Helper()
	before := torch.Live()
	s, best, err := r.Train(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if now := torch.Live(); now != before {
		t.Errorf("%d tensors are still alive", now-before)
	}
	return s, best
}

func TestLearnsByHeart(t *testing.T) {
	r := newRun(t, 30)
	s, best := train(t, r)
	first, last := *s.LogHistory[0].Loss, *s.LogHistory[len(s.LogHistory)-1].Loss
	if last > first/4 {
		t.Errorf("loss went from %.3f to %.3f only", first, last)
	}
	if s.GlobalStep != 60 || filepath.Base(best) != "checkpoint-60" {
		t.Errorf("%d steps and best %s, want 60 and checkpoint-60", s.GlobalStep, best)
	}
	if _, err := checkpoint.Open(best); err != nil {
		t.Error(err)
	}
	steps, err := Checkpoints(r.Output)
	if err != nil || len(steps) != r.Config.SaveTotalLimit {
		t.Errorf("checkpoints %v (%v), want %d of them", steps, err, r.Config.SaveTotalLimit)
	}
}

// A run that stops and is started again ends with the weights, to the bit, of
// one that does not stop.
func TestResumesExactly(t *testing.T) {
	whole := newRun(t, 4)
	_, want := train(t, whole)

	r := newRun(t, 4)
	ctx, cancel := context.WithCancel(context.Background())
	r.Report = func(s State, _ Record) {
		if s.GlobalStep == 5 { // in the third epoch
			cancel()
		}
	}
	if _, _, err := r.Train(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped run: %v", err)
	}
	r.Report = nil
	if err := os.Mkdir(filepath.Join(r.Output, ".checkpoint-6.dead"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, got := train(t, r)
	for _, name := range []string{"model.safetensors", "optimizer.safetensors"} {
		a, err := os.ReadFile(filepath.Join(want, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(got, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from the uninterrupted run's", name)
		}
	}
	if _, err := os.Stat(filepath.Join(r.Output, ".checkpoint-6.dead")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an unfinished checkpoint was left")
	}
	// A third start has nothing to do.
	if s, again := train(t, r); s.Epoch != 4 || again != got {
		t.Errorf("a finished run gave epoch %d and %s", s.Epoch, again)
	}
}

func TestBestCheckpointIsKept(t *testing.T) {
	r := newRun(t, 5)
	scores := []float64{1, 9, 3, 2, 4}
	epoch := 0
	r.Evaluate = func(context.Context, *blip.Model) (map[string]float64, error) {
		epoch++
		return map[string]float64{"sacrebleu": scores[epoch-1]}, nil
	}
	s, best := train(t, r)
	if filepath.Base(best) != "checkpoint-4" || *s.BestMetric != 9 {
		t.Errorf("best is %s with %v, want checkpoint-4 with 9", best, *s.BestMetric)
	}
	if steps, _ := Checkpoints(r.Output); !slices.Equal(steps, []int{4, 10}) {
		t.Errorf("kept %v, want the best and the last", steps)
	}
}

func TestRefuses(t *testing.T) {
	r := newRun(t, 1)
	train(t, r)
	r.Settings = "b"
	if _, _, err := r.Train(context.Background()); !errors.Is(err, ErrOtherRun) {
		t.Errorf("other settings: %v", err)
	}
	r = newRun(t, 1)
	r.Config.LearningRate = math.Inf(1)
	if _, _, err := r.Train(context.Background()); !errors.Is(err, ErrConfig) {
		t.Errorf("an infinite learning rate: %v", err)
	}
	r = newRun(t, 1)
	r.Evaluate = func(context.Context, *blip.Model) (map[string]float64, error) { return nil, nil }
	if _, _, err := r.Train(context.Background()); !errors.Is(err, ErrMetric) {
		t.Errorf("an evaluation without the metric: %v", err)
	}
	r = newRun(t, 1)
	r.Data = batches{}
	if _, _, err := r.Train(context.Background()); err == nil {
		t.Error("no data: no error")
	}
}

func TestScheduleFollowsReference(t *testing.T) {
	// transformers' get_linear_schedule_with_warmup and get_cosine_…, 10 steps,
	// 2 of warm-up, at 1.
	want := map[Schedule][]float64{
		Linear:   {0, .5, 1, .875, .75, .625, .5, .375, .25, .125},
		Constant: {0, .5, 1, 1, 1, 1, 1, 1, 1, 1},
		Cosine:   {0, .5, 1, 0.9619397662556434, 0.8535533905932737, 0.6913417161825449, .5, 0.3086582838174551, 0.14644660940672627, 0.03806023374435663},
	}
	for schedule, rates := range want {
		c := Config{LearningRate: 1, LRScheduler: schedule, WarmupRatio: 0.2}
		for step, w := range rates {
			if got := c.rate(step, 10); math.Abs(got-w) > 1e-12 {
				t.Errorf("%s, step %d: %v, want %v", schedule, step, got, w)
			}
		}
	}
}
