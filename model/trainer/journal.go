package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/blipflow/blipflow/model/trainer/events"
)

// journal writes the log as it comes: lines of JSON, and TensorBoard's events
// under the tags of Hugging Face's TensorBoardCallback.
type journal struct {
	lines  *os.File       // nil without
	events *events.Writer // nil without
}

// openJournal goes on from a state: what an attempt that died has written after
// it is dropped.
func openJournal(r *Run, s *State) (*journal, error) {
	j := &journal{}
	if r.LogFile != "" {
		if err := j.openLines(r.LogFile, s.LogHistory); err != nil {
			return nil, fmt.Errorf("open the training log: %w", err)
		}
	}
	if r.EventFolder != "" {
		if err := j.openEvents(r, s); err != nil {
			return nil, errors.Join(fmt.Errorf("open the event log: %w", err), j.close())
		}
	}
	return j, nil
}

func (j *journal) openLines(path string, history []Record) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if j.lines, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"); err != nil {
		return err
	}
	aside := j.lines.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, j.lines.Close(), os.Remove(aside))
			j.lines = nil
		}
	}()
	for _, r := range history {
		if err := j.line(r); err != nil {
			return err
		}
	}
	if err := j.lines.Chmod(0o644); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

func (j *journal) line(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = j.lines.Write(append(text, '\n'))
	return err
}

func (j *journal) openEvents(r *Run, s *State) (err error) {
	if j.events, err = events.Open(r.EventFolder, int64(s.GlobalStep)); err != nil {
		return err
	}
	settings, err := json.MarshalIndent(r.Config, "", "  ")
	if err != nil {
		return err
	}
	return j.events.Text("args", "```json\n"+string(settings)+"\n```", int64(s.GlobalStep))
}

// write takes a line of the log.
func (j *journal) write(r Record) error {
	if j.lines != nil {
		if err := j.line(r); err != nil {
			return fmt.Errorf("write the training log: %w", err)
		}
	}
	if j.events == nil {
		return nil
	}
	if err := j.event(r); err != nil {
		return fmt.Errorf("write the event log: %w", err)
	}
	return nil
}

func (j *journal) event(r Record) error {
	now, step := time.Now(), int64(r.Step)
	scalars := map[string]float64{"train/epoch": r.Epoch}
	for tag, v := range map[string]*float64{"train/loss": r.Loss, "train/learning_rate": r.LearningRate, "train/grad_norm": r.GradNorm} {
		if v != nil {
			scalars[tag] = *v
		}
	}
	for name, v := range r.Eval {
		scalars["eval/"+name] = v
	}
	for tag, v := range scalars {
		if err := j.events.Scalar(tag, v, step, now); err != nil {
			return err
		}
	}
	return j.events.Flush()
}

func (j *journal) close() error {
	var err error
	if j.lines != nil {
		err = j.lines.Close()
	}
	if j.events != nil {
		err = errors.Join(err, j.events.Close())
	}
	return err
}
