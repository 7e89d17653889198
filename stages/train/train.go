package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/model/trainer/footprint"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/stages/train/lease"
	"github.com/blipflow/blipflow/transforms/augment"
)

func init() {
	register.DoFn2x2[context.Context, string, string, error](&trainFn{})
}

// LogFile is the name of the training log among the checkpoints, a trainer.Record
// a line.
const LogFile = "training_log.jsonl"

// Config says how to train. Model, Output and MaxTokens must be set.
type Config struct {
	// Model is the folder of the base model.
	Model string
	// Output is the folder for the checkpoints and the training log.
	Output string
	// Resume is a checkpoint to go on from where the output has none: see
	// trainer.Run.
	Resume string `json:",omitempty"`
	// Events is a folder for TensorBoard's event files. Empty for none.
	Events string `json:",omitempty"`
	// Device is "cpu", "cuda:N" or "auto".
	Device string
	// MaxTokens is the limit that the shards' captions were cut to
	// (max_txt_len); a shard with another one is refused.
	MaxTokens int
	// BatchSize and EvalBatchSize are in pictures. 0 means 8.
	BatchSize, EvalBatchSize int
	// Captions says which captions an epoch trains on. Empty means AllCaptions.
	Captions CaptionPolicy
	// Augment changes the pictures at random, anew in each epoch. The zero value
	// leaves them alone.
	Augment augment.Recipe `json:",omitzero"`
	// ShuffleBytes bounds the pixels in the shuffle buffer. 0 means 512 MiB.
	ShuffleBytes int64
	// EvalSamples bounds the validation pictures that are captioned after an
	// epoch, the first ones of the split. 0 means all.
	EvalSamples int
	// Trainer are the settings of the optimisation.
	Trainer trainer.Config
	// Generation are the settings of the captions that are scored.
	Generation generate.Config
}

func (c Config) settled() Config {
	if c.BatchSize <= 0 {
		c.BatchSize = 8
	}
	if c.EvalBatchSize <= 0 {
		c.EvalBatchSize = 8
	}
	if c.Captions == "" {
		c.Captions = AllCaptions
	}
	if c.ShuffleBytes <= 0 {
		c.ShuffleBytes = 512 << 20
	}
	return c
}

// Run adds the stage: data is a PCollection of one string, a folder of shards
// (see preprocess.Run); the result is one string, the folder of the best
// checkpoint.
func Run(s beam.Scope, cfg Config, data beam.PCollection) beam.PCollection {
	s = s.Scope("train")
	// Beam's coder of structs knows nothing of the settings' own JSON forms.
	text, err := json.Marshal(cfg.settled())
	if err != nil {
		panic(fmt.Sprintf("train.Run: %v", err)) // numbers that are not finite; Validate refuses them
	}
	return beam.ParDo(s, &trainFn{Config: string(text)}, data)
}

// trainFn is one training run.
type trainFn struct {
	// Config is a Config as JSON.
	Config string
}

// ProcessElement trains on the shards in data and returns the best checkpoint. A
// signal to end the process stops it with a checkpoint, wherever it runs.
func (fn *trainFn) ProcessElement(ctx context.Context, data string) (string, error) {
	var cfg Config
	if err := json.Unmarshal([]byte(fn.Config), &cfg); err != nil {
		return "", fmt.Errorf("train: settings: %w", err)
	}
	underWay.RLock()
	defer underWay.RUnlock()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	best, err := train(ctx, cfg, data)
	if err == nil {
		return best, nil
	}
	err = fmt.Errorf("train: %w", err)
	if ctx.Err() != nil && !errors.Is(err, trainer.ErrStopped) && !errors.Is(err, context.Canceled) {
		unsaved.Store(&err)
	}
	return "", err
}

// ErrNoPictures is wrapped where the shards have no training split.
var ErrNoPictures = errors.New("no pictures to train on")

func train(ctx context.Context, cfg Config, data string) (string, error) {
	manifest, err := preprocess.ReadManifest(data)
	if err != nil {
		return "", err
	}
	folder, err := checkpoint.Open(cfg.Model)
	if err != nil {
		return "", err
	}
	if err := fits(manifest, folder, cfg.MaxTokens); err != nil {
		return "", err
	}
	cfg.Generation = completed(cfg.Generation, folder)
	folder.Generation = cfg.Generation // what the checkpoints caption with by default
	device, err := torch.Open(cfg.Device)
	if err != nil {
		return "", err
	}
	train := newShards(manifest, folder, cfg).within(ctx, manifest)
	if train.items == 0 {
		return "", fmt.Errorf("%s: %w", data, ErrNoPictures)
	}
	run := &trainer.Run{
		Config: cfg.Trainer, Folder: folder, Device: device, Output: cfg.Output, Resume: cfg.Resume,
		Settings: cfg.identity(manifest), Hardware: footprint.Hardware(device.Name()).String(), Data: train,
		LogFile: filepath.Join(cfg.Output, LogFile), EventFolder: cfg.Events,
	}
	if manifest.Rows(dataset.Validation) > 0 {
		run.Evaluate = (&judge{cfg: cfg, folder: folder, manifest: manifest}).evaluate
	}
	return attempt(ctx, run)
}

// attempt trains while it holds the lease of the checkpoints' folder, and under
// the eyes of Beam.
func attempt(ctx context.Context, run *trainer.Run) (best string, err error) {
	held, err := lease.Acquire(ctx, run.Output, lease.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	run.Commit = held.Do
	// What is computed without the lease is for nothing.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := watch(ctx, func() {
		if err := held.Check(); errors.Is(err, lease.ErrLost) {
			cancel(err)
		}
	})
	defer w.close()
	run.Report = w.report
	if _, best, err = run.Train(ctx); err != nil {
		return "", err
	}
	return filepath.Abs(best)
}

// completed puts the model's special ids into a search's settings.
func completed(c generate.Config, f *checkpoint.Folder) generate.Config {
	own := f.Generation
	c.EOSTokenID, c.BOSTokenID, c.PadTokenID, c.MaxPositions = own.EOSTokenID, own.BOSTokenID, own.PadTokenID, own.MaxPositions
	return c
}

// fits refuses shards that were made for another model.
func fits(m *preprocess.Manifest, f *checkpoint.Folder, maxTokens int) error {
	text, err := preprocess.NewText(f.Tokenizer, f.BOS(), maxTokens)
	if err != nil {
		return err
	}
	if m.PixelFormat != records.Uint8 {
		return fmt.Errorf("shards hold %s pixels, training reads %s", m.PixelFormat, records.Uint8)
	}
	return m.Compatible(f.Processor.Hash(), text.Hash())
}

func newShards(m *preprocess.Manifest, f *checkpoint.Folder, cfg Config) *shards {
	s := &shards{
		files: m.Files(dataset.Train), items: m.Rows(dataset.Train), batch: cfg.BatchSize, policy: cfg.Captions,
		seed: cfg.Trainer.Seed, augment: cfg.Augment, prompt: m.PromptTokens, processor: f.Processor,
	}
	if cfg.Captions == AllCaptions {
		s.items = 0
		for _, shard := range m.Shards {
			if shard.Split == dataset.Train {
				s.items += shard.Captions
			}
		}
	}
	picture := int64(3 * f.Processor.Width * f.Processor.Height)
	s.buffer = int(max(int64(cfg.BatchSize), cfg.ShuffleBytes/picture))
	return s
}

// identity names all that decides the outcome of a run. The device, what only
// bounds memory and what is only written down are left out. The size of the
// shuffle buffer decides the order.
func (c Config) identity(m *preprocess.Manifest) string {
	c.Output, c.Device, c.EvalBatchSize, c.Resume, c.Events = "", "", 0, "", ""
	t := &c.Trainer
	t.SaveTotalLimit, t.SaveStrategy, t.SaveSteps, t.LoggingSteps, t.GradientCheckpointing = 0, "", 0, 0, false
	c.Model, _ = filepath.Abs(c.Model)
	return records.Fingerprint(map[string]any{"config": c, "data": m.Settings})
}
