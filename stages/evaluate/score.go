package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/metrics"
)

func init() {
	register.DoFn3x2[context.Context, []byte, func(*joined) bool, string, error](&score{})
	register.Iter1[joined]()
}

// Errors of pictures and predictions that do not match.
var (
	// ErrMissing: pictures without a prediction.
	ErrMissing = errors.New("pictures without a prediction")
	// ErrExtra: predictions of pictures that have no references.
	ErrExtra = errors.New("predictions without references")
	// ErrTwice: pictures with several predictions.
	ErrTwice = errors.New("pictures with several predictions")
)

// Score scores predictions (a collection of caption.Prediction) against references
// and writes the report, a metrics.Report in JSON, to a file. It gives the file's
// text, so that what depends on the scores can wait for them. Where there is no
// picture it writes nothing and gives an empty text; see Nothing.
func Score(s beam.Scope, file string, references, predictions beam.PCollection) beam.PCollection {
	s = s.Scope("evaluate.Score")
	names := beam.ParDo(s, namesOf, references)
	keyed := beam.ParDo(s, &resolve{}, predictions, beam.SideInput{Input: names})
	pictures := beam.ParDo(s, &join{}, beam.CoGroupByKey(s, beam.ParDo(s, byID, references), keyed))
	return beam.ParDo(s, &score{File: file}, beam.Impulse(s), beam.SideInput{Input: pictures})
}

// Scored is the counter, under the namespace Stage, of pictures that were scored.
const Scored = "scored"

var scored = beam.NewCounter(Stage, Scored)

type score struct {
	File string
}

// ProcessElement runs once, on all pictures.
func (fn *score) ProcessElement(ctx context.Context, _ []byte, next func(*joined) bool) (string, error) {
	var all []joined
	for j := (joined{}); next(&j); {
		all = append(all, j)
	}
	text, err := fn.score(all)
	if err != nil {
		return "", fmt.Errorf("score: %w", err)
	}
	scored.Inc(ctx, int64(len(all)))
	return text, nil
}

func (fn *score) score(all []joined) (string, error) {
	if err := check(all); err != nil {
		return "", err
	}
	slices.SortFunc(all, func(a, b joined) int { return strings.Compare(a.Place, b.Place) })
	items := make([]metrics.Item, len(all))
	for i, j := range all {
		items[i] = metrics.Item{ImageID: j.ID, Prediction: j.Predictions[0], References: j.References}
	}
	if len(items) == 0 {
		// A runner may come here with nothing while the readers before it are
		// failing: scores that are written then would outlive the failed job.
		return "", nil
	}
	report, err := metrics.Score(items, metrics.Options{})
	if err != nil {
		return "", err
	}
	return write(fn.File, report)
}

func write(file string, report metrics.Report) (string, error) {
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
	_, err := write(file, metrics.Report{})
	return err
}

// check reports pictures that do not have exactly one prediction, and predictions
// of no picture.
func check(all []joined) error {
	kinds := map[error][]string{}
	for _, j := range all {
		switch {
		case len(j.References) == 0:
			kinds[ErrExtra] = append(kinds[ErrExtra], j.ID)
		case len(j.Predictions) == 0:
			kinds[ErrMissing] = append(kinds[ErrMissing], j.ID)
		case len(j.Predictions) > 1:
			kinds[ErrTwice] = append(kinds[ErrTwice], j.ID)
		}
	}
	var errs []string
	var first []error
	for _, kind := range []error{ErrMissing, ErrExtra, ErrTwice} {
		if ids := kinds[kind]; len(ids) > 0 {
			errs = append(errs, fmt.Sprintf("%d %s: %s", len(ids), kind, some(ids)))
			first = append(first, kind)
		}
	}
	if errs == nil {
		return nil
	}
	return &mismatch{strings.Join(errs, "; ") + fmt.Sprintf(" (of %d)", len(all)), first}
}

// mismatch is an error of several kinds on one line.
type mismatch struct {
	text  string
	kinds []error
}

func (m *mismatch) Error() string   { return m.text }
func (m *mismatch) Unwrap() []error { return m.kinds }

// some lists the first few ids.
func some(ids []string) string {
	const few = 5
	slices.Sort(ids)
	shown := make([]string, 0, few)
	for _, id := range ids[:min(few, len(ids))] {
		shown = append(shown, fmt.Sprintf("%q", id))
	}
	if len(ids) > few {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// Print writes a report as a table.
func Print(out io.Writer, r metrics.Report) error {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-12s %8s\n", name, value) }
	for _, row := range []struct {
		name  string
		value metrics.Value
	}{
		{"BLEU-1", r.Bleu1}, {"BLEU-2", r.Bleu2}, {"BLEU-3", r.Bleu3}, {"BLEU-4", r.Bleu4},
		{"METEOR", r.METEOR}, {"ROUGE-L", r.RougeL}, {"CIDEr", r.CIDEr}, {"SPICE", r.SPICE},
		{"CIDEr plain", r.PlainCIDEr},
	} {
		line(row.name, row.value.String())
	}
	if r.SacreBleu != nil {
		line("sacrebleu", fmt.Sprintf("%.2f", r.SacreBleu.Score))
	}
	line("pictures", fmt.Sprint(r.Images))
	_, err := io.WriteString(out, b.String())
	return err
}
