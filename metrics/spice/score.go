package spice

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"time"
)

// ErrBroken says that Java fails whatever it is given. It comes wrapped around
// the reason, a *ProcessError.
var ErrBroken = errors.New("SPICE does not run")

// startup is what a process may take before the first caption.
const startup = 2 * time.Minute

func (c Config) processes() int { return max(c.Processes, 1) }

func (c Config) threads() int {
	if c.Threads > 0 {
		return c.Threads
	}
	return max(runtime.GOMAXPROCS(0)/c.processes(), 1)
}

func (c Config) chunk() int {
	if c.Chunk > 0 {
		return c.Chunk
	}
	return 5000
}

func (c Config) maxWords() int {
	if c.MaxWords > 0 {
		return c.MaxWords
	}
	return 80
}

// heap is in MB.
func (c Config) heap() int {
	if c.Heap > 0 {
		return c.Heap
	}
	heap := 2000 + 1000*c.threads()
	if total := memory(); total > 0 {
		heap = min(heap, int(total>>20)/2/c.processes())
	}
	return max(heap, 1500) // the models alone take 1000
}

// limit is what a process may take for pictures.
func (c Config) limit(pictures []picture) time.Duration {
	limit := startup
	for _, p := range pictures {
		limit += p.limit
	}
	if c.Patience > 0 {
		limit = time.Duration(c.Patience * float64(limit))
	}
	return limit
}

// Score scores pictures and gives their scores in the items' order. A picture
// that can't be scored has its reason in Scores.Err. The error is
// metrics.ErrNoReferences with the picture's id, ErrBroken, the context's, or
// that of a file.
func (s Scorer) Score(ctx context.Context, items []Item) ([]Scores, error) {
	pictures, err := s.Config.pictures(items)
	if err != nil {
		return nil, err
	}
	sweep(s.Config.temp())
	j := job{scorer: s, scores: make([]Scores, len(items))}
	if err := j.all(ctx, pictures); err != nil {
		return nil, fmt.Errorf("score with SPICE: %w", err)
	}
	for i, p := range pictures {
		j.scores[i].ID, j.scores[i].Cut = items[i].ID, p.cut
	}
	return j.scores, nil
}

// job is one call of Score under way.
type job struct {
	scorer Scorer
	scores []Scores // by place

	probe sync.Once
	sound error // why Java works on nothing, once probed
}

// all scores chunks of pictures, several at once.
func (j *job) all(ctx context.Context, pictures []picture) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chunks := make(chan []picture)
	var wg sync.WaitGroup
	for range j.scorer.Config.processes() {
		wg.Go(func() {
			for chunk := range chunks {
				if err := j.chunk(ctx, chunk); err != nil {
					cancel(err)
				}
			}
		})
	}
	size := j.scorer.Config.chunk()
	for from := 0; from < len(pictures) && ctx.Err() == nil; from += size {
		chunks <- pictures[from:min(from+size, len(pictures))]
	}
	close(chunks)
	wg.Wait()
	return context.Cause(ctx)
}

// chunk scores pictures, and finds those that can't be.
func (j *job) chunk(ctx context.Context, pictures []picture) error {
	// So much finds four bad pictures; then all that is left of the chunk fails.
	failures := 4 * (bits.Len(uint(len(pictures))) + 1)
	return j.halve(ctx, pictures, j.scorer.Config.Cache, &failures)
}

// halve scores pictures, in halves where the process fails. The cache could be
// the reason, so that it is left out after a failure.
func (j *job) halve(ctx context.Context, pictures []picture, cache string, failures *int) error {
	if *failures == 0 {
		j.fail(pictures, fmt.Errorf("%w: too many pictures did before", ErrFailed))
		return nil
	}
	err := j.process(ctx, pictures, cache)
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if !errors.As(err, new(*ProcessError)) {
		return err
	}
	*failures--
	if err := j.works(ctx); err != nil {
		return err
	}
	if len(pictures) > 1 {
		half := len(pictures) / 2
		if err := j.halve(ctx, pictures[:half], "", failures); err != nil {
			return err
		}
		return j.halve(ctx, pictures[half:], "", failures)
	}
	if cache != "" {
		return j.halve(ctx, pictures, "", failures)
	}
	j.fail(pictures, err)
	return nil
}

// process scores pictures in a process, and keeps the scores.
func (j *job) process(ctx context.Context, pictures []picture, cache string) error {
	scores, err := j.scorer.process(ctx, pictures, cache)
	for i := range scores {
		j.scores[pictures[i].place] = scores[i]
	}
	return err
}

func (j *job) fail(pictures []picture, err error) {
	for _, p := range pictures {
		j.scores[p.place].Err = err
	}
}

// works tells whether Java does what it should on a caption that is known, so
// that pictures are not blamed for a Java that works on none.
func (j *job) works(ctx context.Context) error {
	j.probe.Do(func() {
		known, err := Config{}.pictures([]Item{{Prediction: "a dog", References: []string{"a dog"}}})
		if err == nil {
			_, err = j.scorer.process(ctx, known, "")
		}
		if err != nil && ctx.Err() == nil {
			j.sound = fmt.Errorf("%w: %w", ErrBroken, err)
		}
	})
	return errors.Join(j.sound, ctx.Err())
}
