package evaluate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterType(reflect.TypeFor[audit]())
	register.Combiner2[audit, joined](&auditFn{})
	register.Iter1[audit]()
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

// audit says how well pictures and predictions match.
type audit struct {
	// Pictures are all that either side knows, and Matched those to be scored.
	Pictures, Matched int
	// Missing, Extra and Twice are of the system, and then of the baseline.
	Missing, Extra, Twice [2]offenders
}

// offenders are some of the pictures that something is wrong with.
type offenders struct {
	Count int
	IDs   []string // the first few in the order of ids
}

// few is how many are named.
const few = 5

func (o *offenders) add(more offenders) {
	o.Count += more.Count
	o.IDs = append(o.IDs, more.IDs...)
	slices.Sort(o.IDs)
	o.IDs = o.IDs[:min(few, len(o.IDs))]
}

// String counts them and names some.
func (o offenders) String() string {
	shown := make([]string, 0, few+1)
	for _, id := range o.IDs {
		shown = append(shown, fmt.Sprintf("%q", id))
	}
	if o.Count > len(o.IDs) {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// auditFn adds pictures up to an audit.
type auditFn struct {
	Baseline bool // there is a system to compare with
}

// AddInput looks at one picture.
func (fn *auditFn) AddInput(a audit, j joined) audit {
	a.Pictures++
	one := offenders{Count: 1, IDs: []string{j.ID}}
	look := func(system int, predictions []string) {
		switch {
		case len(j.References) == 0 && len(predictions) > 0:
			a.Extra[system].add(one)
		case len(j.References) > 0 && len(predictions) == 0:
			a.Missing[system].add(one)
		case len(predictions) > 1:
			a.Twice[system].add(one)
		}
	}
	look(0, j.Predictions)
	if fn.Baseline {
		look(1, j.Baseline)
	}
	if j.matches(fn.Baseline) {
		a.Matched++
	}
	return a
}

// matches reports whether a picture can be scored.
func (j joined) matches(baseline bool) bool {
	return len(j.References) > 0 && len(j.Predictions) == 1 && (!baseline || len(j.Baseline) == 1)
}

// MergeAccumulators adds up two audits.
func (fn *auditFn) MergeAccumulators(a, b audit) audit {
	a.Pictures += b.Pictures
	a.Matched += b.Matched
	for i := range a.Missing {
		a.Missing[i].add(b.Missing[i])
		a.Extra[i].add(b.Extra[i])
		a.Twice[i].add(b.Twice[i])
	}
	return a
}

// unscored is how many pictures one side alone knows.
func (a audit) unscored() int { return a.Pictures - a.Matched }

// check reports pictures that do not have exactly one prediction, and predictions
// of no picture.
func (a audit) check(allowMissing bool) error {
	var errs []string
	var kinds []error
	note := func(o offenders, kind error, of string) {
		if o.Count > 0 {
			errs = append(errs, fmt.Sprintf("%d %s%s: %s", o.Count, kind, of, o))
			kinds = append(kinds, kind)
		}
	}
	for i, of := range []string{"", " of the baseline"} {
		if !allowMissing {
			note(a.Missing[i], ErrMissing, of)
			note(a.Extra[i], ErrExtra, of)
		}
		note(a.Twice[i], ErrTwice, of)
	}
	if errs == nil {
		return nil
	}
	text := strings.Join(errs, "; ") + fmt.Sprintf(" (of %d)", a.Pictures)
	if !allowMissing && !slices.Contains(kinds, ErrTwice) && a.Matched > 0 {
		text += "; allow_missing scores those that match"
	}
	return &mismatch{text, kinds}
}

// mismatch is an error of several kinds on one line.
type mismatch struct {
	text  string
	kinds []error
}

func (m *mismatch) Error() string   { return m.text }
func (m *mismatch) Unwrap() []error { return m.kinds }
