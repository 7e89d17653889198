package evaluate

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/stages/annotations"
	"github.com/blipflow/blipflow/stages/dataset"
)

// Reference is a picture and what people say of it.
type Reference struct {
	// ID is the picture's id.
	ID string
	// Names are other names that a prediction may have for it.
	Names []string
	// Hash is that of the picture's file, where the source knows it.
	Hash string
	// Captions are the references, one at least.
	Captions []string
	// Domain is the part of the data set that it is in, where the source says so,
	// as nocaps does.
	Domain string
	// Place orders the pictures as their source does. The reference tokeniser
	// looks past the end of a caption, so that the order can matter.
	Place Place
}

// Place is where a picture stands in its source.
type Place struct {
	File string
	N    int // counted from 0 within the file
}

// Errors of reading references and predictions.
var (
	// ErrFormat: the file is in none of the formats that are understood.
	ErrFormat = annotations.ErrFormat
	// ErrSplit: the references have no such split.
	ErrSplit = errors.New("split")
)

// ParseReferences reads COCO's annotation JSON or Karpathy's data set JSON. Of the
// latter it takes one split, test where split is empty; for the former split must
// be empty, since the file knows none.
func ParseReferences(r io.Reader, split string) ([]Reference, error) {
	f, err := annotations.Parse(r)
	switch {
	case err != nil:
		return nil, err
	case f.Karpathy():
		return karpathy(f.Images, split)
	case split != "" && len(f.Captions) > 0:
		return nil, fmt.Errorf("%w: COCO's annotations have no splits; leave it out", ErrSplit)
	}
	if err := f.CheckCOCO(); err != nil {
		return nil, err
	}
	return coco(f), nil
}

// coco gathers annotations by picture, in the order of the pictures. Pictures
// without any are left out.
func coco(f *annotations.File) []Reference {
	at := make(map[annotations.ID]int, len(f.Images))
	refs := make([]Reference, 0, len(f.Images))
	place := func(x annotations.ID, m annotations.Image) int {
		n, known := at[x]
		if !known {
			n = len(refs)
			at[x] = n
			refs = append(refs, Reference{ID: string(x), Names: without(m.FileName), Domain: m.Domain})
		}
		return n
	}
	for _, m := range f.Images {
		if m.ID != "" {
			place(m.ID, m)
		}
	}
	for _, a := range f.Captions {
		n := place(a.ImageID, annotations.Image{})
		refs[n].Captions = append(refs[n].Captions, *a.Text)
	}
	return slices.DeleteFunc(refs, func(r Reference) bool { return len(r.Captions) == 0 })
}

// without is names less the empty ones.
func without(names ...string) []string {
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// karpathy takes the pictures of a split. Their id is COCO's where they have one.
func karpathy(images []annotations.Image, split string) ([]Reference, error) {
	if split == "" {
		split = dataset.Test
	}
	found := map[string]int{}
	seen := map[string]bool{}
	var refs []Reference
	for i, m := range images {
		found[m.Split]++
		if !sameSplit(m.Split, split) {
			continue
		}
		r := Reference{ID: string(m.COCOID), Names: without(m.Filename, string(m.ImgID)), Domain: m.Domain}
		if m.FilePath != "" {
			r.Names = append(r.Names, path.Join(m.FilePath, m.Filename))
		}
		if r.ID == "" && len(r.Names) > 0 {
			r.ID = r.Names[0]
		}
		for _, s := range m.Sentences {
			r.Captions = append(r.Captions, string(s))
		}
		switch {
		case r.ID == "":
			return nil, fmt.Errorf("%w: picture %d has neither cocoid nor filename", ErrFormat, i)
		case seen[r.ID]:
			return nil, fmt.Errorf("%w: picture %s is there twice", ErrFormat, r.ID)
		case len(r.Captions) == 0:
			return nil, fmt.Errorf("%w: picture %s has no sentences", ErrFormat, r.ID)
		}
		seen[r.ID] = true
		refs = append(refs, r)
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("%w: no picture is in %q; there are: %s", ErrSplit, split, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
	}
	return refs, nil
}

// sameSplit reports whether a file's name for a split means the one wanted.
func sameSplit(name, want string) bool {
	return name == want || want == dataset.Validation && (name == "val" || name == "valid" || name == "dev") ||
		want == dataset.Train && name == "restval"
}
