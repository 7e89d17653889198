package evaluate

import (
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/filter"

	"github.com/blipflow/blipflow/stages/annotations"
	"github.com/blipflow/blipflow/stages/dataset"
)

func init() {
	beam.RegisterType(reflect.TypeFor[offenders]())
	register.DoFn2x1[string, func(string, string), error](&readTraining{})
	register.Function2x0(scoredSigns)
	register.DoFn4x0[string, func(*string) bool, func(*string) bool, func(string)](&sharedPictures{})
	register.Combiner2[offenders, string](&offendersFn{})
	register.Emitter2[string, string]()
	register.Iter1[offenders]()
}

// ErrOverlap: pictures are scored that the training data has too.
var ErrOverlap = errors.New("pictures that the training data has too")

// overlap finds references whose pictures are in training data too, and gives
// some of them. Example shards are compared by the content of pictures, annotations
// by ids and file names, and one with the other by file names.
func overlap(s beam.Scope, references, training beam.PCollection) beam.PCollection {
	s = s.Scope("evaluate.Overlap")
	trained := beam.ParDo(s, &readTraining{}, beam.Reshuffle(s, training))
	shared := beam.ParDo(s, &sharedPictures{}, beam.CoGroupByKey(s, trained, beam.ParDo(s, scoredSigns, references)))
	return beam.Combine(s, &offendersFn{}, filter.Distinct(s, shared))
}

// kinds of sources.
const (
	ofShards      = "shards"
	ofAnnotations = "annotations"
)

// signs are what a picture may be known by in a file of either kind; pair names the
// kinds of this file and the other for a comparison by file name.
func signs(r Reference, pair func(mine, other string) string, emit func(sign, id string)) {
	mine, others := ofAnnotations, []string{ofAnnotations, ofShards}
	if r.Hash != "" {
		mine, others = ofShards, []string{ofAnnotations}
		emit("content "+r.Hash, r.ID)
	} else {
		emit("id "+r.ID, r.ID)
	}
	for _, other := range others {
		for _, n := range r.Names {
			emit("name "+pair(mine, other)+" "+path.Base(n), r.ID)
		}
	}
}

func scoredSigns(r Reference, emit func(string, string)) {
	signs(r, func(mine, other string) string { return other + " " + mine }, emit)
}

// readTraining reads the signs of the pictures of one file of training data.
type readTraining struct{}

// ProcessElement reads one file.
func (fn *readTraining) ProcessElement(file string, emit func(string, string)) error {
	refs, err := readFile(file, trainingOf)
	if err != nil {
		return fmt.Errorf("training data %s: %w", file, err)
	}
	for _, r := range refs {
		signs(r, func(mine, other string) string { return mine + " " + other }, emit)
	}
	return nil
}

// trainingOf reads annotations: all of COCO's, and of a file with splits those that
// are trained on.
func trainingOf(f *os.File) ([]Reference, error) {
	a, err := annotations.Parse(f)
	if err != nil {
		return nil, err
	}
	if a.Karpathy() {
		return karpathy(a.Images, dataset.Train)
	}
	if err := a.CheckCOCO(); err != nil {
		return nil, err
	}
	return coco(a), nil
}

// sharedPictures are those that both sides know by a sign.
type sharedPictures struct{}

// ProcessElement looks at one sign.
func (fn *sharedPictures) ProcessElement(_ string, trained, scored func(*string) bool, emit func(string)) {
	var id string
	if !trained(&id) {
		return
	}
	for scored(&id) {
		emit(id)
	}
}

// offendersFn counts pictures and keeps the first ids.
type offendersFn struct{}

// AddInput counts one.
func (offendersFn) AddInput(o offenders, id string) offenders {
	o.add(offenders{Count: 1, IDs: []string{id}})
	return o
}

// MergeAccumulators adds up two.
func (offendersFn) MergeAccumulators(a, b offenders) offenders {
	a.add(b)
	return a
}
