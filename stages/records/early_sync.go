package records

import (
	"errors"
	"os"
)

// earlySync writes to a file and has what is written stored on the disk while more
// is written, so that little is left to wait for at the end.
type earlySync struct {
	file *os.File
	// step is after how many bytes it begins.
	step    int
	written int
	result  chan error // of the one that is under way; nil if none is
	failed  error
}

// syncStep is the step of files of any size.
const syncStep = 32 << 20

func (e *earlySync) Write(p []byte) (int, error) {
	n, err := e.file.Write(p)
	if e.written += n; e.written < e.step {
		return n, err
	}
	select {
	case failed := <-e.result:
		e.failed = errors.Join(e.failed, failed)
		e.result = nil
	default:
	}
	if e.result == nil {
		e.written, e.result = 0, make(chan error, 1)
		go func(done chan<- error) { done <- e.file.Sync() }(e.result)
	}
	return n, err
}

// finish waits for all to be stored. A system may report the failure to store
// something once only, so the errors of the early times count.
func (e *earlySync) finish() error {
	if e.result != nil {
		e.failed = errors.Join(e.failed, <-e.result)
		e.result = nil
	}
	return errors.Join(e.failed, e.file.Sync())
}
