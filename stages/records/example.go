package records

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// PixelFormat says how a shard holds its pixels.
type PixelFormat string

const (
	// Uint8 is RGB bytes after the resize, H×W×3 row-major. The default.
	Uint8 PixelFormat = "uint8"
	// Float32 is the processor's output: normalised floats, 3×H×W.
	Float32 PixelFormat = "float32"
)

// Valid reports whether f is a format that this package writes.
func (f PixelFormat) Valid() bool { return f == Uint8 || f == Float32 }

// Example is one picture with its captions, ready to train on.
type Example struct {
	// ImageID is the data set's own name for the picture, unique in it.
	ImageID string
	// URI is where the picture was found, relative to the data set's root.
	URI string
	// Split is "train", "validation" or "test".
	Split string
	// Width and Height are those of the source picture, in pixels, after its
	// EXIF orientation was applied.
	Width, Height int
	// ContentHash is the SHA-256 of the source file's bytes, in hex.
	ContentHash string
	// PixelWidth and PixelHeight are those of the stored pixels.
	PixelWidth, PixelHeight int
	// Pixels holds PixelHeight×PixelWidth×3 bytes in a Uint8 shard.
	Pixels []byte
	// Floats holds 3×PixelHeight×PixelWidth values in a Float32 shard.
	Floats []float32
	// Captions are the picture's captions, in the data set's order.
	Captions []string
	// TokenIDs are the ids of each caption, first token and closing [SEP]
	// included, in the same order. Empty where a shard was made without a
	// tokenizer.
	TokenIDs [][]int32
}

// ErrInvalidExample is returned for a row that does not fit its shard.
var ErrInvalidExample = errors.New("invalid example")

// validate reports what keeps e out of a shard of the given format.
func (e *Example) validate(format PixelFormat) error {
	got := len(e.Pixels)
	if format == Float32 {
		got = len(e.Floats)
	}
	switch {
	case e.ImageID == "":
		return fmt.Errorf("%w: no image_id", ErrInvalidExample)
	case e.PixelWidth <= 0 || e.PixelHeight <= 0:
		return fmt.Errorf("%w: %s: %d×%d pixels", ErrInvalidExample, e.ImageID, e.PixelWidth, e.PixelHeight)
	case got != 3*e.PixelWidth*e.PixelHeight:
		return fmt.Errorf("%w: %s: %d %s values for %d×%d×3 pixels", ErrInvalidExample, e.ImageID, got, format, e.PixelHeight, e.PixelWidth)
	case len(e.TokenIDs) != 0 && len(e.TokenIDs) != len(e.Captions):
		return fmt.Errorf("%w: %s: token ids for %d of %d captions", ErrInvalidExample, e.ImageID, len(e.TokenIDs), len(e.Captions))
	}
	return e.validText()
}

// validText keeps bytes that are not UTF-8 out of Parquet's string columns,
// which other readers refuse by the whole file.
func (e *Example) validText() error {
	for _, s := range append([]string{e.ImageID, e.URI, e.Split, e.ContentHash}, e.Captions...) {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%w: %q: text is not UTF-8", ErrInvalidExample, e.ImageID)
		}
	}
	return nil
}

// bytes is about what e occupies in a row group before compression.
func (e *Example) bytes() int64 {
	n := len(e.Pixels) + 4*len(e.Floats) + len(e.ImageID) + len(e.URI) + len(e.Split) + len(e.ContentHash) + 16
	for _, c := range e.Captions {
		n += len(c) + 4
	}
	for _, t := range e.TokenIDs {
		n += 4 * len(t)
	}
	return int64(n)
}
