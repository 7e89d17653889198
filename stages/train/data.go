package train

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// CaptionPolicy says which of a picture's captions an epoch trains on.
type CaptionPolicy string

// Policies.
const (
	// AllCaptions trains on each, as a data set with a row a caption would.
	AllCaptions CaptionPolicy = "all"
	// FirstCaption trains on the first.
	FirstCaption CaptionPolicy = "first"
	// RandomCaption draws one anew in each epoch.
	RandomCaption CaptionPolicy = "random"
)

// Valid reports whether p is one of the policies.
func (p CaptionPolicy) Valid() bool {
	return p == AllCaptions || p == FirstCaption || p == RandomCaption
}

// shards are the training data: files of examples, streamed in a new order
// each epoch. It implements trainer.Data.
type shards struct {
	files     []string
	items     int // pairs of a picture and a caption in an epoch
	batch     int
	policy    CaptionPolicy
	seed      int64
	buffer    int // pairs that the shuffle holds
	processor *imaging.Processor
}

// pair is a picture with one of its captions; the pixels are shared by all
// pairs of the picture.
type pair struct {
	picture *imaging.RGB
	tokens  []int32
}

// Len is the number of batches of an epoch; the last may be smaller.
func (s *shards) Len() int { return (s.items + s.batch - 1) / s.batch }

// Batches reads ahead of the caller: while the device works on one batch, the
// next ones are put together.
func (s *shards) Batches(epoch int) iter.Seq2[blip.Batch, error] {
	return func(yield func(blip.Batch, error) bool) {
		type result struct {
			batch blip.Batch
			err   error
		}
		const ahead = 4
		ready, stop := make(chan result, ahead), make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			defer close(ready)
			send := func(r result) bool {
				select {
				case ready <- r:
					return true
				case <-stop:
					return false
				}
			}
			err := s.assemble(epoch, func(b blip.Batch) bool { return send(result{batch: b}) })
			if err != nil {
				send(result{err: err})
			}
		})
		defer reader.Wait()
		defer close(stop)
		for r := range ready {
			if !yield(r.batch, r.err) || r.err != nil {
				return
			}
		}
	}
}

// assemble puts an epoch's pairs together into normalised batches.
func (s *shards) assemble(epoch int, emit func(blip.Batch) bool) error {
	one := 3 * s.processor.Width * s.processor.Height
	var b blip.Batch
	for p, err := range s.shuffled(epoch) {
		if err != nil {
			return err
		}
		at := len(b.Pixels)
		b.Pixels = append(b.Pixels, make([]float32, one)...)
		if err := s.processor.Normalize(b.Pixels[at:], p.picture); err != nil {
			return err
		}
		b.Tokens = append(b.Tokens, p.tokens)
		if len(b.Tokens) == s.batch {
			if !emit(b) {
				return nil
			}
			b = blip.Batch{}
		}
	}
	if len(b.Tokens) > 0 {
		emit(b)
	}
	return nil
}

// shuffled passes the pairs through a buffer: each comes out at a random
// moment after the buffer has filled. A data set that fits the buffer is
// shuffled completely.
func (s *shards) shuffled(epoch int) iter.Seq2[pair, error] {
	r := rand.New(rand.NewPCG(uint64(s.seed), uint64(epoch)))
	return func(yield func(pair, error) bool) {
		var held []pair
		for p, err := range s.pairs(r) {
			if err != nil {
				yield(pair{}, err)
				return
			}
			if len(held) < s.buffer {
				held = append(held, p)
				continue
			}
			i := r.IntN(len(held))
			p, held[i] = held[i], p
			if !yield(p, nil) {
				return
			}
		}
		r.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, p := range held {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// pairs reads the shards, in a random order.
func (s *shards) pairs(r *rand.Rand) iter.Seq2[pair, error] {
	order := r.Perm(len(s.files))
	return func(yield func(pair, error) bool) {
		for _, i := range order {
			for e, err := range examples(s.files[i], records.ReaderOptions{}) {
				if err != nil {
					yield(pair{}, err)
					return
				}
				for _, p := range s.choose(e, r) {
					if !yield(p, nil) {
						return
					}
				}
			}
		}
	}
}

// choose makes pairs of an example's picture and the captions of the policy.
func (s *shards) choose(e records.Example, r *rand.Rand) []pair {
	picture := &imaging.RGB{W: e.PixelWidth, H: e.PixelHeight, Pix: e.Pixels}
	ids := e.TokenIDs
	switch {
	case len(ids) == 0:
		return nil
	case s.policy == FirstCaption:
		ids = ids[:1]
	case s.policy == RandomCaption:
		ids = ids[r.IntN(len(ids)):][:1]
	}
	out := make([]pair, len(ids))
	for i := range ids {
		out[i] = pair{picture, ids[i]}
	}
	return out
}

// examples reads a shard from start to end.
func examples(path string, o records.ReaderOptions) iter.Seq2[records.Example, error] {
	return func(yield func(records.Example, error) bool) {
		r, err := records.Open(path, o)
		if err != nil {
			yield(records.Example{}, err)
			return
		}
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				err = r.Close()
				if err != nil {
					yield(records.Example{}, fmt.Errorf("%s: %w", path, err))
				}
				return
			}
			if err != nil {
				yield(records.Example{}, errors.Join(fmt.Errorf("%s: %w", path, err), r.Close()))
				return
			}
			if !yield(e, nil) {
				_ = r.Close() // nobody is listening any more
				return
			}
		}
	}
}
