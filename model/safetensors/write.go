package safetensors

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// Source is a tensor to be written.
type Source struct {
	Name  string
	DType DType
	Shape []int64
	// Data are the elements. If it is nil, WriteTo gives them.
	Data []byte
	// WriteTo writes exactly the bytes that the shape needs. It is called
	// once, in the order of the file, so that weights that live elsewhere
	// (another device, other processes) need not stand in memory together.
	WriteTo func(w io.Writer) error
}

// formatKey must be in the metadata for transformers to read a file.
const formatKey, formatValue = "format", "pt"

// Write writes a file with the given tensors, in any order. The metadata are
// strings for the header's __metadata__; "format" is set to "pt" if it is not
// there, since transformers asks for it. The file appears under its name when
// it is complete and synced, or not at all; an older one is replaced. A tensor
// that cannot be written is an error wrapping [ErrTensor].
func Write(path string, tensors []Source, metadata map[string]string) (err error) {
	plan, err := newLayout(tensors, metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := createAside(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = plan.writeTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	} else {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// createAside makes a new file in the folder of path. Unlike os.CreateTemp it
// gives it the access rights that the finished file is to have.
func createAside(path string) (*os.File, error) {
	for {
		name := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

// layout is a file before it is written.
type layout struct {
	header  []byte // with its length and padding
	tensors []Source
	sizes   []int64
}

// newLayout orders the tensors and makes the header.
func newLayout(tensors []Source, metadata map[string]string) (*layout, error) {
	l := &layout{tensors: slices.Clone(tensors), sizes: make([]int64, len(tensors))}
	slices.SortStableFunc(l.tensors, func(a, b Source) int {
		return cmp.Or(-cmp.Compare(a.DType.rank(), b.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
	seen := make(map[string]bool, len(tensors))
	for i, t := range l.tensors {
		n, err := t.check()
		if err == nil && seen[t.Name] {
			err = errors.New("the name is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%w %.80q: %w", ErrTensor, t.Name, err)
		}
		seen[t.Name] = true
		l.sizes[i] = n
	}
	text, err := l.headerText(metadata)
	if err != nil {
		return nil, err
	}
	l.header = binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	l.header = append(l.header, text...)
	return l, nil
}

// check returns the tensor's size in bytes.
func (s Source) check() (int64, error) {
	n, err := size(s.DType, s.Shape)
	switch {
	case err != nil:
		return 0, err
	case s.Name == metadataKey || !utf8.ValidString(s.Name):
		return 0, errors.New("the name cannot stand in a header")
	case s.Data == nil && s.WriteTo == nil && n > 0:
		return 0, errors.New("no data")
	case (s.Data != nil || s.WriteTo == nil) && int64(len(s.Data)) != n:
		return 0, fmt.Errorf("%d bytes of data, shape and type need %d", len(s.Data), n)
	}
	return n, nil
}

// headerText is the JSON, padded with spaces to a multiple of eight bytes so
// that every tensor is aligned: the widest types come first.
func (l *layout) headerText(metadata map[string]string) ([]byte, error) {
	all := map[string]string{formatKey: formatValue}
	maps.Copy(all, metadata)
	for k, v := range all {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("metadata %.80q is not UTF-8", k)
		}
	}
	var b bytes.Buffer
	b.WriteString(`{"` + metadataKey + `":`)
	appendJSON(&b, all)
	var at int64
	for i, t := range l.tensors {
		shape := t.Shape
		if shape == nil {
			shape = []int64{}
		}
		end := at + l.sizes[i]
		if end < at {
			return nil, fmt.Errorf("%w: all of them together overflow", ErrTensor)
		}
		b.WriteByte(',')
		appendJSON(&b, t.Name)
		b.WriteByte(':')
		appendJSON(&b, struct {
			DType   DType    `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, shape, [2]int64{at, end}})
		at = end
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("the header would have %d bytes, want at most %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// appendJSON writes what cannot fail to be written: strings, numbers and maps
// of strings, without the escapes that are for HTML.
func appendJSON(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("safetensors: " + err.Error()) // no such value
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
}

func (l *layout) writeTo(f io.Writer) error {
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(l.header); err != nil {
		return err
	}
	for i, t := range l.tensors {
		c := &counter{w: w, left: l.sizes[i]}
		var err error
		if t.Data != nil || t.WriteTo == nil {
			_, err = c.Write(t.Data)
		} else {
			err = t.WriteTo(c)
		}
		if err == nil && c.left > 0 {
			err = fmt.Errorf("%w: %d bytes too few", ErrTensor, c.left)
		}
		if err != nil {
			return fmt.Errorf("tensor %.80q: %w", t.Name, err)
		}
	}
	return w.Flush()
}

// counter refuses more bytes than a tensor has.
type counter struct {
	w    io.Writer
	left int64
}

func (c *counter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, fmt.Errorf("%w: %d bytes too many", ErrTensor, int64(len(p))-c.left)
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	return n, err
}
