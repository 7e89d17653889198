package train

import (
	"context"
	"errors"
	"testing"
	"time"
)

// The runner's context ends after the training runs have, and not before.
func TestOutlive(t *testing.T) {
	parent, end := context.WithCancelCause(context.Background())
	ctx, cancel := Outlive(parent)
	defer cancel()
	underWay.RLock()
	why := errors.New("why")
	end(why)
	select {
	case <-ctx.Done():
		t.Error("it ended before the run")
	case <-time.After(20 * time.Millisecond):
	}
	underWay.RUnlock()
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if context.Cause(ctx) != why {
		t.Errorf("it ended because %v", context.Cause(ctx))
	}
	again, cancel := Outlive(context.Background())
	cancel()
	if again.Err() == nil {
		t.Error("it cannot be cancelled")
	}
}
