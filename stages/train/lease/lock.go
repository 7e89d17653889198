package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is how often a lock that another has is tried.
const lockPoll = 5 * time.Millisecond

// lockless reports whether err says that the file system has no locks.
func lockless(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK)
}

// lock takes the folder's lock, for which it waits at most that long. On a file
// system without locks nothing is locked.
func lock(ctx context.Context, dir string, wait time.Duration) (*flock.Flock, error) {
	f := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o644))
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, err := f.TryLockContext(short, lockPoll)
	switch {
	case err == nil, lockless(err):
		return f, nil
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w for %v", errLocked, wait)
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Path(), err), f.Close())
}

// errLocked is the failure to get the folder's lock: its process was stopped in
// the middle of a change.
var errLocked = errors.New("another process has kept it locked")

// liveness locks the alive file of a lease until the lock is closed or the process
// ends. Nil on a file system without locks.
func liveness(dir string, token int64) (*flock.Flock, error) {
	f := flock.New(path(dir, token)+aliveSuffix, flock.SetPermissions(0o644))
	locked, err := f.TryLock()
	switch {
	case lockless(err):
		return nil, nil
	case err == nil && !locked:
		err = errTaken
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Path(), err), f.Close())
	}
	return f, nil
}

// dead reports whether the holder's process has ended for certain.
func dead(dir string, s state) bool {
	if s.Machine == "" || s.Machine != machine(dir) {
		return false
	}
	// Shared, so that those who look do not take one another for the holder.
	f := flock.New(path(dir, s.Token)+aliveSuffix, flock.SetFlag(os.O_RDONLY), flock.SetPermissions(0o644))
	free, err := f.TryRLock()
	return errors.Join(err, f.Close()) == nil && free
}
