package evaluate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/stages/dataset"
)

// Reference is a picture and what people say of it.
type Reference struct {
	// ID is the picture's id.
	ID string
	// Names are other names that a prediction may have for it.
	Names []string
	// Captions are the references, one at least.
	Captions []string
	// Place orders the pictures as their source does. The reference tokeniser
	// looks past the end of a caption, so that the order can matter.
	Place string
}

// Errors of reading references and predictions.
var (
	// ErrFormat: the file is in none of the formats that are understood.
	ErrFormat = errors.New("format")
	// ErrSplit: the references have no such split.
	ErrSplit = errors.New("split")
)

// jsonImage is an element of "images" in either kind of file.
type jsonImage struct {
	// COCO's annotations.
	ID       id     `json:"id"`
	FileName string `json:"file_name"`
	// Karpathy's data set.
	FilePath  string `json:"filepath"`
	Filename  string `json:"filename"`
	ImgID     id     `json:"imgid"`
	CocoID    id     `json:"cocoid"`
	Split     string `json:"split"`
	Sentences []struct {
		Raw string `json:"raw"`
	} `json:"sentences"`
}

type jsonAnnotation struct {
	ImageID id      `json:"image_id"`
	Caption *string `json:"caption"`
}

// ParseReferences reads COCO's annotation JSON or Karpathy's data set JSON. Of the
// latter it takes one split, test where split is empty; for the former split must
// be empty, since the file knows none.
func ParseReferences(r io.Reader, split string) ([]Reference, error) {
	var images []jsonImage
	var annotations []jsonAnnotation
	err := eachOf(json.NewDecoder(withoutMark(r)), map[string]func(*json.Decoder) error{
		"images":      appendTo(&images),
		"annotations": appendTo(&annotations),
	})
	if err != nil {
		return nil, err
	}
	for i := range images {
		if images[i].Sentences != nil {
			return karpathy(images, split)
		}
	}
	if len(annotations) == 0 {
		return nil, fmt.Errorf("%w: neither COCO's annotations nor sentences in Karpathy's data set", ErrFormat)
	}
	if split != "" {
		return nil, fmt.Errorf("%w: COCO's annotations have no splits; leave it out", ErrSplit)
	}
	return coco(images, annotations)
}

// withoutMark skips a byte order mark.
func withoutMark(r io.Reader) *bufio.Reader {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(3); string(head) == "\ufeff" {
		_, _ = b.Discard(3) // they are in the buffer
	}
	return b
}

// eachOf walks a JSON object and hands the values of the keys in want to their
// functions. Nothing may follow the object.
func eachOf(dec *json.Decoder, want map[string]func(*json.Decoder) error) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		name, _ := key.(string)
		read := want[name]
		if read == nil {
			read = func(dec *json.Decoder) error { return dec.Decode(new(json.RawMessage)) }
		}
		if err := read(dec); err != nil {
			return fmt.Errorf("%w: in %q: %w", ErrFormat, name, err)
		}
	}
	if err := expect(dec, '}'); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ErrFormat)
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case got != want:
		return fmt.Errorf("%w: %v where %v was expected", ErrFormat, got, want)
	}
	return nil
}

// appendTo reads an array, an element at a time.
func appendTo[T any](to *[]T) func(*json.Decoder) error {
	return func(dec *json.Decoder) error {
		if err := expect(dec, '['); err != nil {
			return err
		}
		for dec.More() {
			var v T
			if err := dec.Decode(&v); err != nil {
				return fmt.Errorf("element %d: %w", len(*to), err)
			}
			*to = append(*to, v)
		}
		return expect(dec, ']')
	}
}

// coco gathers annotations by picture, in the order of the pictures. Pictures
// without any are left out.
func coco(images []jsonImage, annotations []jsonAnnotation) ([]Reference, error) {
	at := make(map[id]int, len(images))
	refs := make([]Reference, 0, len(images))
	place := func(x id, name string) int {
		n, known := at[x]
		if !known {
			n = len(refs)
			at[x] = n
			refs = append(refs, Reference{ID: string(x), Names: without(name)})
		}
		return n
	}
	for _, m := range images {
		if m.ID != "" {
			place(m.ID, m.FileName)
		}
	}
	for i, a := range annotations {
		if a.ImageID == "" || a.Caption == nil {
			return nil, fmt.Errorf("%w: annotation %d lacks its image_id or caption", ErrFormat, i)
		}
		n := place(a.ImageID, "")
		refs[n].Captions = append(refs[n].Captions, *a.Caption)
	}
	return slices.DeleteFunc(refs, func(r Reference) bool { return len(r.Captions) == 0 }), nil
}

// without is names less the empty ones.
func without(names ...string) []string {
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// karpathy takes the pictures of a split. Their id is COCO's where they have one.
func karpathy(images []jsonImage, split string) ([]Reference, error) {
	if split == "" {
		split = dataset.Test
	}
	found := map[string]int{}
	seen := map[id]bool{}
	var refs []Reference
	for i, m := range images {
		found[m.Split]++
		if !sameSplit(m.Split, split) {
			continue
		}
		r := Reference{ID: string(m.CocoID), Names: without(m.Filename, string(m.ImgID))}
		if m.FilePath != "" {
			r.Names = append(r.Names, path.Join(m.FilePath, m.Filename))
		}
		if r.ID == "" && len(r.Names) > 0 {
			r.ID = r.Names[0]
		}
		for _, s := range m.Sentences {
			r.Captions = append(r.Captions, s.Raw)
		}
		switch {
		case r.ID == "":
			return nil, fmt.Errorf("%w: picture %d has neither cocoid nor filename", ErrFormat, i)
		case seen[id(r.ID)]:
			return nil, fmt.Errorf("%w: picture %s is there twice", ErrFormat, r.ID)
		case len(r.Captions) == 0:
			return nil, fmt.Errorf("%w: picture %s has no sentences", ErrFormat, r.ID)
		}
		seen[id(r.ID)] = true
		refs = append(refs, r)
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("%w: no picture is in %q; there are: %s", ErrSplit, split, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
	}
	return refs, nil
}

// sameSplit reports whether a file's name for a split means the one wanted.
func sameSplit(name, want string) bool {
	return name == want || want == dataset.Validation && (name == "val" || name == "valid" || name == "dev")
}
