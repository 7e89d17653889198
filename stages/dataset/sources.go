package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/blipflow/blipflow/stages/records"
)

// Place is where in its file a picture is.
type Place struct {
	// Offset and Size are those of a tar file's member, in bytes of the file
	// after decompression.
	Offset int64 `json:"offset,omitempty"`
	Size   int64 `json:"size,omitempty"`
	// Row is that of a Parquet file, from 0, and Column the one that holds the
	// picture, as its path with dots.
	Row    int64  `json:"row,omitempty"`
	Column string `json:"column,omitempty"`
	// Width and Height are set where the column holds plain RGB pixels.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// Roots are the folders that a data set's URIs are relative to.
type Roots struct {
	// Pictures is that of pictures that are files.
	Pictures string
	// Files is that of the files that hold pictures.
	Files string
}

// Sources opens the pictures of a data set. It may be used by several goroutines;
// rows of Parquet files and members of compressed tar files are read fastest in
// their order.
type Sources struct {
	roots Roots
	http  *fetcher

	mu   sync.Mutex
	rows *rowReader
	tar  *memberReader
}

// Sources makes a way to open pictures. Close it in the end.
func (r Roots) Sources() *Sources { return &Sources{roots: r, http: newFetcher()} }

// Close closes the files that are open for the next picture.
func (s *Sources) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(closeHeld(&s.rows), closeHeld(&s.tar))
}

// closeHeld closes what is held, if anything is.
func closeHeld[T interface {
	comparable
	io.Closer
}](held *T) error {
	var none, old T
	old, *held = *held, none
	if old == none {
		return nil
	}
	return old.Close()
}

// Fetched reports whether the picture comes over a network.
func Fetched(ref *Ref) bool {
	return strings.HasPrefix(ref.URI, httpScheme) || strings.HasPrefix(ref.URI, httpsScheme)
}

// Dear reports whether a picture is dear to open twice or out of order.
func Dear(ref *Ref) bool {
	return Fetched(ref) || strings.HasPrefix(ref.URI, rowScheme) ||
		strings.HasPrefix(ref.URI, tarScheme) && inCompressed(ref.URI)
}

// inCompressed reports whether a tar file's member has to be unpacked.
func inCompressed(uri string) bool {
	file, _, _ := strings.Cut(uri, "#")
	return compressed(file)
}

// compressed goes by the name of the tar file.
func compressed(name string) bool { return strings.HasSuffix(strings.ToLower(name), "gz") }

// Open opens a picture. Its errors wrap os.ErrNotExist where there is none.
func (s *Sources) Open(ctx context.Context, ref *Ref) (io.ReadCloser, error) {
	switch {
	case Fetched(ref):
		return s.http.open(ctx, ref.URI)
	case strings.HasPrefix(ref.URI, rowScheme):
		return s.openRow(ref)
	case strings.HasPrefix(ref.URI, tarScheme):
		return s.openMember(ref)
	}
	path, err := localPath(s.roots.Pictures, ref.URI)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// container is the path of the file that a picture is in.
func (s *Sources) container(ref *Ref) (string, error) {
	name, err := containerOf(ref.URI)
	if err != nil {
		return "", err
	}
	if ref.Place == nil {
		return "", fmt.Errorf("%s: no place in its file is known", ref.URI)
	}
	return filepath.Join(s.roots.Files, filepath.FromSlash(name)), nil
}

func (s *Sources) openRow(ref *Ref) (io.ReadCloser, error) {
	file, err := s.container(ref)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil || s.rows.path != file || s.rows.column != ref.Place.Column {
		if err := closeHeld(&s.rows); err != nil {
			return nil, err
		}
		if s.rows, err = openRows(file, ref.Place.Column); err != nil {
			return nil, err
		}
	}
	data, err := s.rows.at(ref.Place.Row)
	if err == nil && ref.Place.Width > 0 {
		data, err = bitmap(data, ref.Place.Width, ref.Place.Height)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (s *Sources) openMember(ref *Ref) (io.ReadCloser, error) {
	file, err := s.container(ref)
	if err != nil {
		return nil, err
	}
	if !inCompressed(ref.URI) {
		return records.OpenSection(file, ref.Place.Offset, ref.Place.Size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tar == nil || s.tar.path != file || s.tar.offset > ref.Place.Offset {
		if err := closeHeld(&s.tar); err != nil {
			return nil, err
		}
		if s.tar, err = openMembers(file); err != nil {
			return nil, err
		}
	}
	data, err := s.tar.at(ref.Place.Offset, ref.Place.Size)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// absent is the error of a picture that is not where it is said to be.
type absent string

func (a absent) Error() string { return string(a) }

// Is reports that it is an os.ErrNotExist.
func (a absent) Is(target error) bool { return target == os.ErrNotExist }
