package imaging

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"
)

// Compressions.
const (
	tiffRaw        = 1
	tiffG3         = 3
	tiffG4         = 4
	tiffLZW        = 5
	tiffJPEG       = 7
	tiffDeflate    = 8
	tiffDeflateOld = 32946
	tiffPackBits   = 32773
)

// unpack returns a block's rows, byte-aligned each, of perPixel samples.
func (f *tiffFile) unpack(b tiffBlock, index, perPixel int) ([]byte, error) {
	stride := (b.w*perPixel*f.bits + 7) / 8
	need := stride * b.h
	packed, err := f.packed(index, stride*b.useH)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch f.compression {
	case tiffRaw:
		return packed, nil
	case tiffLZW:
		r = lzw.NewReader(bytes.NewReader(packed), lzw.MSB, 8)
	case tiffDeflate, tiffDeflateOld:
		if r, err = zlib.NewReader(bytes.NewReader(packed)); err != nil {
			return nil, err
		}
	case tiffPackBits:
		return unpackBits(packed, need)
	case tiffG3, tiffG4:
		return f.fax(packed, b)
	case tiffJPEG:
		return f.jpegPlane(packed, b)
	default:
		return nil, unsupportedf("compression %d", f.compression)
	}
	// Grow with the data, not with what the header claims.
	rows, err := io.ReadAll(io.LimitReader(r, int64(need)))
	if len(rows) < stride*b.useH {
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			err = truncatedf("strip or tile %d", index)
		}
		return nil, err
	}
	// The checksum stands behind the last byte.
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, zlib.ErrChecksum) {
		return nil, err
	}
	return rows, f.undoPredictor(rows, stride, perPixel)
}

// packed returns a block's bytes as stored. Raw data is taken from the offset
// on, whatever the byte count says, as Pillow does.
func (f *tiffFile) packed(index, raw int) ([]byte, error) {
	at, n := int64(f.offsets[index]), int64(raw)
	if f.compression != tiffRaw {
		n = int64(len(f.data)) - at
		if index < len(f.counts) && f.counts[index] != 0 {
			n = int64(f.counts[index])
		}
	}
	if n < 0 || at+n > int64(len(f.data)) {
		return nil, truncatedf("strip or tile %d", index)
	}
	b := f.data[at : at+n]
	if f.uint(tagFillOrder, 1) == 2 && f.compression != tiffJPEG {
		b = bytes.Clone(b)
		for i, v := range b {
			b[i] = bits.Reverse8(v)
		}
	}
	return b, nil
}

// unpackBits undoes Apple's PackBits (TIFF 6.0, section 9).
func unpackBits(src []byte, need int) ([]byte, error) {
	dst := make([]byte, 0, min(need, 64*len(src)))
	for len(dst) < need {
		if len(src) < 2 {
			return nil, truncatedf("PackBits data")
		}
		n := int(int8(src[0]))
		src = src[1:]
		switch {
		case n == -128:
		case n < 0:
			dst = append(dst, bytes.Repeat(src[:1], 1-n)...)
			src = src[1:]
		case n+1 > len(src):
			return nil, truncatedf("PackBits data")
		default:
			dst = append(dst, src[:n+1]...)
			src = src[n+1:]
		}
	}
	return dst[:need], nil
}

func (f *tiffFile) fax(packed []byte, b tiffBlock) ([]byte, error) {
	if f.bits != 1 || f.samples != 1 {
		return nil, unsupportedf("fax coding of %d bits, %d samples", f.bits, f.samples)
	}
	sub := ccitt.Group4
	if f.compression == tiffG3 {
		if f.uint(tagT4Options, 0)&1 != 0 {
			return nil, unsupportedf("two-dimensional fax G3")
		}
		sub = ccitt.Group3
	}
	r := ccitt.NewReader(bytes.NewReader(packed), ccitt.MSB, sub, b.w, b.h, &ccitt.Options{Invert: true})
	rows, err := io.ReadAll(io.LimitReader(r, int64((b.w+7)/8*b.h)))
	switch {
	case len(rows) >= (b.w+7)/8*b.useH:
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, truncatedf("fax data")
	default:
		return nil, unsupportedf("fax data: %v", err)
	}
	return rows, nil
}

// undoPredictor adds up samples that are stored as differences to their left
// neighbours (TIFF 6.0, section 14).
func (f *tiffFile) undoPredictor(rows []byte, stride, perPixel int) error {
	switch {
	case f.predictor == 1:
		return nil
	case f.predictor != 2 || f.bits%8 != 0:
		return unsupportedf("predictor %d at %d bits", f.predictor, f.bits)
	}
	size := f.bits / 8
	back := size * perPixel
	for ; len(rows) >= stride && stride > 0; rows = rows[stride:] {
		row := rows[:stride]
		for i := back; i+size <= stride; i += size {
			switch size {
			case 1:
				row[i] += row[i-back]
			case 2:
				f.order.PutUint16(row[i:], f.order.Uint16(row[i:])+f.order.Uint16(row[i-back:]))
			case 4:
				f.order.PutUint32(row[i:], f.order.Uint32(row[i:])+f.order.Uint32(row[i-back:]))
			}
		}
	}
	return nil
}

// samples8 writes n samples of a row as 8-bit ones, step apart.
func (f *tiffFile) samples8(dst []uint8, src []byte, n, step int) {
	invert := f.photometric == tiffWhiteIsZero
	grey := f.colors == 1 && f.photometric != tiffPalette
	for i := range n {
		var v uint8
		switch f.bits {
		case 8:
			v = src[i]
		case 16:
			v = f.sample16(src[2*i:], grey)
		case 12:
			v = f.sample12(src, i)
		case 32:
			v = f.sample32(src[4*i:])
		default:
			per := 8 / f.bits
			v = src[i/per] >> (8 - f.bits*(i%per+1)) & (1<<f.bits - 1)
			if f.photometric != tiffPalette {
				v *= uint8(255 / (1<<f.bits - 1))
			}
		}
		// Pillow, asked for its clipping, does not invert deep samples.
		if invert && !(f.deep == DeepClip && f.bits > 8) {
			v = ^v
		}
		dst[i*step] = v
	}
}

func (f *tiffFile) sample16(b []byte, grey bool) uint8 {
	v := f.order.Uint16(b)
	switch {
	case f.format == tiffSigned:
		return clip8(int(int16(v)))
	case grey:
		return gray16(v, f.deep)
	}
	return uint8(v >> 8)
}

// sample12 reads the i-th of samples packed three bytes to two.
func (f *tiffFile) sample12(src []byte, i int) uint8 {
	at := i / 2 * 3
	var v uint16
	if i%2 == 0 {
		v = uint16(src[at])<<4 | uint16(src[at+1])>>4
	} else {
		v = uint16(src[at+1]&15)<<8 | uint16(src[at+2])
	}
	if f.deep == DeepClip {
		return gray16(v, DeepClip)
	}
	return uint8(v >> 4)
}

func (f *tiffFile) sample32(b []byte) uint8 {
	v := f.order.Uint32(b)
	switch f.format {
	case tiffFloat:
		return uint8(min(max(math.Float32frombits(v), 0), 255))
	case tiffSigned:
		return clip8(int(int32(v)))
	}
	return clip8(int(int32(v))) // Pillow reads unsigned samples as signed ones
}

// jpegBlock decodes a strip or tile that is a JPEG of all samples.
func (f *tiffFile) jpegBlock(out *RGB, b tiffBlock, index int) error {
	if f.bits != 8 || f.samples != f.colors || f.photometric == tiffPalette {
		return unsupportedf("JPEG of %d samples of %d bits", f.samples, f.bits)
	}
	packed, err := f.packed(index, 0)
	if err != nil {
		return err
	}
	m, err := f.jpegPixels(packed, b, f.samples)
	if err != nil {
		return err
	}
	for y := range b.useH {
		dst := out.row(b.y + y)[3*b.x:]
		copy(dst[:3*b.useW], m.row(y))
		if f.photometric == tiffWhiteIsZero {
			for i := range dst[:3*b.useW] {
				dst[i] = ^dst[i]
			}
		}
	}
	return nil
}

// jpegPlane decodes a block of a single plane.
func (f *tiffFile) jpegPlane(packed []byte, b tiffBlock) ([]byte, error) {
	if f.bits != 8 || f.photometric == tiffYCbCr {
		return nil, unsupportedf("planar JPEG of %d bits, photometric interpretation %d", f.bits, f.photometric)
	}
	m, err := f.jpegPixels(packed, b, 1)
	if err != nil {
		return nil, err
	}
	rows := make([]byte, b.w*b.useH)
	for y := range b.useH {
		for x := range min(b.w, m.W) {
			rows[y*b.w+x] = m.Pix[3*(y*m.W+x)]
		}
	}
	return rows, nil
}

// jpegPixels makes a file of its own out of a block and the shared tables, and
// decodes it. Whether its three components are RGB or YCbCr stands in the TIFF
// and not in the JPEG data, so an Adobe marker is put in to say it.
func (f *tiffFile) jpegPixels(packed []byte, b tiffBlock, components int) (*RGB, error) {
	if len(packed) < 4 || packed[0] != 0xFF || packed[1] != markSOI {
		return nil, corruptf("JPEG strip or tile")
	}
	file := []byte{0xFF, markSOI}
	if components >= 3 {
		transform := byte(0)
		if f.photometric == tiffYCbCr {
			transform = 1
		}
		file = append(file, 0xFF, 0xEE, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform)
	}
	if tables := f.entries[tagJPEGTables].raw; len(tables) > 4 {
		tables = bytes.TrimSuffix(tables[2:], []byte{0xFF, markEOI})
		file = append(file, tables...)
	}
	file = append(file, packed[2:]...)
	h, err := scanJPEG(file)
	if err != nil {
		return nil, err
	}
	if err := f.check(h.width, h.height); err != nil {
		return nil, err
	}
	if h.components != components || h.width < b.useW || h.height < b.useH || h.width > b.w+16 || h.height > b.h+16 {
		return nil, corruptf("JPEG strip or tile of %dx%d and %d components", h.width, h.height, h.components)
	}
	d, err := decodeJPEGPixels(file, h, f.limits, cmykPlain)
	if err != nil {
		return nil, fmt.Errorf("JPEG strip or tile: %w", err)
	}
	return d.rgb, nil
}
