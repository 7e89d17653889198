// Command setup makes a checkout ready to build: it finds or fetches libtorch,
// compiles gotch's C++ wrapper against it, and writes an adapted copy of gotch
// and a go.work that names it. After it plain go run, go test and go vet work
// with no variables set. `make setup` runs it:
//
//	GOWORK=off go run ./model/setup
//
// # Which libtorch
//
// The first of these that applies:
//
//   - LIBTORCH, a folder with lib and include.
//   - LIBTORCH_USE_PYTORCH=1: the torch of the python3 on PATH.
//   - What the last set-up of this checkout settled on, as long as it is there
//     and unchanged.
//   - The pinned wheel (libtorch.FetchedVersion), fetched with pip by platform
//     and Python tag, so that neither it nor its hash depends on the user's
//     Python, and checked against its SHA-256. -fetch asks for it where one of
//     the above would apply.
//
// Any libtorch from 2.1 on works; functions that it has no more as gotch calls
// them return an error (package wrapper).
//
// # METEOR and SPICE
//
// It also fetches the wheel of pycocoevalcap 1.2, 104 MB, out of which METEOR's
// jar and paraphrases and SPICE's jars are unpacked. They are optional: where
// that fails a line says so, the rest of the set-up goes on, and the next that
// is an hour later tries again.
//
// With -spice it makes what SPICE needs ready and nothing else: that wheel, and
// Stanford CoreNLP and a JavaScript engine, which mvn fetches, 386 MB, of which
// 117 MB stay. `make setup-spice` runs it. It needs Java and Maven, but neither
// a C++ compiler nor libtorch.
//
// # What it writes
//
//   - In the user's cache (XDG_CACHE_HOME or ~/.cache, below blipflow): what the
//     CPU needs of the fetched wheels, and compiled wrappers. Programs are linked
//     with these paths. Beside them pycocoevalcap-1.2, with meteor and spice in
//     it, and with -spice the folder spice, which package metrics/spice runs.
//   - In the checkout, ignored by git: .gotch, the adapted copy, with stamp.json,
//     the record of this set-up; and go.work.
//
// Everything appears whole or not at all, under one lock for the user, so it can
// be interrupted and run twice at a time. A second run finds nothing to do, in
// well under a second, unless something changed: libtorch's files, the version
// of gotch, this program, LIBTORCH, or what was written.
//
// # Limits
//
// Linux on amd64 and arm64; on macOS with LIBTORCH set, which has not been
// tried. A checkout whose go.work is somebody else's is left alone, with an
// error. CUDA is loaded at run time where libtorch_cuda.so lies beside
// libtorch_cpu.so, which the fetched libtorch lacks.
//
// It says what it did in one line and exits 0, or says in one sentence what is
// missing and what to install or set, and exits 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

func main() {
	fetch := flag.Bool("fetch", false, "take the pinned libtorch, whatever LIBTORCH and the last set-up say")
	spice := flag.Bool("spice", false, "fetch the jars of SPICE, and do nothing else; needs Java and Maven")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "setup: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var said string
	var err error
	if *spice {
		said, err = setUpSpice(ctx, progress.To(os.Stderr))
	} else {
		said, err = setUp(ctx, request{
			libtorch:   os.Getenv("LIBTORCH"),
			usePyTorch: os.Getenv("LIBTORCH_USE_PYTORCH") == "1",
			fetch:      *fetch,
			scorers:    true,
		}, progress.To(os.Stderr))
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("interrupted; run it again to go on")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "setup: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("setup: " + said)
}
