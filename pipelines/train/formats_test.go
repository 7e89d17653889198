package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/hub/hubtest"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
)

// fixtures are small data sets in every format, from testdata/dataset_formats.py.
const fixtures = "../../testdata/datasets"

// brief is the shortest run of the whole chain.
func brief(t *testing.T, data string) config {
	c := short(t.TempDir())
	c.Dataset, c.Epochs, c.NumBeams, c.MaxNewTokens, c.EvalSamples = data, 1, 1, 4, 1
	return c
}

// checkCounts holds the manifest against what is known of the data set.
func checkCounts(t *testing.T, data string, pictures, rejected int) *preprocess.Manifest {
	t.Helper()
	m, err := preprocess.ReadManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, split := range dataset.Splits {
		rows += m.Rows(split)
	}
	if m.PicturesSeen != pictures+rejected || m.PicturesWritten != pictures || m.PicturesFailed != rejected || rows != pictures {
		t.Errorf("%d seen, %d written, %d failed, %d rows; want %d pictures and %d dead letters",
			m.PicturesSeen, m.PicturesWritten, m.PicturesFailed, rows, pictures, rejected)
	}
	return m
}

// Each format goes through the whole chain.
func TestFormats(t *testing.T) {
	if testing.Short() {
		t.Skip("trains on every format")
	}
	text, err := os.ReadFile(filepath.Join(fixtures, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		Pictures []struct{ Captions []string }
		Rejected []json.RawMessage
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			c := brief(t, filepath.Join(fixtures, name))
			if folder, _, _ := strings.Cut(name, "/"); strings.Contains(folder, "karpathy") && !strings.Contains(folder, "flickr") {
				c.ImageRoot = filepath.Join(fixtures, "coco")
			}
			if err := run(context.Background(), c); err != nil {
				t.Fatal(err)
			}
			checkCounts(t, c.in(dataFolder), len(want.Pictures), len(want.Rejected))
			if _, err := os.Stat(c.in("model.safetensors")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Shards that fit the model are trained on where they are, and others made anew.
func TestShardsAreADataSet(t *testing.T) {
	first := brief(t, filepath.Join(fixtures, "kaggle"))
	if err := run(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	second := brief(t, first.in(dataFolder))
	second.Model = first.Output
	if err := run(context.Background(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(second.in(dataFolder)); err == nil {
		t.Error("shards that fit were made anew")
	}
	third := second
	third.Output, third.Clean = filepath.Join(t.TempDir(), "out"), true
	if err := run(context.Background(), third); err != nil {
		t.Fatal(err)
	}
	was, err := preprocess.ReadManifest(first.in(dataFolder))
	if err != nil {
		t.Fatal(err)
	}
	now := checkCounts(t, third.in(dataFolder), was.PicturesWritten, 0)
	for _, split := range dataset.Splits {
		if now.Rows(split) != was.Rows(split) {
			t.Errorf("%d pictures in %s, want %d", now.Rows(split), split, was.Rows(split))
		}
	}
}

// A prompt is trained after, and left out of what is scored.
func TestPrompt(t *testing.T) {
	c := brief(t, settings.DemoDataset)
	c.Prompt, c.Clean, c.MaxWords, c.Limit, c.ShuffleSeed = "a picture of", true, 6, 40, 5
	if err := c.Augment.UnmarshalText([]byte("blip")); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	m := checkCounts(t, c.in(dataFolder), 40, 0)
	if m.Prompt != "a picture of" || m.PromptTokens < 3 {
		t.Errorf("the manifest says prompt %q of %d tokens", m.Prompt, m.PromptTokens)
	}
	if card, err := os.ReadFile(c.in(checkpoint.CardFile)); err != nil || !strings.Contains(string(card), `--prompt="a picture of"`) {
		t.Errorf("model card (%v):\n%s", err, card)
	}
	rows, err := readCaptions(c.in(captionsFile))
	if err != nil || len(rows) == 0 {
		t.Fatal(len(rows), err)
	}
	for _, r := range rows {
		if strings.HasPrefix(r.Caption, "a picture of") {
			t.Errorf("%s: %q begins with the prompt", r.URI, r.Caption)
		}
	}
}

// Data set and base model come from a hub.
func TestHub(t *testing.T) {
	base := brief(t, filepath.Join(fixtures, "kaggle"))
	if err := run(context.Background(), base); err != nil {
		t.Fatal(err)
	}
	model, err := hubtest.ReadFolder(base.Output)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hubtest.ReadFolder(filepath.Join(fixtures, "flickr8k_parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range model {
		if strings.Contains(name, "/") {
			delete(model, name) // shards and checkpoints
		}
	}
	server := hubtest.New(t)
	server.AddModel("some/captioner", model)
	server.AddDataset("ariG23498/flickr8k", data)
	env := server.Env(t.TempDir())
	for _, name := range []string{"HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"} {
		t.Setenv(name, env(name))
	}
	c := brief(t, "ariG23498/flickr8k@main")
	c.Model = "some/captioner"
	if err := run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	m, err := preprocess.ReadManifest(c.in(dataFolder))
	if err != nil || m.PicturesWritten != 8 || m.Dataset != "ariG23498/flickr8k@main" {
		t.Errorf("%+v, %v", m, err)
	}
	c = brief(t, "ariG23498/absent")
	if err := run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "--dataset: there is no folder ariG23498/absent") {
		t.Errorf("a data set that is not there: %v", err)
	}
}
