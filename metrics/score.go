package metrics

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/blipflow/blipflow/metrics/ptb"
)

// Errors of Score. They come wrapped with the picture's id.
var (
	ErrNoItems        = errors.New("no captions to score")
	ErrNoReferences   = errors.New("picture has no reference caption")
	ErrDuplicateImage = errors.New("picture is there twice")
)

// Item is one picture's captions, as plain text.
type Item struct {
	ImageID    string
	Prediction string
	References []string // at least one
}

// Metric names a metric, or several joined by |.
type Metric uint

// The metrics that Score computes.
const (
	BLEU      Metric = 1 << iota // BLEU-1 to BLEU-4
	ROUGE                        // ROUGE-L
	CIDER                        // CIDEr-D and plain CIDEr
	SACREBLEU                    // sacrebleu's BLEU
)

// Options say how to score. The zero value computes everything.
type Options struct {
	// Skip leaves metrics out. Their scores are null in the report.
	Skip Metric

	// EachAlone tokenises every caption by itself. Otherwise a caption's last
	// token can depend on the next item's caption, as in the reference; see
	// package ptb. It matters for one caption in 36,000 of COCO's. With it the
	// scores don't depend on the order of the items at all.
	EachAlone bool

	// Workers is how many pictures are scored at once; 0 takes a worker for each
	// processor. It changes no digit.
	Workers int
}

// Score scores predictions against their references. The error is ErrNoItems,
// ErrNoReferences or ErrDuplicateImage.
func Score(items []Item, opts Options) (Report, error) {
	if err := validate(items); err != nil {
		return Report{}, err
	}
	s := newScoring(items, opts)
	s.firstPass()
	if opts.Skip&CIDER == 0 {
		s.secondPass()
	}
	return s.report(), nil
}

// validate checks the items.
func validate(items []Item) error {
	if len(items) == 0 {
		return ErrNoItems
	}
	seen := make(map[string]bool, len(items))
	for _, it := range items {
		if len(it.References) == 0 {
			return fmt.Errorf("score picture %q: %w", it.ImageID, ErrNoReferences)
		}
		if seen[it.ImageID] {
			return fmt.Errorf("score picture %q: %w", it.ImageID, ErrDuplicateImage)
		}
		seen[it.ImageID] = true
	}
	return nil
}

// scoring is one call of Score under way.
type scoring struct {
	items   []Item
	opts    Options
	follow  []neighbours // by item; nil if each caption is tokenised alone
	tokens  []segment
	images  []ImageScores
	lexicon lexicon
	df      *frequencyTable
	places  [][]uint32 // by item: its n-grams in df
	total   statistics
}

// segment is an item after tokenisation.
type segment struct {
	prediction string
	references []string
}

// neighbours are the captions that the reference reads after an item's.
type neighbours struct{ prediction, reference string }

// statistics are what one worker adds up.
type statistics struct {
	bleu  BleuStats
	rouge RougeStats
	sacre SacreBleuStats
	cider CiderStats
	batch frequencyBatch // counts into the one table of all workers
}

func (s *statistics) merge(o *statistics) {
	s.bleu.Merge(o.bleu)
	s.rouge.Merge(o.rouge)
	s.sacre.Merge(o.sacre)
	s.cider.Merge(o.cider)
}

func newScoring(items []Item, opts Options) *scoring {
	s := &scoring{
		items:  items,
		opts:   opts,
		tokens: make([]segment, len(items)),
		images: make([]ImageScores, len(items)),
	}
	if opts.Skip&CIDER == 0 {
		s.df, s.places = new(frequencyTable), make([][]uint32, len(items))
	}
	if !opts.EachAlone {
		s.follow = following(items)
	}
	return s
}

// following finds what comes after each item's prediction and after its last
// reference, as package ptb wants it.
func following(items []Item) []neighbours {
	out := make([]neighbours, len(items))
	var next neighbours
	for i := len(items) - 1; i >= 0; i-- {
		out[i] = next
		next.prediction = ptb.Before(items[i].Prediction, next.prediction)
		for j := len(items[i].References) - 1; j >= 0; j-- {
			next.reference = ptb.Before(items[i].References[j], next.reference)
		}
	}
	return out
}

// tokenize tokenises an item.
func (s *scoring) tokenize(i int) segment {
	it := s.items[i]
	seg := segment{references: make([]string, len(it.References))}
	if s.opts.EachAlone {
		seg.prediction = ptb.Tokenize(it.Prediction)
		for j, r := range it.References {
			seg.references[j] = ptb.Tokenize(r)
		}
		return seg
	}
	next := s.follow[i]
	seg.prediction = ptb.TokenizeBefore(it.Prediction, next.prediction)
	for j := len(it.References) - 1; j >= 0; j-- {
		r := it.References[j]
		seg.references[j] = ptb.TokenizeBefore(r, next.reference)
		next.reference = ptb.Before(r, next.reference)
	}
	return seg
}

// firstPass scores all but CIDEr and gathers CIDEr's document frequencies.
func (s *scoring) firstPass() {
	s.each(func(i int, c *counter, sum *statistics) {
		it, image := s.items[i], &s.images[i]
		image.ImageID = it.ImageID
		if s.opts.Skip&SACREBLEU == 0 {
			sum.sacre.add(c, it.Prediction, it.References)
		}
		seg := s.tokenize(i)
		s.tokens[i] = seg
		c.load(seg.prediction, seg.references)
		if s.opts.Skip&BLEU == 0 {
			one := BleuStats{c.matches()}
			image.setBleu(one)
			sum.bleu.Merge(one)
		}
		if s.opts.Skip&ROUGE == 0 {
			image.RougeL = known(sum.rouge.Add(seg.prediction, seg.references))
		}
		if s.opts.Skip&CIDER == 0 {
			s.places[i] = sum.batch.add(c)
		}
	})
}

// secondPass scores CIDEr.
func (s *scoring) secondPass() {
	s.each(func(i int, c *counter, sum *statistics) {
		c.load(s.tokens[i].prediction, s.tokens[i].references)
		scores := c.cider(s.df.weigh(c, s.places[i], len(s.items)))
		s.images[i].setCider(scores)
		sum.cider.Add(scores)
	})
}

// chunk is how many items a worker takes at a time.
const chunk = 32

// each calls do for every item, on several goroutines, each with a counter and
// statistics of its own, and merges the statistics into the total.
func (s *scoring) each(do func(i int, c *counter, sum *statistics)) {
	workers := s.opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, (len(s.items)+chunk-1)/chunk)
	sums := make([]statistics, workers)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c := newCounter(&s.lexicon)
			sums[w].batch.table = s.df
			defer sums[w].batch.flush()
			for {
				from := int(taken.Add(chunk)) - chunk
				if from >= len(s.items) {
					return
				}
				for i := from; i < min(from+chunk, len(s.items)); i++ {
					do(i, c, &sums[w])
				}
			}
		})
	}
	wg.Wait()
	for w := range sums {
		s.total.merge(&sums[w])
	}
}

// report gathers the scores of the set.
func (s *scoring) report() Report {
	r := Report{Images: len(s.items), PerImage: s.images}
	if s.opts.Skip&BLEU == 0 {
		r.setBleu(s.total.bleu)
	}
	if s.opts.Skip&ROUGE == 0 {
		r.RougeL = known(s.total.rouge.Score())
	}
	if s.opts.Skip&CIDER == 0 {
		r.setCider(s.total.cider.Score())
	}
	if s.opts.Skip&SACREBLEU == 0 {
		score := s.total.sacre.Score()
		r.SacreBleu = &score
	}
	return r
}
