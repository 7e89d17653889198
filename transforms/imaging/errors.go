package imaging

import (
	"errors"
	"fmt"
	"io"
)

// The reasons for which [Decode] refuses a picture. Test with [errors.Is].
var (
	// ErrEmpty: there are no bytes at all.
	ErrEmpty = errors.New("empty file")
	// ErrUnknownFormat: the content is none of the formats read here, for
	// example a text or HTML file that was named .jpg.
	ErrUnknownFormat = errors.New("not a picture in a known format")
	// ErrUnsupported: a picture, but of a kind this package does not read.
	ErrUnsupported = errors.New("unsupported kind of picture")
	// ErrTruncated: the data ends before the picture does.
	ErrTruncated = errors.New("truncated picture")
	// ErrCorrupt: the data contradicts its format.
	ErrCorrupt = errors.New("corrupt picture")
	// ErrTooLarge: more pixels than [DecodeOptions.MaxPixels] allows.
	ErrTooLarge = errors.New("picture too large")
)

var codes = []struct {
	err  error
	code string
}{
	{ErrEmpty, "empty_file"},
	{ErrUnknownFormat, "unknown_format"},
	{ErrUnsupported, "unsupported_picture"},
	{ErrTruncated, "truncated_picture"},
	{ErrTooLarge, "picture_too_large"},
	{ErrCorrupt, "corrupt_picture"},
}

// Code returns the machine-readable word for an error of this package, for the
// `code` field of a dead letter: empty_file, unknown_format,
// unsupported_picture, truncated_picture, picture_too_large or
// corrupt_picture. It returns "" for nil and for errors of other origin.
func Code(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return ""
}

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupportedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func truncatedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTruncated, fmt.Sprintf(format, args...))
}

// classify gives an error of another package the sentinel it belongs to.
func classify(err error) error {
	if err == nil || Code(err) != "" {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
