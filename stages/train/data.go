package train

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/stages/preprocess"
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
	buffer    int // pairs that the shuffle holds; 0 keeps the files' order
	augment   augment.Recipe
	prompt    int // ids of every caption, after the first, that are a prompt's
	processor *imaging.Processor

	promised map[string]preprocess.Shard // see split
	ctx      context.Context             // ends reading; nil for never
	skip     int                         // pairs of an epoch that are left out
}

// pair is a row's picture with one of its captions; the pixels are shared by all
// pairs of the picture.
type pair struct {
	*located
	caption int
}

// within gives the same data, which can be read while the context lasts and the
// files are those that a manifest names.
func (s *shards) within(ctx context.Context, m *preprocess.Manifest) *shards {
	out := *s
	out.ctx, out.promised = ctx, promises(m)
	return &out
}

// promises are what a manifest says of its files, by name.
func promises(m *preprocess.Manifest) map[string]preprocess.Shard {
	out := map[string]preprocess.Shard{}
	for _, shard := range m.Shards {
		out[shard.Name] = shard
	}
	return out
}

// Len is the number of batches of an epoch; the last may be smaller.
func (s *shards) Len() int { return (s.items + s.batch - 1) / s.batch }

// Batches gives those of an epoch, without the first skip ones. Of what is skipped
// no pixels are read, but those of pictures that are still to come. See [feed] for
// what is done ahead of the caller.
func (s *shards) Batches(epoch, skip int) iter.Seq2[blip.Batch, error] {
	return func(yield func(blip.Batch, error) bool) {
		rest := *s
		rest.skip = skip * s.batch
		f := rest.feed(epoch)
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
		b.Tokens = append(b.Tokens, p.TokenIDs[p.caption])
		picture := &imaging.RGB{W: p.PixelWidth, H: p.PixelHeight, Pix: p.Pixels}
		if err := picture.Validate(); err != nil {
			return b, fmt.Errorf("%s: %w", p.ImageID, err)
		}
		of := augment.Record{ID: p.ImageID, Width: p.Width, Height: p.Height, Caption: p.caption, Text: p.Captions[p.caption]}
		seen := s.augment.Apply(picture, of, s.seed, epoch)
		if err := s.processor.Normalize(b.Pixels[i*one:(i+1)*one], seen); err != nil {
			return b, fmt.Errorf("%s: %w", p.ImageID, err)
		}
	}
	return b, nil
}

// shuffled gives an epoch's pairs, without those that are to be skipped.
func (s *shards) shuffled(epoch int) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		c := s.course(epoch)
		for p, err := range c.mixed() {
			if err == nil && c.skip > 0 {
				c.skip--
				continue
			}
			if err == nil && p.Pixels == nil {
				err = c.fetch(p)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// course is an epoch that is gone through. Where a pair stands depends on the
// captions of all rows before it, but not on their pixels, which are left unread
// as long as pairs are skipped.
type course struct {
	*shards
	split  split // in the epoch's order
	random *rand.Rand
	skip   int    // pairs that are still to be skipped
	held   []pair // in the shuffle
}

func (s *shards) course(epoch int) *course {
	c := &course{shards: s, skip: s.skip, random: rand.New(rand.NewPCG(uint64(s.seed), uint64(epoch)))}
	c.split = split{files: s.files, promised: s.promised, picture: 3 * s.processor.Width * s.processor.Height}
	if s.buffer > 0 {
		c.split.files = nil
		for _, i := range c.random.Perm(len(s.files)) {
			c.split.files = append(c.split.files, s.files[i])
		}
	}
	return c
}

// mixed passes the pairs through a buffer: each comes out at a random moment
// after the buffer has filled. A data set that fits the buffer is shuffled
// completely.
func (c *course) mixed() iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for p, err := range c.pairs() {
			if err == nil && len(c.held) < c.buffer {
				c.held = append(c.held, p)
				continue
			}
			if err == nil && c.buffer > 0 {
				i := c.random.IntN(len(c.held))
				p, c.held[i] = c.held[i], p
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
		c.random.Shuffle(len(c.held), func(i, j int) { c.held[i], c.held[j] = c.held[j], c.held[i] })
		for len(c.held) > 0 {
			p := c.held[0]
			c.held[0] = pair{} // its pixels are not needed any more
			c.held = c.held[1:]
			if !yield(p, nil) {
				return
			}
		}
	}
}

// pairs are the rows' captions of the policy.
func (c *course) pairs() iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for r, err := range c.rows() {
			if err != nil {
				yield(pair{}, err)
				return
			}
			first, last := c.choose(len(r.TokenIDs))
			if len(r.Captions) < last {
				yield(pair{}, fmt.Errorf("%s: %w: ids of %d captions, and %d captions", r.ImageID, ErrShardChanged, len(r.TokenIDs), len(r.Captions)))
				return
			}
			for i := first; i < last; i++ {
				if !yield(pair{&r, i}, nil) {
					return
				}
			}
		}
	}
}

// choose says which of a number of captions the policy takes.
func (c *course) choose(captions int) (first, last int) {
	switch {
	case captions == 0:
		return 0, 0
	case c.policy == FirstCaption:
		return 0, 1
	case c.policy == RandomCaption:
		first = c.random.IntN(captions)
		return first, first + 1
	}
	return 0, captions
}

// rows reads the files, without pixels for as long as pairs are skipped.
func (c *course) rows() iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		from := place{}
		if c.skip > 0 {
			for r, err := range c.split.rows(c.context(), from, nil, records.ReaderOptions{WithoutPixels: true}) {
				if !yield(r, err) || err != nil {
					return
				}
				if from = (place{r.at.file, r.at.row + 1}); c.skip == 0 {
					break
				}
			}
			if c.skip > 0 {
				return // there are no more rows
			}
		}
		for r, err := range c.split.rows(c.context(), from, nil, records.ReaderOptions{}) {
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// fetch reads the pixels of a pair and of those that are held, which were read
// without.
func (c *course) fetch(p pair) error {
	missing, wanted := map[place]*located{}, map[place]bool{}
	for _, h := range append(slices.Clone(c.held), p) {
		if h.Pixels == nil {
			missing[h.at], wanted[h.at] = h.located, true
		}
	}
	for r, err := range c.split.rows(c.context(), place{}, wanted, records.ReaderOptions{}) {
		if err != nil {
			return err
		}
		if row := missing[r.at]; row != nil {
			row.Pixels = r.Pixels
		}
	}
	return nil
}

func (s *shards) context() context.Context {
	if s.ctx == nil {
		return context.Background()
	}
	return s.ctx
}
