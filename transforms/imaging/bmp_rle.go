package imaging

// bmpRuns unpacks run-length coded pixels (RLE4 and RLE8).
type bmpRuns struct {
	index         []uint8 // rows in stored order
	width, height int
	x, y          int
}

func (r *bmpRuns) put(v uint8) {
	if r.x < r.width && r.y < r.height {
		r.index[r.y*r.width+r.x] = v
	}
	r.x++
}

// runs decodes the pixels of a run-length coded file. Pixels that the file
// skips have index 0; Pillow refuses files that end before their last pixel,
// though the format allows it.
func (f *bmpFile) runs() (*RGB, error) {
	r := &bmpRuns{index: make([]uint8, f.width*f.height), width: f.width, height: f.height}
	if !r.decode(f.pixels, f.offset, f.compression == bmpRLE4) {
		return nil, truncatedf("run-length data ends at row %d of %d", r.y, r.height)
	}
	out := NewRGB(f.width, f.height)
	for y := range f.height {
		at := f.height - 1 - y
		if f.topDown {
			at = y
		}
		dst := out.row(at)
		for x, v := range r.index[y*f.width : (y+1)*f.width] {
			copy(dst[3*x:3*x+3], f.palette[v][:])
		}
	}
	return out, nil
}

// decode reports whether the data reached its end mark or filled the picture.
// offset is where b lies in its file.
func (r *bmpRuns) decode(b []byte, offset int, nibbles bool) bool {
	at := 0
	for at+2 <= len(b) {
		if r.y >= r.height || (r.y == r.height-1 && r.x >= r.width) {
			return true
		}
		n, v := int(b[at]), b[at+1]
		at += 2
		switch {
		case n > 0:
			r.run(n, v, nibbles)
		case v == 0: // end of line
			r.x, r.y = 0, r.y+1
		case v == 1: // end of picture
			return true
		case v == 2: // move
			if at+2 > len(b) {
				return false
			}
			r.x, r.y = r.x+int(b[at]), r.y+int(b[at+1])
			at += 2
		default:
			used := r.literal(b[at:], int(v), nibbles)
			if used < 0 {
				return false
			}
			at += used
			at += (offset + at) & 1
		}
	}
	return r.y >= r.height || (r.y == r.height-1 && r.x >= r.width)
}

func (r *bmpRuns) run(n int, v uint8, nibbles bool) {
	for i := range n {
		switch {
		case !nibbles:
			r.put(v)
		case i%2 == 0:
			r.put(v >> 4)
		default:
			r.put(v & 15)
		}
	}
}

// literal reads n indices and returns the bytes they took, -1 if there are not
// enough.
func (r *bmpRuns) literal(b []byte, n int, nibbles bool) int {
	if !nibbles {
		if n > len(b) {
			return -1
		}
		for _, v := range b[:n] {
			r.put(v)
		}
		return n
	}
	size := (n + 1) / 2
	if size > len(b) {
		return -1
	}
	for i := range n {
		r.run(1, b[i/2]>>(4*(1-i%2))&15<<4, true)
	}
	return size
}
