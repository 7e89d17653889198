package evaluate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	for _, t := range []reflect.Type{reflect.TypeFor[Reference](), reflect.TypeFor[name](), reflect.TypeFor[claim](), reflect.TypeFor[joined]()} {
		beam.RegisterType(t)
	}
	register.DoFn2x1[string, func(Reference), error](&readReferences{})
	register.DoFn2x1[string, func(caption.Prediction), error](&readPredictions{})
	register.Function2x0(namesOf)
	register.Function1x2(byID)
	register.DoFn2x2[caption.Prediction, func(*name) bool, string, claim](&resolve{})
	register.DoFn3x1[string, func(*Reference) bool, func(*claim) bool, joined](&join{})
	register.Emitter1[Reference]()
	register.Emitter1[caption.Prediction]()
	register.Emitter1[name]()
	register.Iter1[name]()
	register.Iter1[Reference]()
	register.Iter1[claim]()
}

// References reads references from files: one of JSON, or any number of example
// shards. Split chooses among the splits that they name; see ParseReferences.
func References(s beam.Scope, split string, paths beam.PCollection) beam.PCollection {
	s = s.Scope("evaluate.References")
	return beam.ParDo(s, &readReferences{Split: split}, beam.Reshuffle(s, paths))
}

type readReferences struct {
	Split string
}

// ProcessElement reads one file.
func (fn *readReferences) ProcessElement(file string, emit func(Reference)) error {
	refs, err := fn.read(file)
	if err != nil {
		return fmt.Errorf("references %s: %w", file, err)
	}
	for i, r := range refs {
		r.Place = Place{File: file, N: i}
		emit(r)
	}
	return nil
}

func (fn *readReferences) read(file string) ([]Reference, error) {
	return readFile(file, func(f *os.File) ([]Reference, error) { return ParseReferences(f, fn.Split) })
}

// readFile reads an example shard, or has annotations read.
func readFile(file string, parse func(*os.File) ([]Reference, error)) ([]Reference, error) {
	if strings.EqualFold(filepath.Ext(file), ".parquet") {
		return ofShard(file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	return parse(f)
}

func ofShard(file string) (refs []Reference, err error) {
	r, err := records.Open(file, records.ReaderOptions{WithoutPixels: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for e, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if len(e.Captions) == 0 {
			return nil, fmt.Errorf("%w: picture %s has no captions", ErrFormat, e.ImageID)
		}
		refs = append(refs, Reference{ID: e.ImageID, Names: without(e.URI), Hash: e.ContentHash, Captions: e.Captions})
	}
	return refs, nil
}

// Predictions reads predictions from files; see ParsePredictions.
func Predictions(s beam.Scope, paths beam.PCollection) beam.PCollection {
	s = s.Scope("evaluate.Predictions")
	return beam.ParDo(s, &readPredictions{}, beam.Reshuffle(s, paths))
}

type readPredictions struct{}

// ProcessElement reads one file.
func (fn *readPredictions) ProcessElement(file string, emit func(caption.Prediction)) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("predictions: %w", err)
	}
	defer f.Close() // only read
	found, err := ParsePredictions(f)
	if err != nil {
		return fmt.Errorf("predictions %s: %w", file, err)
	}
	for _, p := range found {
		emit(p)
	}
	return nil
}

// name is one of the names by which a prediction may call a picture.
type name struct {
	ID, Name string
}

func namesOf(r Reference, emit func(name)) {
	emit(name{ID: r.ID, Name: r.ID})
	for _, n := range r.Names {
		emit(name{ID: r.ID, Name: n})
	}
}

func byID(r Reference) (string, Reference) { return r.ID, r }

// claim is a prediction of one of the systems.
type claim struct {
	Baseline bool // of the system that is compared with
	Caption  string
	Prompt   string // that it was made with, where that is known
}

// resolve finds the picture that a prediction belongs to.
type resolve struct {
	Baseline bool

	ids, names, bases map[string]string // bases: "" where several have the name
}

// ProcessElement keys a prediction by the picture's id, or by what it says where
// no picture has that.
func (fn *resolve) ProcessElement(p caption.Prediction, next func(*name) bool) (string, claim) {
	if fn.ids == nil {
		fn.learn(next)
	}
	return fn.key(p), claim{fn.Baseline, p.Caption, p.Prompt}
}

// learn reads the side input. It is the same for all elements of a job.
func (fn *resolve) learn(next func(*name) bool) {
	fn.ids, fn.names, fn.bases = map[string]string{}, map[string]string{}, map[string]string{}
	for n := (name{}); next(&n); {
		fn.ids[n.ID] = n.ID
		note(fn.names, n.Name, n.ID)
		note(fn.bases, path.Base(n.Name), n.ID)
	}
}

func note(in map[string]string, key, id string) {
	if old, there := in[key]; there && old != id {
		id = ""
	}
	in[key] = id
}

func (fn *resolve) key(p caption.Prediction) string {
	for _, try := range []struct {
		in   map[string]string
		name string
	}{
		{fn.ids, p.ImageID}, {fn.names, p.ImageID},
		{fn.names, p.URI}, {fn.bases, path.Base(p.URI)},
	} {
		if id := try.in[try.name]; id != "" && try.name != "" {
			return id
		}
	}
	if p.ImageID != "" {
		return p.ImageID
	}
	return p.URI
}

// joined is a picture with all that belongs to it.
type joined struct {
	ID          string
	Place       Place
	Domain      string
	References  []string
	Predictions []string
	Prompt      string   // of the last of them
	Baseline    []string // predictions of the system that is compared with
}

type join struct{}

// ProcessElement gathers one picture.
func (fn *join) ProcessElement(id string, refs func(*Reference) bool, found func(*claim) bool) joined {
	j := joined{ID: id}
	for r := (Reference{}); refs(&r); {
		j.References = append(j.References, r.Captions...)
		j.Place, j.Domain = r.Place, r.Domain
	}
	for c := (claim{}); found(&c); {
		if c.Baseline {
			j.Baseline = append(j.Baseline, c.Caption)
		} else {
			j.Predictions, j.Prompt = append(j.Predictions, c.Caption), c.Prompt
		}
	}
	return j
}

// writeWhole writes text to file, whole or not at all.
func writeWhole(file string, text []byte) error {
	return records.WriteFile(file, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
