package events

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// ErrTag is wrapped by what is returned for a tag or a text that an event
// cannot hold: an empty tag, or bytes that are not UTF-8.
var ErrTag = errors.New("not a tag or text of an event")

const (
	filePrefix  = "events.out.tfevents."
	fileVersion = "brain.Event:2"

	// enough is how many bytes wait for a Flush at most.
	enough = 64 << 10
)

// opened counts the files of this process.
var opened atomic.Int64

// Writer writes one event file. Its methods may not be called at the same time.
type Writer struct {
	file io.WriteCloser
	now  func() time.Time

	// pending is what the file has not got yet. Only a write that fails ends
	// within a record, and then pending begins with the rest of it: a later
	// write goes on there, and no record is torn for good.
	pending []byte
}

// Open makes an event file in a folder, and the folder where it is missing. A
// run that starts at step 0 drops whatever the folder's files tell already; one
// that goes on from the state after a step keeps what they tell up to this
// step. An earlier attempt has to have ended, since TensorBoard does not return
// to a file.
func Open(dir string, step int64) (*Writer, error) { return open(dir, step, time.Now) }

func open(dir string, step int64, now func() time.Time) (*Writer, error) {
	if step < 0 {
		return nil, fmt.Errorf("open event file: step %d is negative", step)
	}
	file, err := create(dir, now().Unix())
	if err != nil {
		return nil, fmt.Errorf("open event file: %w", err)
	}
	w := &Writer{file: file, now: now}
	w.pending = appendRecord(w.pending, event(now(), 0, eventFileVersion, []byte(fileVersion)))
	from := step + 1 // START drops the events of its own step too
	if step == 0 {
		from = 0
	}
	w.pending = appendRecord(w.pending, event(now(), from, eventSessionLog, sessionStart()))
	if err := w.Flush(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// create makes a file whose name comes after those of the event files that are
// in the folder, and tells its time, host, process and place in the process.
func create(dir string, seconds int64) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), filePrefix)
		stamp, _, _ := strings.Cut(name, ".")
		if there, err := strconv.ParseInt(stamp, 10, 64); ok && err == nil {
			seconds = max(seconds, there+1)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := fmt.Sprintf("%s%010d.%s.%d.%d", filePrefix, seconds, host, os.Getpid(), opened.Add(1)-1)
	return os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// Scalar writes a number. TensorBoard keeps it in single precision; it may be
// infinite or NaN, which a chart marks.
func (w *Writer) Scalar(tag string, value float64, step int64, at time.Time) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	return w.write(event(at, step, eventSummary, scalarSummary(tag, value)))
}

// Text writes a text in Markdown. TensorBoard shows it under the tag with
// "/text_summary" behind, as torch's does.
func (w *Writer) Text(tag, markdown string, step int64) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	if !utf8.ValidString(markdown) {
		return fmt.Errorf("text %q: %w: it is not UTF-8", tag, ErrTag)
	}
	return w.write(event(w.now(), step, eventSummary, textSummary(tag+"/text_summary", markdown)))
}

func checkTag(tag string) error {
	switch {
	case tag == "":
		return fmt.Errorf("%w: a tag is empty", ErrTag)
	case !utf8.ValidString(tag):
		return fmt.Errorf("tag %q: %w: it is not UTF-8", tag, ErrTag)
	}
	return nil
}

func (w *Writer) write(event []byte) error {
	w.pending = appendRecord(w.pending, event)
	if len(w.pending) < enough {
		return nil
	}
	return w.Flush()
}

// Flush hands all that was written to the operating system, so that TensorBoard
// sees it and the death of the process does not lose it. After an error, as of
// a full disk, it can be called again.
func (w *Writer) Flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	n, err := w.file.Write(w.pending)
	w.pending = append(w.pending[:0], w.pending[n:]...)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// Close flushes and closes the file.
func (w *Writer) Close() error {
	err := w.Flush()
	if closing := w.file.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("close event file: %w", closing))
	}
	return err
}
