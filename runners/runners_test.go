package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	beamrunners "github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
)

func init() {
	register.Function2x1(measure)
	register.Function1x1(fail)
	register.Function1x1(explode)
	register.Function2x1(wait)
}

var (
	seen    = beam.NewCounter("test", "seen")
	size    = beam.NewDistribution("test", "size")
	started = make(chan struct{}, 1)
	release chan struct{}
)

func measure(ctx context.Context, n int) int {
	seen.Inc(ctx, 1)
	size.Update(ctx, int64(n))
	return n + 10
}

func fail(int) error { return fmt.Errorf("open 7.jpg: %w", errors.New("no such\nfile")) }

func explode(n int) error { panic(fmt.Sprintf("no room for %d", n)) }

// wait outlasts its run: Beam's worker closes a channel as a cancelled run ends
// and may send to it as a function returns, which the race detector reports.
func wait(ctx context.Context, _ int) error {
	started <- struct{}{}
	<-ctx.Done()
	<-release
	return ctx.Err()
}

func TestMain(m *testing.M) {
	beam.Init()
	// Prism tells of the failures that the tests provoke.
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

// run runs dofn on the number 7.
func run(ctx context.Context, dofn any) error {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, dofn, beam.Create(s, 7))
	_, err := Run(ctx, p)
	return err
}

func TestMetricsAddUpOverSteps(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p, s := beam.NewPipelineWithRoot()
	numbers := beam.Create(s, 3, 1, 2)
	beam.ParDo(s, measure, beam.ParDo(s, measure, numbers))
	res, err := Run(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Counter("test", "seen"); got != 6 {
		t.Errorf("seen = %d, want 6", got)
	}
	want := Distribution{Count: 6, Sum: 6 + 36, Min: 1, Max: 13}
	if got := res.Distribution("test", "size"); got != want {
		t.Errorf("size = %+v, want %+v", got, want)
	}
	if got := res.Distribution("test", "size").Mean(); got != 7 {
		t.Errorf("mean = %v, want 7", got)
	}
	if res.Counter("other", "seen") != 0 || res.Distribution("test", "other") != (Distribution{}) {
		t.Error("a metric that nobody wrote is not 0")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
		t.Errorf("the run left %v", left)
	}
	if *jobopts.EnvironmentType == "EXTERNAL" || *jobopts.WorkerBinary != "" {
		t.Error("the run left Beam's options changed")
	}
}

func TestErrorsAreReducedToTheirCause(t *testing.T) {
	tests := []struct {
		name string
		dofn any
		want string
	}{
		{"error", fail, "run on prism: open 7.jpg: no such\nfile"},
		{"panic", explode, "run on prism: panic: no room for 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(context.Background(), tt.dofn)
			var job *JobError
			if !errors.As(err, &job) || err.Error() != tt.want {
				t.Fatalf("got  %v\nwant %s", err, tt.want)
			}
			if full := job.Unwrap().Error(); !strings.Contains(full, "executing Process") {
				t.Errorf("the runner's account is lost: %s", full)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	release = make(chan struct{})
	defer close(release)
	ended := make(chan error)
	go func() { ended <- run(ctx, wait) }()
	<-started
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a cancelled run goes on")
	}
}

func TestUnknownRunner(t *testing.T) {
	defer func(old string) { *beamrunners.Runner = old }(*beamrunners.Runner)
	*beamrunners.Runner = "flnik"
	if err := run(context.Background(), fail); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "universal") {
		t.Errorf("error %v, want ErrUnknown and what there is", err)
	}
}
