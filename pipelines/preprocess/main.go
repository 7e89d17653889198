// Command preprocess turns a data set into Parquet shards by split, as the image
// processor and the tokenizer of a model want them:
//
//	go run ./pipelines/preprocess --dataset=DIR --model=DIR --output=DIR
//
// See --help for its settings and stages/preprocess for what it writes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/transforms/imaging"
)

type config struct {
	settings.Data
	Model  string `flag:"model" usage:"model folder, or a model on the hub as NAME/NAME, for its image processor and tokenizer"`
	Output string `flag:"output" usage:"folder for the shards"`
}

var program = settings.Program[config]{
	Name:     "preprocess",
	About:    "Turns a data set of pictures and captions into Parquet shards to train on.",
	Defaults: config{Data: settings.DefaultData()},
	Presets: map[string]func(*config){
		"demo": func(c *config) { c.Dataset = settings.DemoDataset },
	},
	Validate: func(c *config) error {
		switch {
		case c.Model == "":
			return settings.Bad("model", "name a folder with a model's processor and tokenizer")
		case c.Output == "":
			return settings.Bad("output", "name a folder for the shards")
		}
		return c.Data.Validate()
	},
}

func main() { program.Main(run) }

func run(ctx context.Context, cfg config) (err error) {
	if err := runners.Check(); err != nil {
		return settings.Bad("runner", "%v", err)
	}
	begun := time.Now()
	bars := progress.Render(os.Stderr, progress.RendererOptions{})
	defer bars.Stop()
	model, err := settings.FetchModel(ctx, cfg.Model, false)
	if err != nil {
		return err
	}
	processor, words, err := preprocess.FromModel(model, cfg.MaxTextLen)
	if err != nil {
		return err
	}
	set, err := cfg.Load(ctx, cfg.Output)
	if err != nil {
		return err
	}
	job, err := preprocess.Prepare(set, cfg.Preprocess(cfg.Output, processor, words))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, job.Close()) }()

	p, s := beam.NewPipelineWithRoot()
	preprocess.Run(s, job)
	_, err = runners.Run(ctx, p)
	bars.Stop()
	if err != nil {
		return err
	}
	m, err := preprocess.ReadManifest(cfg.Output)
	if err != nil {
		return err
	}
	summarise(os.Stdout, cfg.Output, m, job.Complete() != nil, time.Since(begun))
	return nil
}

// summarise says what there is now.
func summarise(w io.Writer, output string, m *preprocess.Manifest, before bool, took time.Duration) {
	var splits []string
	for _, split := range dataset.Splits {
		splits = append(splits, fmt.Sprintf("%s %d", split, m.Rows(split)))
	}
	how := fmt.Sprintf("written in %s", took.Round(100*time.Millisecond))
	if before {
		how = "complete before, nothing to do"
	}
	fmt.Fprintf(w, "%s: %d of %d pictures in %d shards (%s), %s\n",
		output, m.PicturesWritten, m.PicturesSeen, len(m.Shards), strings.Join(splits, ", "), how)
	if m.PicturesFailed+m.CaptionsDropped > 0 {
		fmt.Fprintf(w, "%d pictures and %d captions could not be used, see %s/%s\n", m.PicturesFailed, m.CaptionsDropped, output, preprocess.ErrorsName)
	}
	if m.Duplicates > 0 {
		fmt.Fprintf(w, "%d pictures are copies of others; copies share a split\n", m.Duplicates-m.Leaks)
	}
	if m.Leaks > 0 {
		fmt.Fprintf(w, "warning: the data set's own splits have %d pictures in common\n", m.Leaks)
	}
	if m.NearDuplicatesDropped > 0 {
		fmt.Fprintf(w, "%d pictures were left out that look like one in another split\n", m.NearDuplicatesDropped)
	}
	if m.NearDuplicates > 0 {
		fmt.Fprintf(w, "%d pictures look like one in another split (--dedupe leaves such pictures out)\n", m.NearDuplicates)
	}
	if library, why := imaging.JPEGLibrary(); why != nil {
		fmt.Fprintf(w, "JPEG files were decoded by %s, not quite as Pillow does: %v\n", library, why)
	}
}
