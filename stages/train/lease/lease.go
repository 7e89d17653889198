package lease

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Lease is the right to write into a folder. Its methods may be called at the same
// time.
type Lease struct {
	dir   string
	alive *flock.Flock // nil on a file system without locks
	stop  chan struct{}
	beats sync.WaitGroup

	mu       sync.Mutex
	state    state     // mu is for Renewals and Released, the rest stays as it is
	renewed  time.Time // last, by the monotonic clock
	lost     error     // once it is
	released bool
}

// ErrLost is wrapped where another has taken the lease over, or where its files
// were removed.
var ErrLost = errors.New("another run has taken over")

var errReleased = errors.New("the lease has been released")

// live starts to renew the lease.
func (l *Lease) live() {
	l.stop = make(chan struct{})
	l.beats.Go(func() {
		tick := time.NewTicker(max(l.state.TTL/renewals, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			l.mu.Lock()
			// What keeps it from being renewed shows when the holder checks.
			if err := l.renew(); errors.Is(err, ErrLost) {
				l.mu.Unlock()
				return
			}
			l.mu.Unlock()
		}
	})
}

// die lets others see that the holder is gone. The alive file stays until the
// next holder sweeps: it may be that of another by then.
func (l *Lease) die() error {
	if l.alive == nil {
		return nil
	}
	return l.alive.Close()
}

// Token is the lease's number: higher than that of any lease of the folder before
// it.
func (l *Lease) Token() int64 { return l.state.Token }

// Check reports whether the lease is still held: the error wraps ErrLost where it
// is not. Another may take it over as soon as Check has returned; see Do.
func (l *Lease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(); err != nil {
		return fmt.Errorf("lease of %s: %w", l.dir, err)
	}
	return nil
}

func (l *Lease) check() error {
	if l.released {
		return errReleased
	}
	err := l.renew()
	// Files can be removed from a disk on which none can be written.
	if err != nil && (errors.Is(err, ErrLost) || time.Since(l.renewed) >= l.state.TTL/2) {
		return err
	}
	return l.verify()
}

// renew shows others that the holder lives.
func (l *Lease) renew() error {
	if err := l.verify(); err != nil {
		return err
	}
	next := l.state
	next.Renewals++
	// The time is taken first: others count from when they see it.
	now := time.Now()
	if err := replace(l.dir, next); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	l.state.Renewals, l.renewed = next.Renewals, now
	return nil
}

// verify compares the token and the owner with those in the folder.
func (l *Lease) verify() error {
	if l.lost != nil {
		return l.lost
	}
	seen, err := look(l.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && seen.token < l.state.Token:
		l.lost = fmt.Errorf("%w: the files of the lease are gone", ErrLost)
		return l.lost
	case err != nil:
		return err
	case seen.token > l.state.Token || seen.state.Owner != l.state.Owner:
		l.lost = fmt.Errorf("%w: %s", ErrLost, seen.state.holder())
		return l.lost
	}
	return nil
}

// Do changes the folder if the lease is still held, and else returns an error
// that wraps ErrLost, without a call to change. No other process that shares the
// folder's locks takes over in between. Change must be short, a rename or a
// removal, and not call Do.
func (l *Lease) Do(change func() error) (err error) {
	held, err := lock(context.Background(), l.dir, l.state.TTL)
	if errors.Is(err, fs.ErrNotExist) { // the folder is
		err = errors.Join(l.Check(), err)
	}
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if err := l.Check(); err != nil {
		return err
	}
	return change()
}

// Release lets go of the lease, so that others need not wait until it runs out.
// That it was lost before is no error.
func (l *Lease) Release() error {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return nil
	}
	l.released = true
	l.mu.Unlock()
	close(l.stop)
	l.beats.Wait()
	if err := errors.Join(l.leave(), l.die()); err != nil {
		return fmt.Errorf("release the lease of %s: %w", l.dir, err)
	}
	return nil
}

// leave marks the lease as free, if it is still held.
func (l *Lease) leave() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch err := l.verify(); {
	case errors.Is(err, ErrLost):
		return nil
	case err != nil:
		return err
	}
	l.state.Released = true
	return replace(l.dir, l.state)
}
