package spice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ProcessError says how a process ended that gave no scores. It wraps ErrTimeout
// or ErrFailed.
type ProcessError struct {
	Err    error
	Stderr string // the end of what Java said
}

// Error is one line, with the exception that ended Java if it named one.
func (e *ProcessError) Error() string {
	last := ""
	for line := range strings.Lines(e.Stderr) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "Exception") || strings.Contains(line, "Error") {
			last = line
			break
		}
		if line != "" {
			last = line
		}
	}
	if last == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + last
}

// Unwrap gives the reason.
func (e *ProcessError) Unwrap() error { return e.Err }

// Where the jar's files are in the folder of a process.
const (
	inputName  = "in.json"
	outputName = "out.json"
)

// process scores pictures in one Java process. An error that is no
// *ProcessError has nothing to do with the pictures.
func (s Scorer) process(ctx context.Context, pictures []picture, cache string) (scores []Scores, err error) {
	dir, remove, err := makeFolder(s.Config.temp())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := os.WriteFile(filepath.Join(dir, inputName), encode(pictures), 0o600); err != nil {
		return nil, fmt.Errorf("hand captions to Java: %w", err)
	}
	if cache != "" {
		part, release, err := takePart(cache)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
		cache = part
	}
	stderr, err := s.run(ctx, dir, cache, s.Config.limit(pictures))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, outputName))
	if err == nil {
		scores, err = decode(data, len(pictures))
	}
	if err != nil {
		return nil, &ProcessError{fmt.Errorf("%w: java ended without scores: %w", ErrFailed, err), stderr}
	}
	return scores, nil
}

// outOfMemory is how Java exits for ExitOnOutOfMemoryError.
const outOfMemory = 3

// run runs Java in dir and returns the end of what it said.
func (s Scorer) run(ctx context.Context, dir, cache string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
	defer cancel()
	var stderr tail
	java := exec.CommandContext(ctx, s.Java, s.arguments(dir, cache)...)
	java.Dir = dir
	java.Stderr = &stderr
	java.WaitDelay = time.Second
	own(java)
	java.Cancel = func() error { return killGroup(java.Process.Pid) }
	err := runOnThread(java)
	if java.Process == nil {
		return "", fmt.Errorf("start %s: %w", s.Java, err)
	}
	// Whatever Java started ends with it.
	_ = killGroup(java.Process.Pid)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return stderr.String(), nil
	case context.Cause(ctx) == ErrTimeout:
		err = fmt.Errorf("%w: java was ended after %v", ErrTimeout, limit.Round(time.Second))
	case errors.As(err, &exit) && exit.ExitCode() == outOfMemory:
		err = fmt.Errorf("%w: java had too little memory with a heap of %d MB", ErrFailed, s.Config.heap())
	default:
		err = fmt.Errorf("%w: java: %w", ErrFailed, err)
	}
	return "", &ProcessError{err, stderr.String()}
}

// runOnThread runs a command without letting go of the thread, whose end would
// be taken for this process's; see own.
func runOnThread(command *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return command.Run()
}

// opened are the packages into which the cache's library reaches, which Java
// forbids since 16.
var opened = []string{"java.lang", "java.math", "java.util", "java.util.concurrent", "java.net", "java.text"}

func (s Scorer) arguments(dir, cache string) []string {
	out := []string{
		"-Xmx" + strconv.Itoa(s.Config.heap()) + "m", "-XX:+ExitOnOutOfMemoryError", s.collector(),
		"-XX:-UsePerfData", "-Djava.io.tmpdir=" + dir, "-Djava.awt.headless=true",
		"-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US",
	}
	if cache != "" && s.Version > 8 {
		for _, name := range opened {
			out = append(out, "--add-opens=java.base/"+name+"=ALL-UNNAMED")
		}
	}
	out = append(out,
		"-cp", strings.Join(s.ClassPath, string(filepath.ListSeparator)), "edu.anu.spice.SpiceScorer",
		filepath.Join(dir, inputName), "-out", filepath.Join(dir, outputName), "-subset", "-silent",
		"-threads", strconv.Itoa(s.Config.threads()),
	)
	if cache != "" {
		out = append(out, "-cache", cache)
	}
	return out
}

// collector is the garbage collector that takes the least: on two cores the
// serial one takes a tenth of the time and half the memory less than Java's own
// choice.
func (s Scorer) collector() string {
	if s.Config.threads() <= 2 {
		return "-XX:+UseSerialGC"
	}
	return "-XX:+UseParallelGC"
}

// tail keeps the end of what is written.
type tail struct{ text []byte }

const tailLength = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p[max(len(p)-tailLength, 0):]...)
	if over := len(t.text) - tailLength; over > tailLength {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.ToValidUTF8(string(t.text[max(len(t.text)-tailLength, 0):]), "�")
}
