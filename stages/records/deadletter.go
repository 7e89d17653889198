package records

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Code is the kind of a dead letter, for programs to sort by.
type Code string

// Codes of the dead letters that stages write, beside those of imaging.Code for
// pictures that cannot be decoded.
const (
	// CodeMissing: the data set names a file that is not there.
	CodeMissing Code = "missing"
	// CodeRefusedPath: the data set names a file outside its own folder.
	CodeRefusedPath Code = "refused_path"
	// CodeUnreadable: the file is there and cannot be read.
	CodeUnreadable Code = "unreadable"
	// CodeNoCaption: a picture that no caption belongs to.
	CodeNoCaption Code = "no_caption"
	// CodeEmptyCaption: a caption without a word.
	CodeEmptyCaption Code = "empty_caption"
	// CodeNoSplit: a picture in none of the splits that the data set names.
	CodeNoSplit Code = "no_split"
	// CodeNearDuplicate: a picture that looks like one in another split.
	CodeNearDuplicate Code = "near_duplicate"
	// CodeChanged: the picture changed while the run went on.
	CodeChanged Code = "changed"
	// CodeTooManyBytes: the file is larger than any picture should be.
	CodeTooManyBytes Code = "file_too_large"
	// CodeInternal: a mistake in this program, on this picture.
	CodeInternal Code = "internal"
)

// DeadLetter is one input that could not be used, and why. Every input of a
// stage ends either in the stage's output or in a dead letter.
type DeadLetter struct {
	// Image is the picture as found, relative to the input.
	Image string `json:"image"`
	// Stage is the stage that gave up on it.
	Stage string `json:"stage"`
	// Code is the kind of failure.
	Code Code `json:"code"`
	// Error says what happened, in words.
	Error string `json:"error"`
}

// WriteDeadLetters writes letters to path as JSON Lines, whole or not at all.
func WriteDeadLetters(path string, letters []DeadLetter) error {
	return WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for i := range letters {
			if err := enc.Encode(&letters[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReadDeadLetters reads what WriteDeadLetters wrote.
func ReadDeadLetters(path string) ([]DeadLetter, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	defer f.Close() // only read
	var letters []DeadLetter
	for dec := json.NewDecoder(f); ; {
		var l DeadLetter
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return letters, nil
		case err != nil:
			return nil, fmt.Errorf("read dead letters: %s: line %d: %w", path, len(letters)+1, err)
		}
		letters = append(letters, l)
	}
}

// WriteFile writes a file whole or not at all: write fills a temporary file in
// the same folder, which then takes path's place in one step. The folder is
// created where it is missing.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, PartPrefix+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close(), os.Remove(f.Name()))
		}
	}()
	early := &earlySync{file: f, step: syncStep}
	buf := bufio.NewWriterSize(early, 1<<20)
	if err := write(buf); err != nil {
		return err
	}
	if err := errors.Join(buf.Flush(), f.Chmod(0o644), early.finish()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// PartPrefix begins the name of every file that is still being written. What a
// dead run leaves is found by it.
const PartPrefix = ".part-"
