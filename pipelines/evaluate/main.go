// Command evaluate scores captions against references.
//
//	go run ./pipelines/evaluate --references=captions_val2014.json --predictions=captions.jsonl
//	go run ./pipelines/evaluate --references=shards/ --model=DIR [--data=shards/] --split=test
//	go run ./pipelines/evaluate --references=REFS --predictions=new.jsonl --baseline=old.jsonl --per_image=scores.csv
//
// References are COCO's annotation JSON, Karpathy's data set JSON, or example
// shards; predictions are COCO's results JSON or the JSON Lines of captioning.
// With a model, the pictures of the shards are captioned first; the captions stay
// beside the scores.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/evaluate"
	"github.com/blipflow/blipflow/stages/progress"
)

// config are the command's settings.
type config struct {
	References  string `flag:"references" usage:"COCO's annotation JSON, Karpathy's data set JSON, or a folder of example shards; where empty, --data"`
	Predictions string `flag:"predictions" usage:"COCO's results JSON, or JSON Lines of captions"`
	Model       string `flag:"model" usage:"Hugging Face folder of a model that is to make the predictions, or one on the hub as NAME/NAME"`
	Data        string `flag:"data" usage:"folder of example shards that the model captions; where empty, --references"`
	Split       string `flag:"split" usage:"split to score; where empty, test (COCO's annotations have none)"`
	Output      string `flag:"output" usage:"file for the scores"`
	PerImage    string `flag:"per_image" usage:"file for the scores of each picture, Parquet where it ends in .parquet, else CSV; empty for none"`
	Baseline    string `flag:"baseline" usage:"predictions of another system for the same pictures, to compare with"`
	Missing     bool   `flag:"allow_missing" usage:"score the pictures that have both references and a prediction, and say how many have not"`
	Training    string `flag:"train_data" usage:"example shards or annotations that the model was trained on; pictures that are there too are refused"`
	settings.Scores
	BatchSize int    `flag:"batch_size" usage:"pictures that go through the model at a time"`
	Device    string `flag:"device" usage:"auto, cpu or cuda:N"`
}

func program() settings.Program[config] {
	return settings.Program[config]{
		Name:     "evaluate",
		About:    "Scores captions against references.",
		Defaults: config{Scores: settings.DefaultScores(), Output: "coco_metrics.json", BatchSize: caption.DefaultBatchSize, Device: "auto"},
		Validate: (*config).validate,
	}
}

func (c *config) validate() error {
	switch {
	case (c.Predictions == "") == (c.Model == ""):
		return settings.Bad("predictions", "give either the predictions or a --model that makes them")
	case c.Model == "" && c.Data != "":
		return settings.Bad("data", "there is no --model to caption it")
	case c.BatchSize < 1:
		return settings.Bad("batch_size", "%d: write 1 or more", c.BatchSize)
	case c.Output == "":
		return settings.Bad("output", "name a file for the scores")
	}
	if err := c.ValidateScores(); err != nil {
		return err
	}
	if c.Model != "" && c.Data == "" {
		c.Data = c.References
	}
	if c.References == "" {
		c.References = c.Data
	}
	if c.References == "" {
		return settings.Bad("references", "name the references")
	}
	return nil
}

func main() {
	program().Main(func(ctx context.Context, c config) error {
		return run(ctx, c, os.Stdout, os.Stderr)
	})
}

func run(ctx context.Context, c config, stdout, stderr io.Writer) error {
	bar := progress.Render(stderr, progress.RendererOptions{})
	defer bar.Stop()
	if c.Model != "" {
		var err error
		if c.Model, err = settings.FetchModel(ctx, c.Model, true); err != nil {
			return err
		}
		if _, err = checkpoint.Open(c.Model); err != nil {
			return err
		}
	}
	cfg := c.Scoring(ctx, c.Output)
	cfg.PerImage, cfg.AllowMissing = c.PerImage, c.Missing
	p, s := beam.NewPipelineWithRoot()
	in, err := c.inputs(s)
	if err != nil {
		return err
	}
	evaluate.Score(s, cfg, in)
	result, err := runners.Run(ctx, p)
	bar.Stop()
	if err != nil {
		return err
	}
	if result.Counter(evaluate.Stage, evaluate.Scored) == 0 {
		return fmt.Errorf("score: %w", metrics.ErrNoItems)
	}
	return printReport(stdout, stderr, c)
}

// inputs are what is read.
func (c *config) inputs(s beam.Scope) (in evaluate.Inputs, err error) {
	if in.References, err = c.references(s); err != nil {
		return in, err
	}
	if in.Predictions, err = c.predictions(s); err != nil {
		return in, err
	}
	if c.Baseline != "" {
		if _, err := os.Stat(c.Baseline); err != nil {
			return in, fmt.Errorf("baseline: %w", err)
		}
		in.Baseline = evaluate.Predictions(s, beam.Create(s, c.Baseline))
	}
	if c.Training != "" {
		paths, err := filesOf("training data", c.Training, dataset.Train)
		if err != nil {
			return in, err
		}
		in.Training = beam.CreateList(s, paths)
	}
	return in, nil
}

func (c *config) references(s beam.Scope) (beam.PCollection, error) {
	paths, err := filesOf("references", c.References, c.Split)
	if err != nil {
		return beam.PCollection{}, err
	}
	return evaluate.References(s, c.Split, beam.CreateList(s, paths)), nil
}

// filesOf are a split's example shards, or a file of annotations.
func filesOf(what, path, split string) ([]string, error) {
	if evaluate.IsShards(path) {
		return evaluate.Shards(path, split)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return []string{path}, nil
}

// predictions are read, or made by the model.
func (c *config) predictions(s beam.Scope) (beam.PCollection, error) {
	if c.Model == "" {
		if _, err := os.Stat(c.Predictions); err != nil {
			return beam.PCollection{}, fmt.Errorf("predictions: %w", err)
		}
		return evaluate.Predictions(s, beam.Create(s, c.Predictions)), nil
	}
	shards, err := evaluate.Shards(c.Data, c.Split)
	if err != nil {
		return beam.PCollection{}, err
	}
	out := caption.Output{Path: strings.TrimSuffix(c.Output, filepath.Ext(c.Output)) + ".captions.jsonl"}
	model := beam.Create(s, c.Model)
	stage := caption.Config{Device: c.Device, BatchSize: c.BatchSize, Work: out.Work()}
	predictions, parts := caption.Examples(s, stage, model, beam.CreateList(s, shards))
	caption.Commit(s, caption.Finish{Output: out, Input: c.Data}, parts, model)
	return predictions, nil
}

func printReport(out, notes io.Writer, c config) error {
	data, err := os.ReadFile(c.Output)
	if err != nil {
		return fmt.Errorf("read the scores: %w", err)
	}
	var report evaluate.Report
	if err := json.Unmarshal(data, &report); err != nil {
		return fmt.Errorf("read the scores %s: %w", c.Output, err)
	}
	for _, w := range report.Warnings {
		fmt.Fprintf(notes, "evaluate: warning: %s\n", w)
	}
	if err := evaluate.Print(out, report); err != nil {
		return err
	}
	written := c.Output
	if c.PerImage != "" {
		written += " and " + c.PerImage
	}
	_, err = fmt.Fprintf(out, "written to %s\n", written)
	return err
}
