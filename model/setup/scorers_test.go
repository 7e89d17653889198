package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// The scorers' wheel is optional: without it the set-up of libtorch is done all
// the same, with a warning, and is not tried again at once.
func TestScorersAreOptional(t *testing.T) {
	settled(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir()) // no python3
	cache, err := cacheFolder()
	if err != nil {
		t.Fatal(err)
	}
	set := func() string {
		t.Helper()
		var out strings.Builder
		said, err := setUp(t.Context(), request{scorers: true}, progress.Printer{Out: &out})
		if err != nil || !strings.HasPrefix(said, "nothing to do") {
			t.Fatalf("%q, %v", said, err)
		}
		return out.String()
	}
	steps := []struct {
		name, want string
		before     func() error
	}{
		{"at first", "python3 was not found", func() error { return nil }},
		{"at once again", "less than an hour ago", func() error { return nil }},
		{"later", "python3 was not found", func() error {
			before := time.Now().Add(-2 * missedFor)
			return os.Chtimes(filepath.Join(cache, missedName), before, before)
		}},
	}
	for _, step := range steps {
		if err := step.before(); err != nil {
			t.Fatal(err)
		}
		warned := set()
		if !strings.HasPrefix(warned, "warning: METEOR and SPICE will be null") || !strings.Contains(warned, step.want) || strings.Count(warned, "\n") != 1 {
			t.Errorf("%s: said %q, want a line with %q", step.name, warned, step.want)
		}
	}
}

// An interruption is no reason to wait an hour.
func TestInterruptedScorers(t *testing.T) {
	cache := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fetchScorers(ctx, cache, progress.Printer{})
	if scorersDone(cache, progress.Printer{}) {
		t.Error("an interrupted fetch counts as one that failed")
	}
}

func TestSetUpSpiceNeedsTools(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	_, err := setUpSpice(t.Context(), progress.Printer{})
	if err == nil || !strings.HasPrefix(err.Error(), "java was not found, and SPICE runs in it: install it") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v", err)
	}
}
