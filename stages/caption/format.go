package caption

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Format is how captions are written.
type Format string

const (
	// JSONL writes a Row a line. The default.
	JSONL Format = "jsonl"
	// CSV writes a Row a line under a header of the same names.
	CSV Format = "csv"
	// COCO writes COCO's results JSON, a list of image_id and caption. The id is
	// the row's own, else the number at the end of the file's name if it is called
	// as COCO's are, else the picture as found. Decimal ids become numbers.
	COCO Format = "coco"
)

// extension is that of shards in the format.
func (f Format) extension() string {
	if f == COCO {
		return "json"
	}
	return string(f)
}

// write writes the captions among entries.
func (f Format) write(w io.Writer, entries iter.Seq2[Entry, error]) (rows int, err error) {
	var put func(*Row) error
	end := func() error { return nil }
	switch f {
	case JSONL:
		enc := encoder(w)
		put = func(r *Row) error { return enc.Encode(r) }
	case CSV:
		put, end = csvWriter(w)
	case COCO:
		put, end = cocoWriter(w)
	default:
		return 0, fmt.Errorf("unknown format %q: use %s, %s or %s", f, JSONL, CSV, COCO)
	}
	for e, err := range entries {
		if err != nil {
			return rows, err
		}
		if e.Row == nil {
			continue
		}
		if err := put(e.Row); err != nil {
			return rows, err
		}
		rows++
	}
	return rows, end()
}

// writeFailures writes the dead letters among entries.
func writeFailures(w io.Writer, entries iter.Seq2[Entry, error]) (rows int, err error) {
	enc := encoder(w)
	for e, err := range entries {
		if err != nil {
			return rows, err
		}
		if e.Failure == nil {
			continue
		}
		if err := enc.Encode(e.Failure); err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

func csvWriter(w io.Writer) (put func(*Row) error, end func() error) {
	out := csv.NewWriter(w)
	begun := false
	head := func() error {
		if begun {
			return nil
		}
		begun = true
		return out.Write([]string{"image", "image_id", "caption", "score", "model", "settings"})
	}
	put = func(r *Row) error {
		if err := head(); err != nil {
			return err
		}
		return out.Write([]string{r.Image, r.ImageID, r.Caption, r.Score.String(), r.Model, r.Settings})
	}
	return put, func() error {
		if err := head(); err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	}
}

// cocoResult is a line of COCO's results file.
type cocoResult struct {
	ImageID any    `json:"image_id"`
	Caption string `json:"caption"`
}

func cocoWriter(w io.Writer) (put func(*Row) error, end func() error) {
	between := "[\n"
	enc := encoder(w)
	put = func(r *Row) error {
		if _, err := io.WriteString(w, between); err != nil {
			return err
		}
		between = ","
		return enc.Encode(cocoResult{ImageID: cocoID(r), Caption: r.Caption})
	}
	return put, func() error {
		text := "]\n"
		if between != "," {
			text = "[]\n"
		}
		_, err := io.WriteString(w, text)
		return err
	}
}

// cocoName is how COCO calls its pictures: COCO_val2014_000000391895.jpg, and
// since 2017 000000391895.jpg.
var cocoName = regexp.MustCompile(`^(?:COCO_[a-z]+[0-9]{4}_)?([0-9]{12})$`)

func cocoID(r *Row) any {
	id := r.ImageID
	if id == "" {
		id = r.Image
		name := path.Base(r.Image)
		if m := cocoName.FindStringSubmatch(strings.TrimSuffix(name, path.Ext(name))); m != nil {
			id = strings.TrimLeft(m[1], "0")
		}
	}
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && strconv.FormatInt(n, 10) == id {
		return n
	}
	return id
}
