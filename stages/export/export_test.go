package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/model/hub/hubtest"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/model/trainer/footprint"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

func TestMain(m *testing.M) {
	if act := acts[os.Getenv(actName)]; act != nil {
		act(os.Getenv(actOutput), os.Getenv(actCheckpoint), os.Getenv(actNumber))
		return
	}
	ptest.MainWithDefault(m, "prism")
}

const report = `{"Bleu_1": 0.5, "Bleu_4": 0.25, "METEOR": null, "ROUGE_L": 0.4, "CIDEr": 0.75, "SPICE": null,
	"sacrebleu": {"score": 24.5, "signature": "nrefs:5|case:mixed"}, "images": 40}`

func ptr[T any](v T) *T { return &v }

// state is that of a run that has come to its 20th step and was best after its
// tenth.
func state() trainer.State {
	return trainer.State{
		GlobalStep: 20, MaxSteps: 20, Epoch: 2, BestMetric: ptr(12.5), BestCheckpoint: "checkpoint-10",
		LogHistory: []trainer.Record{
			{Step: 10, Epoch: 1, Loss: ptr(3.25), LearningRate: ptr(1e-3)},
			{Step: 10, Epoch: 1, Eval: map[string]float64{"loss": 3.5, "sacrebleu": 12.5}, Notes: map[string]string{"sacrebleu_signature": "nrefs:3"}},
			{Step: 20, Epoch: 2, Loss: ptr(2.25), LearningRate: ptr(1e-4)},
			{Step: 20, Epoch: 2, Eval: map[string]float64{"loss": 3.75, "sacrebleu": 11}},
		},
		TrainSeconds: 120, EvalSeconds: 30, WaitSeconds: 1.2, Samples: 640, PeakMemory: 1 << 30, Device: "cpu, 2 cores of AMD EPYC, 23.5 GiB of memory",
	}
}

// writeCheckpoint makes a checkpoint of a small network with random weights, and
// with what the trainer keeps beside them.
func writeCheckpoint(t *testing.T, dir string, s trainer.State, seed int64, adapter bool) string {
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
		VocabSize: 10, HiddenSize: 16, EncoderHiddenSize: 16, IntermediateSize: 32, NumHiddenLayers: 1, NumAttentionHeads: 2, MaxPositionEmbeddings: 16,
		HiddenAct: torch.GELU, LayerNormEps: 1e-12, InitializerRange: 0.1, BOSTokenID: 9, EOSTokenID: 3, SepTokenID: 3, IsDecoder: true,
	}
	c.Vision.HiddenSize, c.Vision.IntermediateSize, c.Vision.NumHiddenLayers, c.Vision.NumAttentionHeads = 16, 32, 1, 2
	c.Vision.ImageSize, c.Vision.PatchSize = 16, 8
	m, err := blip.New(d, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := &checkpoint.Folder{Config: c, Processor: imaging.DefaultProcessor(16), Tokenizer: tok}
	f.Generation.NumBeams, f.Generation.MaxNewTokens = 3, 12
	path := filepath.Join(dir, trainer.Name(s.GlobalStep))
	if err := f.Save(path, m, ""); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		t.Helper()
		at := filepath.Join(path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	own, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	put(trainer.StateFile, own)
	put(trainer.StateFile+".new", own)
	put(trainer.OptimizerFile, []byte("moments"))
	put(trainer.WeightsFile, []byte("weights that are averaged"))
	put(".half", nil)
	if adapter {
		put("adapter/adapter_config.json", []byte(`{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["query", "value"]}`))
		put("adapter/adapter_model.safetensors", []byte("A and B"))
	}
	return path
}

// writeRun makes the checkpoints of a run and gives the best one.
func writeRun(t *testing.T, dir string, seed int64, adapter bool) string {
	t.Helper()
	last := state()
	writeCheckpoint(t, dir, last, seed+1, adapter)
	last.GlobalStep, last.Epoch, last.LogHistory = 10, 1, last.LogHistory[:2]
	return writeCheckpoint(t, dir, last, seed, adapter)
}

// content reads the files below a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := hubtest.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, data := range files {
		out[name] = string(data)
	}
	return out
}

// run runs the stage as a pipeline does.
func run(t *testing.T, c Config, best string) (runners.Result, error) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	out := Run(s, c, beam.Create(s, best), beam.Create(s, report))
	want, err := filepath.Abs(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	passert.Equals(s, out, want)
	return runners.Run(t.Context(), p)
}

var names = []string{
	"README.md", "added_tokens.json", "config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json",
	"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "training_log.jsonl", "vocab.txt",
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	best := writeRun(t, filepath.Join(dir, "checkpoints"), 1, false)
	c := Config{Output: filepath.Join(dir, "out"), Name: "captions", Dataset: "pictures", Metric: "sacrebleu", Language: "en"}
	if _, err := run(t, c, best); err != nil {
		t.Fatal(err)
	}
	got := content(t, c.Output)
	for name := range got {
		if !slices.Contains(names, name) {
			t.Errorf("%s was exported", name)
		}
		if _, err := os.Stat(filepath.Join(best, name)); err == nil && name != checkpoint.CardFile {
			if from, err := os.ReadFile(filepath.Join(best, name)); err != nil || string(from) != got[name] {
				t.Errorf("%s is not the checkpoint's (%v)", name, err)
			}
		}
	}
	folder, err := checkpoint.Open(c.Output)
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
	m.Close()
	if lines := strings.Count(got[LogFile], "\n"); lines != 4 {
		t.Errorf("%d lines in the log, want the last checkpoint's 4:\n%s", lines, got[LogFile])
	}
	for _, want := range []string{
		"# captions", "after step 10 of 20 (epoch 1 of 2), the best on the validation split by sacrebleu", "from random weights on pictures",
		"num_beams=3, max_new_tokens=12", "| CIDEr | 0.7500 |", "| sacreBLEU | 12.5000 |", "`nrefs:5|case:mixed`", "| 10 | 1.00 | 3.2500 | 3.5000 | 12.5000 |",
		"| training | 2.0 min, 5.33 picture-caption pairs a second |", "1.0 % of the training", "1.00 GiB", "| hardware | cpu, 2 cores of AMD EPYC, 23.5 GiB of memory |", "width 16 over pictures of 16×16",
		"- libtorch " + torch.Version(),
	} {
		if !strings.Contains(got[checkpoint.CardFile], want) {
			t.Errorf("the card does not say %q:\n%s", want, got[checkpoint.CardFile])
		}
	}
	if strings.Contains(got[checkpoint.CardFile], "LoRA") {
		t.Error("the card tells of an adapter")
	}
}

// The energy is that of training and validation, the CO₂ that of the electricity of
// the settings.
func TestEnergy(t *testing.T) {
	s := state()
	machine, err := footprint.Parse(s.Device)
	if err != nil {
		t.Fatal(err)
	}
	watts, _ := machine.Power()
	kwh := watts * (120 + 30) / 3600 * footprint.DefaultPUE / 1000
	for intensity, used := range map[float64]float64{0: footprint.WorldAverage, 50: 50} {
		c := Config{CarbonIntensity: intensity, Region: "here"}
		got := c.run(s).Energy
		if got == nil {
			t.Fatal("no estimate")
		}
		if near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*b }; !near(got.KWh, kwh) || !near(got.Grams, kwh*used) || got.Intensity != used || got.Region != "here" {
			t.Errorf("%+v, want %g kWh and %g g", got, kwh, kwh*used)
		}
	}
	s.Device = "a machine"
	if got := (Config{}).run(s).Energy; got != nil {
		t.Errorf("%+v of an unknown machine", got)
	}
}

// An adapter comes along, and leaves with the next export that has none.
func TestAdapter(t *testing.T) {
	dir := t.TempDir()
	c := Config{Output: filepath.Join(dir, "out"), Name: "captions", Dataset: "pictures"}
	best := writeRun(t, filepath.Join(dir, "lora"), 1, true)
	if _, err := run(t, c, best); err != nil {
		t.Fatal(err)
	}
	got := content(t, c.Output)
	if got["adapter/adapter_model.safetensors"] != "A and B" {
		t.Error("the adapter was not exported")
	}
	for _, want := range []string{"low-rank adapter (LoRA)", "| r | 8 |", `| target_modules | \["query","value"\] |`} {
		if !strings.Contains(got[checkpoint.CardFile], want) {
			t.Errorf("the card does not say %q:\n%s", want, got[checkpoint.CardFile])
		}
	}
	if _, err := run(t, c, writeRun(t, filepath.Join(dir, "full"), 1, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Output, "adapter")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the earlier adapter is still there (%v)", err)
	}
}

func TestCardTellsOfTheData(t *testing.T) {
	dir := t.TempDir()
	manifest := preprocess.Manifest{
		Shares: preprocess.Shares{Train: 90, Validation: 5, Test: 5}, SplitSeed: 42, JPEGDecoders: []string{"libjpeg-turbo 2.1.5"},
		PicturesSeen: 1235, PicturesWritten: 1230, PicturesFailed: 5, CaptionsDropped: 2, Duplicates: 3, Leaks: 4, NearDuplicates: 7, NearDuplicatesDropped: 1,
		Shards: []preprocess.Shard{
			{Split: "train", Rows: 1000, Captions: 5000}, {Split: "train", Rows: 100, Captions: 500},
			{Split: "validation", Rows: 65, Captions: 325}, {Split: "test", Rows: 65, Captions: 324},
		},
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, preprocess.ManifestName), data, 0o644); err != nil {
		t.Fatal(err)
	}
	best := writeRun(t, filepath.Join(dir, "checkpoints"), 1, false)
	c := Config{
		Output: filepath.Join(dir, "out"), Base: "Salesforce/blip-image-captioning-base@82a3776", Dataset: "ariG23498/flickr8k", Data: dir, Prompt: "a photo of",
		License: "bsd-3-clause", Settings: json.RawMessage(`{"learning_rate": 5e-05, "z": "text", "a": null, "lora": {"lora_rank": 8, "on": true}, "list": ["x"]}`),
		Push: Push{Repo: "me/captions", Revision: "second"},
	}
	facts, _, err := c.gather(best, "")
	if err != nil {
		t.Fatal(err)
	}
	card, err := facts.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| train | 1,100 | 5,500 |\n| validation | 65 | 325 |\n| test | 65 | 324 |", "16×16 pixels (bicubic)", "libjpeg-turbo 2.1.5", "90/5/5 with seed 42",
		"could not be used: 5 of 1,235.", "without a word, left out: 2.", "copies of others: 3.", "so that scores flatter: 4.", "look like one of another split: 6.",
		"mean (0.4815, 0.4578, 0.4082)",
		"[Salesforce/blip-image-captioning-base](https://huggingface.co/Salesforce/blip-image-captioning-base) at 82a3776",
		"[ariG23498/flickr8k](https://huggingface.co/datasets/ariG23498/flickr8k)",
		"| learning_rate | 5e-05 |\n| z | text |\n| lora_rank | 8 |\n| lora.on | true |\n| list | \\[\"x\"\\] |",
		`from_pretrained("me/captions", revision="second")`, `--model=me/captions@second --prompt="a photo of"`, `text="a photo of"`,
		"base_model: \"Salesforce/blip-image-captioning-base\"\n", "- \"ariG23498/flickr8k\"\n", "license: \"bsd-3-clause\"\n", "With 65 test pictures",
		"Nothing was scored on a test split.",
	} {
		if !strings.Contains(card, want) {
			t.Errorf("the card does not say %q:\n%s", want, card)
		}
	}
}

func TestOrigin(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("models/base", 0o755); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][3]string{
		"":              {},
		"org/name":      {"org/name", "org/name", ""},
		"org/name@v1":   {"org/name", "org/name", "v1"},
		"models/base":   {"base", "", ""}, // a folder here
		dir + "/models": {"models", "", ""},
		"flickr8k":      {"flickr8k", "", ""},
		"a b/c":         {"c", "", ""},
	} {
		got := origin(hub.Model, value)
		if have := [3]string{got.Name, got.ID, got.Revision}; have != want {
			t.Errorf("%q: %q, want %q", value, have, want)
		}
	}
}

// failing makes the nth rename of a swap fail.
func failing(t *testing.T, nth int, err error) (failed *bool) {
	t.Helper()
	failed = new(bool)
	rename = func(from, to string) error {
		if nth--; nth == 0 {
			*failed = true
			return err
		}
		return os.Rename(from, to)
	}
	t.Cleanup(func() { rename = os.Rename })
	return failed
}

// exported makes an export, and a checkpoint of another model that may be the next.
func exported(t *testing.T) (output, next string) {
	t.Helper()
	dir := t.TempDir()
	output = filepath.Join(dir, "out")
	c := Config{Output: output, Name: "first", Dataset: "pictures"}
	if _, err := c.export(writeRun(t, filepath.Join(dir, "first"), 1, true), report); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(output, "mine.txt"), []byte("not the program's"), 0o644); err != nil {
		t.Fatal(err)
	}
	return output, writeRun(t, filepath.Join(dir, "next"), 5, false)
}

// Whatever rename fails, the earlier export is there as it was.
func TestFailedSwapChangesNothing(t *testing.T) {
	output, next := exported(t)
	was := content(t, output)
	c := Config{Output: output, Name: "second", Dataset: "pictures"}
	for nth := 1; ; nth++ {
		failed := failing(t, nth, syscall.ENOSPC)
		_, err := c.export(next, report)
		if !*failed {
			if err != nil {
				t.Fatal(err)
			}
			if nth < 2*len(names) {
				t.Errorf("%d renames only", nth)
			}
			break
		}
		if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), output) {
			t.Fatalf("rename %d failed: %v", nth, err)
		}
		if diff := cmp.Diff(was, content(t, output)); diff != "" {
			t.Fatalf("rename %d failed, and the output changed (-was +is):\n%s", nth, diff)
		}
	}
	if now := content(t, output); now["model.safetensors"] == was["model.safetensors"] || now["mine.txt"] != was["mine.txt"] {
		t.Error("the next export is not there")
	}
}

// acts are what a test has its program do in a process of its own.
var acts = map[string]func(output, checkpoint, number string){"die": die}

// Names of the environment that tell it.
const (
	actName       = "BLIPFLOW_TEST_ACT"
	actOutput     = "BLIPFLOW_TEST_OUTPUT"
	actCheckpoint = "BLIPFLOW_TEST_CHECKPOINT"
	actNumber     = "BLIPFLOW_TEST_NUMBER"
)

// start runs one of the acts, and gives what it said and its exit code.
func start(t *testing.T, act, output, checkpoint string, number int64) (said string, code int) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), actName+"="+act, actOutput+"="+output, actCheckpoint+"="+checkpoint, fmt.Sprintf("%s=%d", actNumber, number))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// die exports, and ends the process at the rename of that number as a kill would.
func die(output, checkpoint, number string) {
	nth, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	rename = func(from, to string) error {
		if nth--; nth == 0 {
			os.Exit(killed)
		}
		return os.Rename(from, to)
	}
	c := Config{Output: output, Name: "second", Dataset: "pictures"}
	if _, err := c.export(checkpoint, report); err != nil {
		panic(err)
	}
}

// killed is the exit code of a process that died so.
const killed = 9

// A killed export leaves a folder that is not taken for a complete one, unless it
// is the earlier or the next, and the next run begins by putting back what was there.
func TestKilledSwapIsMadeGood(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	output, next := exported(t)
	was := content(t, output)
	const step = 3 // of the renames, to save time
	for nth := 1; ; nth += step {
		said, code := start(t, "die", output, next, int64(nth))
		if code == 0 {
			if nth < 2*len(names) {
				t.Errorf("%d renames only", nth)
			}
			break
		}
		if code != killed {
			t.Fatalf("rename %d: exit code %d: %s", nth, code, said)
		}
		if weights, err := os.ReadFile(filepath.Join(output, "model.safetensors")); err == nil && string(weights) != was["model.safetensors"] {
			// All of the next export is there; what is left is to forget the earlier one.
			continue
		}
		if err := makeGood(output); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, content(t, output)); diff != "" {
			t.Fatalf("killed at rename %d (-was +is):\n%s", nth, diff)
		}
	}
	if err := makeGood(output); err != nil {
		t.Fatal(err)
	}
	now := content(t, output)
	if from, err := os.ReadFile(filepath.Join(next, "model.safetensors")); err != nil || now["model.safetensors"] != string(from) {
		t.Errorf("the next export is not there (%v)", err)
	}
	if !strings.Contains(now[checkpoint.CardFile], "# second") {
		t.Error("the card is not the next export's")
	}
}

func TestRefusesCheckpointsWithoutWeights(t *testing.T) {
	output, next := exported(t)
	was := content(t, output)
	if err := os.Remove(filepath.Join(next, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	c := Config{Output: output, Name: "second", Dataset: "pictures"}
	if _, err := c.export(next, report); err == nil {
		t.Error("it was exported")
	}
	if diff := cmp.Diff(was, content(t, output)); diff != "" {
		t.Errorf("the output changed (-was +is):\n%s", diff)
	}
}

const token = "hf_abcdefghijklmnopqrstuvwxyz"

// hubFor starts a hub that this process's clients go to.
func hubFor(t *testing.T) *hubtest.Server {
	t.Helper()
	server := hubtest.New(t)
	server.AddUser("me", token)
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_TOKEN", token)
	return server
}

func fetched(t *testing.T, id string) string {
	t.Helper()
	client, err := hub.FromEnv(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := hub.ParseRepo(hub.Model, id)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := client.Snapshot(t.Context(), repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPush(t *testing.T) {
	server := hubFor(t)
	dir := t.TempDir()
	best := writeRun(t, filepath.Join(dir, "out", "checkpoints"), 1, true)
	c := Config{
		Output: filepath.Join(dir, "out"), Name: "captions", Dataset: "pictures",
		Push: Push{Repo: "captions", Private: true, Revision: "second", Message: "Add the model", Also: []string{"coco_metrics.json", "runs", "no such file"}},
	}
	for name, text := range map[string]string{
		"coco_metrics.json": report, "runs/now/events.out.tfevents.1": "events", "data/train.parquet": "shard", "notes.txt": "mine",
	} {
		path := filepath.Join(c.Output, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	result, err := run(t, c, best)
	if err != nil {
		t.Fatal(err)
	}
	pushed := fetched(t, "me/captions@second")
	got, here := content(t, pushed), content(t, c.Output)
	delete(got, ".gitattributes")
	for name, text := range got {
		if here[name] != text {
			t.Errorf("%s is another file on the hub", name)
		}
	}
	for _, name := range slices.Concat(names, []string{"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "coco_metrics.json", "runs/now/events.out.tfevents.1"}) {
		if _, ok := got[name]; !ok && name != "added_tokens.json" {
			t.Errorf("%s is not on the hub", name)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "data") || strings.HasPrefix(name, "checkpoints") || name == "notes.txt" || strings.HasPrefix(name, ".export") {
			t.Errorf("%s is on the hub", name)
		}
	}
	folder, err := checkpoint.Open(pushed)
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
	m.Close()
	if !server.Private("models/me/captions") {
		t.Error("the repository is public")
	}
	if history := server.History("models/me/captions", "second"); history[0].Summary != "Add the model" {
		t.Errorf("history %+v", history)
	}
	if files, n := result.Counter("export", "pushed_files"), result.Counter("export", "pushed_bytes"); files != int64(len(got)) || n < int64(len(got["model.safetensors"])) {
		t.Errorf("%d files and %d bytes were counted, want %d files", files, n, len(got))
	}
	if !slices.ContainsFunc(progress.Tasks(), func(s progress.Snapshot) bool { return s.Name == "push" && s.Ended && s.Total > 0 && s.Done == s.Total }) {
		t.Errorf("no finished push among %+v", progress.Tasks())
	}
	if !strings.Contains(got[checkpoint.CardFile], `from_pretrained("me/captions", revision="second")`) {
		t.Errorf("the card does not load the model from where it is:\n%s", got[checkpoint.CardFile])
	}
	if left, err := filepath.Glob(filepath.Join(c.Output, ".export-*")); err != nil || len(left) > 0 {
		t.Errorf("%v (%v) are left in the output", left, err)
	}

	// The same again changes nothing.
	if result, err = run(t, c, best); err != nil {
		t.Fatal(err)
	}
	if files := result.Counter("export", "pushed_files"); files != 0 {
		t.Errorf("%d files were pushed again", files)
	}
}

// A push that fails leaves the export complete, says so, and works later.
func TestPushFails(t *testing.T) {
	server := hubFor(t)
	dir := t.TempDir()
	best := writeRun(t, filepath.Join(dir, "checkpoints"), 1, false)
	c := Config{Output: filepath.Join(dir, "out"), Name: "captions", Dataset: "pictures", Push: Push{Repo: "me/captions"}}
	for name, tt := range map[string]struct {
		before func()
		want   string
	}{
		"refused":  {func() { server.Inject(hubtest.Fault{On: hubtest.PathHas("/commit/"), Status: 403}) }, "403"},
		"no token": {func() { t.Setenv("HF_TOKEN", "") }, "HF_TOKEN"},
		"offline":  {func() { t.Setenv("HF_HUB_OFFLINE", "1") }, "HF_HUB_OFFLINE"},
	} {
		t.Run(name, func(t *testing.T) {
			restore := func(name string) func() {
				was := os.Getenv(name)
				return func() { os.Setenv(name, was) }
			}
			defer restore("HF_TOKEN")()
			defer restore("HF_HUB_OFFLINE")()
			defer server.Mend()
			tt.before()
			_, err := run(t, c, best)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "the model is complete in "+c.Output) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error shows the token: %v", err)
			}
			if _, err := checkpoint.Open(c.Output); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := run(t, c, best); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(fetched(t, "me/captions"), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if own, err := os.ReadFile(filepath.Join(best, "model.safetensors")); err != nil || !bytes.Equal(own, weights) {
		t.Errorf("the weights on the hub are not the checkpoint's (%v)", err)
	}
}

func TestFailedPushSaysWhy(t *testing.T) {
	c := Config{Output: t.TempDir(), Push: Push{Repo: "not a/name/of the hub"}}
	if err := c.push(context.Background(), nil); !errors.Is(err, hub.ErrRepo) {
		t.Errorf("error %v", err)
	}
}
