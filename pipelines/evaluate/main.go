// Command evaluate scores captions against references.
//
//	go run ./pipelines/evaluate --references=captions_val2014.json --predictions=captions.jsonl
//	go run ./pipelines/evaluate --references=shards/ --model=DIR [--data=shards/] --split=test
//
// References are COCO's annotation JSON, Karpathy's data set JSON, or example
// shards; predictions are COCO's results JSON or the JSON Lines of captioning.
// With a model, the pictures of the shards are captioned first; the captions stay
// beside the scores.
package main

import (
	"context"
	"encoding/json"
	"errors"
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
	BatchSize   int    `flag:"batch_size" usage:"pictures that go through the model at a time"`
	Device      string `flag:"device" usage:"auto, cpu or cuda:N"`
}

func program() settings.Program[config] {
	return settings.Program[config]{
		Name:     "evaluate",
		About:    "Scores captions against references.",
		Defaults: config{Output: "coco_metrics.json", BatchSize: caption.DefaultBatchSize, Device: "auto"},
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
	p, s := beam.NewPipelineWithRoot()
	references, err := c.references(s)
	if err != nil {
		return err
	}
	predictions, err := c.predictions(s)
	if err != nil {
		return err
	}
	evaluate.Score(s, c.Output, references, predictions)
	result, err := runners.Run(ctx, p)
	bar.Stop()
	if err != nil {
		return err
	}
	if result.Counter(evaluate.Stage, evaluate.Scored) == 0 {
		return fmt.Errorf("score: %w", metrics.ErrNoItems)
	}
	return printReport(stdout, c.Output)
}

func (c *config) references(s beam.Scope) (beam.PCollection, error) {
	paths := []string{c.References}
	if evaluate.IsShards(c.References) {
		var err error
		if paths, err = evaluate.Shards(c.References, c.Split); err != nil {
			return beam.PCollection{}, err
		}
	} else if _, err := os.Stat(c.References); err != nil {
		return beam.PCollection{}, fmt.Errorf("references: %w", err)
	}
	return evaluate.References(s, c.Split, beam.CreateList(s, paths)), nil
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

func printReport(out io.Writer, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the scores: %w", err)
	}
	var report metrics.Report
	if err := json.Unmarshal(data, &report); err != nil {
		return fmt.Errorf("read the scores %s: %w", file, err)
	}
	_, err = fmt.Fprintf(out, "written to %s\n", file)
	return errors.Join(evaluate.Print(out, report), err)
}
