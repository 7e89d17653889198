package evaluate

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/uuid"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	beam.RegisterType(reflect.TypeFor[totals]())
	beam.RegisterCoder(reflect.TypeFor[totals](), encodeTotals, decodeTotals)
	register.DoFn7x1[context.Context, string, func(*placed) bool, func(*string) bool, func(*sample) bool, func(string, totals), func(string), error](&scoreFn{})
	register.Combiner1[totals](&mergeTotals{})
	register.Emitter2[string, totals]()
	register.Emitter1[string]()
}

// Config are the settings of scoring.
type Config struct {
	// Output is the file for the report.
	Output string
	// PerImage is a file for the scores of each picture, Parquet by its ending or
	// CSV; empty for none.
	PerImage string
	// AllowMissing scores the pictures that have both references and a prediction,
	// and counts the others.
	AllowMissing bool
	// Bootstrap is how confidence intervals are drawn.
	Bootstrap metrics.Bootstrap
	// Meteor is the folder of METEOR's tables; empty leaves METEOR out.
	Meteor string
	// Spice says how SPICE is computed; its zero value leaves it out.
	Spice Spice
	// Warnings are for the report: what was wanted and cannot be computed.
	Warnings []string
}

// work is a folder of this run's own.
func (c Config) work() string { return c.Output + workSuffix + "/" + uuid.NewString() }

const workSuffix = ".work"

// Inputs are what is scored.
type Inputs struct {
	// References are a collection of Reference, and Predictions of
	// caption.Prediction.
	References, Predictions beam.PCollection
	// Baseline are predictions of another system for the same pictures, to compare
	// with; the zero value for none.
	Baseline beam.PCollection
	// Training are paths of what the model was trained on, example shards or
	// annotations; the zero value for none. See ErrOverlap.
	Training beam.PCollection
}

// Score scores predictions against references and writes the report, a [Report] in
// JSON, to a file. It gives the file's text, so that what depends on the scores can
// wait for them. Where there is no picture it writes nothing and gives an empty
// text; see Nothing.
func Score(s beam.Scope, cfg Config, in Inputs) beam.PCollection {
	s = s.Scope("evaluate.Score")
	references, compares, work := in.References, in.Baseline.IsValid(), cfg.work()
	names := beam.SideInput{Input: beam.ParDo(s, namesOf, references)}
	claims := beam.ParDo(s, &resolve{}, in.Predictions, names)
	if compares {
		claims = beam.Flatten(s, claims, beam.ParDo(s, &resolve{Baseline: true}, in.Baseline, names))
	}
	pictures := beam.ParDo(s, &join{}, beam.CoGroupByKey(s, beam.ParDo(s, byID, references), claims))
	audited := beam.Combine(s, &auditFn{Baseline: compares}, pictures)
	chunks := beam.GroupByKey(s, beam.ParDo(s, &toChunks{Baseline: compares}, pictures))
	kept := beam.ParDo(s, &keepCounts{Work: work}, beam.CombinePerKey(s, &mergeCounts{}, beam.ParDo(s, &countFn{}, chunks)))
	overlaps := beam.CreateList(s, []offenders{})
	if in.Training.IsValid() {
		overlaps = overlap(s, references, in.Training)
	}
	sampled := beam.Combine(s, &sampleFn{Baseline: compares, Spice: cfg.Spice}, pictures)
	sums, parts := beam.ParDo2(s, &scoreFn{Config: cfg, Work: work, Baseline: compares}, chunks,
		beam.SideInput{Input: kept}, beam.SideInput{Input: sampled})
	return beam.ParDo(s, &finish{Config: cfg, Baseline: compares, Work: work}, beam.Impulse(s),
		beam.SideInput{Input: audited}, beam.SideInput{Input: overlaps},
		beam.SideInput{Input: beam.DropKey(s, beam.CombinePerKey(s, &mergeTotals{}, sums))},
		beam.SideInput{Input: parts})
}

// totals are what the pictures of a set add up to.
type totals struct {
	// Set is a domain, or all pictures where it is empty.
	Set string
	// Baseline is whether they are of the system that is compared with.
	Baseline  bool
	Sum       metrics.Statistics
	Resamples metrics.Resamples
	Variety   metrics.Variety
	Notes     notes
}

func encodeTotals(t totals) ([]byte, error)    { return toGob(t) }
func decodeTotals(data []byte) (totals, error) { return fromGob[totals](data) }

// mergeTotals adds totals up.
type mergeTotals struct{}

// MergeAccumulators adds up two.
func (mergeTotals) MergeAccumulators(a, b totals) totals {
	if a.Sum.Images == 0 {
		return b
	}
	a.Sum.Merge(b.Sum)
	a.Resamples.Merge(b.Resamples)
	a.Variety.Merge(b.Variety)
	a.Notes.merge(b.Notes)
	return a
}

// scoreFn scores a chunk.
type scoreFn struct {
	Config   Config
	Work     string
	Baseline bool
}

// ProcessElement scores one chunk's pictures, and gives what they add up to and
// the file with the scores of each.
func (fn *scoreFn) ProcessElement(ctx context.Context, name string, next func(*placed) bool, counted func(*string) bool, sampled func(*sample) bool,
	emit func(string, totals), part func(string),
) error {
	c := readChunk(next)
	if len(c.pictures) == 0 {
		return nil
	}
	df, err := sharedCounts(fn.Work, slices.Sorted(all(counted)))
	if err != nil {
		return err
	}
	var s sample
	sampled(&s)
	g := grading{scoreFn: fn, ctx: ctx, chunk: c, frequencies: df, sample: s, sums: map[string]*totals{}}
	if err := g.run(); err != nil {
		return fmt.Errorf("score: %w", err)
	}
	for key, t := range g.sums {
		emit(key, *t)
	}
	if fn.Config.PerImage != "" {
		path := filepath.Join(fn.Work, "scores-"+records.Fingerprint(name)[:16])
		if err := records.WriteFile(path, func(w io.Writer) error { return writeRows(w, g.rows) }); err != nil {
			return err
		}
		part(name + "\t" + path)
	}
	progress.Start(Stage, 0, "pictures").Add(int64(len(c.pictures)))
	return nil
}

// all goes through a side input.
func all[T any](next func(*T) bool) func(func(T) bool) {
	return func(yield func(T) bool) {
		for {
			var v T
			if !next(&v) || !yield(v) {
				return
			}
		}
	}
}

// grading is the scoring of one chunk.
type grading struct {
	*scoreFn
	ctx         context.Context
	chunk       chunk
	frequencies frequencies
	sample      sample
	sums        map[string]*totals
	rows        []Row
}

func (g *grading) run() error {
	systems := []system{candidate}
	if g.Baseline {
		systems = append(systems, baseline)
	}
	for _, of := range systems {
		if err := g.grade(of); err != nil {
			return err
		}
	}
	return nil
}

// grade scores the predictions of one system.
func (g *grading) grade(of system) error {
	options, noted := g.Config.options()
	items, ahead := g.chunk.items(of)
	tokens := options.Tokenize(items, ahead)
	spice, said, err := g.Config.Spice.score(g.ctx, items, tokens, g.sample)
	if err != nil {
		return err
	}
	ones := options.Pictures(items, tokens)
	for i, p := range g.chunk.pictures {
		if score, there := spice[p.ID]; there {
			ones[i].AddSpice(score)
		}
		for _, set := range setsOf(p) {
			one := ones[i]
			one.AddCider(g.frequencies[set].Cider(tokens[i].Prediction, tokens[i].References))
			g.sum(of, set).add(g.Config.Bootstrap, p.ID, one, tokens[i])
			if set == "" && of == candidate {
				g.rows = append(g.rows, rowOf(p, one))
			}
		}
	}
	g.sum(of, "").Notes.merge(noted)
	g.sum(of, "").Notes.merge(said)
	if of == candidate {
		g.sum(of, "").Notes.look(g.chunk.pictures, tokens)
	}
	return nil
}

func (g *grading) sum(of system, set string) *totals {
	key := fmt.Sprintf("%t %s", of, set)
	if g.sums[key] == nil {
		g.sums[key] = &totals{Set: set, Baseline: of == baseline}
	}
	return g.sums[key]
}

func (t *totals) add(b metrics.Bootstrap, id string, one metrics.Statistics, tokens metrics.Tokens) {
	t.Sum.Merge(one)
	b.Add(&t.Resamples, id, one)
	t.Variety.Add(tokens)
}
