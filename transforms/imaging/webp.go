package imaging

import (
	"bytes"
	"encoding/binary"
	"image"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
	"golang.org/x/image/webp"
)

func isWebP(b []byte) bool {
	return len(b) >= 16 && string(b[:4]) == "RIFF" && string(b[8:15]) == "WEBPVP8"
}

// webpFile is the first frame of a WebP and what stands around it.
type webpFile struct {
	width, height int // of the canvas, 0 if there is no extended header
	x, y, w, h    int // of an animation's frame; w is 0 for a still
	alpha         []byte
	kind          string // VP8 or VP8L with its padding, as stored
	pixels        []byte
	meta          metadata
}

// decodeWebP reads a still picture or the first frame of an animation on its
// canvas. x/image does the decoding proper; this package walks the container,
// since x/image/webp knows no animation, and converts colours itself, since
// x/image hands out planes as full-range YCbCr that are not (golang/go#40173).
func decodeWebP(data []byte, l limits) (decoded, error) {
	f, err := parseWebP(data)
	if err != nil {
		return decoded{}, err
	}
	if f.width > 0 {
		if err := l.check(f.width, f.height); err != nil {
			return decoded{}, err
		}
	}
	d, err := f.frame(l)
	if err != nil {
		return decoded{}, err
	}
	if f.width > 0 && f.w == 0 && (d.rgb.W != f.width || d.rgb.H != f.height) {
		return decoded{}, corruptf("canvas of %dx%d, picture of %dx%d", f.width, f.height, d.rgb.W, d.rgb.H)
	}
	if f.w > 0 {
		if d, err = f.onCanvas(d, l); err != nil {
			return decoded{}, err
		}
	}
	d.orientation = f.meta.orientation()
	return d, nil
}

// riffChunk cuts the first chunk off b.
func riffChunk(b []byte) (kind string, body, rest []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, truncatedf("chunk header")
	}
	kind, n := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
	b = b[8:]
	if n > int64(len(b)) {
		return "", nil, nil, truncatedf("chunk %q", kind)
	}
	// Chunks are padded to even lengths; the last one may lack its padding.
	return kind, b[:n], b[min(n+n&1, int64(len(b))):], nil
}

func parseWebP(data []byte) (*webpFile, error) {
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	if size+8 > int64(len(data)) {
		return nil, truncatedf("%d bytes of %d", len(data), size+8)
	}
	f := &webpFile{}
	rest := data[12 : 8+max(size, 4)]
	for len(rest) > 0 {
		kind, body, next, err := riffChunk(rest)
		if err != nil {
			if f.pixels != nil {
				break // the picture is whole, what follows is not needed
			}
			return nil, err
		}
		rest = next
		if err := f.chunk(kind, body); err != nil {
			return nil, err
		}
	}
	if f.pixels == nil {
		return nil, truncatedf("no picture chunk")
	}
	return f, nil
}

func (f *webpFile) chunk(kind string, body []byte) error {
	switch kind {
	case "VP8X":
		if len(body) < 10 {
			return corruptf("extended header of %d bytes", len(body))
		}
		f.width, f.height = le24(body[4:])+1, le24(body[7:])+1
	case "ANMF":
		if f.pixels == nil {
			return f.animationFrame(body)
		}
	case "ALPH":
		if f.pixels == nil {
			f.alpha = body
		}
	case "VP8 ", "VP8L":
		if f.pixels == nil {
			f.kind, f.pixels = kind, body
		}
	case "EXIF":
		f.meta.exif = body
	case "XMP ":
		f.meta.xmp = body
	}
	return nil
}

func (f *webpFile) animationFrame(body []byte) error {
	if len(body) < 16 {
		return corruptf("frame header of %d bytes", len(body))
	}
	f.x, f.y = 2*le24(body), 2*le24(body[3:])
	f.w, f.h = le24(body[6:])+1, le24(body[9:])+1
	if f.x+f.w > f.width || f.y+f.h > f.height {
		return corruptf("frame reaches over the canvas")
	}
	for rest := body[16:]; len(rest) > 0 && f.pixels == nil; {
		kind, chunk, next, err := riffChunk(rest)
		if err != nil {
			return err
		}
		if kind != "ANMF" {
			if err := f.chunk(kind, chunk); err != nil {
				return err
			}
		}
		rest = next
	}
	return nil
}

// frame decodes the frame's pixels.
func (f *webpFile) frame(l limits) (decoded, error) {
	if f.kind == "VP8L" {
		return f.lossless(l)
	}
	dec := vp8.NewDecoder()
	dec.Init(bytes.NewReader(f.pixels), len(f.pixels))
	head, err := dec.DecodeFrameHeader()
	if err != nil {
		return decoded{}, err
	}
	if err := l.check(head.Width, head.Height); err != nil {
		return decoded{}, err
	}
	planes, err := dec.DecodeFrame()
	if err != nil {
		return decoded{}, err
	}
	d := decoded{rgb: yuvToRGB(planes)}
	if l.wantAlpha && f.alpha != nil {
		d.alpha, err = f.alphaPlane(d.rgb.W, d.rgb.H)
	}
	return d, err
}

func (f *webpFile) lossless(l limits) (decoded, error) {
	c, err := vp8l.DecodeConfig(bytes.NewReader(f.pixels))
	if err != nil {
		return decoded{}, err
	}
	if err := l.check(c.Width, c.Height); err != nil {
		return decoded{}, err
	}
	img, err := vp8l.Decode(bytes.NewReader(f.pixels))
	if err != nil {
		return decoded{}, err
	}
	var d decoded
	d.rgb, d.alpha = fromImage(img, l)
	return d, nil
}

// alphaPlane has x/image/webp decode the alpha chunk. That package keeps its
// alpha decoder to itself, so the frame goes in as a still of its own.
func (f *webpFile) alphaPlane(w, h int) ([]uint8, error) {
	head := make([]byte, 10)
	head[0] = 1 << 4 // has alpha
	put24(head[4:], w-1)
	put24(head[7:], h-1)
	file := []byte("RIFF\x00\x00\x00\x00WEBP")
	file = appendChunk(file, "VP8X", head)
	file = appendChunk(file, "ALPH", f.alpha)
	file = appendChunk(file, f.kind, f.pixels)
	binary.LittleEndian.PutUint32(file[4:], uint32(len(file)-8))
	img, err := webp.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	m, ok := img.(*image.NYCbCrA)
	if !ok {
		return nil, corruptf("alpha chunk")
	}
	alpha := make([]uint8, 0, w*h)
	for y := range h {
		alpha = append(alpha, m.A[y*m.AStride:y*m.AStride+w]...)
	}
	return alpha, nil
}

// onCanvas lays an animation's first frame onto the empty canvas: black, and
// transparent where transparency matters.
func (f *webpFile) onCanvas(d decoded, l limits) (decoded, error) {
	if d.rgb.W != f.w || d.rgb.H != f.h {
		return decoded{}, corruptf("frame of %dx%d, picture of %dx%d", f.w, f.h, d.rgb.W, d.rgb.H)
	}
	if f.w == f.width && f.h == f.height {
		return d, nil
	}
	out := decoded{rgb: NewRGB(f.width, f.height)}
	if l.wantAlpha {
		out.alpha = make([]uint8, f.width*f.height)
	}
	for y := range f.h {
		at := (f.y+y)*f.width + f.x
		copy(out.rgb.Pix[3*at:], d.rgb.row(y))
		if out.alpha == nil {
			continue
		}
		row := out.alpha[at : at+f.w]
		if d.alpha != nil {
			copy(row, d.alpha[y*f.w:])
			continue
		}
		for i := range row {
			row[i] = 255
		}
	}
	return out, nil
}

func appendChunk(b []byte, kind string, body []byte) []byte {
	b = append(b, kind...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 != 0 {
		b = append(b, 0)
	}
	return b
}

func le24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func put24(b []byte, v int) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }
