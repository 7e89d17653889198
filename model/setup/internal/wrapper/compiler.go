package wrapper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"time"
)

// ErrNoCompiler is returned where there is no C++ compiler.
var ErrNoCompiler = errors.New("no C++ compiler was found: install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), or set CXX")

// Compiler is a C++ compiler.
type Compiler struct {
	// Command is its program and leading arguments ("ccache g++").
	Command []string
	// Version is the first line of what it says of itself.
	Version string
	// Clang says that it is clang, else it is taken for GCC.
	Clang bool
}

// FindCompiler takes the command that is asked for, or the first of the usual
// ones that is there. "g++" counts as not asked for: the go command says so
// where CXX is not set.
func FindCompiler(ctx context.Context, asked string) (Compiler, error) {
	candidates := []string{"g++", "clang++", "c++"}
	if command := strings.Fields(asked); len(command) > 0 && asked != "g++" {
		if _, err := exec.LookPath(command[0]); err != nil {
			return Compiler{}, fmt.Errorf("the C++ compiler %s was not found: install it, or set CXX to another", command[0])
		}
		candidates = []string{asked}
	}
	for _, candidate := range candidates {
		command := strings.Fields(candidate)
		if _, err := exec.LookPath(command[0]); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, command[0], append(command[1:], "--version")...).Output()
		if err != nil {
			return Compiler{}, fmt.Errorf("ask the compiler %s for its version: %w", candidate, err)
		}
		version, _, _ := strings.Cut(string(out), "\n")
		return Compiler{
			Command: command,
			Version: strings.TrimSpace(version),
			Clang:   strings.Contains(version, "clang"),
		}, nil
	}
	return Compiler{}, ErrNoCompiler
}

// run runs the compiler in dir and returns its messages. ok is false where it
// found fault with the source; err is set where it could not do its work.
func (c Compiler) run(ctx context.Context, dir string, arguments []string) (messages string, ok bool, err error) {
	command := exec.CommandContext(ctx, c.Command[0], append(slices.Clone(c.Command[1:]), arguments...)...)
	command.Dir = dir
	// Killed, the driver may leave a child that holds the pipe open.
	command.WaitDelay = time.Second
	// Messages are read by a program, so in English and without colours.
	command.Env = append(command.Environ(), "LC_ALL=C", "GCC_COLORS=")
	var said bytes.Buffer
	command.Stderr = &said
	err = command.Run()
	if ctx.Err() != nil {
		return "", false, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return said.String(), false, nil
	}
	return said.String(), err == nil, err
}

// maxRounds bounds the compilations: an error may hide others, though two
// rounds have always been enough.
const maxRounds = 12

// compileStubbing compiles the unit in dir, stubbing what fails, until it is
// clean.
func (b Build) compileStubbing(ctx context.Context, dir string, made *Archive) error {
	stubs, err := newStubber(dir, b.Library.Version)
	if err != nil {
		return err
	}
	// Short enough that the line with the time fits into 80 columns.
	title := fmt.Sprintf("compiling gotch's wrapper against libtorch %s, 1-3 minutes, once", b.Library.Version)
	start := time.Now()
	err = b.Progress.While(title, nil, func() error {
		return b.rounds(ctx, dir, stubs)
	})
	if err != nil {
		return err
	}
	made.Seconds = time.Since(start).Round(100 * time.Millisecond).Seconds()
	made.Stubbed = stubs.done
	sort.Strings(made.Stubbed)
	return nil
}

func (b Build) rounds(ctx context.Context, dir string, stubs *stubber) error {
	arguments := append(b.flags(b.Library.Dir), "-c", unit, "-o", "gotch.o")
	for range maxRounds {
		messages, ok, err := b.Compiler.run(ctx, dir, arguments)
		if err != nil {
			return fmt.Errorf("run the compiler: %w", err)
		}
		if ok {
			return nil
		}
		stubbed, err := stubs.apply(places(messages))
		if err != nil {
			return err
		}
		if stubbed == 0 {
			return b.unfixable(messages)
		}
	}
	return fmt.Errorf("gotch's C++ wrapper does not compile against libtorch %s: errors were left after %d rounds of stubbing", b.Library.Version, maxRounds)
}

// unfixable turns messages that stubbing can't help into a sentence.
func (b Build) unfixable(messages string) error {
	first := firstError(messages)
	switch {
	case strings.Contains(first, "c++20") || strings.Contains(first, "c++17"):
		return fmt.Errorf("%s is too old for libtorch %s, which needs C++%d (%s): install GCC 11 or clang 16 or newer and set CXX", b.Compiler.Version, b.Library.Version, b.Library.Standard, first)
	case strings.Contains(messages, "Killed signal") || strings.Contains(messages, "virtual memory exhausted"):
		return fmt.Errorf("the compiler ran out of memory: it needs about 2 GB (%s)", first)
	case strings.Contains(messages, "No space left"):
		return errors.New("compile gotch's C++ wrapper: the disk is full")
	}
	return fmt.Errorf("gotch's C++ wrapper does not compile against libtorch %s with %s: %s", b.Library.Version, b.Compiler.Version, first)
}
