package records

import (
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// DefaultRowGroupBytes is the size of a row group, before compression, where
// WriterOptions sets none: about 75 pictures of 384×384.
const DefaultRowGroupBytes = 32 << 20

// WriterOptions are the settings of a Writer. The zero value is ready to use.
type WriterOptions struct {
	// RowGroupBytes closes a row group when its rows reach this many bytes
	// before compression. 0 means DefaultRowGroupBytes.
	RowGroupBytes int64
}

// Writer writes one shard. It is not safe for concurrent use.
type Writer struct {
	format   PixelFormat
	limit    int64
	buffered int64
	rows     int64
	write    func(*Example) error
	flush    func() error
	close    func() error
}

// NewWriter returns a Writer of a shard into out. An empty m.PixelFormat is
// Uint8. The shard is complete only when Close has returned nil.
func NewWriter(out io.Writer, m Meta, opt WriterOptions) (*Writer, error) {
	if m.PixelFormat == "" {
		m.PixelFormat = Uint8
	}
	if !m.PixelFormat.Valid() {
		return nil, fmt.Errorf("write shard: unknown pixel format %q: use %s or %s", m.PixelFormat, Uint8, Float32)
	}
	w := &Writer{format: m.PixelFormat, limit: opt.RowGroupBytes}
	if w.limit <= 0 {
		w.limit = DefaultRowGroupBytes
	}
	if w.format == Float32 {
		bind(w, out, m, func(e *Example) float32Row { return float32Row{columnsOf(e), e.Floats} })
	} else {
		bind(w, out, m, func(e *Example) uint8Row { return uint8Row{columnsOf(e), e.Pixels} })
	}
	return w, nil
}

// bind ties w to a Parquet writer of one row type.
func bind[R row](w *Writer, out io.Writer, m Meta, toRow func(*Example) R) {
	options := []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.CreatedBy(createdBy(m.Program)),
		// The smallest and largest picture of a page mean nothing and would be
		// copied into the footer whole.
		parquet.SkipPageBounds("pixels"),
		parquet.SkipPageBounds("pixels", "list", "element"), // of floats
		parquet.DataPageStatistics(false),
	}
	for _, kv := range m.pairs() {
		options = append(options, parquet.KeyValueMetadata(kv[0], kv[1]))
	}
	pw := parquet.NewGenericWriter[R](out, options...)
	one := make([]R, 1)
	w.write = func(e *Example) error {
		one[0] = toRow(e)
		_, err := pw.Write(one)
		return err
	}
	w.flush, w.close = pw.Flush, pw.Close
}

// Write adds one row. An Example that does not fit the shard is refused with an
// error that wraps ErrInvalidExample, and the shard stays usable. The Writer
// keeps nothing of e.
func (w *Writer) Write(e *Example) error {
	if err := e.validate(w.format); err != nil {
		return err
	}
	if err := w.write(e); err != nil {
		return fmt.Errorf("write row %d (%s): %w", w.rows, e.ImageID, err)
	}
	w.rows++
	w.buffered += e.bytes()
	if w.buffered < w.limit {
		return nil
	}
	w.buffered = 0
	if err := w.flush(); err != nil {
		return fmt.Errorf("write row group that ends at row %d: %w", w.rows, err)
	}
	return nil
}

// Rows is the number of rows written so far.
func (w *Writer) Rows() int64 { return w.rows }

// Close writes the last row group and the footer. It does not close the
// underlying writer.
func (w *Writer) Close() error {
	if err := w.close(); err != nil {
		return fmt.Errorf("close shard after row %d: %w", w.rows, err)
	}
	return nil
}

// createdBy takes the program's name and version apart, as the footer wants it.
func createdBy(program string) (application, version, build string) {
	application, version, _ = strings.Cut(program, " ")
	return application, version, "none"
}
