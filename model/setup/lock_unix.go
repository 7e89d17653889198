//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// lockFolder makes the folder and waits until no other set-up works in it. The
// system releases the lock of a process that dies.
func lockFolder(ctx context.Context, dir string, p progress.Printer) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	try := func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
	err = try()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = p.While("waiting for another set-up to end", nil, func() error { return retry(ctx, try) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f.Close, nil
}

func retry(ctx context.Context, try func() error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if err := try(); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
	}
}
