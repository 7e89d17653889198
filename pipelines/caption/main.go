// Command caption writes a caption for every picture of an input.
//
//	go run ./pipelines/caption --model=DIR --input=DIR|FILE|GLOB --output=captions.jsonl
//	go run ./pipelines/caption --model=DIR photo.jpg
//
// The second form prints the caption of one picture and nothing else. Pictures
// that cannot be read are listed beside the output, in captions.errors.jsonl. The
// same command goes on from where an interrupted one stopped.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
)

func main() {
	program().Main(func(ctx context.Context, c config) error {
		return run(ctx, c, os.Stdout, os.Stderr)
	})
}

func run(ctx context.Context, c config, stdout, stderr io.Writer) error {
	bar := progress.Render(stderr, progress.RendererOptions{})
	folder, err := c.fetch(ctx)
	bar.Stop()
	if err != nil {
		return err
	}
	inputs, err := dataset.List(c.Input)
	if err != nil {
		return err
	}
	if c.Output == "" {
		return one(ctx, c, folder, inputs, stdout)
	}
	plan, err := caption.PlanFor(inputs, c.ChunkSize, c.settings(), folder)
	if err != nil {
		return err
	}
	o := c.output()
	done, err := o.Begin(plan.Identity, c.existing())
	if errors.Is(err, caption.ErrExists) {
		return settings.Bad("output", "%s is there already, of another input, model or settings: choose another name, or replace it with --overwrite", c.Output)
	}
	if err != nil {
		return err
	}
	if done {
		return summary(o, stdout, "complete already", 0, 0)
	}
	return many(ctx, c, folder, o, plan, stdout, stderr)
}

// one prints the caption of a single picture.
func one(ctx context.Context, c config, folder string, inputs []dataset.Input, stdout io.Writer) error {
	if len(inputs) != 1 {
		return settings.Bad("output", "say where the captions of %d pictures go: --output=captions.jsonl", len(inputs))
	}
	row, err := caption.One(ctx, c.stage(), folder, inputs[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, row.Caption)
	return err
}

// many runs the pipeline.
func many(ctx context.Context, c config, folder string, o caption.Output, plan caption.Plan, stdout, stderr io.Writer) error {
	stage := c.stage()
	stage.Work, stage.Total = o.Work(), plan.Total
	finish := caption.Finish{
		Output: o, Identity: plan.Identity, Input: c.Input, Settings: c.settings(), Expect: plan.Total,
	}
	p, s := beam.NewPipelineWithRoot()
	if err := caption.Files(s, stage, finish, folder, plan); err != nil {
		return err
	}
	begun := time.Now()
	bar := progress.Render(stderr, progress.RendererOptions{})
	result, err := runners.Run(ctx, p)
	bar.Stop()
	if err != nil {
		return err
	}
	inferred := result.Counter(caption.Stage, caption.MetricInferences)
	words := "done"
	if n := result.Counter(caption.Stage, caption.MetricKept); n > 0 {
		words = fmt.Sprintf("done, %d of them by an earlier run", n)
	}
	return summary(o, stdout, words, inferred, time.Since(begun))
}

// summary says what the output holds.
func summary(o caption.Output, out io.Writer, words string, inferred int64, took time.Duration) error {
	m, err := caption.ReadManifest(o)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s: %d pictures %s: %d captioned, %d failed", o.Path, m.Seen, words, m.Captioned, m.Failed)
	if m.Failed > 0 {
		line += " (see " + o.Errors() + ")"
	}
	if inferred > 0 && took > 0 {
		line += fmt.Sprintf("; %.2f pictures/s in %s", float64(inferred)/took.Seconds(), took.Round(100*time.Millisecond))
	}
	_, err = fmt.Fprintln(out, line)
	return err
}

// formatOf is the format that a file's name asks for.
func formatOf(path string) caption.Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return caption.CSV
	case ".json":
		return caption.COCO
	default:
		return caption.JSONL
	}
}
