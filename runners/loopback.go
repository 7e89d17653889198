package runners

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
)

// serveLoopback makes this process the worker of its own jobs, as
// --environment_type=LOOPBACK does, and returns what ends that. Beam's own way
// leaves an empty file in the temporary folder at each run, where a worker binary
// would have been.
func serveLoopback(ctx context.Context) (stop func() error, err error) {
	worker, err := extworker.StartLoopback(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("serve as loopback worker: %w", err)
	}
	restore := setAll(map[*string]string{
		jobopts.EnvironmentType:   "EXTERNAL",
		jobopts.EnvironmentConfig: worker.EnvironmentConfig(ctx),
		jobopts.WorkerBinary:      os.DevNull, // has to be named, and is never started
	})
	return func() error {
		restore()
		return worker.Stop(ctx)
	}, nil
}

// embedded is the endpoint of the Prism inside this process, once there is one.
// Prism stores it in Beam's --endpoint, where it looks like the user's.
var embedded string

// wantsLoopback reports whether the job's worker is to be this process.
func wantsLoopback(runner string) bool {
	if jobopts.IsLoopback() {
		return true
	}
	ours := *jobopts.Endpoint == "" || *jobopts.Endpoint == embedded
	return strings.HasPrefix(strings.ToLower(runner), Default) && ours && *jobopts.EnvironmentType == ""
}

// setAll sets Beam's options and returns what sets them back.
func setAll(values map[*string]string) (restore func()) {
	old := make(map[*string]string, len(values))
	for option, value := range values {
		old[option] = *option
		*option = value
	}
	return func() {
		for option, value := range old {
			*option = value
		}
	}
}
