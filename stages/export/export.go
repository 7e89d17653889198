// Package export is the last stage of a training pipeline: it puts the best
// model into the output folder, as a Hugging Face folder that transformers
// loads, with what a reader wants beside it.
//
//	config.json, generation_config.json, preprocessor_config.json,
//	tokenizer.json, vocab.txt, …, model.safetensors
//	README.md            model card, with the metrics of the test split
//	training_log.jsonl   a line each logging step and each evaluation
//
// Every file appears whole or not at all, the weights last: a folder with
// model.safetensors is complete. The optimiser's memory stays behind in the
// checkpoint.
package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn3x2[context.Context, string, func(*string) bool, string, error](&exportFn{})
	register.Iter1[string]()
}

// LogFile is the name of the training log in the output.
const LogFile = "training_log.jsonl"

// Config says where to and with what words.
type Config struct {
	// Output is the folder to fill. It may hold other things.
	Output string
	// Name is what the model card calls the model.
	Name string
	// Base and Dataset are what it was made from, for the card.
	Base, Dataset string
	// Prompt is what captions were trained to follow, for the card; may be empty.
	Prompt string
}

// Run exports. best is a PCollection of one string, the checkpoint's folder;
// metrics one of at most one string, the content of coco_metrics.json, none
// where there was nothing to score. The result is the output folder.
func Run(s beam.Scope, cfg Config, best, metrics beam.PCollection) beam.PCollection {
	s = s.Scope("export")
	return beam.ParDo(s, &exportFn{Config: cfg}, best, beam.SideInput{Input: metrics})
}

type exportFn struct {
	Config Config
}

// left are the files of a checkpoint that are for going on with training.
var left = []string{trainer.StateFile, trainer.OptimizerFile, checkpoint.CardFile}

// ProcessElement fills the output from the checkpoint.
func (fn *exportFn) ProcessElement(_ context.Context, best string, metrics func(*string) bool) (string, error) {
	var report string
	metrics(&report)
	if err := fn.export(best, report); err != nil {
		return "", fmt.Errorf("export %s: %w", best, err)
	}
	return filepath.Abs(fn.Config.Output)
}

func (fn *exportFn) export(best, report string) error {
	entries, err := os.ReadDir(best)
	if err != nil {
		return err
	}
	state, err := trainer.Latest(filepath.Dir(best))
	if err != nil {
		return err
	}
	if err := fn.write(LogFile, logLines(state)); err != nil {
		return err
	}
	if err := fn.write(checkpoint.CardFile, []byte(fn.card(state, report))); err != nil {
		return err
	}
	weights := func(name string) bool { return name == safetensors.SingleName }
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && !slices.Contains(left, name) && !weights(name) {
			names = append(names, name)
		}
	}
	for _, name := range append(names, safetensors.SingleName) {
		if err := fn.copy(best, name); err != nil {
			return err
		}
	}
	return nil
}

func (fn *exportFn) write(name string, data []byte) error {
	return records.WriteFile(filepath.Join(fn.Config.Output, name), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func (fn *exportFn) copy(from, name string) (err error) {
	in, err := os.Open(filepath.Join(from, name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return records.WriteFile(filepath.Join(fn.Config.Output, name), func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

func logLines(s trainer.State) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range s.LogHistory {
		_ = enc.Encode(r) // finite numbers and strings: the trainer stops at others
	}
	return b.Bytes()
}

// card is the model card: metadata that the hub reads, then words.
func (fn *exportFn) card(s trainer.State, report string) string {
	var b strings.Builder
	c := fn.Config
	fmt.Fprintf(&b, "---\nlibrary_name: transformers\npipeline_tag: image-to-text\ntags:\n- image-captioning\n- blip\n---\n\n# %s\n\n", c.Name)
	fmt.Fprintf(&b, "An image captioner: BLIP, trained from %s on %s by blipflow, in %d steps over %d epochs. The checkpoint is that of step %s", c.Base, c.Dataset,
		s.GlobalStep, s.Epoch, strings.TrimPrefix(s.BestCheckpoint, "checkpoint-"))
	if s.BestMetric != nil {
		fmt.Fprintf(&b, ", the best on the validation split (%.4g)", *s.BestMetric)
	}
	b.WriteString(".\n")
	if c.Prompt != "" {
		fmt.Fprintf(&b, "\nIt was trained to go on after a prompt, and captions best after it: `--prompt=%q`.\n", c.Prompt)
	}
	if report != "" {
		fmt.Fprintf(&b, "\n## Metrics\n\nOn the test split, scored once; see coco_metrics.json.\n\n%s", table(report))
	}
	return b.String()
}

// table shows the corpus scores of a coco_metrics.json, in its order.
func table(report string) string {
	dec := json.NewDecoder(strings.NewReader(report))
	if _, err := dec.Token(); err != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("| metric | score |\n| --- | --- |\n")
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		var score float64
		if string(value) != "null" && json.Unmarshal(value, &score) == nil {
			fmt.Fprintf(&b, "| %v | %.4f |\n", key, score)
		}
	}
	return b.String()
}
