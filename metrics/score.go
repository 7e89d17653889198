package metrics

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/blipflow/blipflow/metrics/meteor"
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
	METEOR                       // where Options has its tables
	SPICE                        // which Score does not compute; see Statistics.AddSpice
)

// has reports whether one of these metrics is to be computed.
func (o Options) has(m Metric) bool {
	return m&^o.Skip != 0 && (m != METEOR || o.Meteor != nil)
}

// Options say how to score. The zero value computes all that needs no tables.
type Options struct {
	// Skip leaves metrics out. Their scores are null in the report.
	Skip Metric

	// Meteor are METEOR's tables. Where it is nil METEOR is left out.
	Meteor *meteor.Tables

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
	s.secondPass()
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
	tokens  []Tokens
	images  []Statistics // by item
	lexicon lexicon
	df      *frequencyTable
	places  [][]uint32 // by item: its n-grams in df
	total   Statistics
}

// statistics are what one worker adds up.
type statistics struct {
	Statistics
	batch frequencyBatch // counts into the one table of all workers
}

func newScoring(items []Item, opts Options) *scoring {
	s := &scoring{items: items, opts: opts, images: make([]Statistics, len(items))}
	if opts.has(CIDER) {
		s.df, s.places = new(frequencyTable), make([][]uint32, len(items))
	}
	return s
}

// firstPass scores all but CIDEr and gathers CIDEr's document frequencies.
func (s *scoring) firstPass() {
	tokenize := tokenizer(s.items, nil, s.opts)
	s.tokens = make([]Tokens, len(s.items))
	s.each(func(i int, c *counter, sum *statistics) {
		s.tokens[i] = tokenize(i)
		s.images[i] = s.opts.count(c, s.items[i], s.tokens[i])
		if s.opts.has(CIDER) {
			s.places[i] = sum.batch.add(c)
		}
	})
}

// secondPass scores CIDEr, and adds up.
func (s *scoring) secondPass() {
	s.each(func(i int, c *counter, sum *statistics) {
		if s.opts.has(CIDER) {
			c.load(s.tokens[i].Prediction, s.tokens[i].References)
			s.images[i].AddCider(c.cider(s.df.weigh(c, s.places[i], len(s.items))))
		}
		sum.Merge(s.images[i])
	})
}

// count is a picture's Statistics without CIDEr. It leaves the counter loaded with
// the tokens.
func (o Options) count(c *counter, it Item, t Tokens) Statistics {
	s := Statistics{Images: 1, Metrics: (BLEU | ROUGE | SACREBLEU | METEOR) &^ o.Skip}
	if o.has(SACREBLEU) {
		s.Sacre.add(c, it.Prediction, it.References)
	}
	if o.has(BLEU | CIDER) {
		c.load(t.Prediction, t.References)
	}
	if o.has(BLEU) {
		s.Bleu = BleuStats{c.matches()}
	}
	if o.has(ROUGE) {
		s.Rouge.Add(t.Prediction, t.References)
	}
	if o.has(METEOR) {
		s.Meteor = o.Meteor.Segment(t.Prediction, t.References)
	} else {
		s.Metrics &^= METEOR
	}
	return s
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
		s.total.Merge(sums[w].Statistics)
	}
}

// report gathers the scores of the set.
func (s *scoring) report() Report {
	r := Report{Scores: s.total.Scores(), SacreBleu: s.total.SacreBleu(), Images: len(s.items)}
	for i := range s.images {
		r.PerImage = append(r.PerImage, ImageScores{s.items[i].ImageID, s.images[i].Scores()})
	}
	return r
}
