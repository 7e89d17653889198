package trainer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/lora"
)

// ErrConfig is wrapped by every error about an impossible setting; the message
// names it by its key.
var ErrConfig = errors.New("training settings")

// Strategy says when something is done while training.
type Strategy string

// Strategies, by the names of Hugging Face's eval_strategy and save_strategy.
const (
	Never      Strategy = "no"
	EverySteps Strategy = "steps"
	EveryEpoch Strategy = "epoch"
)

// Average says what the loss of a group of accumulated batches is the mean of.
type Average string

// Averages.
const (
	// OverBatches gives each batch the same weight, however many tokens it has.
	OverBatches Average = "batches"
	// OverTokens gives each token the same weight, as if the group were one batch.
	OverTokens Average = "tokens"
)

// Precision is the type of number that the network's products are computed in.
// Weights, gradients and the optimiser are float32 in all of them.
type Precision string

// Precisions, by the names of accelerate's mixed_precision.
const (
	Float32  Precision = "no"
	BFloat16 Precision = "bf16"
	// Float16 scales the loss, so that small gradients do not vanish.
	Float16 Precision = "fp16"
)

// Config are the settings of a training run, under the keys of Hugging Face's
// TrainingArguments. Start from [Defaults].
type Config struct {
	// NumTrainEpochs is how often to go through the data; a fraction ends within
	// an epoch.
	NumTrainEpochs float64 `json:"num_train_epochs"`
	// MaxSteps, where it is above 0, is how many steps to make instead.
	MaxSteps     int      `json:"max_steps"`
	LearningRate float64  `json:"learning_rate"`
	LRScheduler  Schedule `json:"lr_scheduler_type"`
	// WarmupSteps, below 1, is a share of all steps, and so is WarmupRatio, which
	// holds where it is 0.
	WarmupSteps float64 `json:"warmup_steps"`
	WarmupRatio float64 `json:"warmup_ratio"`
	WeightDecay float64 `json:"weight_decay"`
	AdamBeta1   float64 `json:"adam_beta1"`
	AdamBeta2   float64 `json:"adam_beta2"`
	AdamEpsilon float64 `json:"adam_epsilon"`
	MaxGradNorm float64 `json:"max_grad_norm"`
	// LabelSmoothing is the share of a label's weight that is spread over the
	// vocabulary; nil takes that of the model's configuration.
	LabelSmoothing            *float64  `json:"label_smoothing_factor,omitempty"`
	GradientAccumulationSteps int       `json:"gradient_accumulation_steps"`
	Average                   Average   `json:"accumulation_average"`
	GradientCheckpointing     bool      `json:"gradient_checkpointing"`
	Precision                 Precision `json:"mixed_precision"`
	// FreezeVision leaves the vision model as it is.
	FreezeVision bool        `json:"freeze_vision"`
	LoRA         lora.Config `json:"lora"`
	// EMADecay, where it is above 0, is how much of a running average of the
	// weights each step keeps. The average is what is evaluated and exported.
	EMADecay float64 `json:"ema_decay"`

	LoggingSteps int      `json:"logging_steps"`
	EvalStrategy Strategy `json:"eval_strategy"`
	EvalSteps    int      `json:"eval_steps"`
	// SaveStrategy says when checkpoints are written besides that at the end
	// and that of each new best evaluation.
	SaveStrategy Strategy `json:"save_strategy"`
	SaveSteps    int      `json:"save_steps"`
	// SaveTotalLimit is how many checkpoints are kept; 0 keeps all. The last and
	// the best one always are.
	SaveTotalLimit int `json:"save_total_limit"`
	// LoadBestModelAtEnd makes the best checkpoint the run's outcome, rather than
	// the last.
	LoadBestModelAtEnd bool `json:"load_best_model_at_end"`
	// MetricForBestModel is the validation metric that chooses the best
	// checkpoint, any that the evaluation gives, with or without "eval_" before
	// its name.
	MetricForBestModel string `json:"metric_for_best_model"`
	// GreaterIsBetter is false for metrics whose names end in "loss" and true for
	// others, where it is nil.
	GreaterIsBetter *bool `json:"greater_is_better,omitempty"`
	// EarlyStoppingPatience is how many evaluations in a row may be no better, by
	// more than the threshold, than the best before them; 0 never stops early.
	EarlyStoppingPatience  int     `json:"early_stopping_patience"`
	EarlyStoppingThreshold float64 `json:"early_stopping_threshold"`
	Seed                   int64   `json:"seed"`
}

// Defaults are the Trainer's, with the number of epochs, the learning rate and
// the choice of the best checkpoint of a BLIP fine-tuning.
func Defaults() Config {
	return Config{
		NumTrainEpochs: 4, LearningRate: 5e-5, LRScheduler: Linear,
		AdamBeta1: 0.9, AdamBeta2: 0.999, AdamEpsilon: 1e-8, MaxGradNorm: 1,
		GradientAccumulationSteps: 1, Average: OverBatches, Precision: Float32,
		LoggingSteps: 50, EvalStrategy: EveryEpoch, EvalSteps: 500, SaveStrategy: EveryEpoch, SaveSteps: 500,
		SaveTotalLimit: 2, LoadBestModelAtEnd: true, MetricForBestModel: "sacrebleu", Seed: 42,
	}
}

// Validate names the first setting that cannot be.
func (c Config) Validate() error {
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	smoothing := 0.0
	if c.LabelSmoothing != nil {
		smoothing = *c.LabelSmoothing
	}
	for _, f := range []struct {
		key string
		bad bool
		got any
	}{
		{"num_train_epochs", c.MaxSteps <= 0 && !(c.NumTrainEpochs > 0 && finite(c.NumTrainEpochs)), c.NumTrainEpochs},
		{"max_steps", c.MaxSteps < -1, c.MaxSteps},
		{"learning_rate", !(c.LearningRate > 0) || !finite(c.LearningRate), c.LearningRate},
		{"lr_scheduler_type", !slices.Contains([]Schedule{Linear, Cosine, Constant, ConstantWithWarmup}, c.LRScheduler), c.LRScheduler},
		{"warmup_steps", !(c.WarmupSteps >= 0) || !finite(c.WarmupSteps), c.WarmupSteps},
		{"warmup_ratio", !(c.WarmupRatio >= 0 && c.WarmupRatio <= 1), c.WarmupRatio},
		{"weight_decay", !(c.WeightDecay >= 0) || !finite(c.WeightDecay), c.WeightDecay},
		{"adam_beta1", !(c.AdamBeta1 >= 0 && c.AdamBeta1 < 1), c.AdamBeta1},
		{"adam_beta2", !(c.AdamBeta2 >= 0 && c.AdamBeta2 < 1), c.AdamBeta2},
		{"adam_epsilon", !(c.AdamEpsilon > 0) || !finite(c.AdamEpsilon), c.AdamEpsilon},
		{"max_grad_norm", !(c.MaxGradNorm >= 0) || !finite(c.MaxGradNorm), c.MaxGradNorm},
		{"label_smoothing_factor", !(smoothing >= 0 && smoothing <= 1), smoothing},
		{"gradient_accumulation_steps", c.GradientAccumulationSteps < 1, c.GradientAccumulationSteps},
		{"accumulation_average", !slices.Contains([]Average{OverBatches, OverTokens}, c.Average), c.Average},
		{"mixed_precision", !slices.Contains([]Precision{Float32, BFloat16, Float16}, c.Precision), c.Precision},
		{"ema_decay", !(c.EMADecay >= 0 && c.EMADecay < 1), c.EMADecay},
		{"logging_steps", c.LoggingSteps < 1, c.LoggingSteps},
		{"eval_strategy", !slices.Contains([]Strategy{Never, EverySteps, EveryEpoch}, c.EvalStrategy), c.EvalStrategy},
		{"eval_steps", c.EvalStrategy == EverySteps && c.EvalSteps < 1, c.EvalSteps},
		{"save_strategy", !slices.Contains([]Strategy{Never, EverySteps, EveryEpoch}, c.SaveStrategy), c.SaveStrategy},
		{"save_steps", c.SaveStrategy == EverySteps && c.SaveSteps < 1, c.SaveSteps},
		{"save_total_limit", c.SaveTotalLimit < 0, c.SaveTotalLimit},
		{"metric_for_best_model", c.MetricForBestModel == "", c.MetricForBestModel},
		{"early_stopping_patience", c.EarlyStoppingPatience < 0 || c.EarlyStoppingPatience > 0 && c.EvalStrategy == Never, c.EarlyStoppingPatience},
		{"early_stopping_threshold", !(c.EarlyStoppingThreshold >= 0) || !finite(c.EarlyStoppingThreshold), c.EarlyStoppingThreshold},
	} {
		if f.bad {
			return fmt.Errorf("%w: %s is %v", ErrConfig, f.key, f.got)
		}
	}
	if err := c.LoRA.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// metric is the name of the deciding metric, as evaluations give it.
func (c Config) metric() string { return strings.TrimPrefix(c.MetricForBestModel, "eval_") }

// beats reports whether a score is better than another by more than a margin.
func (c Config) beats(score, other, margin float64) bool {
	greater := !strings.HasSuffix(c.metric(), "loss")
	if c.GreaterIsBetter != nil {
		greater = *c.GreaterIsBetter
	}
	if !greater {
		score, other = other, score
	}
	return score-other > margin
}
