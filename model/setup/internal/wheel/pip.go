package wheel

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// TemporaryPrefix begins the names of pip's temporary folders, which an
// interruption may leave.
const TemporaryPrefix = ".pip-"

// download has pip fetch the wheel into dir. pip's own bar shows on a terminal;
// elsewhere a line now and then says how much has come.
func (w Wheel) download(ctx context.Context, dir string, p progress.Printer) error {
	command, err := Python()
	if err != nil {
		return fmt.Errorf("%w%s", err, w.or())
	}
	if err := exec.CommandContext(ctx, command, "-m", "pip", "--version").Run(); err != nil {
		return fmt.Errorf("%s has no pip: install it (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip; macOS: brew install python)%s", command, w.or())
	}
	// pip downloads into the temporary folder first: ours is on the cache's disk,
	// and tells how much has come.
	temporary, err := os.MkdirTemp(dir, TemporaryPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for pip: %w", err)
	}
	defer os.RemoveAll(temporary)
	var failure bytes.Buffer
	pip := exec.CommandContext(ctx, command, w.arguments(dir)...)
	pip.Env = append(os.Environ(), "TMPDIR="+temporary, "PIP_REQUIRE_VIRTUALENV=false", "PIP_DISABLE_PIP_VERSION_CHECK=1")
	pip.Stderr = &failure
	pip.WaitDelay = time.Second
	title := fmt.Sprintf("fetching %s %s with pip, %d MB, once", w.Name, w.Version, (w.Size+999_999)/1e6)
	if p.Terminal {
		p.Say("%s", title)
		pip.Stdout = os.Stdout
		err = pip.Run()
	} else {
		err = p.While(title, func() string { return progress.Arrived(temporary, w.Size) }, pip.Run)
	}
	if err != nil {
		return w.explain(command, failure.String(), err)
	}
	return nil
}

func (w Wheel) arguments(dir string) []string {
	arguments := []string{
		"-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:",
		"--dest", dir, "--platform", w.Platform,
	}
	if w.Python != "" {
		arguments = append(arguments, "--python-version", w.Python, "--implementation", "cp", "--abi", w.ABI)
	}
	return append(arguments, w.Name+"=="+w.Version)
}

// reasons are words in pip's errors and what they mean to the user.
var reasons = []struct{ word, means string }{
	{"No space left", "the disk is full: make room, or set XDG_CACHE_HOME to a folder on another disk"},
	{"Failed to establish a new connection", unreached},
	{"Temporary failure in name resolution", unreached},
	{"No matching distribution", "the package index has no such wheel: use one that carries PyPI's"},
}

const unreached = "the package index was not reached: connect to the network (or set PIP_INDEX_URL to a mirror)"

// explain turns pip's failure into a sentence.
func (w Wheel) explain(command, output string, err error) error {
	for _, reason := range reasons {
		if strings.Contains(output, reason.word) {
			return fmt.Errorf("fetch %s %s with pip: %s%s", w.Name, w.Version, reason.means, w.or())
		}
	}
	last := err.Error()
	for line := range strings.Lines(output) {
		if text, found := strings.CutPrefix(line, "ERROR: "); found {
			last = strings.TrimSpace(text)
		}
	}
	return fmt.Errorf("fetch %s %s with %s -m pip: %s%s", w.Name, w.Version, command, last, w.or())
}
