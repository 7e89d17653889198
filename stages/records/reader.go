package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parquet-go/parquet-go"
)

// Errors of reading a shard.
var (
	// ErrMalformed: the file is no whole Parquet file.
	ErrMalformed = errors.New("malformed Parquet file")
	// ErrNotExamples: a Parquet file, but not one of examples.
	ErrNotExamples = errors.New("not a Parquet file of examples")
)

// ReaderOptions are the settings of a Reader. The zero value reads all columns.
type ReaderOptions struct {
	// WithoutPixels leaves the pixels unread: for captions, ids and counts.
	WithoutPixels bool
	// WithoutCaptions leaves captions and token ids unread: for whoever must not
	// know them.
	WithoutCaptions bool
}

// Reader reads the rows of one shard in order, a row group at a time. It is not
// safe for concurrent use; several Readers of one file are.
type Reader struct {
	meta   Meta
	source io.Closer
	groups []parquet.RowGroup
	starts []int64 // first row of each group, and the end
	open   func(parquet.RowGroup) cursor
	cur    cursor
	group  int   // the group cur reads
	row    int64 // the next row to be read
}

// cursor reads the rows of one row group.
type cursor interface {
	next() (Example, error)
	seek(row int64) error
	io.Closer
}

// Open opens the shard at path. The caller closes the Reader.
func Open(path string, opt ReaderOptions) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open shard: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open shard: %w", err), f.Close())
	}
	r, err := NewReader(f, info.Size(), opt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open shard %s: %w", path, err), f.Close())
	}
	r.source = f
	return r, nil
}

// NewReader reads the shard of the given size from in. Its errors wrap
// ErrMalformed or ErrNotExamples, or are those of in.
func NewReader(in io.ReaderAt, size int64, opt ReaderOptions) (r *Reader, err error) {
	defer RecoverMalformed(&err)
	file, err := OpenParquet(in, size)
	if err != nil {
		return nil, err
	}
	meta, err := metaFrom(file.Lookup)
	if err != nil {
		return nil, err
	}
	if err := checkColumns(file, meta.PixelFormat); err != nil {
		return nil, err
	}
	r = &Reader{meta: meta, groups: file.RowGroups(), open: opener(meta.PixelFormat, opt)}
	r.starts = make([]int64, 1, len(r.groups)+1)
	for _, g := range r.groups {
		r.starts = append(r.starts, r.starts[len(r.starts)-1]+g.NumRows())
	}
	return r, nil
}

func opener(format PixelFormat, opt ReaderOptions) func(parquet.RowGroup) cursor {
	switch {
	case opt.WithoutPixels && opt.WithoutCaptions:
		return openGroup(fromPictureRow)
	case opt.WithoutCaptions && format == Float32:
		return openGroup(fromFloat32Picture)
	case opt.WithoutCaptions:
		return openGroup(fromUint8Picture)
	case opt.WithoutPixels:
		return openGroup(fromColumns)
	case format == Float32:
		return openGroup(fromFloat32)
	default:
		return openGroup(fromUint8)
	}
}

// Meta says how the shard was made.
func (r *Reader) Meta() Meta { return r.meta }

// Rows is the number of rows in the shard.
func (r *Reader) Rows() int64 { return r.starts[len(r.starts)-1] }

// RowGroups is the number of row groups in the shard.
func (r *Reader) RowGroups() int { return len(r.groups) }

// SkipTo makes the next row read the row-th of the shard, counted from 0.
func (r *Reader) SkipTo(row int64) (err error) {
	defer RecoverMalformed(&err)
	if row < 0 || row > r.Rows() {
		return fmt.Errorf("seek to row %d of %d", row, r.Rows())
	}
	if r.cur == nil || row < r.starts[r.group] || row >= r.starts[r.group+1] {
		if err := r.closeGroup(); err != nil {
			return err
		}
		r.row = row
		return nil
	}
	r.row = row
	return r.cur.seek(row - r.starts[r.group])
}

// Next returns the next row, or io.EOF after the last. The row's memory is the
// caller's own.
func (r *Reader) Next() (e Example, err error) {
	defer RecoverMalformed(&err)
	if r.row >= r.Rows() {
		return Example{}, io.EOF
	}
	if r.cur != nil && r.row >= r.starts[r.group+1] {
		if err := r.closeGroup(); err != nil {
			return Example{}, err
		}
	}
	if r.cur == nil {
		if err := r.openGroupOf(r.row); err != nil {
			return Example{}, err
		}
	}
	e, err = r.cur.next()
	if err == nil {
		err = r.check(&e)
	}
	if err != nil {
		return Example{}, fmt.Errorf("row %d: %w", r.row, err)
	}
	r.row++
	return e, nil
}

// check refuses a row whose pixels don't have the size that it states.
func (r *Reader) check(e *Example) error {
	n := len(e.Pixels) + len(e.Floats)
	if n == 0 {
		return nil // read without pixels
	}
	if e.PixelWidth <= 0 || e.PixelHeight <= 0 || n != 3*e.PixelWidth*e.PixelHeight {
		return fmt.Errorf("%w: %d values for %d×%d×3 pixels", ErrMalformed, n, e.PixelHeight, e.PixelWidth)
	}
	return nil
}

// All yields the rows from the next on. It stops after the first error.
func (r *Reader) All() iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close releases the shard.
func (r *Reader) Close() (err error) {
	defer RecoverMalformed(&err)
	err = r.closeGroup()
	if r.source != nil {
		err = errors.Join(err, r.source.Close())
		r.source = nil
	}
	return err
}

func (r *Reader) openGroupOf(row int64) error {
	r.group = 0
	for row >= r.starts[r.group+1] {
		r.group++
	}
	r.cur = r.open(r.groups[r.group])
	if skip := row - r.starts[r.group]; skip > 0 {
		return r.cur.seek(skip)
	}
	return nil
}

func (r *Reader) closeGroup() error {
	if r.cur == nil {
		return nil
	}
	err := r.cur.Close()
	r.cur = nil
	return err
}

// groupCursor reads rows of type R.
type groupCursor[R row] struct {
	reader *parquet.GenericReader[R]
	to     func(*R) Example
}

func openGroup[R row](to func(*R) Example) func(parquet.RowGroup) cursor {
	return func(g parquet.RowGroup) cursor {
		return &groupCursor[R]{reader: parquet.NewGenericRowGroupReader[R](g), to: to}
	}
}

func (c *groupCursor[R]) next() (Example, error) {
	rows := make([]R, 1) // new each time: the row becomes the caller's
	n, err := c.reader.Read(rows)
	if n == 1 {
		return c.to(&rows[0]), nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return Example{}, fmt.Errorf("%w: %w", ErrMalformed, err)
}

func (c *groupCursor[R]) seek(row int64) error {
	if err := c.reader.SeekToRow(row); err != nil {
		return fmt.Errorf("%w: seek to row %d: %w", ErrMalformed, row, err)
	}
	return nil
}

func (c *groupCursor[R]) Close() error { return c.reader.Close() }

// checkFrame looks at both ends of the file before the library allocates what
// the footer claims to need.
func checkFrame(in io.ReaderAt, size int64) error {
	const frame = 4 + 4 + 4 // magic, footer length, magic
	if size < frame {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, size)
	}
	var tail [8]byte
	if _, err := in.ReadAt(tail[:], size-8); err != nil {
		return fmt.Errorf("read footer: %w", err)
	}
	if string(tail[4:]) != "PAR1" {
		return fmt.Errorf("%w: it does not end with the magic bytes PAR1: cut off?", ErrMalformed)
	}
	if footer := int64(binary.LittleEndian.Uint32(tail[:4])); footer > size-frame {
		return fmt.Errorf("%w: footer of %d bytes in a file of %d", ErrMalformed, footer, size)
	}
	return nil
}
