// Package export is the last stage of a training pipeline: it puts the chosen
// model into the output folder, as a Hugging Face folder that transformers
// loads, with what a reader wants beside it, and may push it to the hub.
//
//	config.json, generation_config.json, preprocessor_config.json,
//	tokenizer.json, vocab.txt, …, model.safetensors
//	adapter/             of a run with LoRA, whose product is in the weights too
//	README.md            model card: data, settings, scores, energy
//	training_log.jsonl   a line each logging step and each evaluation
//
// # Whole or not
//
// Everything is written aside, on the same disk. Only then does it take the place
// of what an earlier export left, which is put back if that fails. The weights
// leave first and come last: a folder with model.safetensors is complete. A run
// that was killed meanwhile is made good by the next one. So a disk that fills up
// costs nothing that was there.
//
// What a checkpoint has for going on with training stays behind in it.
//
// # Push
//
// After that, the exported files and those named in [Push] go to the hub in one
// commit, with the client and the token of package hub. Shards, checkpoints and
// whatever else stands in the output do not. Where it fails, the job fails, and
// the export stays; the same command tries again.
package export

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/model/checkpoint"
)

func init() {
	register.DoFn3x2[context.Context, string, func(*string) bool, string, error](&exportFn{})
	register.Iter1[string]()
}

// LogFile is the name of the training log in the output.
const LogFile = "training_log.jsonl"

// Config says where to, and with what words. Output, Name and Dataset must be set.
type Config struct {
	// Output is the folder to fill. It may hold other things.
	Output string
	// Name is what the model card calls the model.
	Name string
	// Base is the model that training started from: a folder, whose name the card
	// gives, or an id on the hub, with @revision or not, which it links to. Empty
	// means random weights.
	Base string
	// Dataset is the data set's name, or its id on the hub likewise.
	Dataset string
	// Data is the folder of the shards that were trained on, whose manifest the
	// card tells of; may be empty.
	Data string
	// Prompt is what captions were trained to follow; may be empty.
	Prompt string
	// Metric is the validation metric that chose the checkpoint
	// (metric_for_best_model), empty where it is the last one.
	Metric string
	// License is the hub's key of a licence, such as "bsd-3-clause"; empty leaves
	// it open.
	License string
	// Language of the captions, as an ISO 639 code.
	Language string
	// Settings are those of the run, in whatever has JSON. The card has a row for
	// each member of an object, in its order.
	Settings any
	// CarbonIntensity is that of the electricity, in grams of CO₂ equivalent a kWh,
	// and Region where the machine stands. 0 means the world's average.
	CarbonIntensity float64
	Region          string
	// Push sends the model to the hub, if it names a repository.
	Push Push
}

// Run exports. best is a PCollection of one string, the checkpoint's folder;
// metrics one of at most one string, the content of coco_metrics.json, none
// where there was nothing to score. The result is the output folder.
func Run(s beam.Scope, cfg Config, best, metrics beam.PCollection) beam.PCollection {
	s = s.Scope("export")
	// Beam's coder of structs knows nothing of the settings' own JSON forms.
	text, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Sprintf("export.Run: %v", err)) // settings without JSON: a mistake in the program
	}
	return beam.ParDo(s, &exportFn{Config: string(text)}, best, beam.SideInput{Input: metrics})
}

type exportFn struct {
	// Config is a Config as JSON.
	Config string
}

// ProcessElement fills the output from the checkpoint.
func (fn *exportFn) ProcessElement(ctx context.Context, best string, metrics func(*string) bool) (string, error) {
	var settings json.RawMessage
	cfg := Config{Settings: &settings}
	if err := json.Unmarshal([]byte(fn.Config), &cfg); err != nil {
		return "", fmt.Errorf("export: settings: %w", err)
	}
	cfg.Settings, cfg.Push = settings, cfg.Push.owned(ctx)
	var report string
	metrics(&report)
	names, err := cfg.export(best, report)
	if err != nil {
		return "", fmt.Errorf("export %s: %w", best, err)
	}
	if err := cfg.push(ctx, names); err != nil {
		return "", fmt.Errorf("the model is complete in %s, but it was not pushed: %w", cfg.Output, err)
	}
	return filepath.Abs(cfg.Output)
}

// export fills the output, and gives the names of what it put there.
func (c Config) export(best, report string) ([]string, error) {
	facts, log, err := c.gather(best, report)
	if err != nil {
		return nil, err
	}
	text, err := facts.Markdown()
	if err != nil {
		return nil, err
	}
	return fill(c.Output, best, map[string][]byte{checkpoint.CardFile: []byte(text), LogFile: log})
}
