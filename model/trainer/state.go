package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Record is a line of the training log: what the steps since the one before
// came to, or what an evaluation found.
type Record struct {
	Step  int     `json:"step"`
	Epoch float64 `json:"epoch"`
	// Loss is the mean over the steps; the rate and the norm, before clipping,
	// are of the last of them.
	Loss         *float64 `json:"loss,omitempty"`
	LearningRate *float64 `json:"learning_rate,omitempty"`
	GradNorm     *float64 `json:"grad_norm,omitempty"`
	// Eval are the scores of an evaluation, and Notes say how they came about.
	Eval  map[string]float64 `json:"eval,omitempty"`
	Notes map[string]string  `json:"notes,omitempty"`
}

// State is what a run has done so far: trainer_state.json. A run goes on from it
// as if it had not stopped.
type State struct {
	GlobalStep int     `json:"global_step"`
	MaxSteps   int     `json:"max_steps"`
	Epoch      float64 `json:"epoch"`
	// Updates are the steps that moved the weights: all of them, unless a loss
	// scale was too high for some. The learning rate follows it.
	Updates int `json:"updates"`
	// Evaluated is the last step that was.
	Evaluated int `json:"evaluated"`
	// BestMetric and BestCheckpoint are of the best evaluation so far; the latter
	// is a folder's name. Without evaluations it is the last checkpoint.
	BestMetric     *float64 `json:"best_metric"`
	BestCheckpoint string   `json:"best_model_checkpoint"`
	// Worse counts the evaluations since one that was better than all before.
	Worse int `json:"early_stopping_patience_counter"`
	// Ended says why a run made fewer steps than it was to.
	Ended      string   `json:"ended,omitempty"`
	LogHistory []Record `json:"log_history"`
	// Window is what the next line of the log will tell of.
	Window struct {
		Loss  float64 `json:"loss"`
		Steps int     `json:"steps"`
	} `json:"window"`
	Scale lossScale `json:"loss_scale"`
	// Settings is a hash of what the run was started with; see [Run.Settings].
	Settings string `json:"settings"`

	// TrainSeconds are those of all steps, WaitSeconds the part of them in which
	// the device waited for a batch.
	TrainSeconds float64 `json:"train_runtime"`
	WaitSeconds  float64 `json:"wait_runtime"`
	EvalSeconds  float64 `json:"eval_runtime"`
	// Samples counts the pairs of a picture and a caption that were learned from.
	Samples int64 `json:"num_input_samples"`
	// PeakMemory is the most memory, in bytes, that the process held.
	PeakMemory int64 `json:"peak_memory_bytes"`
	// Device is what the run ran on, in words.
	Device string `json:"device"`
}

// done reports whether there is nothing left to train.
func (s *State) done() bool { return s.GlobalStep >= s.MaxSteps || s.Ended != "" }

// outcome is the name of the checkpoint that a finished run gives.
func (s *State) outcome(c Config) string {
	if c.LoadBestModelAtEnd && s.BestCheckpoint != "" {
		return s.BestCheckpoint
	}
	return Name(s.GlobalStep)
}

// StateFile is the name of a checkpoint's state.
const StateFile = "trainer_state.json"

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
