package train

import (
	"iter"
	"runtime"
	"sync"

	"github.com/blipflow/blipflow/model/blip"
)

// ahead is how many batches are ready or on their way while the device works on
// one.
const ahead = 4

// feed reads an epoch ahead of its taker: one goroutine reads, decompresses and
// shuffles pairs, as many as there are processors put batches together, and the
// taker gets these in their order.
type feed struct {
	queue   chan chan ready // of the batches in their order, each with room for one
	work    chan task
	stop    chan struct{}
	workers sync.WaitGroup
}

// ready is a batch, or why there is none.
type ready struct {
	batch blip.Batch
	err   error
}

// task is a batch to be put together.
type task struct {
	pairs []pair
	to    chan ready
}

func (s *shards) feed(epoch int) *feed {
	f := &feed{queue: make(chan chan ready, ahead), work: make(chan task), stop: make(chan struct{})}
	for range min(ahead, runtime.GOMAXPROCS(0)) {
		f.workers.Go(func() {
			for t := range f.work {
				b, err := s.compose(t.pairs, epoch)
				t.to <- ready{b, err}
			}
		})
	}
	f.workers.Go(func() {
		defer close(f.queue)
		defer close(f.work)
		if err := s.assemble(epoch, f.send); err != nil {
			failed := make(chan ready, 1)
			failed <- ready{err: err}
			select {
			case f.queue <- failed:
			case <-f.stop:
			}
		}
	})
	return f
}

// send hands pairs to a worker, and reports whether anybody wants more.
func (f *feed) send(pairs []pair) bool {
	t := task{pairs, make(chan ready, 1)}
	select {
	case f.queue <- t.to:
	case <-f.stop:
		return false
	}
	select {
	case f.work <- t:
		return true
	case <-f.stop:
		return false
	}
}

func (f *feed) batches() iter.Seq[ready] {
	return func(yield func(ready) bool) {
		for next := range f.queue {
			if !yield(<-next) {
				return
			}
		}
	}
}

// close waits until nothing works for the feed any more.
func (f *feed) close() {
	close(f.stop)
	f.workers.Wait()
}

// assemble groups an epoch's pairs into batches.
func (s *shards) assemble(epoch int, send func([]pair) bool) error {
	var pairs []pair
	for p, err := range s.shuffled(epoch) {
		if err != nil {
			return err
		}
		if pairs = append(pairs, p); len(pairs) < s.batch {
			continue
		}
		if !send(pairs) {
			return nil
		}
		pairs = nil
	}
	if len(pairs) > 0 {
		send(pairs)
	}
	return nil
}
