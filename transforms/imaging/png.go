package imaging

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"image/png"
	"io"
)

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// maxTextChunk bounds what a compressed text chunk may unpack to.
	maxTextChunk = 1 << 20
)

// pngPalette is the colour type of indexed pictures.
const pngPalette = 3

type pngChunk struct {
	kind string
	data []byte
}

// pngFile is a PNG taken apart.
type pngFile struct {
	width, height int
	depth, color  byte
	interlaced    bool
	// header, palette and transparency are the chunks that give pixel data its
	// meaning; data is nil for those the file lacks.
	header, palette, transparency pngChunk
	pixels                        []pngChunk
	// cut says that the file ends within its pixel data.
	cut  bool
	meta metadata
}

// decodePNG reads the picture with image/png. It hands that package the chunks
// which make the still picture and no others, under fresh checksums: Pillow
// does not mind a wrong checksum over pixel data, a missing end, a stray
// palette or transparency of an odd length, and image/png does. Of an APNG
// this leaves the default picture, which is frame 0 in Pillow too.
func decodePNG(data []byte, l limits) (decoded, error) {
	f, err := splitPNG(data, l)
	if err != nil {
		return decoded{}, err
	}
	if f.cut {
		// The end of the compressed data may be missing while the pixels are all
		// there.
		f.repack()
	}
	img, err := png.Decode(f.reader(l.wantAlpha))
	if err != nil && f.cut {
		return decoded{}, truncatedf("pixel data ends early")
	}
	if err != nil {
		return decoded{}, err
	}
	d := decoded{orientation: f.meta.orientation()}
	d.rgb, d.alpha = fromImage(img, l)
	return d, nil
}

// splitPNG cuts the file into its chunks. What comes behind the pixel data may
// be damaged or missing.
func splitPNG(data []byte, l limits) (*pngFile, error) {
	f := &pngFile{cut: true}
	rest := data[len(pngMagic):]
	for len(rest) >= 8 {
		n, kind := int64(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		rest = rest[8:]
		c := pngChunk{kind, rest[:min(n, int64(len(rest)))]}
		short := int64(len(c.data)) < n
		rest = rest[len(c.data):]
		sum := rest[:min(4, len(rest))]
		rest = rest[len(sum):]
		if kind == "IDAT" && f.cut {
			f.pixels = append(f.pixels, c)
			continue
		}
		behind := len(f.pixels) > 0
		if behind {
			f.cut = false // pixel data is one run of chunks
		}
		if kind == "IEND" || short && behind {
			break
		}
		if short || len(sum) < 4 && !behind {
			return nil, truncatedf("%s chunk", kind)
		}
		if err := f.take(c, sum, l); err != nil {
			return nil, err
		}
	}
	switch {
	case f.header.data == nil:
		return nil, truncatedf("no header")
	case len(f.pixels) == 0:
		return nil, truncatedf("no pixel data")
	}
	return f, nil
}

// take looks at one chunk other than pixel data.
func (f *pngFile) take(c pngChunk, sum []byte, l limits) error {
	if f.header.data == nil && c.kind != "IHDR" {
		return corruptf("%q chunk before the header", c.kind)
	}
	to := map[string]*pngChunk{"IHDR": &f.header, "PLTE": &f.palette, "tRNS": &f.transparency}[c.kind]
	if to != nil && len(f.pixels) == 0 { // too late behind the pixel data
		if c.sum() != binary.BigEndian.Uint32(sum) {
			return corruptf("checksum of the %s chunk", c.kind)
		}
		*to = c
		if to == &f.header {
			return f.readHeader(l)
		}
	}
	switch c.kind {
	case "eXIf":
		f.meta.exif = c.data
	case "tEXt", "zTXt", "iTXt":
		f.text(c.kind, c.data)
	}
	return nil
}

func (f *pngFile) readHeader(l limits) error {
	b := f.header.data
	if len(b) < 13 {
		return truncatedf("header")
	}
	f.header.data = b[:13]
	w, h := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	f.width, f.height = int(w), int(h)
	f.depth, f.color, f.interlaced = b[8], b[9], b[12] != 0
	return l.check(f.width, f.height)
}

// repack unpacks the pixel data as far as it goes, though no further than the
// picture needs, and wraps it up again with its checksum.
func (f *pngFile) repack() {
	var parts []io.Reader
	for _, c := range f.pixels {
		parts = append(parts, bytes.NewReader(c.data))
	}
	packed := io.MultiReader(parts...)
	var head [2]byte
	if _, err := io.ReadFull(packed, head[:]); err != nil {
		return
	}
	rows, _ := io.ReadAll(io.LimitReader(flate.NewReader(packed), f.size())) // as far as it goes
	var out bytes.Buffer
	z, err := zlib.NewWriterLevel(&out, zlib.NoCompression)
	if err != nil {
		return
	}
	if _, err := z.Write(rows); err == nil && z.Close() == nil {
		f.pixels = []pngChunk{{"IDAT", out.Bytes()}}
	}
}

// size is the length of the pixel data, unpacked: rows with a byte for their
// filter, in seven passes if interlaced (PNG specification, section 8.2).
func (f *pngFile) size() int64 {
	bits := int64(f.depth) * map[byte]int64{0: 1, 2: 3, pngPalette: 1, 4: 2, 6: 4}[f.color]
	passes := [][4]int{{0, 0, 1, 1}}
	if f.interlaced {
		passes = [][4]int{
			{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
		}
	}
	total := int64(0)
	for _, p := range passes {
		w, h := max(ceilDiv(f.width-p[0], p[2]), 0), max(ceilDiv(f.height-p[1], p[3]), 0)
		if w > 0 {
			total += int64(h) * (1 + (int64(w)*bits+7)/8)
		}
	}
	return total
}

// text looks for XMP and for the hexadecimal EXIF that ImageMagick writes.
func (f *pngFile) text(kind string, body []byte) {
	key, value, _ := bytes.Cut(body, []byte{0})
	xmp, raw := string(key) == "XML:com.adobe.xmp", string(key) == "Raw profile type exif"
	if !xmp && !raw {
		return
	}
	switch {
	case kind == "zTXt" && len(value) > 0 && value[0] == 0:
		value = inflateText(value[1:])
	case kind == "iTXt" && len(value) >= 2:
		packed := value[0] != 0
		parts := bytes.SplitN(value[2:], []byte{0}, 3)
		if len(parts) < 3 {
			return
		}
		if value = parts[2]; packed {
			value = inflateText(value)
		}
	case kind == "tEXt":
	default:
		return
	}
	if xmp {
		f.meta.xmp = value
	} else if f.meta.exif == nil {
		f.meta.exif = rawProfile(value)
	}
}

func inflateText(packed []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(r, maxTextChunk))
	if err != nil {
		return nil
	}
	return text
}

// rawProfile decodes "\nexif\n<length>\n<hexadecimal lines>".
func rawProfile(text []byte) []byte {
	lines := bytes.Split(text, []byte{'\n'})
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.Join(lines[3:], nil)
	out := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(out, digits); err != nil {
		return nil
	}
	return out
}

// reader strings the chunks that make the picture together again.
func (f *pngFile) reader(wantAlpha bool) io.Reader {
	chunks := []pngChunk{f.header}
	if f.color == pngPalette {
		chunks = append(chunks, f.palette)
	}
	most := map[byte]int{0: 2, 2: 6, pngPalette: 256}[f.color]
	if b := f.transparency.data; wantAlpha && b != nil && most > 0 {
		if f.color == pngPalette {
			most = len(f.palette.data) / 3
		}
		chunks = append(chunks, pngChunk{"tRNS", b[:min(len(b), most)]})
	}
	chunks = append(append(chunks, f.pixels...), pngChunk{kind: "IEND"})
	parts := []io.Reader{bytes.NewReader([]byte(pngMagic))}
	for _, c := range chunks {
		parts = append(parts,
			bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(c.data))), c.kind...)),
			bytes.NewReader(c.data),
			bytes.NewReader(binary.BigEndian.AppendUint32(nil, c.sum())))
	}
	return io.MultiReader(parts...)
}

func (c pngChunk) sum() uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(c.kind)), crc32.IEEETable, c.data)
}
