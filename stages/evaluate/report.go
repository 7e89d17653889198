package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/progress"
)

func init() {
	beam.RegisterType(reflect.TypeFor[finish]())
	register.DoFn6x2[context.Context, []byte, func(*audit) bool, func(*offenders) bool, func(*totals) bool, func(*string) bool, string, error](&finish{})
	register.Iter1[totals]()
}

// Report is what is written of a set's scores.
type Report struct {
	metrics.Report
	// Unscored is how many pictures were left out, for want of references or of a
	// prediction.
	Unscored int `json:"unscored,omitempty"`
	// SpiceImages is how many pictures SPICE was computed for, where not for all.
	SpiceImages int64 `json:"spice_images,omitempty"`
	// Confidence are the scores' intervals, by their keys.
	Confidence *Confidence `json:"confidence,omitempty"`
	// Baseline compares each score with that of the other system.
	Baseline map[string]metrics.Difference `json:"baseline,omitempty"`
	// Domains are scores of the pictures of each domain, as sets of their own.
	Domains map[string]DomainReport `json:"domains,omitempty"`
	// Captions say how the predictions vary.
	Captions *metrics.Diversity `json:"captions,omitempty"`
	// Warnings are doubts about the scores.
	Warnings []string `json:"warnings,omitempty"`
}

// Confidence is where the scores lie in so many percent of resamples.
type Confidence struct {
	Level     float64                     `json:"level"`
	Resamples int                         `json:"resamples"`
	Seed      int64                       `json:"seed"`
	Intervals map[string]metrics.Interval `json:"intervals"`
}

// DomainReport are the scores of a domain.
type DomainReport struct {
	metrics.Report
	Intervals map[string]metrics.Interval   `json:"intervals,omitempty"`
	Baseline  map[string]metrics.Difference `json:"baseline,omitempty"`
}

// Scored is the counter, under the namespace Stage, of pictures that were scored.
const Scored = "scored"

var scored = beam.NewCounter(Stage, Scored)

// finish writes the report, and the scores of each picture.
type finish struct {
	Config   Config
	Baseline bool
	Work     string
}

// ProcessElement runs once, when all is scored.
func (fn *finish) ProcessElement(ctx context.Context, _ []byte, audited func(*audit) bool, overlaps func(*offenders) bool,
	summed func(*totals) bool, parts func(*string) bool,
) (string, error) {
	var a audit
	audited(&a)
	var o offenders
	overlaps(&o)
	if err := errors.Join(a.check(fn.Config.AllowMissing), overlapped(o)); err != nil {
		return "", fmt.Errorf("score: %w", err)
	}
	sums := map[system]map[string]totals{candidate: {}, baseline: {}}
	for t := range all(summed) {
		sums[system(t.Baseline)][t.Set] = t
	}
	whole := sums[candidate][""]
	if int64(a.Matched) != whole.Sum.Images || a.Matched == 0 {
		// A runner may come here with nothing while the readers before it are
		// failing: scores that are written then would outlive the failed job.
		return "", nil
	}
	if n := whole.Notes.Leaks; n.Count > 0 {
		return "", fmt.Errorf("score: %d %w: %s", n.Count, ErrLeak, n)
	}
	text, err := fn.write(a, sums, slices.Collect(all(parts)))
	if err != nil {
		return "", err
	}
	scored.Inc(ctx, int64(a.Matched))
	progress.Start(Stage, int64(a.Matched), "pictures").Done()
	return text, os.RemoveAll(fn.Config.Output + workSuffix)
}

func overlapped(o offenders) error {
	if o.Count == 0 {
		return nil
	}
	return fmt.Errorf("%d %w: %s", o.Count, ErrOverlap, o)
}

func (fn *finish) write(a audit, sums map[system]map[string]totals, parts []string) (string, error) {
	if fn.Config.PerImage != "" {
		if err := writePerImage(fn.Config.PerImage, parts); err != nil {
			return "", err
		}
	}
	whole := sums[candidate][""]
	r := Report{
		Report: reportOf(whole), Unscored: a.unscored(), Warnings: slices.Concat(fn.Config.Warnings, whole.Notes.warnings(whole.Sum)),
		Domains: map[string]DomainReport{},
	}
	diversity := whole.Variety.Diversity()
	r.Captions = &diversity
	if n := whole.Sum.Spice.Count; whole.Sum.Metrics&metrics.SPICE != 0 && n != whole.Sum.Images {
		r.SpiceImages = n
	}
	if b := fn.Config.Bootstrap; b.Resamples > 0 {
		r.Confidence = &Confidence{metrics.Level, b.Resamples, b.Seed, whole.Resamples.Intervals()}
	}
	for set, t := range sums[candidate] {
		other, compared := sums[baseline][set]
		var differences map[string]metrics.Difference
		if compared {
			differences = metrics.Compare(t.Sum, other.Sum, t.Resamples, other.Resamples)
		}
		if set == "" {
			r.Baseline = differences
			continue
		}
		r.Domains[set] = DomainReport{reportOf(t), t.Resamples.Intervals(), differences}
	}
	return write(fn.Config.Output, r)
}

func reportOf(t totals) metrics.Report {
	return metrics.Report{Scores: t.Sum.Scores(), SacreBleu: t.Sum.SacreBleu(), Images: int(t.Sum.Images)}
}

func write(file string, report Report) (string, error) {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return "", err
	}
	text = append(text, '\n')
	return string(text), writeWhole(file, text)
}

// Nothing writes the report of a split without pictures, in which every score is
// null: for the program to call once the job has succeeded, since Score cannot
// know.
func Nothing(file string) error {
	_, err := write(file, Report{})
	return err
}

// Print writes a report as a table.
func Print(out io.Writer, r Report) error {
	var b strings.Builder
	line := func(name, key, value string) {
		fmt.Fprintf(&b, "%-12s %8s", name, value)
		if r.Confidence != nil {
			if i, there := r.Confidence.Intervals[key]; there {
				fmt.Fprintf(&b, "  %8.4f to %.4f", i.Low, i.High)
			}
		}
		if d, there := r.Baseline[key]; there {
			fmt.Fprintf(&b, "  %+.4f against %.4f (p %.3f)", d.Difference, d.Baseline, d.P)
		}
		b.WriteByte('\n')
	}
	for key, value := range r.ByKey() {
		line(titles[key], key, value.String())
	}
	if r.SacreBleu != nil {
		line("sacrebleu", "sacrebleu", fmt.Sprintf("%.2f", r.SacreBleu.Score))
	}
	fmt.Fprintf(&b, "%-12s %8d\n", "pictures", r.Images)
	if r.SpiceImages > 0 {
		fmt.Fprintf(&b, "%-12s %8d\n", "with SPICE", r.SpiceImages)
	}
	if r.Unscored > 0 {
		fmt.Fprintf(&b, "%-12s %8d\n", "left out", r.Unscored)
	}
	if c := r.Captions; c != nil {
		fmt.Fprintf(&b, "captions     %.1f words (references %.1f), %d distinct, %d words of vocabulary, %d repetitive, %d empty\n",
			c.MeanWords, c.MeanReferenceWords, c.Distinct, c.Vocabulary, c.Repetitive, c.Empty)
	}
	for _, domain := range slices.Sorted(maps.Keys(r.Domains)) {
		d := r.Domains[domain]
		fmt.Fprintf(&b, "%s: %d pictures, CIDEr %s, SPICE %s, BLEU-4 %s\n", domain, d.Images, d.CIDEr, d.SPICE, d.Bleu4)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// titles are the scores' names in a table, by their keys.
var titles = map[string]string{
	"Bleu_1": "BLEU-1", "Bleu_2": "BLEU-2", "Bleu_3": "BLEU-3", "Bleu_4": "BLEU-4", "METEOR": "METEOR",
	"ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr", "SPICE": "SPICE", "CIDEr_plain": "CIDEr plain",
}
