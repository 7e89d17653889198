package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// asMain is set in the processes that the tests start: this test binary as the
// command itself.
const asMain = "BLIPFLOW_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is the command with these arguments, ready to start.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}

// outcome is how a command ended.
type outcome struct {
	code        int
	out, errors string
}

func start(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// modelFolder writes what the command reads of a model.
func modelFolder(t *testing.T, bos int) string {
	t.Helper()
	dir := t.TempDir()
	corpus := func(yield func(string) bool) {
		for i := range uint64(50) {
			for _, c := range demo.NewScene(0, i).Captions() {
				if !yield(c) {
					return
				}
			}
		}
	}
	tok, err := text.BuildVocab(corpus, text.VocabOptions{Size: 200})
	if err != nil {
		t.Fatal(err)
	}
	processor, err := imaging.DefaultProcessor(96).MarshalPreprocessor()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"model_type":"blip","text_config":{"bos_token_id":%d,"vocab_size":%d,"max_position_embeddings":64}}`, bos, tok.Size())
	err = errors.Join(
		tok.Save(dir),
		os.WriteFile(filepath.Join(dir, imaging.PreprocessorFile), processor, 0o600),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pictures writes a data set whose metadata.jsonl has n pictures from the demo,
// and a cut and a false one.
func pictures(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a data set #1")
	if err := demo.Write(dir, demo.Options{Seed: 9, Pictures: n}); err != nil {
		t.Fatal(err)
	}
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, demo.NewScene(1, 1).Draw(), nil); err != nil {
		t.Fatal(err)
	}
	meta, err := os.OpenFile(filepath.Join(dir, "metadata.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = meta.WriteString(`{"file_name":"cut.jpg","text":"cut off"}` + "\n" + `{"file_name":"words.jpg","text":"no picture"}` + "\n")
	err = errors.Join(err, meta.Close(),
		os.WriteFile(filepath.Join(dir, "cut.jpg"), photo.Bytes()[:photo.Len()/2], 0o600),
		os.WriteFile(filepath.Join(dir, "words.jpg"), []byte("words"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			all[e.Name()] = "folder"
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func TestCommand(t *testing.T) {
	model, data, output := modelFolder(t, 0), pictures(t, 120), filepath.Join(t.TempDir(), "shards")
	args := []string{"--model=" + model, "--dataset=" + data, "--output=" + output}
	first := start(t, args...)
	if first.code != 0 || !strings.HasPrefix(first.out, output+": 120 of 122 pictures in 3 shards (train 10") ||
		!strings.Contains(first.out, "2 pictures and 0 captions could not be used, see "+output+"/errors.jsonl") {
		t.Fatalf("code %d\n%s%s", first.code, first.out, first.errors)
	}
	if !strings.Contains(first.errors, "preprocess: 122 pictures in ") || strings.Contains(first.errors, "level=") {
		t.Errorf("progress is missing or logs are not quiet:\n%s", first.errors)
	}
	m, err := preprocess.ReadManifest(output)
	if err != nil {
		t.Fatal(err)
	}
	processor, words, err := preprocess.FromModel(model, 40)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Compatible(processor.Hash(), words.Hash()); err != nil {
		t.Errorf("the shards do not fit the model they were made for: %v", err)
	}
	if err := m.Compatible(imaging.DefaultProcessor(384).Hash(), words.Hash()); !errors.Is(err, records.ErrOtherProcessor) {
		t.Errorf("another processor: %v", err)
	}
	before := contents(t, output)
	second := start(t, args...)
	if second.code != 0 || !strings.Contains(second.out, "complete before, nothing to do") {
		t.Errorf("second run: code %d\n%s%s", second.code, second.out, second.errors)
	}
	if diff := cmp.Diff(before, contents(t, output)); diff != "" {
		t.Error("the second run changed the output")
	}
}

// A run that is killed goes on, and ends as one that was not.
func TestKilledRunGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	model, data := modelFolder(t, 0), pictures(t, 600)
	args := func(output string) []string {
		return []string{"--model=" + model, "--dataset=" + data, "--shard_size_mb=1", "--preprocessing_num_workers=1", "--output=" + output}
	}
	whole := filepath.Join(t.TempDir(), "whole")
	if o := start(t, args(whole)...); o.code != 0 {
		t.Fatalf("code %d\n%s", o.code, o.errors)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	kills := 0
	for try := range 40 {
		cmd := command(context.Background(), args(cut)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// Later each time, so that it gets as far as the commit.
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			if kills == 0 {
				t.Skip("this machine is too fast to be interrupted")
			}
			if diff := cmp.Diff(names(contents(t, whole)), names(contents(t, cut))); diff != "" {
				t.Fatalf("after %d kills the files are others (-whole +cut):\n%s", kills, diff)
			}
			if diff := cmp.Diff(contents(t, whole), contents(t, cut)); diff != "" {
				t.Errorf("after %d kills the files differ", kills)
			}
			return
		case <-time.After(100*time.Millisecond + time.Duration(try)*40*time.Millisecond):
			kills++
			if err := cmd.Process.Kill(); err != nil {
				t.Log(err) // it ended in the meantime
			}
			<-ended
			if _, err := preprocess.ReadManifest(cut); err == nil {
				t.Log("killed after the commit")
			}
		}
	}
	t.Errorf("not done after %d kills", kills)
}

func names(files map[string]string) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestWrongUse(t *testing.T) {
	model, data := modelFolder(t, 0), pictures(t, 3)
	output := filepath.Join(t.TempDir(), "out")
	file := filepath.Join(data, "cut.jpg")
	empty := t.TempDir()
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no model", []string{"--dataset=" + data, "--output=" + output}, 2, "preprocess: --model: "},
		{"no data", []string{"--model=" + model, "--output=" + output}, 2, "preprocess: --dataset: "},
		{"no output", []string{"--model=" + model, "--dataset=" + data}, 2, "preprocess: --output: "},
		{"typing mistake", []string{"--modl=" + model}, 2, "unknown flag --modl (did you mean --model?)"},
		{"unknown runner", []string{"--model=" + model, "--dataset=" + data, "--output=" + output, "--runner=flnik"}, 2, "--runner: unknown runner"},
		{"bad colour", []string{"--background=white"}, 2, "--background: \"white\": write a colour as #ffffff"},
		{"bad shares", []string{"--split=0/1/1"}, 2, "--split: "},
		{"no such data", []string{"--model=" + model, "--dataset=/no/such", "--output=" + output}, 2, "--dataset: there is no folder /no/such"},
		{"empty folder", []string{"--model=" + model, "--dataset=" + empty, "--output=" + output}, 1, "the folder is empty"},
		{"no such model", []string{"--model=/no/such", "--dataset=" + data, "--output=" + output}, 1, "there is no folder /no/such"},
		{"empty model", []string{"--model=" + empty, "--dataset=" + data, "--output=" + output}, 1, "it has no config.json"},
		{"vocabulary that does not fit", []string{"--model=" + modelFolder(t, 5000), "--dataset=" + data, "--output=" + output}, 1, "bos_token_id is 5000"},
		{"captions too long for the model", []string{"--max_txt_len=65", "--model=" + model, "--dataset=" + data, "--output=" + output}, 1, "the model reads 64"},
		{"output is a file", []string{"--model=" + model, "--dataset=" + data, "--output=" + file}, 1, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := start(t, tt.args...)
			if o.code != tt.code || !strings.Contains(o.errors, tt.says) {
				t.Errorf("code %d, want %d saying %q:\n%s", o.code, tt.code, tt.says, o.errors)
			}
			if strings.Count(o.errors, "\n") != 1 {
				t.Errorf("not one line on stderr:\n%s", o.errors)
			}
			if _, err := os.Stat(output); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestDemoPreset(t *testing.T) {
	output := filepath.Join(t.TempDir(), "shards")
	o := start(t, "--preset=demo", "--demo_pictures=30", "--model="+modelFolder(t, 0), "--output="+output)
	if o.code != 0 || !strings.Contains(o.out, "30 of 30 pictures in 3 shards (train 26, validation 2, test 2)") {
		t.Errorf("code %d\n%s%s", o.code, o.out, o.errors)
	}
}
