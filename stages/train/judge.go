package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/captioner"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/augment"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// Names of the validation metrics.
const (
	MetricLoss = "loss"
	MetricBLEU = "sacrebleu"
)

// judge evaluates a model on the validation split.
type judge struct {
	cfg      Config
	folder   *checkpoint.Folder
	manifest *preprocess.Manifest
}

// evaluate gives the loss over all captions of the split, and sacrebleu's BLEU
// of the captions that the model generates.
func (j *judge) evaluate(ctx context.Context, m *blip.Model) (trainer.Scores, error) {
	loss, err := j.loss(ctx, m)
	if err != nil {
		return trainer.Scores{}, err
	}
	generated, err := j.generate(ctx, m)
	if err != nil {
		return trainer.Scores{}, err
	}
	bleu, err := j.score(generated)
	if err != nil {
		return trainer.Scores{}, err
	}
	return trainer.Scores{Metrics: map[string]float64{MetricLoss: loss, MetricBLEU: bleu}}, nil
}

// loss is the mean over the captions' tokens.
func (j *judge) loss(ctx context.Context, m *blip.Model) (float64, error) {
	s := newShards(j.manifest, j.folder, j.cfg)
	s.files, s.policy, s.batch = j.manifest.Files(dataset.Validation), AllCaptions, j.cfg.EvalBatchSize
	s.augment = augment.Recipe{}
	var sum, count float64
	for batch, err := range s.Batches(0, 0) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		err = m.Device().Run(torch.Inference, func() error {
			out, err := m.Forward(batch)
			if err == nil {
				sum += out.Loss.Float() * float64(out.Labels)
				count += float64(out.Labels)
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return sum / math.Max(count, 1), nil
}

// generate captions the split's pictures, after the prompt that the training's
// captions begin with, if there is one. It reads no captions.
func (j *judge) generate(ctx context.Context, m *blip.Model) ([]string, error) {
	c := captioner.Of(j.folder, m)
	total := j.manifest.Rows(dataset.Validation)
	if n := j.cfg.EvalSamples; n > 0 {
		total = min(total, n)
	}
	task := progress.Start("validate", int64(total), "pictures")
	defer task.Done()
	var out []string
	var batch []*imaging.RGB
	flush := func() error {
		request := captioner.Request{Pictures: batch, Generation: j.cfg.Generation}
		if p := j.manifest.Prompt; p != "" {
			request.Prompts, request.StripPrompt = slices.Repeat([]string{p}, len(batch)), true
		}
		found, err := c.Caption(ctx, request)
		if err != nil {
			return err
		}
		for _, list := range found {
			out = append(out, list[0].Text)
		}
		task.Add(int64(len(batch)))
		batch = nil
		return nil
	}
	for _, path := range j.manifest.Files(dataset.Validation) {
		for e, err := range examples(path, records.ReaderOptions{WithoutCaptions: true}) {
			if err != nil {
				return nil, err
			}
			if len(out)+len(batch) == total {
				break
			}
			batch = append(batch, &imaging.RGB{W: e.PixelWidth, H: e.PixelHeight, Pix: e.Pixels})
			if len(batch) == j.cfg.EvalBatchSize {
				if err := flush(); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, flush()
}

// score holds captions, in the order of the split, against the references.
func (j *judge) score(captions []string) (float64, error) {
	var stats metrics.SacreBleuStats
	i := 0
	for _, path := range j.manifest.Files(dataset.Validation) {
		for e, err := range examples(path, records.ReaderOptions{WithoutPixels: true}) {
			if err != nil {
				return 0, err
			}
			if i == len(captions) {
				break
			}
			stats.Add(captions[i], e.Captions)
			i++
		}
	}
	if i != len(captions) {
		return 0, fmt.Errorf("%d captions for %d pictures", len(captions), i)
	}
	return stats.Score().Score, nil
}

// Metrics are the names of the validation metrics.
func Metrics() []string { return []string{MetricLoss, MetricBLEU} }
