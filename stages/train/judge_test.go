package train

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/meteor"
	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/captioner"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// said are captions whose words make the test's vocabulary.
var said = []string{"a dog runs on the beach", "two cats sleep", "the red car stands still", "a bright day at sea"}

// court is a judge with a model of random weights and nine validation pictures,
// whose captions are given.
func court(t *testing.T, captions func(picture int) []string) (*judge, *blip.Model) {
	t.Helper()
	dir := t.TempDir()
	c := SmallConfig()
	c.Vision.ImageSize, c.Vision.PatchSize = side, 8
	c.Vision.HiddenSize, c.Vision.IntermediateSize, c.Vision.NumHiddenLayers, c.Vision.NumAttentionHeads = 32, 64, 2, 2
	c.Text.HiddenSize, c.Text.EncoderHiddenSize, c.Text.IntermediateSize, c.Text.NumHiddenLayers, c.Text.NumAttentionHeads = 32, 32, 64, 2, 2
	c.Vision.InitializerRange, c.Text.InitializerRange = 0.4, 0.4 // pictures make a difference
	base, err := Scratch(dir, c, slices.Values(said), 200, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := checkpoint.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	m, err := folder.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	manifest := preprocess.Manifest{Shares: preprocess.DefaultShares}
	for _, name := range []string{"a", "b"} {
		rows, first := 5, 0
		if name == "b" {
			rows, first = 4, 5
		}
		writeExamples(t, filepath.Join(dir, name), rows, func(i int) records.Example {
			e := example(first + i)
			e.Captions, e.TokenIDs = captions(first+i), nil
			for _, caption := range e.Captions {
				ids := folder.Tokenizer.EncodeWithSpecials(caption, 20)
				ids[0] = folder.BOS()
				e.TokenIDs = append(e.TokenIDs, ids)
			}
			return e
		})
		manifest.Shards = append(manifest.Shards, preprocess.Shard{Name: name, Split: dataset.Validation, Rows: rows, Captions: rows})
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, preprocess.ManifestName), text, 0o644); err != nil {
		t.Fatal(err)
	}
	read, err := preprocess.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{EvalBatchSize: 4}.settled()
	cfg.Generation.NumBeams, cfg.Generation.MaxNewTokens = 3, 8
	cfg.Generation = completed(cfg.Generation, folder)
	return &judge{cfg: cfg, folder: folder, manifest: read}, m
}

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

// The generator sees no reference: others in the shards, even its own captions,
// change the scores and not a letter of what it says.
func TestGeneratorSeesNoReference(t *testing.T) {
	ctx := context.Background()
	judged := func(captions func(int) []string) ([]string, map[string]float64) {
		j, m := court(t, captions)
		generated, err := j.generate(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		s, err := j.evaluate(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		return generated, s.Metrics
	}
	generated, scores := judged(func(i int) []string { return []string{said[i%len(said)]} })
	if len(generated) != 9 || len(strings.Fields(strings.Join(generated, " "))) < 9 {
		t.Fatalf("captions %q say nothing", generated)
	}
	for name, captions := range map[string]func(int) []string{
		"others": func(i int) []string { return []string{said[(i+1)%len(said)], "the dog sleeps at sea", said[0]} },
		"own":    func(i int) []string { return generated[i : i+1] },
	} {
		again, other := judged(captions)
		if diff := cmp.Diff(generated, again); diff != "" {
			t.Errorf("%s: captions changed with the references:\n%s", name, diff)
		}
		if scores[MetricLoss] == other[MetricLoss] || scores["ROUGE_L"] == other["ROUGE_L"] {
			t.Errorf("%s: the scores did not change: %v and %v", name, scores, other)
		}
		if name == "own" && math.Abs(other[MetricBLEU]-100) > 1e-9 {
			t.Errorf("BLEU of captions that are their own references is %v", other[MetricBLEU])
		}
	}
}

// The captions are those that the model gives to the pictures one by one, and
// the scores those of package metrics.
func TestJudge(t *testing.T) {
	ctx := context.Background()
	captions := func(i int) []string { return said[:1+i%3] }
	j, m := court(t, captions)
	got, err := j.evaluate(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	var items []metrics.Item
	var bleu metrics.SacreBleuStats
	for i := range 9 {
		e := example(i)
		found, err := captioner.Of(j.folder, m).Caption(ctx, captioner.Request{
			Pictures: []*imaging.RGB{{W: side, H: side, Pix: e.Pixels}}, Generation: j.cfg.Generation,
		})
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, metrics.Item{ImageID: e.ImageID, Prediction: found[0][0].Text, References: captions(i)})
		bleu.Add(found[0][0].Text, captions(i))
	}
	want, err := metrics.Score(items, metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scores := map[string]float64{MetricLoss: got.Metrics[MetricLoss], MetricBLEU: bleu.Score().Score}
	for name, v := range want.ByKey() {
		if slices.Contains(cocoMetrics, name) {
			scores[name] = v.Score
		}
	}
	if diff := cmp.Diff(scores, got.Metrics); diff != "" {
		t.Errorf("(-metrics +judge):\n%s", diff)
	}
	names := append(slices.Collect(maps.Keys(got.Metrics)), MetricMETEOR) // which nothing has asked for
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(Metrics()))) {
		t.Errorf("scores of %v, want %v", names, Metrics())
	}
	if folder, err := meteor.Folder(); err == nil && meteor.Check(folder) == nil {
		by := *j
		by.cfg.Trainer.MetricForBestModel = "eval_METEOR"
		if scores, err := by.evaluate(t.Context(), m); err != nil || !(scores.Metrics[MetricMETEOR] > 0) {
			t.Errorf("METEOR of %v, %v", scores.Metrics, err)
		}
	}
	if s := got.Notes[signatureNote]; s != "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0" {
		t.Errorf("signature %q", s)
	}
	if loss := got.Metrics[MetricLoss]; !(loss > 0) {
		t.Errorf("loss %v", loss)
	}

	j.cfg.EvalSamples = 6
	some, err := j.generate(ctx, m)
	if err != nil || len(some) != 6 {
		t.Errorf("%d captions of 6 (%v)", len(some), err)
	}
	for i, caption := range some {
		if caption != items[i].Prediction {
			t.Errorf("picture %d of 6: %q, of 9: %q", i, caption, items[i].Prediction)
		}
	}
}

// The captions are those that the stage writes which captions pictures with a
// checkpoint.
func TestJudgeSaysWhatTheCaptionStageSays(t *testing.T) {
	ctx := context.Background()
	j, m := court(t, func(int) []string { return said[:1] })
	judged, err := j.generate(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(judged)))) < 3 {
		t.Errorf("the model says nearly the same of all pictures: %q", judged)
	}
	dir := t.TempDir()
	saved := *j.folder
	saved.Generation = j.cfg.Generation
	if err := saved.Save(filepath.Join(dir, "model"), m, ""); err != nil {
		t.Fatal(err)
	}
	out := caption.Output{Path: filepath.Join(dir, "captions.jsonl")}
	p, s := beam.NewPipelineWithRoot()
	model := beam.Create(s, filepath.Join(dir, "model"))
	shards := beam.CreateList(s, j.manifest.Files(dataset.Validation))
	_, parts := caption.Examples(s, caption.Config{Work: out.Work(), BatchSize: 3, Device: "cpu"}, model, shards)
	caption.Commit(s, caption.Finish{Output: out}, parts, model)
	if _, err := runners.Run(ctx, p); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Path)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for line := range strings.Lines(string(text)) {
		var row caption.Row
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		written[row.ImageID] = row.Caption
	}
	want := map[string]string{}
	for i, c := range judged {
		want[example(i).ImageID] = c
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("(-judge +stage):\n%s", diff)
	}
}
