package imaging

import (
	"bytes"
	"fmt"
)

// DefaultMaxPixels is the largest picture that [Decode] reads unless told
// otherwise: twice the pixels of a quarter gigabyte of RGB, the number at
// which Pillow raises its decompression bomb error.
const DefaultMaxPixels = 178_956_970

// Deep chooses what becomes of grey samples of more than 8 bits.
type Deep int

const (
	// DeepScale keeps the high byte, so that 65535 becomes 255.
	DeepScale Deep = iota
	// DeepClip keeps values up to 255 and makes all above white, as Pillow's
	// convert("RGB") does.
	DeepClip
)

// DecodeOptions change what [Decode] does. The zero value reads a picture as a
// person would see it.
type DecodeOptions struct {
	// MaxPixels is the largest allowed width times height; 0 means
	// DefaultMaxPixels, a negative number means no limit.
	MaxPixels int64
	// IgnoreEXIF leaves the picture as it is stored, for strict parity with
	// scripts that do not call exif_transpose. TIFF is oriented all the same,
	// since Pillow orients it on opening.
	IgnoreEXIF bool
	// Background is laid under transparent pixels. Nil drops the alpha channel
	// and keeps the colour stored under it, as convert("RGB") does.
	Background *[3]uint8
	// Deep chooses the conversion of 16-bit grey.
	Deep Deep
	// JPEG chooses the decoder of JPEG data.
	JPEG JPEGDecoder
}

// Info says what was decoded.
type Info struct {
	// Format is jpeg, png, gif, webp, bmp or tiff.
	Format string
	// Width and Height are those of the picture as stored, before it is turned
	// by its EXIF orientation.
	Width, Height int
	// Orientation is the orientation found in the file, 1 to 8, and 1 if there
	// is none. It is reported even where it is ignored.
	Orientation int
	// Decoder is libjpeg-turbo or go.
	Decoder string
}

// decoded is what a format's reader hands back.
type decoded struct {
	rgb *RGB
	// alpha is nil for an opaque picture and where no background was asked for.
	alpha []uint8
	// orientation is 0 if the file names none.
	orientation int
	// alwaysOrient is set by formats whose orientation is part of their pixels.
	alwaysOrient bool
	// decoder is "" for decoders in Go.
	decoder string
}

// limits carries the options that readers need.
type limits struct {
	maxPixels int64
	wantAlpha bool
	deep      Deep
	jpeg      JPEGDecoder
}

// check refuses a size before anything of that size is allocated.
func (l limits) check(w, h int) error {
	if w <= 0 || h <= 0 {
		return corruptf("size of %dx%d pixels", w, h)
	}
	if l.maxPixels > 0 && (int64(w) > l.maxPixels || int64(h) > l.maxPixels/int64(w)) {
		return fmt.Errorf("%w: %dx%d pixels, at most %d are allowed", ErrTooLarge, w, h, l.maxPixels)
	}
	// Even without a cap the size in bytes, at 8 bytes a pixel, must be a
	// number that can be allocated.
	const maxArea = 1 << 40
	if int64(h) > maxArea/int64(w) {
		return fmt.Errorf("%w: %dx%d pixels", ErrTooLarge, w, h)
	}
	return nil
}

type format struct {
	name string
	// match tests the first bytes of a file.
	match  func([]byte) bool
	decode func([]byte, limits) (decoded, error)
}

var formats = []format{
	{"jpeg", hasPrefix("\xff\xd8\xff"), decodeJPEG},
	{"png", hasPrefix("\x89PNG\r\n\x1a\n"), decodePNG},
	{"gif", hasPrefix("GIF87a", "GIF89a"), decodeGIF},
	{"webp", isWebP, decodeWebP},
	{"bmp", hasPrefix("BM"), decodeBMP},
	{"tiff", hasPrefix("II*\x00", "MM\x00*", "MM*\x00", "II\x00*"), decodeTIFF},
}

// foreign lists formats that are pictures but are not read, so that the error
// can name them.
var foreign = []struct {
	name  string
	match func([]byte) bool
}{
	{"BigTIFF", hasPrefix("II+\x00", "MM\x00+")},
	{"AVIF", isoBrand("avif", "avis")},
	{"HEIC", isoBrand("heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1")},
	{"JPEG XL", hasPrefix("\xff\x0a", "\x00\x00\x00\x0cJXL \r\n\x87\n")},
	{"JPEG 2000", hasPrefix("\x00\x00\x00\x0cjP  \r\n\x87\n", "\xff\x4f\xff\x51")},
	{"Photoshop", hasPrefix("8BPS")},
	{"icon", hasPrefix("\x00\x00\x01\x00")},
	{"QOI", hasPrefix("qoif")},
	{"PDF", hasPrefix("%PDF-")},
	{"SVG", isSVG},
}

func hasPrefix(prefixes ...string) func([]byte) bool {
	return func(b []byte) bool {
		for _, p := range prefixes {
			if len(b) >= len(p) && string(b[:len(p)]) == p {
				return true
			}
		}
		return false
	}
}

func isoBrand(brands ...string) func([]byte) bool {
	return func(b []byte) bool {
		if len(b) < 12 || string(b[4:8]) != "ftyp" {
			return false
		}
		for _, brand := range brands {
			if string(b[8:12]) == brand {
				return true
			}
		}
		return false
	}
}

func isSVG(b []byte) bool {
	return bytes.Contains(b[:min(len(b), 1024)], []byte("<svg"))
}

// Sniff returns the name of the format that data begins as, "" if it is none
// that [Decode] reads.
func Sniff(data []byte) string {
	if f := sniff(data); f != nil {
		return f.name
	}
	return ""
}

func sniff(data []byte) *format {
	for i := range formats {
		if formats[i].match(data) {
			return &formats[i]
		}
	}
	return nil
}

// Decode reads a picture as 8-bit RGB. The format is found from the content.
// The size is read and held against the limit before any pixel is; a panic of
// a decoder comes back as an error. The returned picture is upright (see
// [DecodeOptions.IgnoreEXIF]).
//
// The error wraps one of [ErrEmpty], [ErrUnknownFormat], [ErrUnsupported],
// [ErrTruncated], [ErrCorrupt] and [ErrTooLarge]. Info's Format is filled in
// on errors too, as far as it is known.
func Decode(data []byte, o DecodeOptions) (rgb *RGB, info Info, err error) {
	if len(data) == 0 {
		return nil, info, ErrEmpty
	}
	f := sniff(data)
	if f == nil {
		return nil, info, unknown(data)
	}
	info.Format = f.name
	defer func() {
		if p := recover(); p != nil {
			rgb, err = nil, fmt.Errorf("decode %s: %w: decoder panic: %v", f.name, ErrCorrupt, p)
		}
	}()
	d, err := f.decode(data, o.limits())
	if err != nil {
		return nil, info, fmt.Errorf("decode %s: %w", f.name, classify(err))
	}
	info.Width, info.Height = d.rgb.W, d.rgb.H
	info.Orientation = max(d.orientation, 1)
	info.Decoder = d.decoder
	if info.Decoder == "" {
		info.Decoder = decoderGo
	}
	if d.alpha != nil && o.Background != nil {
		composite(d.rgb, d.alpha, *o.Background)
	}
	if !o.IgnoreEXIF || d.alwaysOrient {
		d.rgb = Orient(d.rgb, info.Orientation)
	}
	return d.rgb, info, nil
}

func (o DecodeOptions) limits() limits {
	l := limits{maxPixels: o.MaxPixels, wantAlpha: o.Background != nil, deep: o.Deep, jpeg: o.JPEG}
	if l.maxPixels == 0 {
		l.maxPixels = DefaultMaxPixels
	}
	return l
}

func unknown(data []byte) error {
	for _, f := range foreign {
		if f.match(data) {
			return unsupportedf("%s is not read, convert it to PNG or JPEG", f.name)
		}
	}
	return fmt.Errorf("%w (it begins with %q)", ErrUnknownFormat, data[:min(len(data), 16)])
}
