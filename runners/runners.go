// Package runners runs a pipeline where --runner says.
//
// The default is Beam's Prism, embedded: the runner, its job service and the
// worker are goroutines of this process, nothing is downloaded or started. Any
// other portable runner is reached by its job service, --runner=universal
// --endpoint=HOST:PORT.
//
// Only the runners of the table in this package are linked; the SDK's
// convenience package would add another forty megabytes of them.
//
// A pipeline either succeeds or fails as a whole: Prism retries nothing, so
// stages turn bad records into dead letters and keep errors for what ends a run.
package runners

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	beamrunners "github.com/apache/beam/sdks/v2/go/pkg/beam/runners"

	// Beam's fast paths for common function signatures.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec/optimized"
	// The runners that this package offers register themselves.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal"
)

// Default is the runner where --runner names none.
const Default = "prism"

// names are the values of --runner, as Beam registers them.
var names = []string{Default, "PrismRunner", "universal", "portable", "PortableRunner"}

// ErrUnknown is returned for a --runner that is not among those linked.
var ErrUnknown = errors.New("unknown runner")

// Check reports whether --runner names a runner of this program, so that a
// pipeline can refuse before any work.
func Check() error {
	if r := *beamrunners.Runner; r != "" && !slices.Contains(names, r) {
		return fmt.Errorf("%w %q: use one of %s", ErrUnknown, r, strings.Join(names, ", "))
	}
	return nil
}

// Run runs p to its end on the runner of --runner. The error of a failed job is a
// *JobError, reduced to its cause. Beam keeps its options in globals, so a
// process runs one pipeline at a time.
func Run(ctx context.Context, p *beam.Pipeline) (result Result, err error) {
	if err := Check(); err != nil {
		return Result{}, err
	}
	name := *beamrunners.Runner
	if name == "" {
		name = Default
	}
	if wantsLoopback(name) {
		stop, err := serveLoopback(ctx)
		if err != nil {
			return Result{}, err
		}
		defer func() {
			if stopErr := stop(); err == nil && stopErr != nil {
				err = fmt.Errorf("stop the loopback worker: %w", stopErr)
			}
		}()
	}
	endpoint := *jobopts.Endpoint
	res, err := beam.Run(ctx, name, p)
	if endpoint == "" {
		embedded = *jobopts.Endpoint
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Result{}, fmt.Errorf("run on %s: %w", name, context.Cause(ctx))
	case err != nil:
		return Result{}, fmt.Errorf("run on %s: %w", name, &JobError{Cause: cause(err.Error()), full: err})
	case res == nil: // a runner that only submits
		return Result{}, nil
	}
	return Result{metrics: res.Metrics()}, nil
}

// Result is what a job that ended well says of itself.
type Result struct {
	metrics metrics.Results
}

// Counter adds up the counters of that namespace and name over all steps: the
// names of steps differ between runners.
func (r Result) Counter(namespace, name string) int64 {
	var sum int64
	for _, c := range r.metrics.AllMetrics().Counters() {
		if c.Namespace() == namespace && c.Name() == name {
			sum += c.Result()
		}
	}
	return sum
}

// Distribution is the spread of a metric's values.
type Distribution struct {
	// Count values were reported, which add up to Sum.
	Count, Sum int64
	// Min and Max are the least and greatest; 0 where Count is 0.
	Min, Max int64
}

// Mean is the average value, 0 where there is none.
func (d Distribution) Mean() float64 {
	if d.Count == 0 {
		return 0
	}
	return float64(d.Sum) / float64(d.Count)
}

// Distribution merges the distributions of that namespace and name over all
// steps.
func (r Result) Distribution(namespace, name string) Distribution {
	var all Distribution
	for _, m := range r.metrics.AllMetrics().Distributions() {
		v := m.Result()
		if m.Namespace() != namespace || m.Name() != name || v.Count == 0 {
			continue
		}
		if all.Count == 0 {
			all.Min, all.Max = v.Min, v.Max
		}
		all.Count += v.Count
		all.Sum += v.Sum
		all.Min = min(all.Min, v.Min)
		all.Max = max(all.Max, v.Max)
	}
	return all
}
