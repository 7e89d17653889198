package settings

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// Exit codes of every command.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
	// ExitStopped says that a signal ended the command, that what it had done is
	// saved, and that the same command goes on from there.
	ExitStopped = 3
)

// ErrNotSaved is wrapped by an error of a command that a signal ended and that
// failed to save where it was.
var ErrNotSaved = errors.New("stopped by a signal, but not saved")

// Main is the whole of a pipeline's main function: it settles the values of the
// process's command line, starts Beam, validates, runs, and exits. In a worker
// process of Beam's, which is this program started with other flags, it serves
// the worker and does not return.
//
// Run's context ends at an interrupt, and at the signal that asks a process to
// end; a second one ends the process. An error of Run that wraps *Error counts as
// a wrong setting.
func (p Program[T]) Main(run func(ctx context.Context, cfg T) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := p.run(ctx, flag.CommandLine, os.Args[1:], os.Stdout, os.Stderr, run)
	stop()
	os.Exit(code)
}

func (p Program[T]) run(ctx context.Context, set *flag.FlagSet, args []string, stdout, stderr io.Writer, run func(context.Context, T) error) int {
	set.Init(p.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	cfg, err := p.Parse(set, args, stdout)
	if err == nil {
		startBeam(set.Lookup(logFlag).Value.String(), stderr)
		if p.Validate != nil {
			err = p.Validate(&cfg)
		}
	}
	if err == nil {
		err = run(ctx, cfg)
	}
	return p.exit(ctx, err, stderr)
}

// startBeam sets up Beam's logging and initialises it. In a worker process it
// does not return.
//
// The runner's account of a failure, many screens long, would come on top of the
// line that the command ends with, so logs are off unless asked for. The log
// package is set back to stderr, where log.Fatal is expected to be seen; what a
// worker that stops can no longer send to the runner is kept out of it.
func startBeam(level string, stderr io.Writer) {
	beamlog.LogKind = "text"
	if level != logOff {
		beamlog.LogLevel = level
	}
	beam.Init()
	if level == logOff {
		slog.SetDefault(slog.New(slog.DiscardHandler))
		log.SetOutput(withoutBeam{stderr})
	}
}

// withoutBeam drops what Beam's default logger writes by way of the log package,
// but for what ends the process.
type withoutBeam struct{ io.Writer }

func (w withoutBeam) Write(line []byte) (int, error) {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	beams, last := false, false
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		name, ofBeam := strings.CutPrefix(f.Function, reflect.TypeFor[beamlog.Standard]().PkgPath()+".")
		beams = beams || ofBeam
		last = last || ofBeam && (strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Exit"))
	}
	if beams && !last {
		return len(line), nil
	}
	return w.Writer.Write(line)
}

// exit prints err on one line and returns the code that goes with it.
func (p Program[T]) exit(ctx context.Context, err error, stderr io.Writer) int {
	var bad *Error
	switch {
	case err == nil, errors.Is(err, ErrDone):
		return ExitDone
	case ctx.Err() != nil && !errors.Is(err, ErrNotSaved):
		fmt.Fprintf(stderr, "%s: interrupted; the same command goes on from what is complete\n", p.Name)
		return ExitStopped
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "%s: %s\n", p.Name, oneLine(err.Error()))
		return ExitUsage
	default:
		fmt.Fprintf(stderr, "%s: %s\n", p.Name, oneLine(err.Error()))
		return ExitFailed
	}
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

func (p Program[T]) presetNames() []string {
	return slices.Sorted(maps.Keys(p.Presets))
}

// usage lists the program's settings first, then those that are Beam's.
func (p Program[T]) usage(out io.Writer, set *flag.FlagSet, fields []field) {
	fmt.Fprintf(out, "%s\n\nUsage: go run ./pipelines/%s [--name=value …]\n\nSettings:\n", p.About, p.Name)
	ours := slices.Clone(commonFlags)
	for _, f := range fields {
		ours = append(ours, f.name)
	}
	for _, name := range ours {
		if name == presetFlag && len(p.Presets) == 0 {
			continue
		}
		printFlagLine(out, set.Lookup(name))
	}
	fmt.Fprint(out, "\nBeam's own:\n")
	set.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(ours, f.Name) {
			printFlagLine(out, f)
		}
	})
}

func printFlagLine(out io.Writer, f *flag.Flag) {
	kind, text := flag.UnquoteUsage(f)
	if kind == "value" {
		kind = ""
	}
	line := strings.TrimSpace("--" + f.Name + " " + kind)
	fmt.Fprintf(out, "  %-28s %s", line, oneLine(text))
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
		fmt.Fprintf(out, " (default %s)", f.DefValue)
	}
	fmt.Fprintln(out)
}
