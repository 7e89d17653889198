// Package trainer fine-tunes a BLIP model as Hugging Face's Trainer does: AdamW
// under a schedule over batches, evaluations and checkpoints by steps or epochs,
// and the choice of the best.
//
// # Checkpoints
//
// A run keeps its checkpoints in one folder, checkpoint-N after N steps, each
// a complete Hugging Face model folder with the optimiser's memory and the
// trainer's state beside the weights. Each appears whole or not at all. The
// model of a run with LoRA is merged, with the adapter in a folder beside it;
// that of a run with a running average is the average.
//
// # Again
//
// A run that is started again goes on from its last checkpoint, wherever in an
// epoch that is, and ends, on the CPU, with the weights that it would have had
// to the bit: what a step does depends on the weights, the optimiser's memory,
// the seed, the step's number and its batches alone. A run whose context ends
// saves a checkpoint before it returns [ErrStopped].
//
// # Failures
//
// A loss that is not a number, memory that runs out, a full disk or data that
// cannot be read end the run before they touch a checkpoint; the error names
// the one that is left.
//
// # Differences from the Trainer
//
// These are of transformers 5.23. For BLIP the Trainer divides the gradient of
// accumulated batches by nothing, so that it is the sum of the batches' means and
// the loss in its log their sum; here it is what [Average] says. Its
// label_smoothing_factor compares the logits of a token with that token rather
// than the next; here it is BLIP's own smoothing with another factor. What is the
// best so far is always saved, whatever save_strategy says.
//
// The trainer knows neither Parquet nor metrics: batches and the evaluation
// are handed in ([Data], [Run.Evaluate]).
package trainer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// Data gives the batches of a training run.
type Data interface {
	// Batches are those of an epoch, counted from 0, without its first skip ones,
	// in an order that depends on nothing but the epoch.
	Batches(epoch, skip int) iter.Seq2[blip.Batch, error]
	// Len is how many batches an epoch has.
	Len() int
}

// Scores are what an evaluation finds.
type Scores struct {
	// Metrics by name. "loss" and names that end in it are better when lower.
	Metrics map[string]float64
	// Notes say how the scores came about, such as a metric's signature.
	Notes map[string]string
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
	// Resume is a checkpoint to go on from where the output has none yet. It may
	// be of a run with other settings. Empty for the start.
	Resume string
	// Settings is a hash of all that decides the outcome. Checkpoints of
	// another hash in the output are refused.
	Settings string
	// Hardware is what the run runs on, in words, for the record.
	Hardware string
	Data     Data
	// Evaluate judges the model on the validation split. It may be nil: then the
	// last checkpoint is the best.
	Evaluate func(ctx context.Context, m *blip.Model) (Scores, error)
	// Report is called with an empty record before the first step, and after each
	// step and each evaluation. It may be nil.
	Report func(s State, last Record)
	// LogFile takes a line of JSON for each Record of the log, as it comes. Empty
	// for none.
	LogFile string
	// EventFolder takes the same for TensorBoard. Empty for none.
	EventFolder string
	// Commit surrounds whatever changes the names in the output: it may refuse,
	// for a run that another has taken over from. It may be nil.
	Commit func(change func() error) error
}

var (
	// ErrOtherRun is wrapped where the output holds checkpoints of a run with
	// other settings.
	ErrOtherRun = errors.New("the checkpoints there are those of a run with other settings")
	// ErrDiverged is wrapped where the loss or its gradient is no longer a number.
	ErrDiverged = errors.New("not a number")
	// ErrMetric is wrapped where the evaluation does not give the metric that
	// is to choose the best checkpoint.
	ErrMetric = errors.New("no such metric")
	// ErrStopped is wrapped where the context ended and a checkpoint was saved.
	ErrStopped = errors.New("training stopped")
)

// Train runs to the end, from the start or from the last checkpoint, and gives
// the state and the folder of the outcome: the best checkpoint, or the last.
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
	if !state.done() || r.owes(state) || from == "" || from == r.Resume {
		if state, err = r.goOn(ctx, state, from); err != nil {
			return state, "", r.explain(err)
		}
	}
	return state, filepath.Join(r.Output, state.outcome(r.Config)), nil
}

// owes reports whether the evaluation that is due after the state's last step
// has not come to pass.
func (r *Run) owes(s State) bool {
	due := r.Config.plan(r.Data.Len()).due(r.Config.EvalStrategy, r.Config.EvalSteps, s.GlobalStep)
	return r.Evaluate != nil && s.GlobalStep > 0 && s.Evaluated != s.GlobalStep && s.Ended == "" && due
}

// explain adds to an error what can be done about it.
func (r *Run) explain(err error) error {
	if errors.Is(err, torch.ErrOutOfMemory) {
		err = fmt.Errorf("%w (a smaller per_device_train_batch_size with more gradient_accumulation_steps, or gradient_checkpointing, takes less memory)", err)
	}
	if steps, listed := Checkpoints(r.Output); listed == nil && len(steps) > 0 {
		return fmt.Errorf("%w; %s is whole, and the same command goes on from it", err, Name(steps[len(steps)-1]))
	}
	return err
}

// last finds the newest checkpoint of this run, or the one to resume from.
func (r *Run) last() (State, string, error) {
	fresh := State{
		MaxSteps: r.Config.plan(r.Data.Len()).total, Settings: r.Settings, Scale: newLossScale(r.Config.Precision),
	}
	steps, err := Checkpoints(r.Output)
	if err != nil {
		return State{}, "", err
	}
	if len(steps) == 0 {
		if r.Resume == "" {
			return fresh, "", nil
		}
		s, err := ReadState(r.Resume)
		if err != nil {
			return State{}, "", err
		}
		// Its names and its verdicts are of another folder.
		s.MaxSteps, s.Settings, s.BestCheckpoint, s.BestMetric, s.Ended, s.Evaluated, s.Worse = fresh.MaxSteps, r.Settings, "", nil, "", 0, 0
		return s, r.Resume, nil
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

// learned are the parameters that training moves.
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
