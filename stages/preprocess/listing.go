package preprocess

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn2x1[[]byte, func(chunk), error](&listFn{})
	register.Emitter1[chunk]()
}

// listing is the data set's references as a file, a JSON object a line, on the
// storage that the shards go to. Elements refer to its lines, so that a data set
// is listed once and the pipeline carries no names and captions.
type listing struct{ file *os.File }

// listed is a line of the listing.
type listed struct {
	ref    dataset.Ref
	offset int64
}

func writeListing(path string, refs []dataset.Ref) error {
	return records.WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		for i := range refs {
			if err := enc.Encode(&refs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func openListing(path string) (*listing, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the listing: %w", err)
	}
	return &listing{f}, nil
}

func (l *listing) Close() error { return l.file.Close() }

// from reads at an offset.
func (l *listing) from(offset int64) *bufio.Reader {
	return bufio.NewReader(io.NewSectionReader(l.file, offset, 1<<62))
}

// chunk reads consecutive lines.
func (l *listing) chunk(c chunk) ([]listed, error) {
	in, at := l.from(c.Offset), c.Offset
	all := make([]listed, c.Lines)
	for i := range all {
		line, err := in.ReadBytes('\n')
		if err == nil {
			all[i].offset = at
			err = json.Unmarshal(line, &all[i].ref)
		}
		if err != nil {
			return nil, fmt.Errorf("read the listing at byte %d: %w", at, err)
		}
		at += int64(len(line))
	}
	return all, nil
}

// line reads one line.
func (l *listing) line(offset int64) (dataset.Ref, error) {
	one, err := l.chunk(chunk{Offset: offset, Lines: 1})
	if err != nil {
		return dataset.Ref{}, err
	}
	return one[0].ref, nil
}

// listFn cuts the listing into chunks.
type listFn struct {
	Listing string
	Chunk   int
}

// ProcessElement emits the chunks.
func (fn *listFn) ProcessElement(_ []byte, emit func(chunk)) error {
	l, err := openListing(fn.Listing)
	if err != nil {
		return err
	}
	defer l.Close() // only read
	in := l.from(0)
	var c chunk
	for at := int64(0); ; {
		n, err := skipLine(in)
		if n > 0 {
			c.Lines++
			at += n
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the listing at byte %d: %w", at, err)
		}
		if c.Lines == fn.Chunk || err != nil && c.Lines > 0 {
			emit(c)
			c = chunk{Offset: at}
		}
		if err != nil {
			return nil
		}
	}
}

// skipLine reads past a line and returns its length.
func skipLine(in *bufio.Reader) (n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}
