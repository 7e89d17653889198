package dataset

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// encoded begins a name that holds bytes in percent-encoding.
const encoded = "file:"

// EncodeName writes a slash-separated path as valid UTF-8: as it is, where it is
// that already, else as "file:" and the path in percent-encoding. DecodeName
// turns it back.
func EncodeName(path string) string {
	if utf8.ValidString(path) && !strings.HasPrefix(path, encoded) {
		return path
	}
	return encoded + (&url.URL{Path: path}).EscapedPath()
}

// DecodeName returns the path that EncodeName wrote as name.
func DecodeName(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, encoded)
	if !ok {
		return name, nil
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", name, err)
	}
	return path, nil
}

// Opener opens the picture of a URI.
type Opener func(uri string) (io.ReadCloser, error)

// Files opens pictures below a local folder; a URI that is an absolute path is
// opened as it is.
func Files(root string) Opener {
	return func(uri string) (io.ReadCloser, error) {
		path, err := localPath(root, uri)
		if err != nil {
			return nil, err
		}
		return os.Open(path)
	}
}

func localPath(root, uri string) (string, error) {
	path, err := DecodeName(uri)
	if err != nil {
		return "", err
	}
	path = filepath.FromSlash(path)
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	return path, nil
}
