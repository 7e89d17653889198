package dataset

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// What URIs begin with, other than those of plain files.
const (
	encoded     = "file:"    // a file, in percent-encoding
	rowScheme   = "parquet:" // a row of a Parquet file
	tarScheme   = "tar:"     // a member of a tar file
	httpScheme  = "http:"
	httpsScheme = "https:"
)

var schemes = []string{encoded, rowScheme, tarScheme, httpScheme, httpsScheme}

func hasScheme(name string) bool {
	return slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(name, s) })
}

// EncodeName writes a slash-separated path as valid UTF-8: as it is, where it is
// that already and cannot be taken for another URI, else as "file:" and the path in
// percent-encoding. DecodeName turns it back.
func EncodeName(path string) string {
	if utf8.ValidString(path) && !hasScheme(path) {
		return path
	}
	return encoded + (&url.URL{Path: path}).EscapedPath()
}

// innerURI names a picture inside a file, both in percent-encoding.
func innerURI(scheme, file, inner string) string {
	return scheme + (&url.URL{Path: file}).EscapedPath() + "#" + (&url.URL{Fragment: inner}).EscapedFragment()
}

// containerOf is the file that an innerURI is in.
func containerOf(uri string) (string, error) {
	_, rest, _ := strings.Cut(uri, ":")
	file, _, _ := strings.Cut(rest, "#")
	path, err := url.PathUnescape(file)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", uri, err)
	}
	return path, nil
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
