package libtorch

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// pipPrefix begins the names of pip's temporary folders.
const pipPrefix = ".pip-"

// download has pip fetch the wheel into dir. pip's own bar shows on a terminal;
// elsewhere a line now and then says how much has come.
func (w wheel) download(ctx context.Context, dir string, p progress.Printer) error {
	command, err := python()
	if err != nil {
		return err
	}
	if err := exec.CommandContext(ctx, command, "-m", "pip", "--version").Run(); err != nil {
		return fmt.Errorf("%s has no pip: install it (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip; macOS: brew install python), or set LIBTORCH to a folder with libtorch", command)
	}
	// pip downloads into the temporary folder first: ours is on the cache's disk,
	// and tells how much has come.
	temporary, err := os.MkdirTemp(dir, pipPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for pip: %w", err)
	}
	defer os.RemoveAll(temporary)
	var failure bytes.Buffer
	pip := exec.CommandContext(ctx, command, w.arguments(dir)...)
	pip.Env = append(os.Environ(), "TMPDIR="+temporary, "PIP_REQUIRE_VIRTUALENV=false", "PIP_DISABLE_PIP_VERSION_CHECK=1")
	pip.Stderr = &failure
	pip.WaitDelay = time.Second
	title := fmt.Sprintf("fetching %s %s with pip, %d MB, once", w.name, w.version, (w.size+999_999)/1e6)
	if p.Terminal {
		p.Say("%s", title)
		pip.Stdout = os.Stdout
		err = pip.Run()
	} else {
		err = p.While(title, func() string { return arrived(temporary, w.size) }, pip.Run)
	}
	if err != nil {
		return w.explain(command, failure.String(), err)
	}
	return nil
}

func (w wheel) arguments(dir string) []string {
	arguments := []string{
		"-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:",
		"--dest", dir, "--platform", w.platform,
	}
	if w.python != "" {
		arguments = append(arguments, "--python-version", w.python, "--implementation", "cp", "--abi", w.abi)
	}
	return append(arguments, w.name+"=="+w.version)
}

// arrived says how much of a download is in pip's temporary folder.
func arrived(dir string, size int64) string {
	var sum int64
	// The folder changes under the walk; what can't be read has not arrived.
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	if sum == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d MB", sum/1e6, (size+999_999)/1e6)
}

// reasons are words in pip's errors and what they mean to the user.
var reasons = []struct{ word, means string }{
	{"No space left", "the disk is full: make room, or set XDG_CACHE_HOME to a folder on another disk"},
	{"Failed to establish a new connection", "the package index was not reached: connect to the network (or set PIP_INDEX_URL to a mirror), or set LIBTORCH to a folder with libtorch"},
	{"Temporary failure in name resolution", "the package index was not reached: connect to the network (or set PIP_INDEX_URL to a mirror), or set LIBTORCH to a folder with libtorch"},
	{"No matching distribution", "the package index has no such wheel: use one that carries PyPI's, or set LIBTORCH to a folder with libtorch"},
}

// explain turns pip's failure into a sentence.
func (w wheel) explain(command, output string, err error) error {
	for _, reason := range reasons {
		if strings.Contains(output, reason.word) {
			return fmt.Errorf("fetch %s %s with pip: %s", w.name, w.version, reason.means)
		}
	}
	last := err.Error()
	for line := range strings.Lines(output) {
		if text, found := strings.CutPrefix(line, "ERROR: "); found {
			last = strings.TrimSpace(text)
		}
	}
	return fmt.Errorf("fetch %s %s with %s -m pip: %s (or set LIBTORCH to a folder with libtorch)", w.name, w.version, command, last)
}
