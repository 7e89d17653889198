package caption

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"sync"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// maxFileBytes bounds the file of one picture, which is read into memory whole.
const maxFileBytes = 1 << 30

// picture is one picture of a part: its pixels, as the model wants them, or why
// there are none.
type picture struct {
	image   string
	imageID string
	pixels  *imaging.RGB
	failed  *records.DeadLetter
}

// decoders bounds the pictures that this process decodes at a time, all elements
// together: a picture in full size may take half a gigabyte.
var decoders = make(chan struct{}, runtime.GOMAXPROCS(0))

// files reads pictures out of files.
type files struct {
	open      dataset.Opener
	processor *imaging.Processor
	decode    imaging.DecodeOptions
}

// ahead gives the pictures of inputs in their order, reading up to n ahead of the
// one that was asked for. It ends early if ctx does, which the caller has to
// look for.
func (f files) ahead(ctx context.Context, inputs []dataset.Input, n int) iter.Seq[picture] {
	return func(yield func(picture) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		slots := make(chan chan picture, n)
		running.Go(func() {
			defer close(slots)
			for _, in := range inputs {
				slot := make(chan picture, 1)
				if !send(ctx, slots, slot) || !send(ctx, decoders, struct{}{}) {
					return
				}
				running.Go(func() {
					defer func() { <-decoders }()
					slot <- f.read(in)
				})
			}
		})
		for slot := range slots {
			select {
			case p := <-slot:
				if !yield(p) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// send reports whether v went out before ctx ended.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// read reads one picture. It never panics: a mistake in this program costs the
// picture, not the run.
func (f files) read(in dataset.Input) (p picture) {
	p.image = in.Key
	defer func() {
		if v := recover(); v != nil {
			p.pixels, p.failed = nil, deadLetter(in.Key, records.CodeInternal, fmt.Errorf("panic: %v", v))
		}
	}()
	data, code, err := f.bytes(in.URI)
	if err != nil {
		p.failed = deadLetter(in.Key, code, err)
		return p
	}
	rgb, _, err := imaging.Decode(data, f.decode)
	if err != nil {
		code := records.Code(imaging.Code(err))
		if code == "" {
			code = records.CodeInternal
		}
		p.failed = deadLetter(in.Key, code, err)
		return p
	}
	p.pixels = f.processor.Apply(rgb)
	return p
}

func (f files) bytes(uri string) (data []byte, code records.Code, err error) {
	file, err := f.open(uri)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, records.CodeMissing, errors.New("the file is not there")
	case err != nil:
		return nil, records.CodeUnreadable, withoutPath(err)
	}
	defer file.Close() // only read
	data, err = io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, records.CodeUnreadable, withoutPath(err)
	case len(data) > maxFileBytes:
		return nil, records.CodeTooManyBytes, fmt.Errorf("the file is larger than %d bytes", maxFileBytes)
	}
	return data, "", nil
}

// withoutPath drops the path from an error: the dead letter names the picture,
// and a path of this machine would make the same run differ on another.
func withoutPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return err
}

func deadLetter(image string, code records.Code, err error) *records.DeadLetter {
	return &records.DeadLetter{Image: image, Stage: Stage, Code: code, Error: err.Error()}
}
