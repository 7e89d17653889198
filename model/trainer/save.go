package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/blipflow/blipflow/model/torch"
)

// AdapterFolder is the folder of a checkpoint with the adapter of a run with
// LoRA, as PEFT reads it.
const AdapterFolder = "adapter"

// save writes the checkpoint of the step and drops those that are no longer
// wanted.
func (s *session) save() error {
	s.peak()
	name := Name(s.state.GlobalStep)
	if s.state.BestMetric == nil {
		s.state.BestCheckpoint = name
	}
	if err := s.write(name); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	s.saved = s.state.GlobalStep
	return s.sweep()
}

// write fills a folder aside and renames it.
func (s *session) write(name string) (err error) {
	if err := os.MkdirAll(s.Output, 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(s.Output, "."+name+".*")
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
	if err := s.shown(func() error { return s.fill(aside) }); err != nil {
		return err
	}
	if err := s.writeState(filepath.Join(aside, StateFile)); err != nil {
		return err
	}
	return s.commit(func() error { return os.Rename(aside, filepath.Join(s.Output, name)) })
}

// fill writes all but the state.
func (s *session) fill(aside string) error {
	if err := s.Folder.Fill(aside, s.model, ""); err != nil {
		return err
	}
	if s.adapter != nil {
		if err := s.adapter.Save(filepath.Join(aside, AdapterFolder), s.Folder.Path); err != nil {
			return err
		}
	}
	return s.Device.Run(torch.Inference, func() error {
		if s.average != nil {
			if err := s.average.save(aside); err != nil {
				return err
			}
		}
		return s.opt.save(aside)
	})
}

func (s *session) writeState(path string) error {
	data, err := json.MarshalIndent(s.state, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// restate replaces the state of the checkpoint that is there, for a run that was
// stopped before it had evaluated the model in it.
func (s *session) restate() error {
	path := filepath.Join(s.Output, Name(s.state.GlobalStep), StateFile)
	if err := s.writeState(path + ".new"); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if err := s.commit(func() error { return os.Rename(path+".new", path) }); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return s.sweep()
}

func (s *session) commit(change func() error) error {
	if s.Commit == nil {
		return change()
	}
	return s.Commit(change)
}

// sweep removes all checkpoints but the last ones and the best, and what a run
// that died left aside.
func (s *session) sweep() error {
	steps, err := Checkpoints(s.Output)
	if err != nil {
		return err
	}
	keep := map[string]bool{Name(s.state.GlobalStep): true}
	if best := s.state.BestCheckpoint; best != "" {
		keep[best] = true
	}
	for _, step := range slices.Backward(steps) {
		switch name := Name(step); {
		case keep[name]:
		case s.Config.SaveTotalLimit == 0 || len(keep) < s.Config.SaveTotalLimit:
			keep[name] = true
		default:
			// Renamed first: a folder of which half is removed is no checkpoint.
			path := filepath.Join(s.Output, name)
			if err := s.commit(func() error { return os.Rename(path, filepath.Join(s.Output, "."+name+".gone")) }); err != nil {
				return fmt.Errorf("remove an old checkpoint: %w", err)
			}
		}
	}
	leftovers, err := filepath.Glob(filepath.Join(s.Output, ".checkpoint-*"))
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := s.commit(func() error { return os.RemoveAll(path) }); err != nil {
			return fmt.Errorf("remove an old checkpoint: %w", err)
		}
	}
	return nil
}
