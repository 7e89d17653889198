package trainer

import (
	"cmp"
	"math"
)

// Schedule says how the learning rate goes on after the warm-up.
type Schedule string

// Schedules, by the names of Hugging Face's lr_scheduler_type.
const (
	Linear             Schedule = "linear"   // down to 0 at the last step
	Cosine             Schedule = "cosine"   // down to 0 along half a wave
	Constant           Schedule = "constant" // the same from the first step on
	ConstantWithWarmup Schedule = "constant_with_warmup"
)

// rate is the learning rate of a step, counted from 0, of total
// (transformers, optimization.py).
func (c Config) rate(step, total int) float64 {
	warmup := c.warmup(total)
	if step < warmup {
		return c.LearningRate * float64(step) / float64(max(1, warmup))
	}
	done := float64(step-warmup) / float64(max(1, total-warmup))
	switch c.LRScheduler {
	case Cosine:
		return c.LearningRate * math.Max(0, 0.5*(1+math.Cos(math.Pi*done)))
	case Constant, ConstantWithWarmup:
		return c.LearningRate
	}
	return c.LearningRate * math.Max(0, 1-done)
}

// warmup is the number of steps in which the rate rises.
func (c Config) warmup(total int) int {
	if c.LRScheduler == Constant {
		return 0
	}
	if c.WarmupSteps >= 1 {
		return int(c.WarmupSteps)
	}
	return int(math.Ceil(cmp.Or(c.WarmupSteps, c.WarmupRatio) * float64(total)))
}

// plan is how a run's steps lie in its epochs.
type plan struct {
	batches int // of an epoch
	group   int // batches of a step
	total   int // steps of the run
}

// plan follows the Trainer: an epoch's last step may have fewer batches, and a
// fraction of an epoch counts as many steps as begin in it.
func (c Config) plan(batches int) plan {
	p := plan{batches: batches, group: c.GradientAccumulationSteps}
	p.total = c.MaxSteps
	if p.total <= 0 {
		p.total = int(math.Ceil(c.NumTrainEpochs * float64(p.perEpoch())))
	}
	return p
}

// perEpoch is how many steps an epoch has.
func (p plan) perEpoch() int { return (p.batches + p.group - 1) / p.group }

// at gives the epoch that a run is in after so many steps, and how many of its
// batches are done.
func (p plan) at(steps int) (epoch, batches int) {
	return steps / p.perEpoch(), steps % p.perEpoch() * p.group
}

// epochs is how often a run has gone through the data after so many steps.
func (p plan) epochs(steps int) float64 {
	epoch, batches := p.at(steps)
	return float64(epoch) + float64(batches)/float64(p.batches)
}

// due reports whether a strategy acts after a step. What it does, it does at
// the end as well.
func (p plan) due(s Strategy, every, step int) bool {
	switch s {
	case EverySteps:
		return step == p.total || step%every == 0
	case EveryEpoch:
		return step == p.total || step%p.perEpoch() == 0
	}
	return false
}
