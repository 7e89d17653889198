package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/lora"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/transforms/demo"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

// short is a run of the whole chain that takes seconds and learns little.
func short(dir string) config {
	c := defaults()
	demoPreset(&c)
	c.Output, c.Device = filepath.Join(dir, "out"), "cpu"
	c.DemoPictures, c.Epochs, c.EvalSamples, c.LoggingSteps = 60, 2, 3, 1
	return c
}

func TestChainOnTheDemo(t *testing.T) {
	c := short(t.TempDir())
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	folder, err := checkpoint.Open(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	if folder.Generation.NumBeams != c.NumBeams || folder.Generation.MaxNewTokens != c.MaxNewTokens {
		t.Errorf("the exported folder captions with %+v", folder.Generation)
	}
	m, err := preprocess.ReadManifest(c.in(dataFolder))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readCaptions(c.in(captionsFile))
	if err != nil || len(rows) != m.Rows(dataset.Test) || len(rows) == 0 {
		t.Errorf("%d captions (%v), want one for each of %d test pictures", len(rows), err, m.Rows(dataset.Test))
	}
	data, err := os.ReadFile(c.in(metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var report metrics.Report
	if err := json.Unmarshal(data, &report); err != nil || !report.Bleu4.Known || !report.CIDEr.Known || report.SPICE.Known {
		t.Errorf("metrics %s (%v): want BLEU and CIDEr, and null for SPICE", data, err)
	}
	log, err := os.ReadFile(c.in("training_log.jsonl"))
	if err != nil || bytes.Count(log, []byte("\n")) < 4 || !bytes.Contains(log, []byte("sacrebleu")) {
		t.Errorf("training log (%v):\n%s", err, log)
	}
	card, err := os.ReadFile(c.in(checkpoint.CardFile))
	if err != nil || !strings.Contains(string(card), "| CIDEr |") {
		t.Errorf("model card (%v):\n%s", err, card)
	}
	for _, name := range []string{trainer.StateFile, trainer.OptimizerFile} {
		if _, err := os.Stat(c.in(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is in the exported folder", name)
		}
	}
	again(t, c)
}

// again runs the finished job once more: nothing is trained, and the outcome
// is the same. Other settings are refused.
func again(t *testing.T, c config) {
	t.Helper()
	before, err := os.ReadFile(c.in(metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(c.in(metricsFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second run's metrics differ (%v)", err)
	}
	c.LearningRate *= 2
	if err := run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("other settings in the same output: %v", err)
	}
}

// A data set of one's own: a folder with a metadata.jsonl, bad files among it.
func TestChainOnAFolder(t *testing.T) {
	dir := t.TempDir()
	pictures := filepath.Join(dir, "my pictures")
	if err := demo.Write(pictures, demo.Options{Seed: 3, Pictures: 24}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(pictures, "images", "*.jpg"))
	if err != nil || len(files) != 24 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[4], 700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[9], []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := short(dir)
	c.Dataset, c.Epochs, c.TrainBatch, c.Accumulation, c.CaptionPolicy = pictures, 1, 8, 2, "all"
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	m, err := preprocess.ReadManifest(c.in(dataFolder))
	if err != nil || m.PicturesFailed != 2 || m.PicturesWritten != 22 {
		t.Errorf("manifest %+v (%v), want 22 pictures and 2 dead letters", m, err)
	}
}

// The settings that change what is learned and when it is judged, together.
func TestChainWithEverySetting(t *testing.T) {
	c := short(t.TempDir())
	c.LoRARank, c.LoRADropout, c.LoRATargets, c.EMADecay = 2, 0.1, []string{"query", "value", "qkv"}, 0.5
	c.MaxSteps, c.WarmupSteps, c.TrainBatch, c.Accumulation, c.Average, c.Checkpointing = 7, 0.2, 8, 2, trainer.OverTokens, true
	c.EvalStrategy, c.EvalSteps, c.SaveStrategy, c.SaveSteps, c.BestMetric = trainer.EverySteps, 2, trainer.EverySteps, 3, "eval_CIDEr"
	c.Smoothing, c.Scheduler, c.Patience, c.License, c.CarbonIntensity = 0.1, trainer.ConstantWithWarmup, 4, "bsd-3-clause", 50
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := lora.ReadConfig(c.in(trainer.AdapterFolder)); err != nil {
		t.Errorf("the adapter: %v", err)
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
	s, err := trainer.Latest(c.in(checkpointFolder))
	if err != nil || s.GlobalStep != 7 || s.Evaluated != 7 || s.Samples == 0 {
		t.Errorf("state %+v (%v)", s, err)
	}
	card, err := os.ReadFile(c.in(checkpoint.CardFile))
	for _, want := range []string{"license: \"bsd-3-clause\"", "LoRA", "50 g/kWh", "lora_rank", "by CIDEr"} {
		if err != nil || !strings.Contains(string(card), want) {
			t.Errorf("the model card (%v) lacks %q", err, want)
		}
	}
	events, err := filepath.Glob(filepath.Join(c.in(runsFolder), "events.out.tfevents.*"))
	if err != nil || len(events) != 1 {
		t.Errorf("event files %v (%v)", events, err)
	}
}

func TestRefusesBeforeWork(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("HF_HOME", empty) // no token
	t.Setenv("HF_TOKEN", "")
	for name, change := range map[string]func(*config){
		"dataset":               func(c *config) { c.Dataset = filepath.Join(empty, "none") },
		"model":                 func(c *config) { c.Model = filepath.Join(empty, "none") },
		"learning_rate":         func(c *config) { c.LearningRate = -1 },
		"device":                func(c *config) { c.Device = "tpu" },
		"num_beams":             func(c *config) { c.NumBeams = 0 },
		"max_txt_len":           func(c *config) { c.MaxTextLen = 2 },
		"metric_for_best_model": func(c *config) { c.BestMetric = "beauty" },
		"fp16":                  func(c *config) { c.BF16, c.FP16 = true, true },
		"lora_target_modules":   func(c *config) { c.LoRARank, c.LoRATargets = 2, []string{"eyes"} },
		"warmup_steps":          func(c *config) { c.WarmupSteps = -1 },
		"hub_model_id":          func(c *config) { c.PushToHub, c.HubModelID = true, "a/b/c" },
		"push_to_hub":           func(c *config) { c.PushToHub, c.HubModelID = true, "a/b" },
		"carbon_intensity":      func(c *config) { c.CarbonIntensity = -1 },
		"early_stopping":        func(c *config) { c.Patience, c.EvalStrategy = 1, trainer.Never },
		"resume_from_checkpoint": func(c *config) {
			c.Resume = filepath.Join(empty, "none")
		},
	} {
		c := short(t.TempDir())
		change(&c)
		err := c.validate()
		if err == nil {
			err = run(context.Background(), c)
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(c.in("model.safetensors")); err == nil {
			t.Errorf("%s: a model was written", name)
		}
	}
	c := short(t.TempDir())
	c.Dataset = empty
	if err := run(context.Background(), c); !errors.Is(err, dataset.ErrNoPictures) && !errors.Is(err, dataset.ErrNoCaptions) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestPresets(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "demo"}, {[]string{"--epochs=3"}, "demo"}, {[]string{"--dataset=x"}, "flickr8k"},
		{[]string{"-model", "x"}, "flickr8k"}, {[]string{"--output=--model"}, "demo"},
	} {
		if got := presetOf(tt.args); got != tt.want {
			t.Errorf("%v: preset %s, want %s", tt.args, got, tt.want)
		}
	}
	for name, preset := range program().Presets {
		c := defaults()
		preset(&c)
		if c.Dataset == "" {
			c.Dataset, c.Model = settings.DemoDataset, scratch
		}
		if err := c.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
