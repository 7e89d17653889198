package dataset

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/stages/annotations"
)

// readJSON reads COCO's captions, Karpathy's data set, or rows: as a list, or as
// one after the other.
func readJSON(s *sourceFile, add func(row) error) error {
	in := annotations.SkipMark(s)
	list, err := annotations.BeginsList(in)
	if err != nil {
		return err
	}
	if list {
		return annotations.Each(json.NewDecoder(in), func(obj jsonRow) error {
			r, err := obj.row(s.dir())
			if err != nil {
				return err
			}
			return add(r)
		})
	}
	if !annotations.Known(in) {
		return readRowLines(in, s, add)
	}
	f, err := annotations.Parse(in)
	switch {
	case err != nil:
		return err
	case f.Karpathy():
		return karpathy(s, f.Images, add)
	}
	if err := f.CheckCOCO(); err != nil {
		return err
	}
	return coco(s, f, add)
}

// karpathy gives the pictures of a data set of Karpathy's.
func karpathy(s *sourceFile, images []annotations.Image, add func(row) error) error {
	for i := range images {
		m := &images[i]
		split, err := namedSplit(m.Split)
		if err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
		r := row{
			dir: s.dir(), name: path.Join(m.FilePath, m.Filename), url: m.URL,
			imageID: string(m.COCOID), nickname: m.Filename, split: split,
		}
		for _, sentence := range m.Sentences {
			r.captions = append(r.captions, string(sentence))
		}
		tidy(r.captions)
		if err := add(r); err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
	}
	return nil
}

// coco gives the pictures of COCO's captions, which are in a folder that the
// file is named after: captions_train2014.json describes train2014.
func coco(s *sourceFile, f *annotations.File, add func(row) error) error {
	captions := map[annotations.ID][]string{}
	for _, c := range f.Captions {
		captions[c.ImageID] = append(captions[c.ImageID], *c.Text)
	}
	subset := strings.TrimSuffix(strings.TrimPrefix(path.Base(s.path), "captions_"), path.Ext(s.path))
	dir := s.dir()
	if path.Base(dir) == "annotations" {
		dir = parent(dir)
	}
	own := []string{path.Join(dir, subset), path.Join(dir, "images", subset)}
	for i := range f.Images {
		m := &f.Images[i]
		if m.ID == "" || m.FileName == "" {
			return fmt.Errorf("%w: picture %d lacks its id or file_name", annotations.ErrFormat, i)
		}
		r := row{
			dir: dir, own: own, name: m.FileName, url: m.COCOURL, imageID: string(m.ID),
			split: splitOfFile(subset), captions: tidy(captions[m.ID]),
		}
		delete(captions, m.ID)
		if err := add(r); err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(captions)) {
		return fmt.Errorf("%w: a caption belongs to picture %s, which the file does not have", annotations.ErrFormat, id)
	}
	return nil
}
