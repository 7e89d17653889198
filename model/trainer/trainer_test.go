package trainer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/lora"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// batches is a data set in memory: pictures of noise, a caption each.
type batches []blip.Batch

func (b batches) Len() int { return len(b) }

func (b batches) Batches(epoch, skip int) iter.Seq2[blip.Batch, error] {
	order := rand.New(rand.NewPCG(7, uint64(epoch))).Perm(len(b))
	return func(yield func(blip.Batch, error) bool) {
		for _, i := range order[skip:] {
			if !yield(b[i], nil) {
				return
			}
		}
	}
}

func newRun(t *testing.T, epochs float64) *Run {
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
	for i := range 5 {
		b := blip.Batch{Pixels: make([]float32, 2*3*16*16), Tokens: [][]int32{{9, int32(5 + i%4), int32(5 + i/2), 3}, {9, 6, 3}}}
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
	if s.GlobalStep != 90 || filepath.Base(best) != "checkpoint-90" {
		t.Errorf("%d steps and best %s, want 90 and checkpoint-90", s.GlobalStep, best)
	}
	if _, err := checkpoint.Open(best); err != nil {
		t.Error(err)
	}
	steps, err := Checkpoints(r.Output)
	if err != nil || len(steps) != r.Config.SaveTotalLimit {
		t.Errorf("checkpoints %v (%v), want %d of them", steps, err, r.Config.SaveTotalLimit)
	}
}

// variants are the settings under which a run keeps something of its own.
var variants = map[string]func(*Config){
	"plain":   func(*Config) {},
	"average": func(c *Config) { c.EMADecay = 0.9 },
	"lora": func(c *Config) {
		c.LoRA = lora.Config{Rank: 2, Alpha: 4, Dropout: 0.1, Targets: []string{"query", "qkv"}}
	},
	"everything": func(c *Config) {
		c.EMADecay, c.LoRA = 0.5, lora.Config{Rank: 2, Alpha: 4, Targets: []string{"value"}}
		c.Average, c.GradientCheckpointing, c.FreezeVision = OverTokens, true, true
	},
}

// bits are the files of a checkpoint that hold numbers.
func bits(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".safetensors" {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		out[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// scored makes a run evaluate every two steps, with scores that tell of the
// model's weights.
func scored(r *Run) {
	r.Config.EvalStrategy, r.Config.EvalSteps, r.Config.SaveStrategy, r.Config.SaveSteps = EverySteps, 2, EverySteps, 3
	r.Evaluate = func(_ context.Context, m *blip.Model) (Scores, error) {
		var sum float64
		err := m.Device().Run(torch.Inference, func() error {
			for _, p := range m.Params() {
				sum += p.Tensor.Sum().Float()
			}
			return nil
		})
		return Scores{Metrics: map[string]float64{"sacrebleu": math.Mod(1e3*math.Abs(sum), 1)}}, err
	}
}

// A run that stops, or dies, anywhere and is started again ends with the numbers,
// to the bit, of one that does not: those of its checkpoint, of its log and of its
// choice.
func TestResumesExactly(t *testing.T) {
	for name, change := range variants {
		t.Run(name, func(t *testing.T) {
			whole := newRun(t, 3)
			change(&whole.Config)
			scored(whole)
			end, best := train(t, whole)
			want, wantBest := bits(t, filepath.Join(whole.Output, "checkpoint-9")), bits(t, best)
			for stop := 1; stop < 9; stop++ {
				for _, dies := range []bool{false, true} {
					r := newRun(t, 3)
					change(&r.Config)
					scored(r)
					interrupt(t, r, stop, dies)
					got, gotBest := train(t, r)
					if filepath.Base(gotBest) != filepath.Base(best) || *got.BestMetric != *end.BestMetric || got.Samples != end.Samples {
						t.Errorf("stopped at %d: %s with %v after %d samples, want %s with %v after %d", stop, gotBest, *got.BestMetric, got.Samples, best, *end.BestMetric, end.Samples)
					}
					if diff := cmp.Diff(end.LogHistory, got.LogHistory); diff != "" {
						t.Errorf("stopped at %d: the log differs:\n%s", stop, diff)
					}
					if !maps.EqualFunc(want, bits(t, filepath.Join(r.Output, "checkpoint-9")), bytes.Equal) || !maps.EqualFunc(wantBest, bits(t, gotBest), bytes.Equal) {
						t.Errorf("stopped at %d, dies: %v: other weights", stop, dies)
					}
				}
			}
		})
	}
}

// interrupt trains until a step, and then stops, or dies without a chance to
// save.
func interrupt(t *testing.T, r *Run, step int, dies bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	killed := errors.New("killed")
	r.Report = func(s State, _ Record) {
		if s.GlobalStep == step {
			cancel()
		}
	}
	r.Commit = func(change func() error) error {
		if dies && ctx.Err() != nil {
			return killed
		}
		return change()
	}
	_, _, err := r.Train(ctx)
	if !dies && (!errors.Is(err, ErrStopped) || !errors.Is(err, context.Canceled)) {
		t.Fatalf("a run that was to stop: %v", err)
	}
	if dies && !errors.Is(err, killed) && !errors.Is(err, ErrStopped) { // it had saved the step already
		t.Fatalf("a run that was to die: %v", err)
	}
	r.Report, r.Commit = nil, nil
	if err := os.MkdirAll(filepath.Join(r.Output, ".checkpoint-6.dead"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestFinishedRunDoesNothing(t *testing.T) {
	r := newRun(t, 2)
	_, want := train(t, r)
	before := bits(t, want)
	r.Report = func(State, Record) { t.Error("a finished run goes on") }
	if s, got := train(t, r); s.GlobalStep != 6 || got != want || !maps.EqualFunc(before, bits(t, got), bytes.Equal) {
		t.Errorf("a finished run gave step %d and %s", s.GlobalStep, got)
	}
}

// An evaluation that a stop cut off is made up for, even after the last step.
func TestEvaluationIsMadeUpFor(t *testing.T) {
	r := newRun(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	r.Evaluate = func(ctx context.Context, _ *blip.Model) (Scores, error) {
		if calls++; calls == 1 {
			cancel()
		}
		return Scores{Metrics: map[string]float64{"sacrebleu": 3}}, ctx.Err()
	}
	if _, _, err := r.Train(ctx); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	s, best := train(t, r)
	saved, err := ReadState(best)
	if err != nil || calls != 2 || s.BestMetric == nil || saved.BestMetric == nil || *saved.BestMetric != 3 {
		t.Errorf("%d evaluations, best %v, saved %v (%v)", calls, s.BestMetric, saved.BestMetric, err)
	}
	train(t, r)
	if calls != 2 {
		t.Errorf("a finished run was evaluated again")
	}
}

// scores lets a run be evaluated as given, one after the other.
func scores(r *Run, metric string, values ...float64) {
	r.Evaluate = func(context.Context, *blip.Model) (Scores, error) {
		v := values[0]
		values = values[1:]
		return Scores{Metrics: map[string]float64{metric: v}}, nil
	}
}

func TestBestCheckpointIsKept(t *testing.T) {
	no := false
	for _, tt := range []struct {
		name   string
		change func(*Config)
		metric string
		values []float64
		best   int
		kept   []int
		out    int
	}{
		{"greater", func(*Config) {}, "sacrebleu", []float64{1, 9, 3, 2, 4}, 6, []int{6, 15}, 6},
		{"loss", func(c *Config) { c.MetricForBestModel = "eval_loss" }, "loss", []float64{5, 4, 1, 2, 3}, 9, []int{9, 15}, 9},
		{"told", func(c *Config) { c.GreaterIsBetter = &no }, "sacrebleu", []float64{5, 4, 1, 2, 3}, 9, []int{9, 15}, 9},
		{"ties go to the first", func(*Config) {}, "sacrebleu", []float64{1, 2, 2, 2, 2}, 6, []int{6, 15}, 6},
		{"last", func(c *Config) { c.LoadBestModelAtEnd = false }, "sacrebleu", []float64{1, 9, 3, 2, 4}, 6, []int{6, 15}, 15},
		{"three", func(c *Config) { c.SaveTotalLimit = 3 }, "sacrebleu", []float64{1, 9, 3, 2, 4}, 6, []int{6, 12, 15}, 6},
		{"all", func(c *Config) { c.SaveTotalLimit = 0 }, "sacrebleu", []float64{1, 9, 3, 2, 4}, 6, []int{3, 6, 9, 12, 15}, 6},
		{"one", func(c *Config) { c.SaveTotalLimit = 1 }, "sacrebleu", []float64{1, 9, 3, 2, 4}, 6, []int{6, 15}, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(t, 5)
			tt.change(&r.Config)
			scores(r, tt.metric, tt.values...)
			s, out := train(t, r)
			if s.BestCheckpoint != Name(tt.best) || filepath.Base(out) != Name(tt.out) {
				t.Errorf("best is %s and the outcome %s, want steps %d and %d", s.BestCheckpoint, out, tt.best, tt.out)
			}
			if steps, _ := Checkpoints(r.Output); !slices.Equal(steps, tt.kept) {
				t.Errorf("kept %v, want %v", steps, tt.kept)
			}
		})
	}
}

func TestStopsEarly(t *testing.T) {
	for _, tt := range []struct {
		patience  int
		threshold float64
		values    []float64
		step      int
	}{
		{1, 0, []float64{1, 2, 2, 9, 9}, 9},
		{2, 0, []float64{1, 2, 2, 9, 9}, 15},
		{2, 0.5, []float64{1, 1.2, 1.4, 9, 9}, 9},
		{3, 0.5, []float64{1, 1.2, 1.4, 9, 9}, 15},
		{0, 0, []float64{5, 4, 3, 2, 1}, 15},
	} {
		r := newRun(t, 5)
		r.Config.EarlyStoppingPatience, r.Config.EarlyStoppingThreshold = tt.patience, tt.threshold
		scores(r, "sacrebleu", tt.values...)
		s, _ := train(t, r)
		if s.GlobalStep != tt.step || (s.Ended != "") != (tt.step < 15) {
			t.Errorf("%+v: ended at %d, %q", tt, s.GlobalStep, s.Ended)
		}
		r.Evaluate = func(context.Context, *blip.Model) (Scores, error) { t.Error("it goes on"); return Scores{}, nil }
		train(t, r)
	}
}

// happened lists the steps that were evaluated and those that were saved.
func TestStrategies(t *testing.T) {
	for _, tt := range []struct {
		name             string
		change           func(*Config)
		evaluated, saved []int
	}{
		{"epochs", func(*Config) {}, []int{3, 6}, []int{3, 6}},
		{"half an epoch", func(c *Config) { c.NumTrainEpochs = 1.5 }, []int{3, 5}, []int{3, 5}},
		{"steps", func(c *Config) {
			c.EvalStrategy, c.EvalSteps, c.SaveStrategy, c.SaveSteps = EverySteps, 4, EverySteps, 3
		}, []int{4, 6}, []int{3, 4, 6}},
		{"no", func(c *Config) { c.EvalStrategy, c.SaveStrategy = Never, Never }, nil, []int{6}},
		{"max_steps", func(c *Config) { c.MaxSteps = 7 }, []int{3, 6, 7}, []int{3, 6, 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(t, 2)
			r.Config.SaveTotalLimit = 0
			tt.change(&r.Config)
			scores(r, "sacrebleu", 1, 0, 0, 0, 0)
			if tt.name == "steps" {
				scores(r, "sacrebleu", 1, 2)
			}
			s, _ := train(t, r)
			var evaluated []int
			for _, rec := range s.LogHistory {
				if rec.Eval != nil {
					evaluated = append(evaluated, rec.Step)
				}
			}
			saved, err := Checkpoints(r.Output)
			if err != nil || !slices.Equal(evaluated, tt.evaluated) || !slices.Equal(saved, tt.saved) {
				t.Errorf("evaluated %v and saved %v (%v), want %v and %v", evaluated, saved, err, tt.evaluated, tt.saved)
			}
		})
	}
}

// A run may start from a checkpoint of another one, with other settings.
func TestResumesFromAnotherRun(t *testing.T) {
	first := newRun(t, 2)
	_, from := train(t, first)
	r := newRun(t, 4)
	r.Settings, r.Resume = "b", from
	s, _ := train(t, r)
	if s.GlobalStep != 12 || s.Settings != "b" || len(s.LogHistory) != 12 {
		t.Errorf("%d steps under settings %q, %d lines", s.GlobalStep, s.Settings, len(s.LogHistory))
	}
	r = newRun(t, 1)
	r.Resume = from
	if s, out := train(t, r); s.GlobalStep != 6 || filepath.Base(out) != Name(6) {
		t.Errorf("nothing left to train: step %d, %s", s.GlobalStep, out)
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
	scores(r, "beauty", 1)
	if _, _, err := r.Train(context.Background()); !errors.Is(err, ErrMetric) {
		t.Errorf("an evaluation without the metric: %v", err)
	}
	r = newRun(t, 1)
	r.Data = batches{}
	if _, _, err := r.Train(context.Background()); err == nil {
		t.Error("no data: no error")
	}
}

// broken is a data set that fails in its second epoch.
type broken struct {
	batches
	err error
}

func (b broken) Batches(epoch, skip int) iter.Seq2[blip.Batch, error] {
	return func(yield func(blip.Batch, error) bool) {
		i := skip
		for batch := range b.batches.Batches(epoch, skip) {
			if epoch == 1 && i == 2 {
				if b.err != nil {
					yield(blip.Batch{}, b.err)
					return
				}
				batch.Pixels = slices.Clone(batch.Pixels)
				batch.Pixels[0] = float32(math.NaN())
			}
			if i++; !yield(batch, nil) {
				return
			}
		}
	}
}

// Whatever goes wrong, the checkpoint before is whole, is named, and is gone on
// from.
func TestFaultsLeaveTheLastCheckpoint(t *testing.T) {
	gone := errors.New("shard is gone")
	for _, tt := range []struct {
		name string
		harm func(t *testing.T, r *Run)
		want error
	}{
		{"data", func(_ *testing.T, r *Run) { r.Data = broken{noise(), gone} }, gone},
		{"not a number", func(_ *testing.T, r *Run) { r.Data = broken{batches: noise()} }, ErrDiverged},
		{"lease lost", func(_ *testing.T, r *Run) {
			n := 0
			r.Commit = func(change func() error) error {
				if n++; n > 2 { // the journal, a checkpoint
					return gone
				}
				return change()
			}
		}, gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := newRun(t, 2)
			whole.Config.SaveTotalLimit = 0
			_, want := train(t, whole)
			r := newRun(t, 2)
			r.Config.SaveTotalLimit = 0
			data := r.Data
			tt.harm(t, r)
			_, _, err := r.Train(context.Background())
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "checkpoint-3 is whole") {
				t.Fatalf("%v, want %v and the checkpoint's name", err, tt.want)
			}
			if leftovers, _ := filepath.Glob(filepath.Join(r.Output, ".*")); len(leftovers) > 0 && tt.name != "lease lost" {
				t.Errorf("left %v", leftovers)
			}
			r.Data, r.Commit = data, nil
			if _, got := train(t, r); !maps.EqualFunc(bits(t, want), bits(t, got), bytes.Equal) {
				t.Error("the run that went on ended with other weights")
			}
		})
	}
}

// The average that a run keeps is that of its weights after each step.
func TestAverageIsShown(t *testing.T) {
	plain := newRun(t, 1)
	plain.Config.SaveStrategy, plain.Config.SaveSteps, plain.Config.SaveTotalLimit = EverySteps, 1, 0
	train(t, plain)
	r := newRun(t, 1)
	r.Config.EMADecay = 0.75
	_, out := train(t, r)
	const name = "text_decoder.cls.predictions.transform.dense.weight"
	read := func(folder, file string) []float32 {
		f, err := safetensors.Open(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		v, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no %s in %s", name, file)
		}
		return floats(v.Data)
	}
	want := read(r.Folder.Path, "model.safetensors")
	for step := range 3 {
		for i, w := range read(filepath.Join(plain.Output, Name(step+1)), "model.safetensors") {
			want[i] = 0.75*want[i] + 0.25*w
		}
	}
	for i, got := range read(out, "model.safetensors") {
		if math.Abs(float64(got-want[i])) > 1e-6 { // a few roundings of float32
			t.Fatalf("element %d of the average is %v, want %v", i, got, want[i])
		}
	}
	if !slices.Equal(read(out, WeightsFile), read(filepath.Join(plain.Output, Name(3)), "model.safetensors")) {
		t.Error("the weights beside the average are not those of the run without")
	}
}

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:]))
	}
	return out
}

func TestJournal(t *testing.T) {
	r := newRun(t, 2)
	r.LogFile, r.EventFolder = filepath.Join(r.Output, "log.jsonl"), filepath.Join(r.Output, "runs")
	scores(r, "sacrebleu", 1, 2)
	interrupt(t, r, 4, true)
	f, err := os.OpenFile(r.LogFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"step":5,"epo`); err != nil { // of an attempt that died
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	scores(r, "sacrebleu", 2)
	s, _ := train(t, r)
	text, err := os.ReadFile(r.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	var got []Record
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var rec Record
		if err := dec.Decode(&rec); err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	if diff := cmp.Diff(s.LogHistory, got); diff != "" || len(got) != 8 {
		t.Errorf("%d lines; the file differs from the state:\n%s", len(got), diff)
	}
	if files, _ := filepath.Glob(filepath.Join(r.EventFolder, "events.out.tfevents.*")); len(files) != 2 {
		t.Errorf("event files %v, want one for each attempt", files)
	}
}

func TestLossScale(t *testing.T) {
	s := newLossScale(Float16)
	for range scaleEvery {
		s.passed(Float16)
	}
	if s.Factor != 2*firstScale || s.Good != 0 {
		t.Errorf("after %d good steps: %+v", scaleEvery, s)
	}
	s.passed(Float16)
	if !s.overflowed(Float16) || s.Factor != firstScale || s.Good != 0 {
		t.Errorf("after an overflow: %+v", s)
	}
	for s.Factor > lowestScale {
		s.overflowed(Float16)
	}
	if s.overflowed(Float16) {
		t.Error("a scale of 1 is to blame for an overflow")
	}
	if s = newLossScale(BFloat16); s.Factor != 1 || s.overflowed(BFloat16) {
		t.Errorf("bfloat16 has a scale: %+v", s)
	}
}

func TestScheduleFollowsReference(t *testing.T) {
	// transformers' get_linear_schedule_with_warmup and get_cosine_…, 10 steps,
	// 2 of warm-up, at 1.
	want := map[Schedule][]float64{
		Linear:             {0, .5, 1, .875, .75, .625, .5, .375, .25, .125},
		Constant:           {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		ConstantWithWarmup: {0, .5, 1, 1, 1, 1, 1, 1, 1, 1},
		Cosine:             {0, .5, 1, 0.9619397662556434, 0.8535533905932737, 0.6913417161825449, .5, 0.3086582838174551, 0.14644660940672627, 0.03806023374435663},
	}
	for schedule, rates := range want {
		for _, c := range []Config{{WarmupRatio: 0.2}, {WarmupSteps: 0.12}, {WarmupSteps: 2, WarmupRatio: 0.5}} {
			c.LearningRate, c.LRScheduler = 1, schedule
			for step, w := range rates {
				if got := c.rate(step, 10); math.Abs(got-w) > 1e-12 {
					t.Errorf("%s, step %d: %v, want %v", schedule, step, got, w)
				}
			}
		}
	}
}
