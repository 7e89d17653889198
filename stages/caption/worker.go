package caption

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/model/captioner"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// Names of the Beam metrics of namespace Stage.
const (
	// MetricCaptioned and MetricFailed count pictures, those of parts that an
	// earlier run finished included; MetricKept counts only the latter.
	MetricCaptioned = "pictures_captioned"
	MetricFailed    = "pictures_failed"
	MetricKept      = "pictures_kept"
	// MetricInferences counts pictures that went through the model.
	MetricInferences = "num_inferences"
	// MetricFailedBatches counts batches that ended in an error.
	MetricFailedBatches = "failed_batches_counter"
	// MetricBatchSize and MetricBatchMicros are spread over batches.
	MetricBatchSize   = "inference_request_batch_size"
	MetricBatchMicros = "inference_batch_latency_micro_secs"
	// MetricLoadMillis is spread over the processes that loaded a model.
	MetricLoadMillis = "load_model_latency_milli_secs"
)

var (
	captioned     = beam.NewCounter(Stage, MetricCaptioned)
	failed        = beam.NewCounter(Stage, MetricFailed)
	kept          = beam.NewCounter(Stage, MetricKept)
	inferences    = beam.NewCounter(Stage, MetricInferences)
	failedBatches = beam.NewCounter(Stage, MetricFailedBatches)
	batchSize     = beam.NewDistribution(Stage, MetricBatchSize)
	batchMicros   = beam.NewDistribution(Stage, MetricBatchMicros)
	loadMillis    = beam.NewDistribution(Stage, MetricLoadMillis)
)

// Config says how to caption.
type Config struct {
	// Settings decide, with the model, which caption a picture gets.
	Settings Settings
	// Device is "auto", "cpu" or "cuda:N". Empty means auto.
	Device string
	// BatchSize is the number of pictures that go through the model at a time.
	// It changes nothing but the time it takes. 0 means DefaultBatchSize.
	BatchSize int
	// Work is the folder for finished parts.
	Work string
	// Total is the number of pictures to come, for the progress display; 0 where
	// it is not known.
	Total int
	// Task names the stage in the progress display. Empty means Stage.
	Task string
}

// DefaultBatchSize is the number of pictures in a batch where nothing sets it.
const DefaultBatchSize = 8

func (c Config) batch() int {
	if c.BatchSize > 0 {
		return c.BatchSize
	}
	return DefaultBatchSize
}

func (c Config) task() *progress.Task {
	name := c.Task
	if name == "" {
		name = Stage
	}
	return progress.Start(name, int64(c.Total), "pictures")
}

// worker captions the pictures of parts with one model.
type worker struct {
	config     Config
	model      *captioner.Captioner
	generation generate.Config
	settings   string // their hash
}

// loaded remembers which models this process has loaded, for the metric.
var loaded sync.Map

// newWorker gets hold of the process's captioner for folder.
func newWorker(ctx context.Context, c Config, folder string) (*worker, error) {
	own, err := c.Settings.Settle(folder)
	if err != nil {
		return nil, err
	}
	device := c.Device
	if device == "" {
		device = "auto"
	}
	begun := time.Now()
	model, err := captioner.Shared(folder, device)
	if err != nil {
		return nil, err
	}
	if _, again := loaded.LoadOrStore(folder+"\n"+device, true); !again {
		loadMillis.Update(ctx, time.Since(begun).Milliseconds())
	}
	return &worker{config: c, model: model, generation: own, settings: c.Settings.hash(own)}, nil
}

// caption gives every picture its row or its dead letter, in their order. A batch
// is filled with the next pictures that could be read.
func (w *worker) caption(ctx context.Context, pictures iter.Seq2[picture, error], report func(done int)) ([]Entry, error) {
	var entries []Entry
	var waiting []picture
	var places []int // of the waiting pictures, among the entries
	flush := func() error {
		rows, err := w.batch(ctx, waiting)
		if err != nil {
			return err
		}
		for i := range rows {
			entries[places[i]].Row = &rows[i]
		}
		report(len(rows))
		waiting, places = waiting[:0], places[:0]
		return nil
	}
	for p, err := range pictures {
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Failure: p.failed})
		if p.failed != nil {
			report(1)
			continue
		}
		waiting, places = append(waiting, p), append(places, len(entries)-1)
		if len(waiting) < w.config.batch() {
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return entries, flush()
}

// batch sends pictures through the model.
func (w *worker) batch(ctx context.Context, pictures []picture) ([]Row, error) {
	if len(pictures) == 0 {
		return nil, nil
	}
	begun := time.Now()
	found, err := w.model.Caption(ctx, w.request(pictures))
	if err == nil && len(found) != len(pictures) {
		err = errors.New("the model lost a picture")
	}
	if err != nil {
		failedBatches.Inc(ctx, 1)
		return nil, fmt.Errorf("caption %d pictures from %s on: %w", len(pictures), pictures[0].image, err)
	}
	inferences.Inc(ctx, int64(len(pictures)))
	batchSize.Update(ctx, int64(len(pictures)))
	batchMicros.Update(ctx, time.Since(begun).Microseconds())
	rows := make([]Row, len(pictures))
	for i, p := range pictures {
		best := found[i][0]
		rows[i] = Row{
			Image: p.image, ImageID: p.imageID,
			Caption: best.Text, Score: Score(best.Score),
			Model: w.model.Model(), Settings: w.settings,
		}
	}
	return rows, nil
}

func (w *worker) request(pictures []picture) captioner.Request {
	s := w.config.Settings
	r := captioner.Request{
		Pictures:   make([]*imaging.RGB, len(pictures)),
		Generation: w.generation, StripPrompt: s.StripPrompt,
	}
	for i, p := range pictures {
		r.Pictures[i] = p.pixels
	}
	if s.Prompt != "" {
		r.Prompts = make([]string, len(pictures))
		for i := range r.Prompts {
			r.Prompts[i] = s.Prompt
		}
	}
	return r
}

// countPart adds a part to the metrics.
func countPart(ctx context.Context, p Part) {
	captioned.Inc(ctx, int64(p.Captioned))
	failed.Inc(ctx, int64(p.Failed))
}
