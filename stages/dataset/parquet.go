package dataset

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
	"golang.org/x/image/bmp"

	"github.com/blipflow/blipflow/stages/records"
)

// cell is what a column of a Parquet file says of a picture.
type cell int

const (
	nothing cell = iota
	bytesCell
	nameCell
	pathCell // the name inside an image column
	folderCell
	urlCell
	idCell
	cocoIDCell
	splitCell
	captionCell
)

// cellNames are the columns understood, by their names.
var cellNames = map[string]cell{
	"file_name": nameCell, "filename": nameCell, "file": nameCell, "image_name": nameCell, "image_path": nameCell,
	"filepath": folderCell,
	"url":      urlCell, "image_url": urlCell, "coco_url": urlCell,
	"image_id": idCell, "cocoid": cocoIDCell, "split": splitCell,
	"text": captionCell, "caption": captionCell, "captions": captionCell, "sentences": captionCell, "comment": captionCell,
}

// pictureColumns are those that hold pictures: as bytes, or as what the datasets
// library makes of them, a struct of bytes and path.
var pictureColumns = []string{"image", "img", "picture", "jpg", "jpeg", "png", "webp", "image_bytes"}

// cellOf says what a leaf column holds.
func cellOf(leaf parquet.LeafColumn) cell {
	first, last := strings.ToLower(leaf.Path[0]), leaf.Path[len(leaf.Path)-1]
	if slices.Contains(pictureColumns, first) && leaf.MaxRepetitionLevel == 0 {
		switch {
		case len(leaf.Path) == 2 && last == "bytes", len(leaf.Path) == 1 && !isText(leaf.Node.Type()):
			return bytesCell
		case len(leaf.Path) == 2 && last == "path":
			return pathCell
		case len(leaf.Path) == 1:
			return nameCell
		}
		return nothing
	}
	c := cellNames[first]
	if number, ok := strings.CutPrefix(first, "caption_"); ok {
		if _, err := strconv.Atoi(number); err == nil {
			c = captionCell
		}
	}
	switch {
	case c == captionCell && (leaf.MaxRepetitionLevel == 0 && len(leaf.Path) == 1 || last == "raw"),
		c == captionCell && leaf.MaxRepetitionLevel == 1 && slices.Contains([]string{"element", "item", "array", "array_element", "list"}, last),
		c != captionCell && leaf.MaxRepetitionLevel == 0 && len(leaf.Path) == 1:
		return c
	}
	return nothing
}

// isText tells a column of text from one of bytes, as old and new files mark it.
func isText(t parquet.Type) bool {
	if logical := t.LogicalType(); logical != nil {
		if _, ok := logical.Value.(*format.StringType); ok {
			return true
		}
	}
	converted := t.ConvertedType()
	return converted != nil && *converted == deprecated.UTF8
}

// readParquet reads our own shards, an imagefolder's metadata, or rows with
// pictures in them as the datasets library writes them. Rows with the same picture
// in the same split are one picture, in whichever files of the data set they are.
func readParquet(s *sourceFile, add func(row) error) (err error) {
	defer records.RecoverMalformed(&err)
	file, err := records.OpenParquet(s, s.size)
	if err != nil {
		return err
	}
	if _, ours := file.Lookup("blipflow.pixel_format"); ours {
		return readShard(s, add)
	}
	t := table{source: s, add: add}
	found := map[cell]bool{}
	for _, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		leaf.Path = path // the library gives its last part
		c := cellOf(leaf)
		t.cells = append(t.cells, c)
		found[c] = true
		if c == bytesCell {
			t.column = strings.Join(path, ".")
		}
	}
	switch {
	case !found[bytesCell] && !found[nameCell] && !found[urlCell]:
		return fmt.Errorf("no column holds pictures (image, file_name or url); there are %s", columnList(file))
	case !found[captionCell]:
		return fmt.Errorf("%w: no column of captions (caption, captions, text or sentences); there are %s", ErrNoCaptions, columnList(file))
	}
	for _, group := range file.RowGroups() {
		if err := t.read(group.Rows()); err != nil {
			return err
		}
	}
	return nil
}

func columnList(file *parquet.File) string {
	var names []string
	for _, f := range file.Schema().Fields() {
		names = append(names, f.Name())
	}
	return strings.Join(names, ", ")
}

// table reads the rows of a file.
type table struct {
	source *sourceFile
	add    func(row) error
	cells  []cell // by column
	column string // that of the pictures' bytes
	row    int64
}

func (t *table) read(rows parquet.Rows) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	buf := make([]parquet.Row, 8)
	for {
		n, err := rows.ReadRows(buf)
		for _, values := range buf[:n] {
			if err := t.take(values); err != nil {
				return fmt.Errorf("row %d: %w", t.row, err)
			}
			t.row++
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("row %d: %w: %w", t.row, records.ErrMalformed, err)
		case n == 0:
			return fmt.Errorf("row %d: %w: no more rows", t.row, records.ErrMalformed)
		}
	}
}

// take makes a row of metadata of a row's values.
func (t *table) take(values parquet.Row) error {
	r := row{dir: t.source.dir()}
	var picture []byte
	var folder, inner, cocoID string
	for _, v := range values {
		if v.IsNull() {
			continue
		}
		switch t.cells[v.Column()] {
		case bytesCell:
			picture = v.ByteArray()
		case nameCell:
			r.name = content(v)
		case pathCell:
			inner = content(v)
		case folderCell:
			folder = content(v)
		case urlCell:
			r.url = content(v)
		case idCell:
			r.imageID = content(v)
		case cocoIDCell:
			cocoID = content(v)
		case splitCell:
			r.split = content(v)
		case captionCell:
			r.captions = append(r.captions, content(v))
		}
	}
	tidy(r.captions)
	var err error
	if r.split, err = namedSplit(r.split); err != nil {
		return err
	}
	if r.imageID == "" {
		r.imageID = cocoID
	}
	uri := innerURI(rowScheme, t.source.path, strconv.FormatInt(t.row, 10))
	if t.column == "" {
		if folder != "" {
			r.name = folder + "/" + r.name
		}
		return t.add(r)
	}
	if len(picture) > 0 {
		t.embed(&r, picture, uri)
		if r.nickname = r.name; r.nickname == "" {
			r.nickname = inner
		}
		return t.add(r)
	}
	if r.name == "" {
		r.name = inner
	}
	if r.name == "" && r.url == "" {
		r.uri, r.missing = uri, "the row has no picture"
	}
	return t.add(r)
}

// embed gives the row the URI of the first one with its picture.
func (t *table) embed(r *row, picture []byte, uri string) {
	split := r.split
	if split == "" {
		split = splitOfFile(t.source.path)
	}
	var key rowKey
	sum := sha256.Sum256(picture)
	copy(key[:], sum[:])
	key[sha256.Size] = byte(slices.Index(Splits, split) + 1)
	if first, known := t.source.first[key]; known {
		r.uri = first
		return
	}
	t.source.first[key] = uri
	r.uri, r.place = uri, &Place{Row: t.row, Column: t.column}
}

// content is a value as a text of its own.
func content(v parquet.Value) string {
	if v.Kind() == parquet.ByteArray || v.Kind() == parquet.FixedLenByteArray {
		return strings.Clone(string(v.ByteArray()))
	}
	return v.String()
}

// readShard reads a shard of ours: its pixels are pictures to be made anew.
func readShard(s *sourceFile, add func(row) error) (err error) {
	in, err := records.NewReader(s, s.size, records.ReaderOptions{WithoutPixels: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if have := in.Meta().PixelFormat; have != records.Uint8 {
		return fmt.Errorf("its pixels are %s, normalised for one model: only %s ones can be read as pictures", have, records.Uint8)
	}
	n := int64(0)
	for e, err := range in.All() {
		if err != nil {
			return err
		}
		err = add(row{
			uri:      innerURI(rowScheme, s.path, strconv.FormatInt(n, 10)),
			place:    &Place{Row: n, Column: "pixels", Width: e.PixelWidth, Height: e.PixelHeight},
			origin:   &Origin{URI: e.URI, Width: e.Width, Height: e.Height, ContentHash: e.ContentHash},
			nickname: e.ImageID, split: e.Split, captions: tidy(e.Captions),
		})
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		n++
	}
	return nil
}

// bitmap makes a BMP file of RGB pixels.
func bitmap(pixels []byte, w, h int) ([]byte, error) {
	if w < 1 || h < 1 || len(pixels) != 3*w*h {
		return nil, fmt.Errorf("%d bytes for %d×%d pixels", len(pixels), w, h)
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(m.Pix[4*i:], pixels[3*i:3*i+3])
		m.Pix[4*i+3] = 0xff
	}
	var out bytes.Buffer
	if err := bmp.Encode(&out, m); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// rowReader reads one column of a Parquet file.
type rowReader struct {
	path, column string
	file         *os.File
	groups       []parquet.RowGroup
	starts       []int64 // first row of each group, and the end
	leaf         int
	group        int // that of pages
	pages        parquet.Pages
	page         parquet.Page
	values       []parquet.Value // of the page
	row          int64           // that of values[0] in the file
}

func openRows(path, column string) (r *rowReader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	defer records.RecoverMalformed(&err)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := records.OpenParquet(f, info.Size())
	if err != nil {
		return nil, err
	}
	leaf, ok := file.Schema().Lookup(strings.Split(column, ".")...)
	if !ok || leaf.MaxRepetitionLevel > 0 {
		return nil, fmt.Errorf("%w: there is no column %s", records.ErrMalformed, column)
	}
	r = &rowReader{path: path, column: column, file: f, groups: file.RowGroups(), leaf: leaf.ColumnIndex, starts: []int64{0}}
	for _, g := range r.groups {
		r.starts = append(r.starts, r.starts[len(r.starts)-1]+g.NumRows())
	}
	return r, nil
}

// at returns the bytes in a row, which are the caller's.
func (r *rowReader) at(row int64) (data []byte, err error) {
	defer records.RecoverMalformed(&err)
	if row < 0 || row >= r.starts[len(r.starts)-1] {
		return nil, absent(fmt.Sprintf("there is no row %d", row))
	}
	for row < r.row || row >= r.row+int64(len(r.values)) {
		if err := r.turn(row); err != nil {
			return nil, fmt.Errorf("%w: %w", records.ErrMalformed, err)
		}
	}
	v := r.values[row-r.row]
	if v.IsNull() {
		return nil, absent(fmt.Sprintf("row %d has no picture", row))
	}
	return slices.Clone(v.ByteArray()), nil
}

// turn goes to the page with a row.
func (r *rowReader) turn(row int64) error {
	next := r.row + int64(len(r.values))
	r.release()
	g, known := slices.BinarySearch(r.starts, row)
	if !known {
		g--
	}
	for r.groups[g].NumRows() == 0 {
		g++
	}
	if r.pages == nil || g != r.group {
		if err := r.leave(); err != nil {
			return err
		}
		r.group, r.pages = g, r.groups[g].ColumnChunks()[r.leaf].Pages()
		next = r.starts[g]
	}
	if row != next {
		if err := r.pages.SeekToRow(row - r.starts[g]); err != nil {
			return err
		}
	}
	page, err := r.pages.ReadPage()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	r.page, r.row = page, row
	values := make([]parquet.Value, page.NumValues())
	for in, read := page.Values(), 0; read < len(values); {
		n, err := in.ReadValues(values[read:])
		read += n
		if read < len(values) && (err != nil || n == 0) {
			return fmt.Errorf("%d of %d values in a page: %w", read, len(values), io.ErrUnexpectedEOF)
		}
	}
	if r.values = values; len(values) == 0 {
		return io.ErrNoProgress
	}
	return nil
}

func (r *rowReader) release() {
	if r.page != nil {
		parquet.Release(r.page)
	}
	r.page, r.values = nil, r.values[:0]
}

func (r *rowReader) leave() error {
	if r.pages == nil {
		return nil
	}
	err := r.pages.Close()
	r.pages = nil
	return err
}

// Close closes the file.
func (r *rowReader) Close() error {
	r.release()
	return errors.Join(r.leave(), r.file.Close())
}
