package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/lora"
	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer/footprint"
)

// session is a run under way in this process.
type session struct {
	*Run
	plan    plan
	state   State
	model   *blip.Model
	adapter *lora.Adapter // nil without LoRA
	params  []*nn.Param   // what is learned
	opt     *AdamW
	average *average // nil without
	journal *journal // nil until a run is open
	saved   int      // last step with a checkpoint in the output
}

// goOn trains from a state, whose weights are in the folder from, to the end.
func (r *Run) goOn(ctx context.Context, state State, from string) (State, error) {
	s := &session{Run: r, plan: r.Config.plan(r.Data.Len()), state: state}
	s.state.Device = r.Hardware
	if from != "" && from != r.Resume {
		s.saved = state.GlobalStep
	}
	err := s.open(from)
	if err == nil {
		err = s.steps(ctx)
	}
	if err != nil && ctx.Err() != nil && s.opt != nil {
		err = s.stop(ctx)
	}
	return s.state, errors.Join(err, s.close())
}

// open loads the weights and the optimiser's memory.
func (s *session) open(from string) error {
	source := s.Folder
	if from != "" && s.Config.LoRA.Rank == 0 {
		var err error
		if source, err = checkpoint.Open(from); err != nil {
			return err
		}
	}
	var err error
	if s.model, err = source.Load(s.Device); err != nil {
		return err
	}
	params := s.model.Params()
	if s.Config.LoRA.Rank > 0 {
		if s.adapter, err = lora.Attach(s.model, s.Config.LoRA, s.Config.Seed); err != nil {
			return err
		}
		if from != "" {
			if err := s.adapter.Load(filepath.Join(from, AdapterFolder)); err != nil {
				return err
			}
		}
		params = s.adapter.Params()
	}
	s.params = learned(params, s.Config.FreezeVision)
	if err := s.commit(func() error { s.journal, err = openJournal(s.Run, &s.state); return err }); err != nil {
		return err
	}
	return s.Device.Run(torch.Inference, func() error {
		for _, p := range s.params {
			p.Tensor.RequireGrad(torch.Collected)
		}
		s.opt = NewAdamW(s.Device, s.params, s.Config)
		if s.Config.EMADecay > 0 {
			s.average = newAverage(s.params, s.Config.EMADecay)
			if from != "" {
				if err := s.average.load(from); err != nil {
					return fmt.Errorf("read %s: %w", from, err)
				}
			}
		}
		if from == "" {
			return nil
		}
		return s.opt.load(from, s.state.Updates)
	})
}

func (s *session) close() error {
	_ = s.Device.Run(torch.Inference, func() error { // freeing has nothing to report
		if s.opt != nil {
			s.opt.Close()
		}
		if s.average != nil {
			s.average.close()
		}
		return nil
	})
	if s.adapter != nil {
		s.adapter.Close()
	}
	if s.model != nil {
		s.model.Close()
	}
	if s.journal != nil {
		return s.journal.close()
	}
	return nil
}

// steps goes on to the last step. What was due after the step of the checkpoint
// and did not come to pass is made up for first.
func (s *session) steps(ctx context.Context) error {
	if s.Report != nil {
		s.Report(s.state, Record{Step: s.state.GlobalStep, Epoch: s.state.Epoch})
	}
	if s.state.GlobalStep > 0 {
		if err := s.after(ctx); err != nil {
			return err
		}
	}
	for !s.state.done() {
		if err := s.epoch(ctx); err != nil {
			return err
		}
	}
	// A run that goes on from another's checkpoint may have nothing left to do.
	if s.saved != s.state.GlobalStep {
		return s.save()
	}
	return nil
}

// epoch goes through the data from where the state is, to the epoch's end or
// that of the run.
func (s *session) epoch(ctx context.Context) error {
	number, skip := s.plan.at(s.state.GlobalStep)
	group := make([]blip.Batch, 0, s.plan.group)
	read, began := skip, time.Now()
	waiting := began
	var waited time.Duration
	for batch, err := range s.Data.Batches(number, skip) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("read training data: %w", err)
		}
		waited += time.Since(waiting)
		group = append(group, batch)
		if read++; len(group) == s.plan.group || read == s.plan.batches {
			if err := s.step(ctx, group); err != nil {
				return err
			}
			s.state.TrainSeconds += time.Since(began).Seconds()
			s.state.WaitSeconds += waited.Seconds()
			if err := s.after(ctx); err != nil {
				return err
			}
			if s.state.done() {
				return nil
			}
			group, waited, began = group[:0], 0, time.Now()
		}
		waiting = time.Now()
	}
	if read != s.plan.batches {
		return fmt.Errorf("read training data: epoch %d has %d batches, not the %d that were promised", number, read, s.plan.batches)
	}
	return nil
}

// step moves the weights by the mean gradient of a group of batches.
func (s *session) step(ctx context.Context, group []blip.Batch) error {
	objective := blip.Objective{
		Scale: s.state.Scale.Factor, Smoothing: s.Config.LabelSmoothing, Checkpointing: s.Config.GradientCheckpointing,
		Autocast: autocast[s.Config.Precision], FrozenVision: s.Config.FreezeVision,
	}
	share := 1 / float64(len(group))
	if s.Config.Average == OverTokens {
		share = 1
		for _, b := range group {
			objective.Divisor += float64(b.Labels())
		}
	}
	objective.Scale *= share
	var loss float64
	samples := 0
	for i, b := range group {
		if err := ctx.Err(); err != nil {
			return err
		}
		part, err := s.learn(i, b, objective)
		if err != nil {
			return fmt.Errorf("training step %d: %w", s.state.GlobalStep, err)
		}
		loss += part * share
		samples += len(b.Tokens)
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("training step %d: the loss is %w (a smaller learning_rate may help)", s.state.GlobalStep, ErrDiverged)
	}
	return s.move(loss, samples)
}

var autocast = map[Precision]torch.DType{Float32: torch.Float32, BFloat16: torch.BFloat16, Float16: torch.Float16}

// learn adds the gradients of the i-th batch of a step. Dropout draws anew for
// each, from a seed that tells of the step alone, so that it matters not where a
// run was interrupted.
func (s *session) learn(i int, b blip.Batch, o blip.Objective) (loss float64, err error) {
	if err := torch.Seed(s.Config.Seed + int64(s.state.GlobalStep)*int64(s.plan.group) + int64(i)); err != nil {
		return 0, err
	}
	err = s.Device.Run(torch.Training, func() (err error) {
		loss, err = s.model.Learn(b, o)
		return err
	})
	return loss, err
}

// move makes the optimiser's step and tells of it.
func (s *session) move(loss float64, samples int) error {
	rate := s.Config.rate(s.state.Updates, s.state.MaxSteps)
	var norm float64
	finite := true
	err := s.Device.Run(torch.Inference, func() error {
		defer s.opt.ZeroGrad()
		norm = s.opt.Clip(s.Config.MaxGradNorm, s.state.Scale.Factor)
		if finite = !math.IsNaN(norm) && !math.IsInf(norm, 0); !finite {
			return nil
		}
		s.opt.Step(rate)
		if s.average != nil {
			s.average.follow()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("training step %d: %w", s.state.GlobalStep, err)
	}
	if finite {
		s.state.Updates++
		s.state.Scale.passed(s.Config.Precision)
	} else if !s.state.Scale.overflowed(s.Config.Precision) {
		return fmt.Errorf("training step %d: the gradient is %w (a smaller learning_rate may help)", s.state.GlobalStep, ErrDiverged)
	}
	s.state.GlobalStep++
	s.state.Samples += int64(samples)
	s.state.Epoch = s.plan.epochs(s.state.GlobalStep)
	return s.tell(loss, rate, norm)
}

// tell reports a step, and writes a line of the log where one is due.
func (s *session) tell(loss, rate, norm float64) error {
	w := &s.state.Window
	w.Loss, w.Steps = w.Loss+loss, w.Steps+1
	rec := Record{Step: s.state.GlobalStep, Epoch: s.state.Epoch, Loss: &loss, LearningRate: &rate}
	if !math.IsNaN(norm) && !math.IsInf(norm, 0) {
		rec.GradNorm = &norm
	}
	if s.state.GlobalStep%s.Config.LoggingSteps == 0 || s.state.GlobalStep == s.state.MaxSteps {
		logged := rec
		mean := w.Loss / float64(w.Steps)
		logged.Loss = &mean
		w.Loss, w.Steps = 0, 0
		if err := s.log(logged); err != nil {
			return err
		}
	}
	if s.Report != nil {
		s.Report(s.state, rec)
	}
	return nil
}

func (s *session) log(r Record) error {
	s.state.LogHistory = append(s.state.LogHistory, r)
	if s.journal == nil {
		return nil
	}
	return s.journal.write(r)
}

// after does what is due after a step: an evaluation, a checkpoint.
func (s *session) after(ctx context.Context) error {
	judged, better := s.owes(s.state), false
	if judged {
		var err error
		if better, err = s.evaluate(ctx); err != nil {
			return err
		}
	}
	switch step := s.state.GlobalStep; {
	case s.saved == step && judged:
		return s.restate()
	case s.saved == step:
		return nil
	case better || s.state.done() || s.plan.due(s.Config.SaveStrategy, s.Config.SaveSteps, step):
		return s.save()
	}
	return nil
}

// stop saves where a run is, because the context has ended.
func (s *session) stop(ctx context.Context) error {
	cause := context.Cause(ctx)
	if s.saved != s.state.GlobalStep {
		if err := s.save(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w at step %d of %d: %w", ErrStopped, s.state.GlobalStep, s.state.MaxSteps, cause)
}

// evaluate judges the model as it is exported, and tells whether it is the best
// so far.
func (s *session) evaluate(ctx context.Context) (better bool, err error) {
	began := time.Now()
	var scores Scores
	err = s.shown(func() (err error) {
		scores, err = s.Evaluate(ctx, s.model)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("evaluate after step %d: %w", s.state.GlobalStep, err)
	}
	s.state.EvalSeconds += time.Since(began).Seconds()
	s.state.Evaluated = s.state.GlobalStep
	if better, err = s.judge(scores); err != nil {
		return false, err
	}
	rec := Record{Step: s.state.GlobalStep, Epoch: s.state.Epoch, Eval: scores.Metrics, Notes: scores.Notes}
	if err := s.log(rec); err != nil {
		return false, err
	}
	if s.Report != nil {
		s.Report(s.state, rec)
	}
	return better, nil
}

// judge compares scores with the best so far, remembers them if they win, and
// ends a run that has not become better for too long.
func (s *session) judge(scores Scores) (better bool, err error) {
	for name, v := range scores.Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false, fmt.Errorf("evaluate after step %d: the %s is %w", s.state.GlobalStep, name, ErrDiverged)
		}
	}
	got, ok := scores.Metrics[s.Config.metric()]
	if !ok {
		return false, fmt.Errorf("%w: metric_for_best_model is %q", ErrMetric, s.Config.MetricForBestModel)
	}
	best := s.state.BestMetric
	if best == nil || s.Config.beats(got, *best, s.Config.EarlyStoppingThreshold) {
		s.state.Worse = 0
	} else if s.state.Worse++; s.Config.EarlyStoppingPatience > 0 && s.state.Worse >= s.Config.EarlyStoppingPatience && s.state.GlobalStep < s.state.MaxSteps {
		s.state.Ended = fmt.Sprintf("%s was no better in %d evaluations", s.Config.metric(), s.state.Worse)
	}
	if better = best == nil || s.Config.beats(got, *best, 0); better {
		s.state.BestMetric, s.state.BestCheckpoint = &got, Name(s.state.GlobalStep)
	}
	return better, nil
}

// shown runs fn while the model holds the running average, if there is one.
func (s *session) shown(fn func() error) (err error) {
	if s.average == nil {
		return fn()
	}
	swap := func() error {
		return s.Device.Run(torch.Inference, func() error { s.average.swap(); return nil })
	}
	if err := swap(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, swap()) }()
	return fn()
}

// peak notes the most memory that the process held.
func (s *session) peak() { s.state.PeakMemory = max(s.state.PeakMemory, footprint.PeakMemory()) }
