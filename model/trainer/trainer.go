// Package trainer fine-tunes a BLIP model: AdamW under a schedule over epochs
// of batches, an evaluation and a checkpoint after each epoch, and the choice
// of the best.
//
// A run keeps its checkpoints in one folder, checkpoint-N after N steps, each
// a complete Hugging Face model folder with the optimiser's memory and the
// trainer's state beside the weights. Each appears whole or not at all. A run
// that is started again goes on from the last of them, at the start of an
// epoch, with the losses that it would have had.
//
// The trainer knows neither Parquet nor metrics: batches and the evaluation
// are handed in ([Data], [Run.Evaluate]).
package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// Data gives the batches of a training run.
type Data interface {
	// Batches are those of an epoch, counted from 0, in an order that depends
	// on nothing but the epoch.
	Batches(epoch int) iter.Seq2[blip.Batch, error]
	// Len is how many batches an epoch has.
	Len() int
}

// Record is a line of the training log.
type Record struct {
	Step         int                `json:"step"`
	Epoch        float64            `json:"epoch"`
	Loss         *float64           `json:"loss,omitempty"`
	LearningRate *float64           `json:"learning_rate,omitempty"`
	GradNorm     *float64           `json:"grad_norm,omitempty"`
	Eval         map[string]float64 `json:"eval,omitempty"`
}

// State is what a run has done so far: trainer_state.json.
type State struct {
	GlobalStep int      `json:"global_step"`
	Epoch      int      `json:"epoch"`
	MaxSteps   int      `json:"max_steps"`
	LogHistory []Record `json:"log_history"`
	// BestMetric and BestCheckpoint are of the best epoch so far; the latter
	// is a folder's name.
	BestMetric     *float64 `json:"best_metric"`
	BestCheckpoint string   `json:"best_model_checkpoint"`
	// Settings is a hash of what the run was started with; see [Run.Settings].
	Settings string `json:"settings"`
}

// Run is a training run.
type Run struct {
	Config Config
	// Folder is the model that the run starts from; checkpoints take its
	// tokenizer, processor and generation settings.
	Folder *checkpoint.Folder
	Device *torch.Device
	// Output is where the checkpoints go.
	Output string
	// Settings is a hash of all that decides the outcome. Checkpoints of
	// another hash are refused.
	Settings string
	Data     Data
	// Evaluate judges the model on the validation split, after each epoch. It
	// may be nil: then the last checkpoint is the best.
	Evaluate func(ctx context.Context, m *blip.Model) (map[string]float64, error)
	// Report is called after each step. It may be nil.
	Report func(s State, last Record)
}

var (
	// ErrOtherRun is wrapped where the output holds checkpoints of a run with
	// other settings.
	ErrOtherRun = errors.New("the checkpoints there are those of a run with other settings")
	// ErrDiverged is wrapped where the loss is no longer a number.
	ErrDiverged = errors.New("the loss is not a number")
	// ErrMetric is wrapped where the evaluation does not give the metric that
	// is to choose the best checkpoint.
	ErrMetric = errors.New("no such metric")
)

// StateFile is the name of a checkpoint's state.
const StateFile = "trainer_state.json"

// Train runs to the end, from the start or from the last checkpoint, and gives
// the state and the folder of the best checkpoint.
func (r *Run) Train(ctx context.Context) (State, string, error) {
	if err := r.Config.Validate(); err != nil {
		return State{}, "", err
	}
	if r.Data.Len() == 0 {
		return State{}, "", fmt.Errorf("%w: the training split has no batch", ErrConfig)
	}
	state, from, err := r.last()
	if err != nil {
		return State{}, "", err
	}
	if state.Epoch >= r.Config.NumTrainEpochs {
		return state, filepath.Join(r.Output, state.BestCheckpoint), nil
	}
	source := r.Folder
	if from != "" {
		if source, err = checkpoint.Open(from); err != nil {
			return State{}, "", err
		}
	}
	m, err := source.Load(r.Device)
	if err != nil {
		return State{}, "", err
	}
	defer m.Close()
	state, err = r.train(ctx, m, state, from)
	return state, filepath.Join(r.Output, state.BestCheckpoint), err
}

// last finds the newest checkpoint of this run.
func (r *Run) last() (State, string, error) {
	total := r.steps() * r.Config.NumTrainEpochs
	steps, err := Checkpoints(r.Output)
	if err != nil || len(steps) == 0 {
		return State{MaxSteps: total, Settings: r.Settings}, "", err
	}
	path := filepath.Join(r.Output, Name(steps[len(steps)-1]))
	s, err := ReadState(path)
	if err != nil {
		return State{}, "", err
	}
	if s.Settings != r.Settings {
		return State{}, "", fmt.Errorf("%s: %w", path, ErrOtherRun)
	}
	return s, path, nil
}

// ReadState reads a checkpoint's state.
func ReadState(folder string) (State, error) {
	var s State
	data, err := os.ReadFile(filepath.Join(folder, StateFile))
	if err != nil {
		return s, fmt.Errorf("read checkpoint: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", filepath.Join(folder, StateFile), err)
	}
	return s, nil
}

// Latest is the state of the last checkpoint in a folder of checkpoints.
func Latest(folder string) (State, error) {
	steps, err := Checkpoints(folder)
	if err != nil {
		return State{}, err
	}
	if len(steps) == 0 {
		return State{}, fmt.Errorf("no checkpoint in %s", folder)
	}
	return ReadState(filepath.Join(folder, Name(steps[len(steps)-1])))
}

// Name is that of the checkpoint after a number of steps.
func Name(step int) string { return "checkpoint-" + strconv.Itoa(step) }

// Checkpoints lists the steps of a folder's checkpoints, rising.
func Checkpoints(folder string) ([]int, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for checkpoints: %w", err)
	}
	var steps []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "checkpoint-")); err == nil && e.IsDir() && Name(n) == e.Name() {
			steps = append(steps, n)
		}
	}
	slices.Sort(steps)
	return steps, nil
}

// steps is how many times an epoch moves the weights.
func (r *Run) steps() int {
	k := r.Config.GradientAccumulationSteps
	return (r.Data.Len() + k - 1) / k
}

func (r *Run) train(ctx context.Context, m *blip.Model, state State, from string) (State, error) {
	params := learned(m.Params(), r.Config.FreezeVision)
	var opt *AdamW
	err := r.Device.Run(torch.Inference, func() error {
		for _, p := range params {
			p.Tensor.RequireGrad(torch.Collected)
		}
		opt = NewAdamW(r.Device, params, r.Config)
		if from != "" {
			return opt.load(from, state.GlobalStep)
		}
		return nil
	})
	if opt != nil {
		defer func() {
			_ = r.Device.Run(torch.Inference, func() error { opt.Close(); return nil })
		}()
	}
	if err != nil {
		return state, err
	}
	for state.Epoch < r.Config.NumTrainEpochs {
		if err := r.epoch(ctx, m, opt, &state); err != nil {
			return state, err
		}
		if err := r.judge(ctx, m, opt, &state); err != nil {
			return state, err
		}
	}
	return state, nil
}

func learned(params []*nn.Param, freezeVision bool) []*nn.Param {
	if !freezeVision {
		return params
	}
	var out []*nn.Param
	for _, p := range params {
		if !strings.HasPrefix(p.Name, "vision_model.") {
			out = append(out, p)
		}
	}
	return out
}

// epoch goes once through the data.
func (r *Run) epoch(ctx context.Context, m *blip.Model, opt *AdamW, state *State) error {
	// Dropout starts anew with each epoch, so that a run which resumes at one
	// draws what it would have drawn.
	if err := torch.Seed(r.Config.Seed + int64(state.Epoch)); err != nil {
		return err
	}
	var group []blip.Batch
	log := &window{}
	done := 0
	step := func() error {
		err := r.step(m, opt, state, group, log, float64(done)/float64(r.Data.Len()))
		group = group[:0]
		return err
	}
	for batch, err := range r.Data.Batches(state.Epoch) {
		if err != nil {
			return fmt.Errorf("read training data: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("training stopped at step %d: %w", state.GlobalStep, err)
		}
		group = append(group, batch)
		done++
		if len(group) == r.Config.GradientAccumulationSteps {
			if err := step(); err != nil {
				return err
			}
		}
	}
	if len(group) > 0 {
		if err := step(); err != nil {
			return err
		}
	}
	state.Epoch++
	return nil
}

// window is what has happened since the last line of the log.
type window struct {
	loss  float64
	steps int
}

// step moves the weights by the mean gradient of a group of batches.
func (r *Run) step(m *blip.Model, opt *AdamW, state *State, group []blip.Batch, log *window, through float64) error {
	rate := r.Config.rate(state.GlobalStep, state.MaxSteps)
	var loss, norm float64
	err := r.Device.Run(torch.Training, func() (err error) {
		for _, b := range group {
			torch.Tidy(r.Device, func() *torch.Tensor {
				var out blip.Output
				if out, err = m.Forward(b); err == nil {
					share := out.Loss.Scale(1 / float64(len(group)))
					loss += share.Float()
					share.Backward()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		r.Device.Without(func() {
			norm = opt.Clip(r.Config.MaxGradNorm)
			opt.Step(rate)
			opt.ZeroGrad()
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("training step %d: %w", state.GlobalStep, err)
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("training step %d: %w (a smaller learning_rate may help)", state.GlobalStep, ErrDiverged)
	}
	state.GlobalStep++
	log.loss, log.steps = log.loss+loss, log.steps+1
	rec := Record{Step: state.GlobalStep, Epoch: float64(state.Epoch) + through, Loss: &loss, LearningRate: &rate, GradNorm: &norm}
	if state.GlobalStep%r.Config.LoggingSteps == 0 {
		mean := log.loss / float64(log.steps)
		logged := rec
		logged.Loss = &mean
		state.LogHistory = append(state.LogHistory, logged)
		*log = window{}
	}
	if r.Report != nil {
		r.Report(*state, rec)
	}
	return nil
}

// judge evaluates the epoch's model, writes its checkpoint and drops those
// that are no longer wanted.
func (r *Run) judge(ctx context.Context, m *blip.Model, opt *AdamW, state *State) error {
	best := true
	if r.Evaluate != nil {
		scores, err := r.Evaluate(ctx, m)
		if err != nil {
			return fmt.Errorf("evaluate after epoch %d: %w", state.Epoch, err)
		}
		rec := Record{Step: state.GlobalStep, Epoch: float64(state.Epoch), Eval: scores}
		state.LogHistory = append(state.LogHistory, rec)
		if r.Report != nil {
			r.Report(*state, rec)
		}
		if best, err = r.better(scores, state); err != nil {
			return err
		}
	}
	name := Name(state.GlobalStep)
	if best {
		state.BestCheckpoint = name
	}
	if err := r.save(m, opt, *state, name); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return r.sweep(*state)
}

// better compares the epoch with the best so far, and remembers it if it wins.
func (r *Run) better(scores map[string]float64, state *State) (bool, error) {
	key := r.Config.MetricForBestModel
	got, ok := scores[key]
	if !ok {
		return false, fmt.Errorf("%w: metric_for_best_model is %q", ErrMetric, key)
	}
	if state.BestMetric != nil {
		if lower := key == "loss"; lower && got >= *state.BestMetric || !lower && got <= *state.BestMetric {
			return false, nil
		}
	}
	state.BestMetric = &got
	return true, nil
}

// save writes a checkpoint aside and renames it.
func (r *Run) save(m *blip.Model, opt *AdamW, state State, name string) (err error) {
	if err := os.MkdirAll(r.Output, 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(r.Output, "."+name+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(aside))
		}
	}()
	if err := os.Chmod(aside, 0o755); err != nil {
		return err
	}
	if err := r.Folder.Fill(aside, m, ""); err != nil {
		return err
	}
	if err := r.Device.Run(torch.Inference, func() error { return opt.save(aside) }); err != nil {
		return err
	}
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(aside, StateFile), append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(aside, filepath.Join(r.Output, name))
}

// sweep removes all checkpoints but the last ones and the best, and what a run
// that died left aside.
func (r *Run) sweep(state State) error {
	steps, err := Checkpoints(r.Output)
	if err != nil {
		return err
	}
	last := len(steps) - 1
	keep := map[string]bool{Name(steps[last]): true, state.BestCheckpoint: true}
	for _, step := range slices.Backward(steps) {
		if name := Name(step); len(keep) < r.Config.SaveTotalLimit {
			keep[name] = true
		} else if !keep[name] {
			if err := os.RemoveAll(filepath.Join(r.Output, name)); err != nil {
				return fmt.Errorf("remove an old checkpoint: %w", err)
			}
		}
	}
	leftovers, err := filepath.Glob(filepath.Join(r.Output, ".checkpoint-*"))
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove an unfinished checkpoint: %w", err)
		}
	}
	return nil
}
