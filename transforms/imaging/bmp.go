package imaging

import (
	"encoding/binary"
	"math/bits"
)

// BMP compressions.
const (
	bmpRaw       = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpBitFields = 3
)

// bmpFile is the header of a BMP.
type bmpFile struct {
	width, height int
	topDown       bool
	depth         int
	compression   uint32
	masks         [4]uint32 // red, green, blue, alpha
	palette       [256][3]uint8
	pixels        []byte
	offset        int // of pixels in the file
}

// decodeBMP reads 1, 2, 4, 8, 16, 24 and 32 bits a pixel, bit fields, RLE, and
// the headers of OS/2 and of all versions of Windows; x/image/bmp reads fewer.
func decodeBMP(data []byte, l limits) (decoded, error) {
	f, err := parseBMP(data)
	if err != nil {
		return decoded{}, err
	}
	if err := l.check(f.width, f.height); err != nil {
		return decoded{}, err
	}
	if f.compression == bmpRLE8 || f.compression == bmpRLE4 {
		rgb, err := f.runs()
		return decoded{rgb: rgb}, err
	}
	return f.rows(l.wantAlpha)
}

func parseBMP(data []byte) (*bmpFile, error) {
	if len(data) < 18 {
		return nil, truncatedf("header")
	}
	f := &bmpFile{offset: int(binary.LittleEndian.Uint32(data[10:]))}
	size := int(binary.LittleEndian.Uint32(data[14:]))
	switch size {
	case 12, 40, 52, 56, 64, 108, 124:
	default:
		return nil, unsupportedf("header of %d bytes", size)
	}
	if len(data) < 14+size {
		return nil, truncatedf("header")
	}
	head, rest := data[14:14+size], data[14+size:]
	entry, colors := 4, 0
	if size == 12 {
		entry = 3
		f.width, f.height, f.depth = le16(head[4:]), le16(head[6:]), le16(head[10:])
	} else {
		f.width = int(int32(binary.LittleEndian.Uint32(head[4:])))
		f.height = int(int32(binary.LittleEndian.Uint32(head[8:])))
		if f.height < 0 {
			f.height, f.topDown = -f.height, true
		}
		f.depth, f.compression = le16(head[14:]), binary.LittleEndian.Uint32(head[16:])
		colors = int(binary.LittleEndian.Uint32(head[32:]))
	}
	rest, err := f.layout(head, rest)
	if err != nil {
		return nil, err
	}
	if f.depth <= 8 {
		n := f.readPalette(rest, entry, colors)
		// Some writers give the end of the header for the start of the pixels.
		if f.offset == 14+size {
			f.offset += n
		}
	}
	if f.offset == 0 {
		f.offset = len(data) - len(rest)
	}
	if f.offset > len(data) {
		return nil, truncatedf("pixels would begin at byte %d of %d", f.offset, len(data))
	}
	f.pixels = data[f.offset:]
	return f, nil
}

// layout settles where in a pixel its colours lie.
func (f *bmpFile) layout(head, rest []byte) ([]byte, error) {
	switch f.depth {
	case 1, 2, 4, 8, 16, 24, 32:
	default:
		return nil, unsupportedf("%d bits a pixel", f.depth)
	}
	f.masks = [4]uint32{0xFF0000, 0xFF00, 0xFF, 0}
	if f.depth == 16 {
		f.masks = [4]uint32{0x7C00, 0x3E0, 0x1F, 0}
	}
	switch {
	case f.compression == bmpRaw:
	case f.compression == bmpRLE8 && f.depth == 8, f.compression == bmpRLE4 && f.depth == 4:
	case f.compression == bmpBitFields && f.depth >= 16:
		return f.readMasks(head, rest)
	default:
		return nil, unsupportedf("compression %d at %d bits a pixel", f.compression, f.depth)
	}
	return rest, nil
}

func (f *bmpFile) readMasks(head, rest []byte) ([]byte, error) {
	from, n := head[40:], 3
	switch {
	case len(head) >= 56 && len(head) != 64:
		n = 4
	case len(head) < 52 || len(head) == 64:
		// The oldest header has the masks behind it.
		if len(rest) < 12 {
			return nil, truncatedf("colour masks")
		}
		from, rest = rest, rest[12:]
	}
	var masks [4]uint32
	for i := range n {
		masks[i] = binary.LittleEndian.Uint32(from[4*i:])
	}
	if masks == [4]uint32{} {
		masks = [4]uint32{0xFF0000, 0xFF00, 0xFF, 0xFF000000}
	}
	for _, m := range masks {
		if run := m >> bits.TrailingZeros32(m); m != 0 && run&(run+1) != 0 {
			return nil, unsupportedf("colour mask %#x", m)
		}
	}
	if masks[0] == 0 || masks[1] == 0 || masks[2] == 0 {
		return nil, unsupportedf("colour masks %#x", masks)
	}
	f.masks = masks
	return rest, nil
}

// readPalette returns the palette's length in bytes.
func (f *bmpFile) readPalette(b []byte, entry, colors int) int {
	if colors == 0 {
		colors = 1 << f.depth
	}
	for i := range min(colors, len(b)/entry, 256) {
		p := b[entry*i:]
		f.palette[i] = [3]uint8{p[2], p[1], p[0]}
	}
	return min(colors*entry, len(b))
}

// rows reads pixels that are not compressed.
func (f *bmpFile) rows(wantAlpha bool) (decoded, error) {
	stride := (f.width*f.depth + 31) / 32 * 4
	need := (f.width*f.depth + 7) / 8 // the last row may lack its padding
	if have := len(f.pixels); have < need || (have-need)/stride < f.height-1 {
		return decoded{}, truncatedf("%d bytes of pixels, %d rows of %d are needed", have, f.height, stride)
	}
	d := decoded{rgb: NewRGB(f.width, f.height)}
	if wantAlpha && f.masks[3] != 0 && f.depth == 32 {
		d.alpha = make([]uint8, f.width*f.height)
	}
	for y := range f.height {
		at := f.height - 1 - y
		if f.topDown {
			at = y
		}
		src, dst := f.pixels[y*stride:y*stride+need], d.rgb.row(at)
		switch f.depth {
		case 16, 32:
			var a []uint8
			if d.alpha != nil {
				a = d.alpha[at*f.width : (at+1)*f.width]
			}
			f.fieldRow(dst, a, src)
		case 24:
			for i := 0; i < len(dst); i += 3 {
				dst[i], dst[i+1], dst[i+2] = src[i+2], src[i+1], src[i]
			}
		default:
			f.indexRow(dst, src)
		}
	}
	return d, nil
}

func (f *bmpFile) indexRow(dst, src []byte) {
	perByte, mask := 8/f.depth, byte(1<<f.depth-1)
	for x := range f.width {
		shift := 8 - f.depth*(x%perByte+1)
		c := f.palette[src[x/perByte]>>shift&mask]
		copy(dst[3*x:], c[:])
	}
}

func (f *bmpFile) fieldRow(dst, alpha, src []byte) {
	size := f.depth / 8
	var shift, most [4]uint32
	for c, m := range f.masks {
		if m != 0 {
			shift[c] = uint32(bits.TrailingZeros32(m))
			most[c] = m >> shift[c]
		}
	}
	for x := range f.width {
		v := uint32(le16(src[size*x:]))
		if size == 4 {
			v |= uint32(le16(src[size*x+2:])) << 16
		}
		for c := range 3 {
			s := (v & f.masks[c]) >> shift[c]
			dst[3*x+c] = uint8(uint64(s) * 255 / uint64(most[c]))
		}
		if alpha != nil {
			s := (v & f.masks[3]) >> shift[3]
			alpha[x] = uint8(uint64(s) * 255 / uint64(most[3]))
		}
	}
}
