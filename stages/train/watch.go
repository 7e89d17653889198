package train

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/stages/progress"
)

// Metrics, under the namespace "train".
var (
	steps    = beam.NewCounter("train", "steps")
	samples  = beam.NewCounter("train", "samples")
	stepTime = beam.NewDistribution("train", "step_latency_micro_secs")
	waitTime = beam.NewDistribution("train", "data_wait_micro_secs")
	// Beam's metrics are whole numbers: the loss is in thousandths.
	lossNow   = beam.NewGauge("train", "loss_milli")
	stepNow   = beam.NewGauge("train", "global_step")
	heartbeat = beam.NewGauge("train", "heartbeat_unix_secs")
)

// beat is how often a training run says that it is alive, also while it
// evaluates or saves.
const beat = 5 * time.Second

// watcher shows a run to Beam and on the terminal.
type watcher struct {
	ctx    context.Context
	task   *progress.Task
	before trainer.State // at the last report
	stop   chan struct{}
	beats  sync.WaitGroup
}

// watch also calls check now and then.
func watch(ctx context.Context, check func()) *watcher {
	w := &watcher{ctx: ctx, stop: make(chan struct{})}
	w.beats.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			heartbeat.Set(ctx, time.Now().Unix())
			check()
			select {
			case <-tick.C:
			case <-w.stop:
				return
			}
		}
	})
	return w
}

func (w *watcher) close() {
	close(w.stop)
	w.beats.Wait()
	if w.task != nil {
		w.task.Done()
	}
}

// report takes the state that an attempt starts from, and that after each step
// and each evaluation.
func (w *watcher) report(s trainer.State, r trainer.Record) {
	if w.task == nil {
		w.task = progress.Start("train", int64(s.MaxSteps), "steps")
		w.before = s
	}
	w.task.Set(int64(s.GlobalStep))
	if r.Loss == nil {
		return
	}
	w.task.Note(fmt.Sprintf("epoch %.1f, loss %.3f", r.Epoch, *r.Loss))
	steps.Inc(w.ctx, int64(s.GlobalStep-w.before.GlobalStep))
	samples.Inc(w.ctx, s.Samples-w.before.Samples)
	stepTime.Update(w.ctx, micros(s.TrainSeconds-w.before.TrainSeconds))
	waitTime.Update(w.ctx, micros(s.WaitSeconds-w.before.WaitSeconds))
	lossNow.Set(w.ctx, int64(*r.Loss*1000))
	stepNow.Set(w.ctx, int64(s.GlobalStep))
	w.before = s
}

func micros(seconds float64) int64 { return int64(seconds * 1e6) }
