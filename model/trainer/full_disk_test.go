//go:build linux || darwin

package trainer

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that fills up ends the run, and leaves the checkpoint before. The limit
// holds for a whole process, so this one is the test's own.
func TestFullDisk(t *testing.T) {
	const inside = "BLIPFLOW_TEST_FULL_DISK"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	whole := newRun(t, 2)
	_, want := train(t, whole)
	r := newRun(t, 2)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	r.Report = func(s State, _ Record) {
		if s.GlobalStep == 4 {
			limit := was
			limit.Cur = 20_000
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				t.Error(err)
			}
		}
	}
	_, _, err := r.Train(context.Background())
	if limitErr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); limitErr != nil {
		t.Fatal(limitErr)
	}
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "checkpoint-3 is whole") {
		t.Fatalf("%v, want one that says what is left", err)
	}
	if leftovers, _ := filepath.Glob(filepath.Join(r.Output, ".*")); len(leftovers) > 0 {
		t.Errorf("left %v", leftovers)
	}
	r.Report = nil
	if _, got := train(t, r); !maps.EqualFunc(bits(t, want), bits(t, got), bytes.Equal) {
		t.Error("the run that went on ended with other weights")
	}
}
