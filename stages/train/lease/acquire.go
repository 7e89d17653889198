package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options are settings of a lease.
type Options struct {
	// TTL is how long the lease is good without a renewal, at most a day. All who
	// want a folder's lease wait for the holder's. 0 means 2 minutes.
	TTL time.Duration
	// Wait is how long to wait for a holder that lives to let go. 0 means not at
	// all.
	Wait time.Duration
}

// ErrHeld is wrapped where another holds the lease and lives.
var ErrHeld = errors.New("another run is writing there")

// renewals is how often a lease is renewed in its TTL.
const renewals = 60

// Acquire takes the lease of a folder, which is made where it is missing. It waits
// until it is known whether another holder lives, which takes at most that
// holder's TTL, and then for Options.Wait. The error wraps ErrHeld, and names the
// holder, where it lives on.
func Acquire(ctx context.Context, dir string, o Options) (*Lease, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	if o.TTL = cmp.Or(o.TTL, 2*time.Minute); o.TTL < 0 || o.TTL > maxTTL {
		return nil, fmt.Errorf("lease of %s: the TTL is %v, want more than 0 and at most %v", dir, o.TTL, maxTTL)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	l, err := (&seeker{dir: dir, options: o}).seek(ctx)
	if err != nil {
		return nil, fmt.Errorf("lease of %s: %w", dir, err)
	}
	return l, nil
}

// seeker is one who wants a lease.
type seeker struct {
	dir     string
	options Options
	seen    sight
	changed time.Time // when it was first seen like this; zero before the first look
	lives   bool      // it was seen to change
}

func (s *seeker) seek(ctx context.Context) (*Lease, error) {
	began := time.Now()
	poll := min(max(s.options.TTL/(4*renewals), lockPoll), time.Second/2)
	for {
		takeable, err := s.observe()
		if err != nil {
			return nil, err
		}
		if takeable {
			l, err := s.claim(ctx)
			switch {
			case errors.Is(err, errLocked):
				return nil, fmt.Errorf("%w: %s: %w", ErrHeld, s.seen.state.holder(), err)
			case l != nil || err != nil:
				return l, err
			}
		} else if s.lives && time.Since(began) >= s.options.Wait {
			return nil, fmt.Errorf("%w: %s", ErrHeld, s.seen.state.holder())
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// observe looks at the lease and reports whether it is there for the taking.
func (s *seeker) observe() (bool, error) {
	// The time is taken before the look: were this process stopped in between, the
	// other way round a holder that has renewed meanwhile would seem to be gone.
	now := time.Now()
	seen, err := look(s.dir)
	if err != nil {
		return false, err
	}
	switch {
	case s.changed.IsZero():
		s.seen, s.changed = seen, now
	case !seen.same(s.seen):
		s.seen, s.changed, s.lives = seen, now, true
	}
	ttl := cmp.Or(seen.state.TTL, s.options.TTL)
	return seen.token == 0 || seen.state.Released || now.Sub(s.changed) >= ttl || dead(s.dir, seen.state), nil
}

// claim takes the lease, unless it is no longer as it was seen. Nil for that.
func (s *seeker) claim(ctx context.Context) (l *Lease, err error) {
	held, err := lock(ctx, s.dir, s.patience())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	now, err := look(s.dir)
	if err != nil || !now.same(s.seen) {
		return nil, err
	}
	if l, err = s.take(); errors.Is(err, errTaken) { // by one with whom no lock is shared
		return nil, nil
	}
	return l, err
}

// take makes the lease after the one that was seen.
func (s *seeker) take() (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l := &Lease{dir: s.dir, renewed: now, state: state{
		Token: s.seen.token + 1, Owner: rand.Text(), Host: host, PID: os.Getpid(),
		Since: now.UTC().Truncate(time.Second), TTL: s.options.TTL,
	}}
	// Locked before it is claimed: a lease whose process seems to have ended is
	// taken over.
	if l.alive, err = liveness(s.dir, l.state.Token); err != nil {
		return nil, err
	}
	if l.alive != nil {
		l.state.Machine = machine(s.dir)
	}
	if err := create(s.dir, l.state); err != nil {
		return nil, errors.Join(err, l.die())
	}
	l.live()
	if err := sweep(s.dir, l.state.Token); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// patience is how long to wait for the folder's lock.
func (s *seeker) patience() time.Duration { return cmp.Or(s.seen.state.TTL, s.options.TTL) }
