package train

import (
	"context"
	"sync"
	"sync/atomic"
)

// underWay is held for reading by each training run of this process.
var underWay sync.RWMutex

// unsaved is the error of the last of them that was to stop and could not save.
var unsaved atomic.Pointer[error]

// Unsaved is why a training run of this process that a signal ended could not
// save where it was; nil where it could, or had nothing to save.
func Unsaved() error {
	if err := unsaved.Load(); err != nil {
		return *err
	}
	return nil
}

// Outlive returns a context that ends after parent has, and after the training
// runs of this process, which end by themselves at a signal, have saved where
// they are. The runner of a pipeline gets it, so that it does not end the process
// before.
func Outlive(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	unhook := context.AfterFunc(parent, func() {
		underWay.Lock() // waits for those that hold it
		defer underWay.Unlock()
		cancel(context.Cause(parent))
	})
	return ctx, func() {
		unhook()
		cancel(context.Canceled)
	}
}
