package caption

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Totals]())
	register.DoFn3x1[string, func(*Part) bool, func(Totals), error](&commit{})
	register.Iter1[Part]()
	register.Emitter1[Totals]()
}

// Totals are the counts of a complete output.
type Totals struct {
	// Seen = Captioned + Failed count the pictures.
	Seen, Captioned, Failed int
}

// Finish says what a commit makes of the parts.
type Finish struct {
	// Output is where they go.
	Output Output
	// Identity names the input, the settings and the model. Empty means that the
	// parts name it.
	Identity string
	// Input is what was captioned, for the manifest.
	Input string
	// Settings are those that the parts were made with.
	Settings Settings
	// Expect is the number of pictures that must be accounted for; 0 where it is
	// not known beforehand.
	Expect int
}

// Commit waits for all parts and makes them the output. Folder is a collection of
// one string, the model's folder. The result is one Totals, so that what depends
// on the output can wait for it.
func Commit(s beam.Scope, f Finish, parts, folder beam.PCollection) beam.PCollection {
	s = s.Scope("caption.Commit")
	return beam.ParDo(s, &commit{Finish: f}, folder, beam.SideInput{Input: parts})
}

type commit struct {
	Finish Finish
}

// ProcessElement runs once, after all parts.
func (fn *commit) ProcessElement(folder string, next func(*Part) bool, emit func(Totals)) error {
	var parts []Part
	for p := (Part{}); next(&p); {
		parts = append(parts, p)
	}
	totals, err := fn.Finish.commit(folder, parts)
	if err != nil {
		return fmt.Errorf("finish %s: %w", fn.Finish.Output.Path, err)
	}
	emit(totals)
	return nil
}

// manifest says how the parts were made, but for counts and files.
func (f Finish) manifest(folder string, parts []Part) (Manifest, error) {
	own, err := f.Settings.Settle(folder)
	if err != nil {
		return Manifest{}, err
	}
	model, err := ModelIdentity(folder)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Identity: f.Identity, Format: f.Output.format(), Program: records.Program(), Input: f.Input,
		Model: hub.NameOf(folder), ModelIdentity: model,
		Settings: f.Settings.hash(own), SettingsText: f.Settings.text(own),
	}
	if m.Identity == "" {
		m.Identity = records.Fingerprint(parts)
	}
	return m, nil
}

// commit joins the parts and puts the result in its place: dead letters, captions,
// manifest, in this order. Killed on the way, it can be done again.
func (f Finish) commit(folder string, parts []Part) (Totals, error) {
	slices.SortFunc(parts, func(a, b Part) int { return strings.Compare(a.Order, b.Order) })
	var t Totals
	for i, p := range parts {
		if i > 0 && p.Order == parts[i-1].Order {
			return t, fmt.Errorf("part %s is there twice", p.Order)
		}
		t.Captioned += p.Captioned
		t.Failed += p.Failed
	}
	t.Seen = t.Captioned + t.Failed
	if f.Expect > 0 && t.Seen != f.Expect {
		return t, fmt.Errorf("%d pictures were to be captioned and %d are accounted for", f.Expect, t.Seen)
	}
	m, err := f.manifest(folder, parts)
	if err != nil {
		return t, err
	}
	o := f.Output
	if err := o.mark(m.Identity); err != nil {
		return t, err
	}
	if err := remove(o.ManifestPath()); err != nil {
		return t, err
	}
	place := f.placeFile
	if o.Folder() {
		place = f.placeFolder
	}
	if m.Files, err = place(parts, t); err != nil {
		return t, err
	}
	m.Seen, m.Captioned, m.Failed = t.Seen, t.Captioned, t.Failed
	if err := f.placeManifest(m); err != nil {
		return t, err
	}
	return t, os.RemoveAll(o.Work())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// placeFile makes one file of the parts.
func (f Finish) placeFile(parts []Part, t Totals) (files []string, err error) {
	o := f.Output
	joined := func(yield func(Entry, error) bool) {
		for _, p := range parts {
			for e, err := range p.entries() {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
	if err := f.placeErrors(o.Errors(), joined, t.Failed, &files); err != nil {
		return nil, err
	}
	return files, f.placeCaptions(o.Path, joined, t.Captioned, &files)
}

// placeFolder makes a shard of each part, and removes shards of an earlier output.
func (f Finish) placeFolder(parts []Part, _ Totals) (files []string, err error) {
	o := f.Output
	old, err := o.shards()
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		if err := f.placeErrors(o.shard("errors", i, len(parts)), p.entries(), p.Failed, &files); err != nil {
			return nil, err
		}
		if err := f.placeCaptions(o.shard("captions", i, len(parts)), p.entries(), p.Captioned, &files); err != nil {
			return nil, err
		}
	}
	for _, path := range old {
		if !slices.Contains(files, filepath.Base(path)) {
			if err := remove(path); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func (f Finish) placeCaptions(path string, entries iter.Seq2[Entry, error], want int, files *[]string) error {
	return f.place(path, want, files, func(w io.Writer) (int, error) { return f.Output.format().write(w, entries) })
}

// placeErrors writes dead letters, or makes sure that there is no file if there
// are none.
func (f Finish) placeErrors(path string, entries iter.Seq2[Entry, error], want int, files *[]string) error {
	if want == 0 {
		return remove(path)
	}
	return f.place(path, want, files, func(w io.Writer) (int, error) { return writeFailures(w, entries) })
}

// place writes a file of want rows in the work folder, so that a killed run leaves
// nothing elsewhere, and moves it to path.
func (f Finish) place(path string, want int, files *[]string, write func(io.Writer) (int, error)) error {
	aside := filepath.Join(f.Output.Work(), "joined")
	err := records.WriteFile(aside, func(w io.Writer) error {
		rows, err := write(w)
		if err == nil && rows != want {
			err = fmt.Errorf("%s: %d rows of %d", filepath.Base(path), rows, want)
		}
		return err
	})
	if err != nil {
		return err
	}
	*files = append(*files, filepath.Base(path))
	return os.Rename(aside, path)
}

func (f Finish) placeManifest(m Manifest) error {
	return f.place(f.Output.ManifestPath(), 1, new([]string), func(w io.Writer) (int, error) {
		enc := encoder(w)
		enc.SetIndent("", "  ")
		return 1, enc.Encode(m)
	})
}
