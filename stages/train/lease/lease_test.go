package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soon bounds what has to happen at once, in leases that last for an hour: it is
// for ending a test that would hang.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func acquire(t *testing.T, dir string, o Options) *Lease {
	t.Helper()
	l, err := Acquire(soon(t), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func touch(name string) func() error {
	return func() error { return os.WriteFile(name, nil, 0o644) }
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestTokensRise(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	for want := int64(1); want <= 3; want++ {
		l := acquire(t, dir, Options{TTL: time.Hour})
		if l.Token() != want {
			t.Errorf("token %d, want %d", l.Token(), want)
		}
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		made := filepath.Join(dir, strconv.FormatInt(want, 10))
		if err := l.Do(touch(made)); err != nil || !exists(made) {
			t.Errorf("a holder's change: %v", err)
		}
		if err := l.Do(func() error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
			t.Errorf("a change that fails: %v", err)
		}
		for range 2 {
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		}
		if err := l.Do(touch(made)); !errors.Is(err, errReleased) {
			t.Errorf("a change after the release: %v", err)
		}
	}
	if got := names(t, dir); got != ".lease-3 .lease-3.alive .lease.lock 1 2 3" {
		t.Errorf("left behind: %s", got)
	}
}

func TestLiveHolderIsNamed(t *testing.T) {
	dir := t.TempDir()
	acquire(t, dir, Options{TTL: time.Second})
	_, err := Acquire(soon(t), dir, Options{TTL: time.Hour})
	host, _ := os.Hostname()
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on %s since 2", os.Getpid(), host)) {
		t.Errorf("a second attempt: %v", err)
	}
}

func TestWaitsForTheHolder(t *testing.T) {
	dir := t.TempDir()
	first := acquire(t, dir, Options{TTL: time.Second})
	waiting := make(chan error, 1)
	var second *Lease
	go func() {
		var err error
		second, err = Acquire(soon(t), dir, Options{TTL: time.Second, Wait: time.Hour})
		waiting <- err
	}()
	if _, err := Acquire(soon(t), dir, Options{TTL: time.Second}); !errors.Is(err, ErrHeld) {
		t.Error(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if second.Token() != 2 {
		t.Errorf("token %d, want 2", second.Token())
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	acquire(t, dir, Options{TTL: time.Hour})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(nil) })
	if _, err := Acquire(ctx, dir, Options{Wait: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A holder on another machine shows in its file alone.
func TestHolderElsewhere(t *testing.T) {
	dir := t.TempDir()
	there := state{Token: 7, Owner: "another", Host: "elsewhere", PID: 12, Machine: "another kernel/1", Since: time.Now().AddDate(30, 0, 0), TTL: time.Second}
	if err := create(dir, there); err != nil {
		t.Fatal(err)
	}
	renew := func() {
		there.Renewals++
		if err := replace(dir, there); err != nil {
			t.Error(err)
		}
	}
	stop := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(there.TTL / renewals):
				renew()
			}
		}
	})
	if _, err := Acquire(soon(t), dir, Options{TTL: time.Millisecond}); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "process 12 on elsewhere") {
		t.Errorf("while it lives: %v", err)
	}
	close(stop)
	beats.Wait()
	l := acquire(t, dir, Options{TTL: time.Hour})
	if l.Token() != 8 {
		t.Errorf("after it: token %d, want 8", l.Token())
	}
	renew() // it did not notice, and does no harm
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

func TestNotAGoodLease(t *testing.T) {
	for name, text := range map[string]string{
		"claimed, not written": "",
		"garbage":              "\x00\xff{",
		"another's token":      `{"token":4,"owner":"x","ttl":3600000000000}`,
		"for ever":             `{"token":5,"owner":"x","ttl":9000000000000000000}`,
		"too long":             `{"token":5,"owner":"` + strings.Repeat("x", 1<<20) + `","ttl":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				".lease-5": text, ".lease-04": "no token", ".lease--6": "none", ".lease-9.other": "none", ".lease-99999999999999999999": "none",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if l := acquire(t, dir, Options{TTL: 50 * time.Millisecond}); l.Token() != 6 {
				t.Errorf("token %d, want 6", l.Token())
			}
		})
	}
	for _, o := range []Options{{TTL: -1}, {TTL: 25 * time.Hour}} {
		if _, err := Acquire(t.Context(), t.TempDir(), o); err == nil {
			t.Errorf("%v was taken", o)
		}
	}
}

func TestLost(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"taken over": func(dir string) error {
			return create(dir, state{Token: 2, Owner: "another", Host: "elsewhere", PID: 12, TTL: time.Hour})
		},
		"made again": func(dir string) error {
			return replace(dir, state{Token: 1, Owner: "another", Host: "elsewhere", PID: 12, TTL: time.Hour})
		},
		"files removed":  func(dir string) error { return os.Remove(path(dir, 1)) },
		"folder removed": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			l := acquire(t, dir, Options{TTL: time.Hour})
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			before := look1(t, dir)
			for range 2 {
				if err := l.Do(func() error { t.Error("it changed something"); return nil }); !errors.Is(err, ErrLost) {
					t.Errorf("Do: %v", err)
				}
				if err := l.Check(); !errors.Is(err, ErrLost) {
					t.Errorf("Check: %v", err)
				}
			}
			if err := l.Release(); err != nil {
				t.Error(err)
			}
			if after := look1(t, dir); !after.same(before) {
				t.Errorf("it wrote %s over %s", after.raw, before.raw)
			}
		})
	}
}

// look1 is what there is to be seen, nothing where there is no folder.
func look1(t *testing.T, dir string) sight {
	t.Helper()
	s, err := look(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return s
}

// A disk on which the lease cannot be renewed does not keep the holder from making
// room, for as long as nobody can have taken over.
func TestNotRenewed(t *testing.T) {
	dir := t.TempDir()
	l := acquire(t, dir, Options{TTL: time.Hour})
	blocked := path(dir, 1) + asideSuffix
	if err := os.Mkdir(blocked, 0o755); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(dir, "victim")
	if err := touch(victim)(); err != nil {
		t.Fatal(err)
	}
	if err := l.Do(func() error { return os.Remove(victim) }); err != nil || exists(victim) {
		t.Errorf("soon after the last renewal: %v", err)
	}
	l.mu.Lock()
	l.renewed = l.renewed.Add(-l.state.TTL / 2)
	l.mu.Unlock()
	if err := l.Do(touch(victim)); err == nil || errors.Is(err, ErrLost) || exists(victim) {
		t.Errorf("long after it: %v", err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := l.Do(touch(victim)); err != nil || !exists(victim) {
		t.Errorf("renewed again: %v", err)
	}
}

// Of many who want the lease, with no lock between them, one gets it.
func TestOneTakesAToken(t *testing.T) {
	for round := range 50 {
		dir := t.TempDir()
		var got atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			all.Go(func() {
				<-start
				err := create(dir, state{Token: 1, Owner: strconv.Itoa(i), TTL: time.Hour})
				if err == nil {
					got.Add(1)
				} else if !errors.Is(err, errTaken) {
					t.Error(err)
				}
			})
		}
		close(start)
		if all.Wait(); got.Load() != 1 {
			t.Fatalf("round %d: %d took the same token", round, got.Load())
		}
	}
}

// One who is beaten to a token looks again, and leaves the lease alone.
func TestBeatenToAToken(t *testing.T) {
	dir := t.TempDir()
	first := acquire(t, dir, Options{TTL: time.Hour})
	late := &seeker{dir: dir, options: Options{TTL: time.Hour}} // saw the folder empty
	if l, err := late.claim(t.Context()); l != nil || err != nil {
		t.Errorf("claim: %v, %v", l, err)
	}
	if l, err := late.take(); l != nil || !errors.Is(err, errTaken) {
		t.Errorf("take: %v, %v", l, err)
	}
	if err := first.Check(); err != nil {
		t.Error(err)
	}
	if dead(dir, first.state) {
		t.Error("the holder seems to have ended")
	}
}

func FuzzParse(f *testing.F) {
	s := state{Token: 3, Owner: "ABC", Host: "host", PID: 4, Machine: "boot/1", Since: time.Unix(1e9, 0).UTC(), TTL: time.Minute, Renewals: 5, Released: true}
	whole, err := s.format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"token":1,"owner":"x","ttl":1,"since":"0000-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"token":-1,"owner":"x","ttl":1}`))
	f.Add(bytes.Repeat([]byte(" "), maxFile+1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			if !errors.Is(err, errMalformed) || s != (state{}) {
				t.Fatalf("%+v, %v", s, err)
			}
			return
		}
		if s.Token <= 0 || s.Owner == "" || s.TTL <= 0 || s.TTL > maxTTL {
			t.Fatalf("took %+v", s)
		}
		text, err := s.format()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parse(text); len(text) <= maxFile && (err != nil || again.holder() != s.holder() || again.Token != s.Token || again.Renewals != s.Renewals) {
			t.Fatalf("%+v became %+v (%v)", s, again, err)
		}
	})
}
