package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/meteor"
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

// Names of the validation metrics that are not of the COCO evaluation.
const (
	MetricLoss = "loss"
	MetricBLEU = "sacrebleu"
)

// Notes: sacrebleu's signature, and what the model says of some pictures.
const (
	signatureNote = "sacrebleu_signature"
	sampleNote    = "sample"
)

// MetricMETEOR is only computed where it chooses the best checkpoint: its tables are
// large.
const MetricMETEOR = "METEOR"

// Metrics are the names of the validation metrics, each of which may choose the
// best checkpoint. SPICE is none: it would take longer than the training.
func Metrics() []string {
	return append([]string{MetricLoss, MetricBLEU, MetricMETEOR}, cocoMetrics...)
}

// cocoMetrics are those of the COCO evaluation that need no tables.
var cocoMetrics = []string{"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"}

// judge evaluates a model on the validation split.
type judge struct {
	cfg      Config
	folder   *checkpoint.Folder
	manifest *preprocess.Manifest
	meteor   *meteor.Tables // once they are read
}

// options are what is computed besides the loss.
func (j *judge) options() (o metrics.Options, err error) {
	if strings.TrimPrefix(j.cfg.Trainer.MetricForBestModel, "eval_") != MetricMETEOR {
		return o, nil
	}
	if j.meteor == nil {
		folder, err := meteor.Folder()
		if err != nil {
			return o, err
		}
		if j.meteor, err = meteor.Open(folder); err != nil {
			return o, err
		}
	}
	o.Meteor = j.meteor
	return o, nil
}

// evaluate gives the loss over all captions of the split, and the scores of the
// captions that the model generates.
func (j *judge) evaluate(ctx context.Context, m *blip.Model) (trainer.Scores, error) {
	loss, err := j.loss(ctx, m)
	if err != nil {
		return trainer.Scores{}, err
	}
	generated, err := j.generate(ctx, m)
	if err != nil {
		return trainer.Scores{}, err
	}
	items, sample, err := j.pictures(ctx, generated)
	if err != nil {
		return trainer.Scores{}, err
	}
	options, err := j.options()
	if err != nil {
		return trainer.Scores{}, err
	}
	report, err := metrics.Score(items, options)
	if err != nil {
		return trainer.Scores{}, err
	}
	scores := trainer.Scores{
		Metrics: map[string]float64{MetricLoss: loss, MetricBLEU: report.SacreBleu.Score},
		Notes:   map[string]string{signatureNote: report.SacreBleu.Signature, sampleNote: strings.Join(sample, "\n")},
	}
	for name, v := range report.ByKey() {
		if v.Known && (name == MetricMETEOR || slices.Contains(cocoMetrics, name)) {
			scores.Metrics[name] = v.Score
		}
	}
	return scores, nil
}

// loss is the mean over the captions' tokens.
func (j *judge) loss(ctx context.Context, m *blip.Model) (float64, error) {
	s := newShards(j.manifest, j.folder, j.cfg).within(ctx, j.manifest)
	s.files, s.policy, s.batch = j.manifest.Files(dataset.Validation), AllCaptions, j.cfg.EvalBatchSize
	s.augment, s.buffer = augment.Recipe{}, 0
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
	c, search := captioner.Of(j.folder, m), j.cfg.Generation
	search.NumReturnSequences = 1
	total := j.manifest.Rows(dataset.Validation)
	if n := j.cfg.EvalSamples; n > 0 {
		total = min(total, n)
	}
	task := progress.Start("validate", int64(total), "pictures")
	defer task.Done()
	var out []string
	var batch []*imaging.RGB
	flush := func() error {
		request := captioner.Request{Pictures: batch, Generation: search}
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
	for r, err := range j.split().rows(ctx, place{}, nil, records.ReaderOptions{WithoutCaptions: true}) {
		if err != nil {
			return nil, err
		}
		if batch = append(batch, &imaging.RGB{W: r.PixelWidth, H: r.PixelHeight, Pix: r.Pixels}); len(out)+len(batch) == total {
			break
		}
		if len(batch) == j.cfg.EvalBatchSize {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return out, flush()
}

// split are the validation shards.
func (j *judge) split() split {
	return split{
		files: j.manifest.Files(dataset.Validation), promised: promises(j.manifest),
		picture: 3 * j.folder.Processor.Width * j.folder.Processor.Height,
	}
}

// pictures are captions, in the order of the split, with the references, and the
// first of them in lines to look at. A picture is named by its number, since a
// data set may have it twice.
func (j *judge) pictures(ctx context.Context, captions []string) (items []metrics.Item, sample []string, err error) {
	const lines = 4
	for r, err := range j.split().rows(ctx, place{}, nil, records.ReaderOptions{WithoutPixels: true}) {
		if err != nil {
			return nil, nil, err
		}
		i := len(items)
		if i == len(captions) {
			break
		}
		items = append(items, metrics.Item{ImageID: strconv.Itoa(i), Prediction: captions[i], References: r.Captions})
		if i < lines {
			sample = append(sample, r.ImageID+": "+captions[i])
		}
	}
	if len(items) != len(captions) {
		return nil, nil, fmt.Errorf("%d captions for %d pictures", len(captions), len(items))
	}
	return items, sample, nil
}
