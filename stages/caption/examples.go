package caption

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Prediction]())
	register.DoFn5x1[context.Context, string, func(*string) bool, func(Prediction), func(Part), error](&captionShards{})
	register.Iter1[string]()
	register.Emitter1[Prediction]()
	register.Emitter1[Part]()
}

// Examples captions the pictures of example shards. Shards is a collection of
// their paths; folder one of a single string, the model's folder, which may be
// the outcome of an earlier stage. It gives the predictions, and the finished
// parts for Commit. A part that an earlier run finished is kept.
//
// The shards' own captions and token ids are not read.
func Examples(s beam.Scope, c Config, folder, shards beam.PCollection) (predictions, parts beam.PCollection) {
	s = s.Scope("caption.Examples")
	return beam.ParDo2(s, &captionShards{Config: c}, beam.Reshuffle(s, shards), beam.SideInput{Input: folder})
}

type captionShards struct {
	Config Config
}

// ProcessElement captions one shard.
func (fn *captionShards) ProcessElement(ctx context.Context, shard string, nextFolder func(*string) bool, emit func(Prediction), emitPart func(Part)) error {
	var folder string
	if !nextFolder(&folder) {
		return errors.New("no model to caption with")
	}
	entries, part, err := fn.shard(ctx, shard, folder)
	if err != nil {
		return fmt.Errorf("caption %s: %w", shard, err)
	}
	for _, e := range entries {
		if r := e.Row; r != nil {
			emit(Prediction{ImageID: r.ImageID, URI: r.Image, Caption: r.Caption, Score: float32(r.Score)})
		}
	}
	countPart(ctx, part)
	emitPart(part)
	return nil
}

func (fn *captionShards) shard(ctx context.Context, shard, folder string) ([]Entry, Part, error) {
	identity, err := fn.identity(shard, folder)
	if err != nil {
		return nil, Part{}, err
	}
	task := fn.Config.task()
	if p, entries, ok := findPart(fn.Config.Work, identity); ok {
		p.Order = shard
		task.Add(int64(len(entries)))
		kept.Inc(ctx, int64(len(entries)))
		return entries, p, nil
	}
	w, err := newWorker(ctx, fn.Config, folder)
	if err != nil {
		return nil, Part{}, err
	}
	entries, err := w.examples(ctx, shard, func(n int) { task.Add(int64(n)) })
	if err != nil {
		return nil, Part{}, err
	}
	p, err := writePart(fn.Config.Work, identity, entries)
	p.Order = shard
	return entries, p, err
}

// identity names the part that comes of a shard.
func (fn *captionShards) identity(shard, folder string) (string, error) {
	info, err := os.Stat(shard)
	if err != nil {
		return "", err
	}
	model, err := ModelIdentity(folder)
	if err != nil {
		return "", err
	}
	own, err := fn.Config.Settings.Settle(folder)
	if err != nil {
		return "", err
	}
	return records.Fingerprint([]any{shard, info.Size(), info.ModTime().UnixNano(), model, folder, fn.Config.Settings.hash(own)}), nil
}

func (w *worker) examples(ctx context.Context, shard string, report func(int)) ([]Entry, error) {
	r, err := records.Open(shard, records.ReaderOptions{WithoutCaptions: true})
	if err != nil {
		return nil, err
	}
	entries, err := w.captionRows(ctx, r, report)
	return entries, errors.Join(err, r.Close())
}

// ErrOtherPixels is returned for shards whose pixels the model cannot take.
var ErrOtherPixels = errors.New("the shard's pixels are not the model's")

func (w *worker) captionRows(ctx context.Context, r *records.Reader, report func(int)) ([]Entry, error) {
	m := r.Meta()
	if m.PixelFormat != records.Uint8 {
		return nil, fmt.Errorf("%w: they are stored as %s; captioning takes %s", ErrOtherPixels, m.PixelFormat, records.Uint8)
	}
	if hash := w.model.Processor().Hash(); m.ProcessorHash != hash {
		return nil, fmt.Errorf("%w: %w", ErrOtherPixels, records.ErrOtherProcessor)
	}
	entries, err := w.caption(ctx, rows(r), report)
	if err == nil && int64(len(entries)) != r.Rows() {
		err = fmt.Errorf("%d rows and %d captions", r.Rows(), len(entries))
	}
	return entries, err
}

// rows are the pictures of a shard.
func rows(r *records.Reader) iter.Seq2[picture, error] {
	return func(yield func(picture, error) bool) {
		for e, err := range r.All() {
			p := picture{image: e.URI, imageID: e.ImageID}
			p.pixels = &imaging.RGB{W: e.PixelWidth, H: e.PixelHeight, Pix: e.Pixels}
			if !yield(p, err) {
				return
			}
		}
	}
}
