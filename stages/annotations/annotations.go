// Package annotations reads the JSON files that captions are published in: COCO's
// annotations, and Karpathy's data sets with their splits.
package annotations

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrFormat: the file is in none of the formats that are understood.
var ErrFormat = errors.New("format")

// File is what is in a file of either kind.
type File struct {
	// Images are the pictures.
	Images []Image
	// Captions are COCO's captions, each with its picture's id.
	Captions []Caption
}

// Image is a picture.
type Image struct {
	// ID, FileName and URL are those of COCO's annotations.
	ID       ID     `json:"id"`
	FileName string `json:"file_name"`
	COCOURL  string `json:"coco_url"`
	// Domain is nocaps': in-domain, near-domain or out-domain.
	Domain string `json:"domain"`

	// Karpathy's data sets have the others: the folder and the name of the file,
	// the picture's number in the data set and in COCO, its split and its
	// captions. The rows of yerevann/coco-karpathy have a URL besides.
	FilePath  string     `json:"filepath"`
	Filename  string     `json:"filename"`
	ImgID     ID         `json:"imgid"`
	COCOID    ID         `json:"cocoid"`
	Split     string     `json:"split"`
	Sentences []Sentence `json:"sentences"`
	URL       string     `json:"url"`
}

// Caption is a caption in COCO's annotations.
type Caption struct {
	ImageID ID      `json:"image_id"`
	Text    *string `json:"caption"`
}

// Sentence is a caption in Karpathy's data sets: an object with the text under
// raw, or the text itself, as copies of them have it.
type Sentence string

// UnmarshalJSON reads both.
func (s *Sentence) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(string(data), "{") {
		var object struct {
			Raw string `json:"raw"`
		}
		err := json.Unmarshal(data, &object)
		*s = Sentence(object.Raw)
		return err
	}
	return json.Unmarshal(data, (*string)(s))
}

// Parse reads a file of either kind. Its errors are those of r or ErrFormat; what
// the elements lack is for the caller to see.
func Parse(r io.Reader) (*File, error) {
	f := new(File)
	err := eachOf(json.NewDecoder(SkipMark(r)), map[string]func(*json.Decoder) error{
		"images":      func(dec *json.Decoder) error { return AppendTo(dec, &f.Images) },
		"annotations": func(dec *json.Decoder) error { return AppendTo(dec, &f.Captions) },
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Karpathy reports whether the captions are with the pictures.
func (f *File) Karpathy() bool {
	for i := range f.Images {
		if f.Images[i].Sentences != nil {
			return true
		}
	}
	return false
}

// CheckCOCO reports what keeps a file that is not Karpathy's from being COCO's.
func (f *File) CheckCOCO() error {
	if len(f.Captions) == 0 {
		return fmt.Errorf("%w: neither COCO's annotations nor sentences in Karpathy's data set", ErrFormat)
	}
	for i, c := range f.Captions {
		if c.ImageID == "" || c.Text == nil {
			return fmt.Errorf("%w: annotation %d lacks its image_id or caption", ErrFormat, i)
		}
	}
	return nil
}
