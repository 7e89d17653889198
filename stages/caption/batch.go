package caption

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/transforms/imaging"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Part]())
	register.DoFn2x2[context.Context, Chunk, Part, error](&captionFiles{})
}

// Batch captions chunks of picture files with the model in folder, and gives the
// finished parts (see Commit). A part that an earlier run finished is kept.
func Batch(s beam.Scope, c Config, folder string, chunks beam.PCollection) beam.PCollection {
	s = s.Scope("caption.Batch")
	return beam.ParDo(s, &captionFiles{Config: c, Model: folder}, chunks)
}

type captionFiles struct {
	Config Config
	Model  string
}

// ProcessElement captions one chunk.
func (fn *captionFiles) ProcessElement(ctx context.Context, c Chunk) (Part, error) {
	order := fmt.Sprintf("%010d", c.Index)
	task := fn.Config.task()
	if p, entries, ok := findPart(fn.Config.Work, c.Identity); ok && len(entries) == len(c.Inputs) {
		p.Order = order
		task.Add(int64(len(entries)))
		kept.Inc(ctx, int64(len(entries)))
		countPart(ctx, p)
		return p, nil
	}
	w, err := newWorker(ctx, fn.Config, fn.Model)
	if err != nil {
		return Part{}, err
	}
	entries, err := w.caption(ctx, w.pictures(ctx, c.Inputs), func(n int) { task.Add(int64(n)) })
	if err != nil {
		return Part{}, err
	}
	if len(entries) != len(c.Inputs) {
		return Part{}, fmt.Errorf("chunk %d has %d pictures and %d outcomes", c.Index, len(c.Inputs), len(entries))
	}
	p, err := writePart(fn.Config.Work, c.Identity, entries)
	if err != nil {
		return Part{}, err
	}
	p.Order = order
	countPart(ctx, p)
	return p, nil
}

// pictures reads inputs ahead of the model, by two batches.
func (w *worker) pictures(ctx context.Context, inputs []dataset.Input) iter.Seq2[picture, error] {
	f := files{
		open:      dataset.Files(""),
		processor: w.model.Processor(),
		decode:    imaging.DecodeOptions{IgnoreEXIF: w.config.Settings.IgnoreEXIF},
	}
	return func(yield func(picture, error) bool) {
		for p := range f.ahead(ctx, inputs, 2*w.config.batch()) {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// One captions a single picture, without a pipeline. A picture that cannot be read
// is an error.
func One(ctx context.Context, c Config, folder string, in dataset.Input) (Row, error) {
	w, err := newWorker(ctx, c, folder)
	if err != nil {
		return Row{}, err
	}
	entries, err := w.caption(ctx, w.pictures(ctx, []dataset.Input{in}), func(int) {})
	if err != nil {
		return Row{}, err
	}
	if f := entries[0].Failure; f != nil {
		return Row{}, fmt.Errorf("%s: %s", f.Image, f.Error)
	}
	return *entries[0].Row, nil
}

// Files is the whole job over picture files: chunks, parts, commit. It writes the
// plan into the work folder.
func Files(s beam.Scope, c Config, f Finish, folder string, plan Plan) error {
	s = s.Scope("caption.Files")
	path := filepath.Join(c.Work, "plan.jsonl")
	if err := plan.Write(path); err != nil {
		return err
	}
	Commit(s, f, Batch(s, c, folder, Chunks(s, path)), beam.Create(s, folder))
	return nil
}

// PlanFor is NewPlan with a key made of the settings and the model in folder.
func PlanFor(inputs []dataset.Input, size int, settings Settings, folder string) (Plan, error) {
	own, err := settings.Settle(folder)
	if err != nil {
		return Plan{}, err
	}
	model, err := ModelIdentity(folder)
	if err != nil {
		return Plan{}, err
	}
	return NewPlan(inputs, size, settings.hash(own), model, hub.NameOf(folder)), nil
}
