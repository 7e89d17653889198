package imaging

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"io"
)

// gifFrame is the first frame of a GIF and what stands before it.
type gifFrame struct {
	width, height int // of the canvas
	palette       []uint8
	transparent   int // index, or -1
	x, y, w, h    int
	interlaced    bool
	codeSize      int
	data          []byte // sub-blocks
}

// decodeGIF reads the first frame onto its full canvas. image/gif is not used:
// it drops the canvas, replaces the colour of the transparent index, and
// refuses frames that reach over the canvas and indices beyond the palette,
// all of which are found in the wild and read by Pillow.
func decodeGIF(data []byte, l limits) (decoded, error) {
	f, err := parseGIF(data)
	if err != nil {
		return decoded{}, err
	}
	if err := l.check(f.width, f.height); err != nil {
		return decoded{}, err
	}
	if f.w == 0 || f.h == 0 {
		return decoded{}, corruptf("empty frame")
	}
	index := make([]uint8, f.width*f.height)
	if f.transparent > 0 {
		for i := range index {
			index[i] = uint8(f.transparent)
		}
	}
	if err := f.draw(index); err != nil {
		return decoded{}, err
	}
	return f.colour(index, l.wantAlpha), nil
}

func parseGIF(data []byte) (*gifFrame, error) {
	r := gifReader{data: data[6:]}
	screen := r.take(7)
	f := &gifFrame{transparent: -1}
	f.width, f.height = le16(screen), le16(screen[2:])
	if screen[4]&0x80 != 0 {
		f.palette = r.take(6 << (screen[4] & 7))
	}
	for !r.short {
		switch r.take(1)[0] {
		case '!':
			f.extension(&r)
		case ',':
			f.frame(&r)
			if r.short {
				break
			}
			return f, nil
		case ';':
			return nil, corruptf("no frame")
		}
	}
	return nil, truncatedf("no frame")
}

// extension skips an extension and keeps the transparent index.
func (f *gifFrame) extension(r *gifReader) {
	label := r.take(1)[0]
	block := r.block()
	if label == 0xF9 && len(block) >= 4 && block[0]&1 != 0 {
		f.transparent = int(block[3])
	}
	for len(block) > 0 {
		block = r.block()
	}
}

func (f *gifFrame) frame(r *gifReader) {
	b := r.take(9)
	f.x, f.y, f.w, f.h = le16(b), le16(b[2:]), le16(b[4:]), le16(b[6:])
	f.width, f.height = max(f.width, f.x+f.w), max(f.height, f.y+f.h)
	f.interlaced = b[8]&0x40 != 0
	if b[8]&0x80 != 0 {
		f.palette = r.take(6 << (b[8] & 7))
	}
	f.codeSize = int(r.take(1)[0])
	f.data = r.data
}

// draw unpacks the frame's indices into the canvas.
func (f *gifFrame) draw(canvas []uint8) error {
	if f.codeSize < 2 || f.codeSize > 8 {
		return unsupportedf("LZW code size %d", f.codeSize)
	}
	z := lzw.NewReader(&blockReader{rest: f.data}, lzw.LSB, f.codeSize)
	defer func() { _ = z.Close() }() // it has no error to give
	for y := range f.rows() {
		at := (f.y+y)*f.width + f.x
		if _, err := io.ReadFull(z, canvas[at:at+f.w]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return truncatedf("frame ends at row %d of %d", y, f.h)
			}
			return err
		}
	}
	return nil
}

// rows yields the frame's rows in the order in which they are stored.
func (f *gifFrame) rows() func(func(int) bool) {
	passes := [][2]int{{0, 1}}
	if f.interlaced {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	return func(yield func(int) bool) {
		for _, p := range passes {
			for y := p[0]; y < f.h; y += p[1] {
				if !yield(y) {
					return
				}
			}
		}
	}
}

func (f *gifFrame) colour(index []uint8, wantAlpha bool) decoded {
	d := decoded{rgb: &RGB{W: f.width, H: f.height, Pix: make([]uint8, 3*len(index))}}
	var table [256 * 3]uint8
	for i := range table {
		table[i] = uint8(i / 3)
	}
	// Indices beyond the palette are black, but grey if the palette says no
	// more than "index is brightness".
	if !bytes.Equal(f.palette, table[:len(f.palette)]) {
		clear(table[copy(table[:], f.palette):])
	}
	for i, v := range index {
		copy(d.rgb.Pix[3*i:3*i+3], table[3*int(v):])
	}
	if wantAlpha && f.transparent >= 0 {
		d.alpha = make([]uint8, len(index))
		for i, v := range index {
			if int(v) != f.transparent {
				d.alpha[i] = 255
			}
		}
	}
	return d
}

// gifReader hands out bytes, and zeros once the data has run out.
type gifReader struct {
	data  []byte
	short bool
}

func (r *gifReader) take(n int) []byte {
	if n > len(r.data) {
		r.short, r.data = true, nil
		return make([]byte, n)
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

// block reads one sub-block, empty at the end of a run of them.
func (r *gifReader) block() []byte {
	return r.take(int(r.take(1)[0]))
}

// blockReader strips the lengths off a run of sub-blocks.
type blockReader struct {
	rest  []byte
	block []byte
}

func (r *blockReader) next() error {
	for len(r.block) == 0 {
		if len(r.rest) == 0 || r.rest[0] == 0 || len(r.rest) <= int(r.rest[0]) {
			return io.EOF
		}
		n := int(r.rest[0])
		r.block, r.rest = r.rest[1:1+n], r.rest[1+n:]
	}
	return nil
}

func (r *blockReader) Read(p []byte) (int, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}

func (r *blockReader) ReadByte() (byte, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	b := r.block[0]
	r.block = r.block[1:]
	return b, nil
}

func le16(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }
