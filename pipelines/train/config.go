package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/train"
	"github.com/blipflow/blipflow/transforms/augment"
)

// scratch is the value of --model for a small model with random weights.
const scratch = "scratch"

// config are the settings, named as in Hugging Face's TrainingArguments and
// GenerationConfig.
type config struct {
	settings.Data
	Model  string `flag:"model" usage:"folder of the base model, or one on the hub as NAME/NAME or NAME/NAME@REVISION; or scratch, a small one with random weights"`
	Output string `flag:"output" usage:"folder for shards, checkpoints and the trained model"`
	Device string `flag:"device" usage:"auto, cpu or cuda:N"`

	VocabSize int `flag:"vocab_size" usage:"most tokens of the vocabulary that --model=scratch makes"`

	Epochs         int                 `flag:"num_train_epochs" usage:"how often to go through the training split"`
	LearningRate   float64             `flag:"learning_rate" usage:"highest learning rate"`
	Scheduler      trainer.Schedule    `flag:"lr_scheduler_type" choices:"linear,cosine,constant" usage:"how the learning rate goes on after the warm-up"`
	WarmupRatio    float64             `flag:"warmup_ratio" usage:"share of the steps in which the learning rate rises"`
	WeightDecay    float64             `flag:"weight_decay" usage:"decoupled weight decay, not for biases and norms"`
	MaxGradNorm    float64             `flag:"max_grad_norm" usage:"joint norm that gradients are clipped to; 0 clips nothing"`
	TrainBatchSize int                 `flag:"per_device_train_batch_size" usage:"pictures in a training batch"`
	EvalBatchSize  int                 `flag:"per_device_eval_batch_size" usage:"pictures in a batch that is captioned"`
	Accumulation   int                 `flag:"gradient_accumulation_steps" usage:"batches whose gradients move the weights together"`
	CaptionPolicy  train.CaptionPolicy `flag:"captions_per_image" choices:"all,first,random" usage:"which of a picture's captions an epoch trains on"`
	Augment        augment.Recipe      `flag:"augment" usage:"change the training pictures at random, anew in each epoch: none, blip for what BLIP's training does, or some of its steps crop,flip,randaugment; a caption that says left or right keeps its picture from being mirrored"`
	FreezeVision   bool                `flag:"freeze_vision" usage:"leave the vision model as it is"`
	LoggingSteps   int                 `flag:"logging_steps" usage:"steps between two lines of the training log"`
	SaveLimit      int                 `flag:"save_total_limit" usage:"checkpoints to keep, the best and the last among them"`
	BestMetric     string              `flag:"metric_for_best_model" usage:"validation metric that chooses the best checkpoint: sacrebleu or loss"`
	EvalSamples    int                 `flag:"max_eval_samples" usage:"most validation pictures to caption after an epoch; 0 means all"`
	Seed           int64               `flag:"seed" usage:"seed of weights, order and dropout"`

	NumBeams      int                    `flag:"num_beams" usage:"beams of the search; 1 is greedy"`
	MaxNewTokens  int                    `flag:"max_new_tokens" usage:"most tokens of a caption, its end included"`
	LengthPenalty float64                `flag:"length_penalty" usage:"above 0 favours long captions, below 0 short ones"`
	EarlyStopping generate.EarlyStopping `flag:"early_stopping" usage:"when beam search stops: true, false or never"`
}

func program() settings.Program[config] {
	return settings.Program[config]{
		Name:     "train",
		About:    "Train preprocesses a data set, fine-tunes a captioner on it, captions and scores the test split, and exports the model. Without flags it does so for a data set that it draws itself.",
		Defaults: defaults(),
		Presets: map[string]func(*config){
			"demo": demoPreset, "flickr8k": flickrPreset, "coco-karpathy": cocoPreset,
		},
		Preset:   presetOf(os.Args[1:]),
		Validate: func(c *config) error { return c.validate() },
	}
}

// presetOf is the preset that holds where the command line names none: the
// demo, unless there is a data set, a model or a file of settings to go by.
func presetOf(args []string) string {
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if strings.HasPrefix(a, "-") && slices.Contains([]string{"dataset", "model", "config"}, name) {
			return "flickr8k"
		}
	}
	return "demo"
}

// defaults are those of the flickr8k preset, but for its data and its model.
func defaults() config {
	t := trainer.Defaults()
	return config{
		Data: settings.DefaultData(), Output: "blip-open-out", Device: "auto", VocabSize: 4000,
		Epochs: t.NumTrainEpochs, LearningRate: t.LearningRate, Scheduler: t.LRScheduler, WarmupRatio: t.WarmupRatio,
		WeightDecay: t.WeightDecay, MaxGradNorm: t.MaxGradNorm, TrainBatchSize: 8, EvalBatchSize: 8, Accumulation: 2,
		CaptionPolicy: train.AllCaptions, LoggingSteps: t.LoggingSteps, SaveLimit: t.SaveTotalLimit,
		BestMetric: t.MetricForBestModel, Seed: t.Seed,
		NumBeams: 5, MaxNewTokens: 30, LengthPenalty: 1, EarlyStopping: generate.StopWhenFull,
	}
}

// hubModel is the base model of the presets for photographs.
const hubModel = "Salesforce/blip-image-captioning-base"

func flickrPreset(c *config) { c.Dataset, c.Model = "ariG23498/flickr8k", hubModel }

func cocoPreset(c *config) {
	c.Dataset, c.Model = "yerevann/coco-karpathy", hubModel
	// BLIP, section 4.2, and configs/caption_coco.yaml, but for its prompt: without one the model captions as it is.
	c.LearningRate, c.Epochs, c.WeightDecay, c.Scheduler = 1e-5, 5, 0.05, trainer.Cosine
	c.Augment, c.Clean = augment.BLIP, true
}

func demoPreset(c *config) {
	c.Dataset, c.Model = settings.DemoDataset, scratch
	c.DemoPictures = 9500
	c.LearningRate, c.Scheduler, c.WarmupRatio, c.WeightDecay = 1e-3, trainer.Cosine, 0.04, 0.01
	c.TrainBatchSize, c.EvalBatchSize, c.Accumulation = 32, 32, 1
	c.CaptionPolicy, c.Epochs, c.EvalSamples = train.RandomCaption, 13, 100
	c.MaxNewTokens, c.NumBeams = 20, 3
}

func (c *config) validate() error {
	if err := c.Data.Validate(); err != nil {
		return err
	}
	if c.Model == "" {
		return settings.Bad("model", "name the folder of a base model, or scratch for a small one with random weights")
	}
	if c.Output == "" {
		return settings.Bad("output", "name a folder")
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"per_device_train_batch_size", c.TrainBatchSize}, {"per_device_eval_batch_size", c.EvalBatchSize},
		{"max_new_tokens", c.MaxNewTokens}, {"num_beams", c.NumBeams},
	} {
		if f.value < 1 {
			return settings.Bad(f.name, "is %d, want 1 or more", f.value)
		}
	}
	if c.EvalSamples < 0 {
		return settings.Bad("max_eval_samples", "is %d, want 0 or more", c.EvalSamples)
	}
	if c.BestMetric != train.MetricBLEU && c.BestMetric != train.MetricLoss {
		return settings.Bad("metric_for_best_model", "is %q, want %s or %s", c.BestMetric, train.MetricBLEU, train.MetricLoss)
	}
	if err := c.trainer().Validate(); err != nil {
		return settings.Bad("", "%v", err)
	}
	if _, err := torch.Open(c.Device); err != nil {
		return settings.Bad("device", "%v", err)
	}
	if err := runners.Check(); err != nil {
		return settings.Bad("runner", "%v", err)
	}
	return nil
}

func (c *config) trainer() trainer.Config {
	t := trainer.Defaults()
	t.NumTrainEpochs, t.LearningRate, t.LRScheduler, t.WarmupRatio = c.Epochs, c.LearningRate, c.Scheduler, c.WarmupRatio
	t.WeightDecay, t.MaxGradNorm, t.GradientAccumulationSteps = c.WeightDecay, c.MaxGradNorm, c.Accumulation
	t.LoggingSteps, t.SaveTotalLimit, t.MetricForBestModel = c.LoggingSteps, c.SaveLimit, c.BestMetric
	t.FreezeVision, t.Seed = c.FreezeVision, c.Seed
	return t
}

func (c *config) search() generate.Config {
	return generate.Config{
		NumBeams: c.NumBeams, MaxNewTokens: c.MaxNewTokens, LengthPenalty: &c.LengthPenalty, EarlyStopping: c.EarlyStopping,
	}
}

// generation is the same for the caption stage.
func (c *config) generation() caption.Generation {
	return caption.Generation{
		NumBeams: &c.NumBeams, MaxNewTokens: &c.MaxNewTokens, LengthPenalty: &c.LengthPenalty, EarlyStopping: c.EarlyStopping,
	}
}

// settle opens the base model and completes the settings of the stages with
// what it says.
func (j *job) settle() error {
	if _, err := checkpoint.Open(j.base); err != nil {
		return settings.Bad("model", "%v", err)
	}
	processor, words, err := preprocess.FromModel(j.base, j.cfg.MaxTextLen)
	if err != nil {
		return settings.Bad("model", "%v", err)
	}
	j.train = train.Config{
		Model: j.base, Output: j.cfg.in(checkpointFolder), Device: j.cfg.Device, MaxTokens: j.cfg.MaxTextLen,
		BatchSize: j.cfg.TrainBatchSize, EvalBatchSize: j.cfg.EvalBatchSize, Captions: j.cfg.CaptionPolicy,
		Augment: j.cfg.Augment, EvalSamples: j.cfg.EvalSamples, Trainer: j.cfg.trainer(), Generation: j.cfg.search(),
	}
	if j.asItIs() {
		if m, err := preprocess.Ready(j.cfg.Dataset, processor.Hash(), words.Hash()); err == nil {
			j.prompt = m.Prompt
			j.data, err = filepath.Abs(j.cfg.Dataset)
			return err
		}
	}
	j.data, j.prompt = j.cfg.in(dataFolder), j.cfg.Prompt
	j.shards, err = preprocess.Prepare(j.set, j.cfg.Preprocess(j.data, processor, words))
	return err
}

// asItIs reports whether no setting asks for other shards than there may be in
// the data set's folder.
func (j *job) asItIs() bool {
	have := j.cfg.Data
	plain := settings.DefaultData()
	plain.MaxTextLen = have.MaxTextLen // which the vocabulary's hash speaks for
	have.Dataset, have.Workers = plain.Dataset, plain.Workers
	have.DemoPictures, have.DemoSeed = plain.DemoPictures, plain.DemoSeed
	have.Split, have.SplitSeed = plain.Split, plain.SplitSeed // shards name their splits
	return have == plain
}
