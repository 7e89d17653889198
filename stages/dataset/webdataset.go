package dataset

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/stages/records"
)

// maxText bounds a caption file in a tar file.
const maxText = 1 << 20

// sample is what a tar file has under one key.
type sample struct {
	row
	key     string
	picture bool
}

// readTar reads a WebDataset shard: members that have a name in common up to the
// first dot of its last part are one sample, of a picture and of captions in
// .txt, a line each, or in .json. A shard that ends too early gives what is whole
// and a dead letter.
func readTar(s *sourceFile, add func(row) error) error {
	in, position, err := tarStream(s, s.size, compressed(s.path))
	if err != nil {
		return add(row{uri: fileURI(s.path), missing: err.Error(), code: records.CodeUnreadable})
	}
	var samples []*sample
	byKey := map[string]*sample{}
	members := tar.NewReader(in)
	var broken error
	for {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			_, broken = io.Copy(io.Discard, in) // a checksum comes last
			break
		}
		if err != nil {
			broken = err
			break
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := takeMember(s, h, members, position(), byKey, &samples); err != nil {
			broken = err
			break
		}
	}
	for _, one := range samples {
		if !one.picture && one.missing == "" {
			one.uri = innerURI(tarScheme, s.path, one.key)
			one.missing = "the sample has no picture"
		}
		if err := add(one.row); err != nil {
			return fmt.Errorf("sample %s: %w", one.key, err)
		}
	}
	if broken != nil {
		return add(row{
			uri: fileURI(s.path), code: records.CodeUnreadable,
			missing: fmt.Sprintf("the file is cut off or damaged after %d samples: %v", len(samples), broken),
		})
	}
	return nil
}

// fileURI names a tar file as a whole.
func fileURI(name string) string { return strings.TrimSuffix(innerURI(tarScheme, name, ""), "#") }

// splitKey cuts a member's name at the first dot of its last part. Names that
// begin with a dot have no key.
func splitKey(name string) (key, ext string) {
	dir, base := path.Split(name)
	stem, ext, _ := strings.Cut(base, ".")
	if stem == "" {
		return "", ""
	}
	return dir + stem, strings.ToLower(ext)
}

func takeMember(s *sourceFile, h *tar.Header, data io.Reader, offset int64, byKey map[string]*sample, all *[]*sample) error {
	key, ext := splitKey(h.Name)
	isPicture := extensions["."+ext]
	if key == "" || !isPicture && ext != "txt" && ext != "json" && ext != "caption" {
		return nil
	}
	one := byKey[key]
	if one == nil {
		one = &sample{key: key}
		byKey[key] = one
		*all = append(*all, one)
	}
	if !filepath.IsLocal(filepath.FromSlash(h.Name)) {
		if one.uri == "" || isPicture {
			one.uri = innerURI(tarScheme, s.path, h.Name)
		}
		one.code = records.CodeRefusedPath
		one.missing = "the member's name leads out of the tar file"
		return nil
	}
	switch {
	case isPicture && !one.picture:
		one.picture = true
		if one.missing == "" {
			one.uri = innerURI(tarScheme, s.path, h.Name)
			one.place = &Place{Offset: offset, Size: h.Size}
		}
		if !compressed(s.path) && offset+h.Size > s.size {
			one.place, one.code, one.missing = nil, records.CodeUnreadable, "the tar file ends within the picture"
		}
	case ext == "json":
		return one.describe(data)
	case !isPicture:
		text, err := io.ReadAll(io.LimitReader(data, maxText))
		if err != nil {
			return err
		}
		one.say(captionLines(string(text)))
	}
	return nil
}

// say adds captions, but those that are known: img2dataset has the caption in
// .txt and in .json.
func (s *sample) say(captions []string) {
	for _, c := range captions {
		if !slices.Contains(s.captions, c) {
			s.captions = append(s.captions, c)
		}
	}
}

// describe reads what .json says. A file that cannot be understood says nothing.
func (s *sample) describe(data io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(data, maxText))
	if err != nil {
		return err
	}
	var obj jsonRow
	if json.Unmarshal(text, &obj) != nil {
		return nil
	}
	r, err := obj.row("")
	if err != nil {
		return nil
	}
	s.say(r.captions)
	s.split, s.nickname = r.split, r.imageID
	return nil
}

// tarStream reads a tar file, and tells where in it, after decompression, it is.
func tarStream(f file, size int64, zipped bool) (io.Reader, func() int64, error) {
	if !zipped {
		in := io.NewSectionReader(f, 0, size)
		return in, func() int64 {
			at, _ := in.Seek(0, io.SeekCurrent) // cannot fail
			return at
		}, nil
	}
	unzipped, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, nil, err
	}
	count := &counter{Reader: unzipped}
	return count, func() int64 { return count.n }, nil
}

// counter counts the bytes read. It hides that what it reads may seek.
type counter struct {
	io.Reader
	n int64
}

// Read reads.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// memberReader reads a compressed tar file from its start on.
type memberReader struct {
	path   string
	file   *os.File
	in     io.Reader
	offset int64
}

func openMembers(name string) (*memberReader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in, _, err := tarStream(f, 0, true)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &memberReader{path: name, file: f, in: in}, nil
}

// at reads what is at an offset that has not been passed.
func (m *memberReader) at(offset, size int64) ([]byte, error) {
	n, err := io.CopyN(io.Discard, m.in, offset-m.offset)
	m.offset += n
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(m.in, size))
	m.offset += int64(len(data))
	if err == nil && int64(len(data)) < size {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

// Close closes the file.
func (m *memberReader) Close() error { return m.file.Close() }
