package imaging

import (
	"bytes"
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

// PNG colour types.
const (
	pngPalette = 3
)

type pngChunk struct {
	kind string
	data []byte
}

// pngFile is a PNG taken apart.
type pngFile struct {
	width, height int
	depth, color  byte
	// keep holds the chunks that make the picture, in their order.
	keep []pngChunk
	meta metadata
	// cut says that the data ended inside or before the pixel data's last chunk.
	cut bool
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
	img, err := png.Decode(f.reader(l.wantAlpha))
	if err != nil {
		if f.cut {
			return decoded{}, truncatedf("pixel data ends early")
		}
		return decoded{}, err
	}
	d := decoded{orientation: f.meta.orientation()}
	d.rgb, d.alpha = fromImage(img, l)
	return d, nil
}

func splitPNG(data []byte, l limits) (*pngFile, error) {
	f := &pngFile{}
	rest := data[len(pngMagic):]
	inData, done := false, false
	for len(rest) >= 8 {
		n, kind := int64(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		rest = rest[8:]
		body := rest[:min(n, int64(len(rest)))]
		short := int64(len(body)) < n
		rest = rest[min(n+4, int64(len(rest))):]
		if f.depth == 0 && kind != "IHDR" {
			return nil, corruptf("no header chunk")
		}
		isData := kind == "IDAT"
		if inData && !isData {
			done = true // pixel data is one run of chunks
		}
		switch {
		case kind == "IEND":
			f.cut = !inData
			return f, nil
		case short && !isData && !done:
			return nil, truncatedf("%s chunk", kind)
		case short && !isData:
			return f, nil
		case isData && !done:
			inData = true
			f.cut = short
			f.keep = append(f.keep, pngChunk{kind, body})
		case isData:
		default:
			if err := f.take(kind, body, l); err != nil {
				return nil, err
			}
		}
	}
	f.cut = f.cut || !done
	return f, nil
}

// take looks at one chunk other than pixel data.
func (f *pngFile) take(kind string, body []byte, l limits) error {
	switch kind {
	case "IHDR":
		if len(body) < 13 {
			return truncatedf("header chunk")
		}
		if f.depth != 0 {
			return corruptf("two header chunks")
		}
		f.width, f.height = int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:]))
		f.depth, f.color = body[8], body[9]
		if f.depth == 0 {
			return corruptf("bit depth 0")
		}
		f.keep = append(f.keep, pngChunk{kind, body[:13]})
		return l.check(f.width, f.height)
	case "PLTE":
		if f.color == pngPalette {
			f.keep = append(f.keep, pngChunk{kind, body})
		}
	case "tRNS":
		f.keep = append(f.keep, pngChunk{kind, body})
	case "eXIf":
		f.meta.exif = body
	case "tEXt", "zTXt", "iTXt":
		f.text(kind, body)
	}
	return nil
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

// reader strings the kept chunks together again.
func (f *pngFile) reader(wantAlpha bool) io.Reader {
	parts := []io.Reader{bytes.NewReader([]byte(pngMagic))}
	for _, c := range f.keep {
		if c.kind == "tRNS" {
			if !wantAlpha {
				continue
			}
			c.data = f.transparency(c.data)
		}
		parts = append(parts, chunkReader(c)...)
	}
	return io.MultiReader(append(parts, chunkReader(pngChunk{kind: "IEND"})...)...)
}

// transparency cuts a tRNS chunk to the length that its colour type allows.
func (f *pngFile) transparency(b []byte) []byte {
	most := map[byte]int{0: 2, 2: 6, pngPalette: 256}[f.color]
	return b[:min(len(b), most)]
}

func chunkReader(c pngChunk) []io.Reader {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(c.data)))
	head = append(head, c.kind...)
	sum := crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, c.data)
	return []io.Reader{
		bytes.NewReader(head), bytes.NewReader(c.data),
		bytes.NewReader(binary.BigEndian.AppendUint32(nil, sum)),
	}
}
