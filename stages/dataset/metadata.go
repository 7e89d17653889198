package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/blipflow/blipflow/stages/annotations"
	"github.com/blipflow/blipflow/transforms/text"
)

// maxLine bounds a line of metadata, so that a file that is no metadata at all
// is not read into memory whole.
const maxLine = 16 << 20

// metaNames are the files of an imagefolder's metadata.
var metaNames = []string{"metadata.jsonl", "metadata.csv", "metadata.parquet", "captions.csv", "captions.txt"}

// readJSONLines reads a JSON object a line.
func readJSONLines(s *sourceFile, add func(row) error) error {
	return readRowLines(bufio.NewReaderSize(s, 1<<16), s, add)
}

func readRowLines(in io.Reader, s *sourceFile, add func(row) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			continue
		}
		r, err := parseJSON(line, s.dir())
		if err == nil {
			err = add(r)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

// jsonRow is a row of an imagefolder's metadata, or of yerevann/coco-karpathy.
type jsonRow struct {
	FileName  string                 `json:"file_name"`
	Filename  string                 `json:"filename"`
	Image     string                 `json:"image"`
	FilePath  string                 `json:"filepath"`
	URL       string                 `json:"url"`
	ImageID   json.RawMessage        `json:"image_id"`
	COCOID    annotations.ID         `json:"cocoid"`
	Split     string                 `json:"split"`
	Text      words                  `json:"text"`
	Caption   words                  `json:"caption"`
	Captions  words                  `json:"captions"`
	Sentences []annotations.Sentence `json:"sentences"`
}

// parseJSON reads a row. Dir is the folder that its names are relative to.
func parseJSON(line []byte, dir string) (row, error) {
	var obj jsonRow
	if err := json.Unmarshal(line, &obj); err != nil {
		return row{}, jsonError(err)
	}
	return obj.row(dir)
}

func (obj *jsonRow) row(dir string) (row, error) {
	split, err := namedSplit(obj.Split)
	if err != nil {
		return row{}, err
	}
	id, err := idOf(obj.ImageID)
	if err != nil {
		return row{}, err
	}
	r := row{
		dir: dir, name: cmp.Or(obj.FileName, obj.Filename, obj.Image), url: obj.URL,
		imageID: cmp.Or(id, string(obj.COCOID)), split: split,
		captions: slices.Concat(obj.Text, obj.Caption, obj.Captions),
	}
	if obj.FilePath != "" {
		r.name = path.Join(obj.FilePath, r.name)
	}
	for _, sentence := range obj.Sentences {
		r.captions = append(r.captions, text.OneLine(string(sentence)))
	}
	return r, nil
}

func jsonError(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("%s is a JSON %s", kind.Field, kind.Value)
	}
	return fmt.Errorf("not a JSON object: %w", err)
}

// words is a caption or a list of captions.
type words []string

func (w *words) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var list []string
	if len(data) > 0 && data[0] == '"' {
		list = make([]string, 1)
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("captions are neither a text nor a list of texts")
	}
	*w = tidy(list)
	return nil
}

// tidy makes each caption one line of valid UTF-8. Empty ones stay, for the stage
// that counts them.
func tidy(captions []string) []string {
	for i, c := range captions {
		captions[i] = text.OneLine(c)
	}
	return captions
}

// idOf reads an image_id, which data sets have as a number or as a text.
func idOf(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0, string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] == '{', raw[0] == '[':
		return "", errors.New("image_id is neither a number nor a text")
	default:
		return string(raw), nil
	}
}

// namedSplit reads the split of a row.
func namedSplit(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	split, ok := splitNames[strings.ToLower(strings.TrimSpace(name))]
	if !ok {
		return "", fmt.Errorf("split %q is none of %s", name, strings.Join(Splits, ", "))
	}
	return split, nil
}

// columnNames are the headers understood, by what they hold.
var columnNames = map[string]string{
	"file_name": "file", "filename": "file", "file": "file", "image": "file", "image_name": "file",
	"text": "caption", "caption": "caption", "captions": "caption", "comment": "caption",
	"image_id": "id",
	"split":    "split",
}

// readTable reads a table whose first line names its columns.
func readTable(s *sourceFile, add func(row) error) error {
	buf := bufio.NewReaderSize(s, 1<<16)
	head, err := buf.Peek(1 << 12)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		_, _ = buf.Discard(len("\ufeff")) // peeked at: it is there
		head = head[len("\ufeff"):]
	}
	firstLine, _, _ := bytes.Cut(head, []byte("\n"))
	comma, columns, err := findColumns(string(firstLine))
	if err != nil {
		return err
	}
	table := csv.NewReader(buf)
	table.Comma = comma
	table.LazyQuotes = true
	table.TrimLeadingSpace = comma == '|' // as Flickr30k has it; elsewhere it would eat into captions
	table.FieldsPerRecord = -1            // an unquoted comma in a last column is no reason to stop
	table.ReuseRecord = true
	if _, err := table.Read(); err != nil {
		return err
	}
	for {
		fields, err := table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := columns.row(fields, string(comma), s.dir())
		if err == nil {
			err = add(r)
		}
		if err != nil {
			line, _ := table.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// columnsOf says which field holds what; -1 where none does.
type columnsOf struct{ file, caption, id, split, n int }

// findColumns finds the separator under which the header makes sense.
func findColumns(header string) (rune, columnsOf, error) {
	for _, comma := range []rune{',', '\t', ';', '|'} {
		c := columnsOf{file: -1, caption: -1, id: -1, split: -1}
		for i, name := range strings.Split(strings.TrimRight(header, "\r"), string(comma)) {
			c.n++
			name = strings.ToLower(strings.Trim(strings.TrimSpace(name), `"`))
			switch columnNames[name] {
			case "file":
				c.file = i
			case "caption":
				c.caption = i
			case "id":
				c.id = i
			case "split":
				c.split = i
			}
		}
		if c.file >= 0 && c.caption >= 0 {
			return comma, c, nil
		}
	}
	if !utf8.ValidString(header) || len(header) > 200 {
		header = "…"
	}
	return 0, columnsOf{}, fmt.Errorf("line 1: the header %q names no picture and caption: write image,caption", header)
}

func (c columnsOf) row(fields []string, comma, dir string) (row, error) {
	if len(fields) > c.n && c.caption == c.n-1 {
		// A caption with commas of its own, not in quotes.
		fields = append(fields[:c.caption:c.caption], strings.Join(fields[c.caption:], comma))
	}
	get := func(i int) string {
		if i < 0 || i >= len(fields) {
			return ""
		}
		return strings.Clone(fields[i])
	}
	split, err := namedSplit(get(c.split))
	if err != nil {
		return row{}, err
	}
	r := row{dir: dir, name: get(c.file), imageID: strings.TrimSpace(get(c.id)), split: split}
	if c.caption < len(fields) {
		r.captions = tidy([]string{get(c.caption)})
	}
	return r, nil
}
