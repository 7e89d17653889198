package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/pycocoevalcap"
	"github.com/blipflow/blipflow/model/setup/internal/spice"
)

// missedName is a file in the cache whose time says when the wheel of METEOR and
// SPICE was last tried for in vain. Without it every make, which runs the set-up
// first, would wait for a network that is not there.
const missedName = "pycocoevalcap.missed"

// missedFor is how long it is not tried again.
const missedFor = time.Hour

const scorersWarning = "warning: METEOR and SPICE will be null until pycocoevalcap %s is there: %s"

// scorersDone tells whether there is nothing to fetch for METEOR and SPICE now,
// and warns where there should be.
func scorersDone(cache string, p progress.Printer) bool {
	if pycocoevalcap.At(cache).Whole() {
		return true
	}
	info, err := os.Stat(filepath.Join(cache, missedName))
	if err != nil || time.Since(info.ModTime()) > missedFor {
		return false
	}
	p.Say(scorersWarning, pycocoevalcap.Version, "it was tried less than an hour ago; remove "+filepath.Join(cache, missedName)+" to try again")
	return true
}

// fetchScorers fetches them, under the cache's lock. They are optional, so a
// failure is a warning.
func fetchScorers(ctx context.Context, cache string, p progress.Printer) {
	err := pycocoevalcap.Fetch(ctx, cache, p)
	missed := filepath.Join(cache, missedName)
	if err == nil {
		// Most often there is none.
		_ = os.Remove(missed)
		return
	}
	if ctx.Err() == nil {
		// Without the file it is only tried again sooner.
		_ = writeWhole(missed, nil)
	}
	p.Say(scorersWarning, pycocoevalcap.Version, err.Error())
}

// setUpSpice fetches all that SPICE needs.
func setUpSpice(ctx context.Context, p progress.Printer) (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	folder := spice.At(cache)
	if folder.Whole() {
		return "nothing to do, SPICE's jars are in " + folder.Dir, nil
	}
	unlock, err := lockFolder(ctx, cache, p)
	if err != nil {
		return "", err
	}
	err = spice.Fetch(ctx, cache, p)
	if err := errors.Join(err, unlock()); err != nil {
		return "", err
	}
	return "SPICE's jars are in " + folder.Dir + ": metrics/spice and the evaluation find them there", nil
}
