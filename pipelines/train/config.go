package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/lora"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/evaluate"
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

	Epochs        float64             `flag:"num_train_epochs" usage:"how often to go through the training split"`
	MaxSteps      int                 `flag:"max_steps" usage:"steps to make instead of num_train_epochs, where above 0"`
	LearningRate  float64             `flag:"learning_rate" usage:"highest learning rate"`
	Scheduler     trainer.Schedule    `flag:"lr_scheduler_type" choices:"linear,cosine,constant,constant_with_warmup" usage:"how the learning rate goes on after the warm-up"`
	WarmupSteps   float64             `flag:"warmup_steps" usage:"steps in which the learning rate rises; below 1, a share of all"`
	WarmupRatio   float64             `flag:"warmup_ratio" usage:"the older name of such a share"`
	WeightDecay   float64             `flag:"weight_decay" usage:"decoupled weight decay, not for biases and norms"`
	AdamBeta1     float64             `flag:"adam_beta1" usage:"how much AdamW keeps of the mean of gradients"`
	AdamBeta2     float64             `flag:"adam_beta2" usage:"how much AdamW keeps of the mean of their squares"`
	AdamEpsilon   float64             `flag:"adam_epsilon" usage:"what AdamW adds to the root of that"`
	MaxGradNorm   float64             `flag:"max_grad_norm" usage:"joint norm that gradients are clipped to; 0 clips nothing"`
	Smoothing     float64             `flag:"label_smoothing_factor" usage:"weight of a label that is spread over the vocabulary; below 0 takes the model's own"`
	TrainBatch    int                 `flag:"per_device_train_batch_size" usage:"pictures in a training batch"`
	EvalBatch     int                 `flag:"per_device_eval_batch_size" usage:"pictures in a batch that is captioned"`
	Accumulation  int                 `flag:"gradient_accumulation_steps" usage:"batches whose gradients move the weights together"`
	Average       trainer.Average     `flag:"accumulation_average" choices:"batches,tokens" usage:"what counts the same in the loss of batches that move the weights together"`
	Checkpointing bool                `flag:"gradient_checkpointing" usage:"compute the layers again in the backward pass rather than keep what it needs: less memory, more time"`
	BF16          bool                `flag:"bf16" usage:"compute products in bfloat16 where the device can"`
	FP16          bool                `flag:"fp16" usage:"compute products in float16 where the device can, with a loss scale"`
	CaptionPolicy train.CaptionPolicy `flag:"captions_per_image" choices:"all,first,random" usage:"which of a picture's captions an epoch trains on"`
	Augment       augment.Recipe      `flag:"augment" usage:"change the training pictures at random, anew in each epoch: none, blip for what BLIP's training does, or some of its steps crop,flip,randaugment; a caption that says left or right keeps its picture from being mirrored"`
	FreezeVision  bool                `flag:"freeze_vision" usage:"leave the vision model as it is"`
	LoRARank      int                 `flag:"lora_rank" usage:"learn low-rank additions (LoRA) of this rank rather than the weights; 0 learns the weights"`
	LoRAAlpha     float64             `flag:"lora_alpha" usage:"LoRA's scale, before it is divided by the rank"`
	LoRADropout   float64             `flag:"lora_dropout" usage:"dropout before LoRA's additions"`
	LoRATargets   []string            `flag:"lora_target_modules" usage:"names of the projections that get them, with commas between"`
	EMADecay      float64             `flag:"ema_decay" usage:"evaluate and export a running average of the weights, which keeps so much of itself in a step; 0 for none"`
	LoggingSteps  int                 `flag:"logging_steps" usage:"steps between two lines of the training log"`
	EvalStrategy  trainer.Strategy    `flag:"eval_strategy" choices:"no,steps,epoch" usage:"when to evaluate on the validation split"`
	EvalSteps     int                 `flag:"eval_steps" usage:"steps between evaluations with eval_strategy=steps"`
	SaveStrategy  trainer.Strategy    `flag:"save_strategy" choices:"no,steps,epoch" usage:"when to save a checkpoint, besides at the end and when one is the best"`
	SaveSteps     int                 `flag:"save_steps" usage:"steps between checkpoints with save_strategy=steps"`
	SaveLimit     int                 `flag:"save_total_limit" usage:"checkpoints to keep, the best and the last among them; 0 keeps all"`
	LoadBest      bool                `flag:"load_best_model_at_end" usage:"go on with the best checkpoint rather than the last"`
	BestMetric    string              `flag:"metric_for_best_model" usage:"validation metric that chooses the best checkpoint: loss, sacrebleu, CIDEr and others"`
	Greater       string              `flag:"greater_is_better" choices:",true,false" usage:"whether a higher value of it is better; empty knows"`
	Patience      int                 `flag:"early_stopping_patience" usage:"evaluations in a row that may be no better before training stops; 0 never stops early"`
	Threshold     float64             `flag:"early_stopping_threshold" usage:"how much better one has to be to count"`
	EvalSamples   int                 `flag:"max_eval_samples" usage:"most validation pictures to caption in an evaluation; 0 means all"`
	Resume        string              `flag:"resume_from_checkpoint" usage:"last goes on from the last checkpoint in the output, as is done anyway; or a checkpoint's folder to start from where there is none"`
	ReportTo      string              `flag:"report_to" choices:"tensorboard,none" usage:"where to write the training log, besides the output"`
	LoggingDir    string              `flag:"logging_dir" usage:"folder of TensorBoard's event files; empty for runs within the output"`
	Seed          int64               `flag:"seed" usage:"seed of weights, order and dropout"`

	NumBeams      int                    `flag:"num_beams" usage:"beams of the search; 1 is greedy"`
	MaxNewTokens  int                    `flag:"max_new_tokens" usage:"most tokens of a caption, its end included"`
	LengthPenalty float64                `flag:"length_penalty" usage:"above 0 favours long captions, below 0 short ones"`
	EarlyStopping generate.EarlyStopping `flag:"early_stopping" usage:"when beam search stops: true, false or never"`

	settings.Scores
	publishing
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
		Epochs: t.NumTrainEpochs, LearningRate: t.LearningRate, Scheduler: t.LRScheduler, WeightDecay: t.WeightDecay,
		AdamBeta1: t.AdamBeta1, AdamBeta2: t.AdamBeta2, AdamEpsilon: t.AdamEpsilon, MaxGradNorm: t.MaxGradNorm, Smoothing: -1,
		TrainBatch: 8, EvalBatch: 8, Accumulation: 2, Average: t.Average, Checkpointing: true,
		LoRAAlpha: 16, CaptionPolicy: train.AllCaptions, LoggingSteps: t.LoggingSteps,
		EvalStrategy: t.EvalStrategy, EvalSteps: t.EvalSteps, SaveStrategy: t.SaveStrategy, SaveSteps: t.SaveSteps,
		SaveLimit: t.SaveTotalLimit, LoadBest: t.LoadBestModelAtEnd, BestMetric: t.MetricForBestModel,
		Resume: resumeLast, ReportTo: "tensorboard", Seed: t.Seed,
		NumBeams: 5, MaxNewTokens: 30, LengthPenalty: 1, EarlyStopping: generate.StopWhenFull,
		Scores: settings.DefaultScores(), publishing: publishing{Language: "en"},
	}
}

// hubModel is the base model of the presets for photographs.
const hubModel = "Salesforce/blip-image-captioning-base"

func flickrPreset(c *config) {
	c.Dataset, c.Model = "ariG23498/flickr8k", hubModel
	c.SpiceSample = 1500
}

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
	c.TrainBatch, c.EvalBatch, c.Accumulation, c.Checkpointing = 32, 32, 1, false
	c.CaptionPolicy, c.Epochs, c.EvalSamples = train.RandomCaption, 13, 100
	c.MaxNewTokens, c.NumBeams = 20, 3
	c.Spice = false // it would take as long as all else
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
		{"per_device_train_batch_size", c.TrainBatch}, {"per_device_eval_batch_size", c.EvalBatch},
		{"max_new_tokens", c.MaxNewTokens}, {"num_beams", c.NumBeams},
	} {
		if f.value < 1 {
			return settings.Bad(f.name, "is %d, want 1 or more", f.value)
		}
	}
	if c.EvalSamples < 0 {
		return settings.Bad("max_eval_samples", "is %d, want 0 or more", c.EvalSamples)
	}
	if known := train.Metrics(); !slices.Contains(known, strings.TrimPrefix(c.BestMetric, "eval_")) {
		return settings.Bad("metric_for_best_model", "is %q, want one of %s", c.BestMetric, strings.Join(known, ", "))
	}
	if strings.TrimPrefix(c.BestMetric, "eval_") == train.MetricMETEOR {
		if _, err := evaluate.FindMeteor(); err != nil {
			return settings.Bad("metric_for_best_model", "%v", err)
		}
	}
	if c.BF16 && c.FP16 {
		return settings.Bad("fp16", "goes not together with bf16")
	}
	if err := c.trainer().Validate(); err != nil {
		return settings.Bad("", "%v", err)
	}
	if err := c.validateDevice(); err != nil {
		return err
	}
	if err := c.validatePublishing(); err != nil {
		return err
	}
	if err := c.ValidateScores(); err != nil {
		return err
	}
	if c.Resume != resumeLast {
		if _, err := trainer.ReadState(c.Resume); err != nil {
			return settings.Bad("resume_from_checkpoint", "%v", err)
		}
	}
	if err := runners.Check(); err != nil {
		return settings.Bad("runner", "%v", err)
	}
	return nil
}

// resumeLast is the value of --resume_from_checkpoint for what is done anyway.
const resumeLast = "last"

// resume is the checkpoint to start from, or empty.
func (c *config) resume() string {
	if c.Resume == resumeLast {
		return ""
	}
	return c.Resume
}

func (c *config) validateDevice() error {
	d, err := torch.Open(c.Device)
	if err != nil {
		return settings.Bad("device", "%v", err)
	}
	flag, dtype := "bf16", torch.BFloat16
	switch {
	case c.FP16:
		flag, dtype = "fp16", torch.Float16
	case !c.BF16:
		return nil
	}
	if err := d.CheckPrecision(dtype); err != nil {
		return settings.Bad(flag, "%v", err)
	}
	return nil
}

// events is the folder for TensorBoard, or empty.
func (c *config) events() string {
	switch {
	case c.ReportTo == "none":
		return ""
	case c.LoggingDir == "":
		return c.in(runsFolder)
	}
	return c.LoggingDir
}

func (c *config) trainer() trainer.Config {
	t := trainer.Config{
		NumTrainEpochs: c.Epochs, MaxSteps: c.MaxSteps, LearningRate: c.LearningRate, LRScheduler: c.Scheduler,
		WarmupSteps: c.WarmupSteps, WarmupRatio: c.WarmupRatio, WeightDecay: c.WeightDecay,
		AdamBeta1: c.AdamBeta1, AdamBeta2: c.AdamBeta2, AdamEpsilon: c.AdamEpsilon, MaxGradNorm: c.MaxGradNorm,
		GradientAccumulationSteps: c.Accumulation, Average: c.Average, GradientCheckpointing: c.Checkpointing,
		Precision: trainer.Float32, FreezeVision: c.FreezeVision, EMADecay: c.EMADecay,
		LoggingSteps: c.LoggingSteps, EvalStrategy: c.EvalStrategy, EvalSteps: c.EvalSteps,
		SaveStrategy: c.SaveStrategy, SaveSteps: c.SaveSteps, SaveTotalLimit: c.SaveLimit,
		LoadBestModelAtEnd: c.LoadBest, MetricForBestModel: c.BestMetric,
		EarlyStoppingPatience: c.Patience, EarlyStoppingThreshold: c.Threshold, Seed: c.Seed,
	}
	if c.LoRARank != 0 {
		t.LoRA = lora.Config{Rank: c.LoRARank, Alpha: c.LoRAAlpha, Dropout: c.LoRADropout, Targets: c.LoRATargets}
	}
	if c.Smoothing >= 0 {
		t.LabelSmoothing = &c.Smoothing
	}
	if c.Greater != "" {
		greater := c.Greater == "true"
		t.GreaterIsBetter = &greater
	}
	switch {
	case c.BF16:
		t.Precision = trainer.BFloat16
	case c.FP16:
		t.Precision = trainer.Float16
	}
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
	base, err := checkpoint.Open(j.base)
	if err != nil {
		return settings.Bad("model", "%v", err)
	}
	if err := j.cfg.trainer().LoRA.Check(base.Config); err != nil {
		return settings.Bad("lora_target_modules", "%v", err)
	}
	processor, words, err := preprocess.FromModel(j.base, j.cfg.MaxTextLen)
	if err != nil {
		return settings.Bad("model", "%v", err)
	}
	j.train = train.Config{
		Model: j.base, Output: j.cfg.in(checkpointFolder), Resume: j.cfg.resume(), Events: j.cfg.events(),
		Device: j.cfg.Device, MaxTokens: j.cfg.MaxTextLen,
		BatchSize: j.cfg.TrainBatch, EvalBatchSize: j.cfg.EvalBatch, Captions: j.cfg.CaptionPolicy,
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
