package trainer

import (
	"errors"
	"fmt"
	"math"
)

// ErrConfig is wrapped by every error about an impossible setting; the message
// names it by its key.
var ErrConfig = errors.New("training settings")

// Schedule says how the learning rate goes on after the warm-up.
type Schedule string

// Schedules, by the names of Hugging Face's lr_scheduler_type.
const (
	Linear   Schedule = "linear"   // down to 0 at the last step
	Cosine   Schedule = "cosine"   // down to 0 along half a wave
	Constant Schedule = "constant" // stays (with its warm-up)
)

// Config are the settings of a training run, under the keys of Hugging Face's
// TrainingArguments. Start from [Defaults].
type Config struct {
	NumTrainEpochs            int      `json:"num_train_epochs"`
	LearningRate              float64  `json:"learning_rate"`
	LRScheduler               Schedule `json:"lr_scheduler_type"`
	WarmupRatio               float64  `json:"warmup_ratio"`
	WeightDecay               float64  `json:"weight_decay"`
	AdamBeta1                 float64  `json:"adam_beta1"`
	AdamBeta2                 float64  `json:"adam_beta2"`
	AdamEpsilon               float64  `json:"adam_epsilon"`
	MaxGradNorm               float64  `json:"max_grad_norm"`
	GradientAccumulationSteps int      `json:"gradient_accumulation_steps"`
	LoggingSteps              int      `json:"logging_steps"`
	// SaveTotalLimit is how many checkpoints are kept. The last and the best
	// one always are.
	SaveTotalLimit int `json:"save_total_limit"`
	// FreezeVision leaves the vision model as it is.
	FreezeVision bool `json:"freeze_vision"`
	// MetricForBestModel is the validation metric that chooses the best
	// checkpoint: "loss", or any that the evaluation gives.
	MetricForBestModel string `json:"metric_for_best_model"`
	Seed               int64  `json:"seed"`
}

// Defaults are the Trainer's, with the number of epochs, the learning rate and
// the choice of the best checkpoint of a BLIP fine-tuning.
func Defaults() Config {
	return Config{
		NumTrainEpochs: 4, LearningRate: 5e-5, LRScheduler: Linear,
		AdamBeta1: 0.9, AdamBeta2: 0.999, AdamEpsilon: 1e-8, MaxGradNorm: 1,
		GradientAccumulationSteps: 1, LoggingSteps: 50, SaveTotalLimit: 2, MetricForBestModel: "sacrebleu", Seed: 42,
	}
}

// Validate names the first setting that cannot be.
func (c Config) Validate() error {
	for _, f := range []struct {
		key string
		bad bool
		got any
	}{
		{"num_train_epochs", c.NumTrainEpochs < 1, c.NumTrainEpochs},
		{"learning_rate", !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0), c.LearningRate},
		{"lr_scheduler_type", c.LRScheduler != Linear && c.LRScheduler != Cosine && c.LRScheduler != Constant, c.LRScheduler},
		{"warmup_ratio", !(c.WarmupRatio >= 0 && c.WarmupRatio <= 1), c.WarmupRatio},
		{"weight_decay", !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0), c.WeightDecay},
		{"adam_beta1", !(c.AdamBeta1 >= 0 && c.AdamBeta1 < 1), c.AdamBeta1},
		{"adam_beta2", !(c.AdamBeta2 >= 0 && c.AdamBeta2 < 1), c.AdamBeta2},
		{"adam_epsilon", !(c.AdamEpsilon > 0), c.AdamEpsilon},
		{"max_grad_norm", !(c.MaxGradNorm >= 0), c.MaxGradNorm},
		{"gradient_accumulation_steps", c.GradientAccumulationSteps < 1, c.GradientAccumulationSteps},
		{"logging_steps", c.LoggingSteps < 1, c.LoggingSteps},
		{"save_total_limit", c.SaveTotalLimit < 1, c.SaveTotalLimit},
		{"metric_for_best_model", c.MetricForBestModel == "", c.MetricForBestModel},
	} {
		if f.bad {
			return fmt.Errorf("%w: %s is %v", ErrConfig, f.key, f.got)
		}
	}
	return nil
}

// rate is the learning rate of a step, counted from 0, of total
// (transformers, optimization.py).
func (c Config) rate(step, total int) float64 {
	warmup := int(math.Ceil(c.WarmupRatio * float64(total)))
	if step < warmup {
		return c.LearningRate * float64(step) / float64(max(1, warmup))
	}
	done := float64(step-warmup) / float64(max(1, total-warmup))
	switch c.LRScheduler {
	case Cosine:
		return c.LearningRate * math.Max(0, 0.5*(1+math.Cos(math.Pi*done)))
	case Constant:
		return c.LearningRate
	}
	return c.LearningRate * math.Max(0, 1-done)
}
