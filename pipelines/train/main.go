// Train is the whole chain: it preprocesses a data set, fine-tunes a captioner
// on it, captions the test split with the best checkpoint, scores the captions
// and exports the model as a Hugging Face folder. Without flags it does so for
// a data set that it draws itself.
//
//	go run ./pipelines/train
//	go run ./pipelines/train --dataset=DIR --model=DIR --output=DIR
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/evaluate"
	"github.com/blipflow/blipflow/stages/export"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/train"
)

func main() { program().Main(run) }

// run makes the graph and runs it.
func run(ctx context.Context, cfg config) (err error) {
	began := time.Now()
	show := progress.Render(os.Stderr, progress.RendererOptions{})
	defer show.Stop()
	j, err := prepare(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	p, s := beam.NewPipelineWithRoot()
	j.graph(ctx, s)
	// A signal ends training first, and then the job.
	running, cancel := train.Outlive(ctx)
	defer cancel()
	if _, err := runners.Run(running, p); err != nil {
		if lost := train.Unsaved(); lost != nil {
			return fmt.Errorf("%w: %w", settings.ErrNotSaved, lost)
		}
		return err
	}
	show.Stop()
	return j.summary(os.Stdout, time.Since(began))
}

// job is a training job that is ready to run.
type job struct {
	cfg    config
	set    *dataset.Set
	base   string
	data   string          // folder of the shards
	shards *preprocess.Job // what makes them; nil where they are the data set
	prompt string          // that captions were trained to follow
	train  train.Config
}

func (j *job) close() error {
	if j.shards == nil {
		return nil
	}
	return j.shards.Close()
}

// Folders and files within the output, beside the model.
const (
	dataFolder       = "data"
	checkpointFolder = "checkpoints"
	runsFolder       = "runs" // TensorBoard's
	captionsFile     = "test_captions.jsonl"
	metricsFile      = "coco_metrics.json"
)

func (c config) in(name string) string { return filepath.Join(c.Output, name) }

// prepare lists the data set, finds or makes the base model, and checks that
// all fits together, before any work.
func prepare(ctx context.Context, cfg config) (*job, error) {
	if err := cfg.checkToken(ctx); err != nil {
		return nil, err
	}
	j := &job{cfg: cfg}
	var err error
	if j.set, err = cfg.Load(ctx, cfg.Output); err != nil {
		return nil, err
	}
	if cfg.Model != scratch {
		j.base, err = settings.FetchModel(ctx, cfg.Model, true)
		if err != nil {
			return nil, err
		}
	} else {
		if j.base, err = train.Scratch(cfg.in("base"), train.SmallConfig(), captions(j.set), cfg.VocabSize, cfg.Seed); err != nil {
			return nil, err
		}
	}
	if err := j.settle(); err != nil {
		return nil, err
	}
	j.set.Refs = nil // they are in the listing; a large data set's are large
	return j, nil
}

// captions are those of the data set, but for a named test split's.
func captions(set *dataset.Set) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, r := range set.Refs {
			if r.Split == dataset.Test {
				continue
			}
			for _, c := range r.Captions {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// graph is the chain of stages. What passes between them are names of folders
// and files, and captions.
func (j *job) graph(ctx context.Context, s beam.Scope) {
	var data beam.PCollection
	if j.shards != nil {
		data = preprocess.Run(s, j.shards)
	} else {
		data = beam.Create(s, j.data)
	}
	best := train.Run(s, j.train, data)

	tests := preprocess.Files(s, dataset.Test, data)
	output := caption.Output{Path: j.cfg.in(captionsFile)}
	captioning := caption.Config{
		Work: output.Work(), BatchSize: j.cfg.EvalBatch, Device: j.cfg.Device,
		Settings: caption.Settings{Generation: j.cfg.generation(), Prompt: j.prompt, StripPrompt: j.prompt != ""},
	}
	predictions, parts := caption.Examples(s, captioning, best, tests)
	caption.Commit(s, caption.Finish{Output: output, Input: j.set.Name, Settings: captioning.Settings}, parts, best)

	references := evaluate.References(s, dataset.Test, tests)
	report := evaluate.Score(s, j.cfg.Scoring(ctx, j.cfg.in(metricsFile)), evaluate.Inputs{References: references, Predictions: predictions})
	export.Run(s, j.export(), best, report)
}
