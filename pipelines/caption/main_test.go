package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/caption/captiontest"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

// asCommand makes this test binary the command itself.
const asCommand = "BLIPFLOW_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "OMP_NUM_THREADS=1")
	return cmd
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

func caption1(t *testing.T, args ...string) result {
	t.Helper()
	cmd := command(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func rows(t *testing.T, path string) []caption.Row {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []caption.Row
	for line := range bytes.Lines(data) {
		var r caption.Row
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

func TestFolderToJSONL(t *testing.T) {
	album, model := captiontest.Album(t, 16), captiontest.Model(t, "tiny", 1)
	out := filepath.Join(t.TempDir(), "captions.jsonl")
	args := []string{"--model=" + model, "--input=" + album, "--output=" + out, "--batch_size=4", "--num_beams=2", "--max_new_tokens=6", "--device=cpu"}
	r := caption1(t, args...)
	if r.code != 0 || !strings.Contains(r.stdout, "18 pictures done: 16 captioned, 2 failed") || !strings.Contains(r.stdout, "pictures/s") {
		t.Fatalf("%+v", r)
	}
	got := rows(t, out)
	var names []string
	for _, row := range got {
		names = append(names, row.Image)
	}
	for _, name := range captiontest.Names {
		if !slices.Contains(names, dataset.EncodeName(name)) {
			t.Errorf("no caption for %q", name)
		}
	}
	letters, err := records.ReadDeadLetters(filepath.Join(filepath.Dir(out), "captions.errors.jsonl"))
	if err != nil || len(letters) != 2 || len(got) != 16 {
		t.Errorf("%d captions, %d dead letters, %v", len(got), len(letters), err)
	}

	again := caption1(t, args...)
	if again.code != 0 || !strings.Contains(again.stdout, "complete already") {
		t.Errorf("the same again: %+v", again)
	}
	other := caption1(t, append(args, "--num_beams=3")...)
	if other.code == 0 || !strings.Contains(other.stderr, "--overwrite") || strings.Count(other.stderr, "\n") != 1 {
		t.Errorf("other settings: %+v", other)
	}
	if over := caption1(t, append(args, "--num_beams=3", "--overwrite")...); over.code != 0 {
		t.Errorf("overwrite: %+v", over)
	}
	if rows(t, out)[0].Settings == got[0].Settings {
		t.Error("the output was not overwritten")
	}
}

func TestOnePicture(t *testing.T) {
	album, model := captiontest.Album(t, 3), captiontest.Model(t, "tiny", 1)
	r := caption1(t, "--model="+model, "--max_new_tokens=6", filepath.Join(album, "hash#1.jpg"))
	if r.code != 0 || strings.TrimSpace(r.stdout) == "" || strings.Count(r.stdout, "\n") != 1 || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	out := filepath.Join(t.TempDir(), "all.jsonl")
	if r := caption1(t, "--model="+model, "--max_new_tokens=6", "--input="+album, "--output="+out); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, row := range rows(t, out) {
		if row.Image == "hash#1.jpg" && row.Caption != strings.TrimSuffix(r.stdout, "\n") {
			t.Errorf("alone %q, among others %q", r.stdout, row.Caption)
		}
	}
}

func TestBadInput(t *testing.T) {
	album, model, dir := captiontest.Album(t, 1), captiontest.Model(t, "tiny", 1), t.TempDir()
	empty := filepath.Join(dir, "empty")
	halfModel := filepath.Join(dir, "half")
	if err := errors.Join(os.Mkdir(empty, 0o755), os.CopyFS(halfModel, os.DirFS(model)), os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(halfModel, "model.safetensors")
	if err := os.Truncate(weights, 1000); err != nil {
		t.Fatal(err)
	}
	out := "--output=" + filepath.Join(dir, "out.jsonl")
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"empty folder", []string{"--model=" + model, "--input=" + empty, out}, 1, "no pictures"},
		{"no such folder", []string{"--model=" + model, "--input=" + empty + "2", out}, 1, "empty2"},
		{"no model", []string{"--model=" + empty, "--input=" + album, out}, 1, "config.json"},
		{"half a model", []string{"--model=" + halfModel, "--input=" + album, out}, 1, "model.safetensors"},
		{"text as the one picture", []string{"--model=" + model, filepath.Join(album, "text.jpg")}, 1, "text.jpg"},
		{"folder without output", []string{"--model=" + model, album}, 2, "--output"},
		{"unwritable output", []string{"--model=" + model, "--input=" + album, "--output=" + filepath.Join(dir, "file", "out.jsonl")}, 1, "out.jsonl"},
		{"no beams", []string{"--model=" + model, "--input=" + album, "--num_beams=-1", out}, 2, "num_beams"},
		{"beams in words", []string{"--model=" + model, "--input=" + album, "--num_beams=many", out}, 2, "num_beams"},
		{"prompt to strip", []string{"--model=" + model, "--input=" + album, "--strip_prompt", out}, 2, "prompt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := caption1(t, tt.args...)
			last := strings.TrimSpace(r.stderr)
			last = last[strings.LastIndexByte(last, '\n')+1:]
			if r.code != tt.code || !strings.HasPrefix(last, "caption: ") || !strings.Contains(last, tt.says) || r.stdout != "" {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(filepath.Join(dir, "out.jsonl")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is an output: %v", err)
			}
		})
	}
}

// A run that is killed at any moment loses nothing: the same command ends with
// what an undisturbed one writes.
func TestKilledAndRunAgain(t *testing.T) {
	album, model, dir := captiontest.Album(t, 60), captiontest.Model(t, "tiny", 1), t.TempDir()
	args := []string{"--model=" + model, "--input=" + album, "--batch_size=4", "--chunk_size=6", "--num_beams=3", "--max_new_tokens=20", "--device=cpu"}
	whole := filepath.Join(dir, "whole.jsonl")
	begun := time.Now()
	if r := caption1(t, append(args, "--output="+whole)...); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	took := time.Since(begun)
	out := filepath.Join(dir, "killed", "out.jsonl")
	args = append(args, "--output="+out)
	for i := range 4 {
		cmd := command(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took * time.Duration(i+3) / 8)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	r := caption1(t, args...)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	words := func(path string) []string {
		var all []string
		for _, row := range rows(t, path) {
			all = append(all, fmt.Sprintf("%s: %s", row.Image, row.Caption))
		}
		return all
	}
	if diff := cmp.Diff(words(whole), words(out)); diff != "" {
		t.Errorf("(-undisturbed +killed):\n%s", diff)
	}
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil || len(entries) != 3 {
		t.Errorf("the runs left %v, %v", entries, err)
	}
}
