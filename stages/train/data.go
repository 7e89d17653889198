package train

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/augment"
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
	augment   augment.Recipe
	prompt    int // ids of every caption, after the first, that are a prompt's
	processor *imaging.Processor
}

// pair is a picture with one of its captions; the pixels are shared by all
// pairs of the picture.
type pair struct {
	picture *imaging.RGB
	of      augment.Record
	tokens  []int32
}

// Len is the number of batches of an epoch; the last may be smaller.
func (s *shards) Len() int { return (s.items + s.batch - 1) / s.batch }

// Batches gives those of an epoch, without the first skip ones, which are read but
// not put together. See [feed] for what is done ahead of the caller.
func (s *shards) Batches(epoch, skip int) iter.Seq2[blip.Batch, error] {
	return func(yield func(blip.Batch, error) bool) {
		f := s.feed(epoch, skip)
		defer f.close()
		for r := range f.batches() {
			if !yield(r.batch, r.err) || r.err != nil {
				return
			}
		}
	}
}

// compose augments and normalises a batch's pictures.
func (s *shards) compose(pairs []pair, epoch int) (blip.Batch, error) {
	one := 3 * s.processor.Width * s.processor.Height
	b := blip.Batch{Pixels: make([]float32, one*len(pairs))}
	if s.prompt > 0 {
		b.Prompt = slices.Repeat([]int{s.prompt}, len(pairs))
	}
	for i, p := range pairs {
		b.Tokens = append(b.Tokens, p.tokens)
		if err := p.picture.Validate(); err != nil {
			return b, fmt.Errorf("%s: %w", p.of.ID, err)
		}
		seen := s.augment.Apply(p.picture, p.of, s.seed, epoch)
		if err := s.processor.Normalize(b.Pixels[i*one:(i+1)*one], seen); err != nil {
			return b, fmt.Errorf("%s: %w", p.of.ID, err)
		}
	}
	return b, nil
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
	first, last := 0, len(e.TokenIDs)
	switch {
	case last == 0:
		return nil
	case s.policy == FirstCaption:
		last = 1
	case s.policy == RandomCaption:
		first = r.IntN(last)
		last = first + 1
	}
	var out []pair
	for i := first; i < last; i++ {
		of := augment.Record{ID: e.ImageID, Width: e.Width, Height: e.Height, Caption: i, Text: e.Captions[i]}
		out = append(out, pair{picture, of, e.TokenIDs[i]})
	}
	return out
}

// ErrShardGone is wrapped where a shard that the manifest names is not there.
var ErrShardGone = errors.New("a shard is gone that was there when training began; put it back or preprocess again")

// examples reads a shard from start to end.
func examples(path string, o records.ReaderOptions) iter.Seq2[records.Example, error] {
	return func(yield func(records.Example, error) bool) {
		r, err := records.Open(path, o)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrShardGone, err)
		}
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
