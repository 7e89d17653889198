package imaging

import (
	"bytes"
	"encoding/binary"
)

// JPEG markers (ITU-T T.81, table B.1).
const (
	markSOF0 = 0xC0
	markSOF2 = 0xC2
	markDHT  = 0xC4
	markJPG  = 0xC8
	markDAC  = 0xCC
	markRST0 = 0xD0
	markRST7 = 0xD7
	markSOI  = 0xD8
	markEOI  = 0xD9
	markSOS  = 0xDA
	markDRI  = 0xDD
	markAPP1 = 0xE1
	markTEM  = 0x01
)

var xmpPrefix = []byte("http://ns.adobe.com/xap/1.0/\x00")

// jpegHeader is what stands in a JPEG around its entropy-coded data.
type jpegHeader struct {
	width, height int
	precision     int
	components    int
	process       byte // the frame's marker, SOF0 to SOF15, 0 before it
	// spread says that a pixel's data lies in several scans, so that a decoder
	// must read to the end marker before it has any pixel.
	spread bool
	// ended says that the data ends with a marker, as it should.
	ended bool
	// whole is false if the data has fewer restart markers than its frame has
	// restart intervals. It is set only if ended is false.
	whole bool
	// mcus is the number of units that the restart interval counts in.
	mcus, restart int
	meta          metadata
}

// scanJPEG walks through the markers up to where the pixel data ends. Rubbish
// between markers is stepped over, as libjpeg and Pillow do.
func scanJPEG(data []byte) (*jpegHeader, error) {
	h := &jpegHeader{}
	for at := 2; ; {
		mark, next := nextMarker(data, at)
		if mark == 0 || mark == markEOI {
			return nil, truncatedf("no picture data")
		}
		body, err := jpegSegment(data, next)
		if err != nil {
			return nil, err
		}
		at = next + 2 + len(body)
		if mark == markSOS {
			if h.process == 0 {
				return nil, corruptf("no frame header")
			}
			h.spread = h.process&3 == markSOF2&3 || len(body) > 0 && int(body[0]) < h.components
			if h.ended = h.findEnd(data, at); !h.ended {
				h.whole = h.restart == 0 || countRestarts(data[at:]) >= (h.mcus-1)/h.restart
			}
			return h, nil
		}
		if err := h.segment(mark, body); err != nil {
			return nil, err
		}
	}
}

// findEnd looks for the marker behind the pixel data. Where one scan holds all
// of it any marker ends it, else only the end marker does.
func (h *jpegHeader) findEnd(data []byte, at int) bool {
	for {
		mark, next := nextMarker(data, at)
		if mark == 0 {
			return false
		}
		if mark == markEOI || !h.spread {
			return true
		}
		body, err := jpegSegment(data, next)
		if err != nil {
			return false
		}
		at = next + 2 + len(body)
	}
}

func countRestarts(data []byte) int {
	n := 0
	for i := range len(data) - 1 {
		if data[i] == 0xFF && data[i+1] >= markRST0 && data[i+1] <= markRST7 {
			n++
		}
	}
	return n
}

// nextMarker returns the first marker at or after at that begins a segment or
// ends the file, and the offset behind it; 0 if there is none.
func nextMarker(data []byte, at int) (byte, int) {
	for at < len(data) {
		i := bytes.IndexByte(data[at:], 0xFF)
		if i < 0 || at+i+1 >= len(data) {
			break
		}
		at += i + 1
		mark := data[at]
		switch {
		case mark == 0xFF: // fill byte: look at it again
		case mark == 0, mark == markTEM, mark >= markRST0 && mark <= markSOI:
			at++
		default:
			return mark, at + 1
		}
	}
	return 0, len(data)
}

func jpegSegment(data []byte, at int) ([]byte, error) {
	if at+2 > len(data) {
		return nil, truncatedf("segment")
	}
	n := int(binary.BigEndian.Uint16(data[at:]))
	if n < 2 {
		return nil, corruptf("segment of length %d", n)
	}
	if at+n > len(data) {
		return nil, truncatedf("segment")
	}
	return data[at+2 : at+n], nil
}

func (h *jpegHeader) segment(mark byte, body []byte) error {
	switch {
	case mark == markAPP1 && bytes.HasPrefix(body, exifPrefix):
		if h.meta.exif == nil {
			h.meta.exif = bytes.Clone(body)
		} else { // long EXIF data goes on in the next segment
			h.meta.exif = append(h.meta.exif, body[len(exifPrefix):]...)
		}
	case mark == markAPP1 && bytes.HasPrefix(body, xmpPrefix):
		h.meta.xmp = body[len(xmpPrefix):]
	case mark == markDRI && len(body) >= 2:
		h.restart = int(binary.BigEndian.Uint16(body))
	case isSOF(mark):
		return h.frame(mark, body)
	}
	return nil
}

func isSOF(mark byte) bool {
	return mark >= markSOF0 && mark <= 0xCF && mark != markDHT && mark != markJPG && mark != markDAC
}

func (h *jpegHeader) frame(mark byte, body []byte) error {
	if len(body) < 6 {
		return truncatedf("frame header")
	}
	if h.process != 0 {
		return corruptf("two frame headers")
	}
	h.process = mark
	h.precision = int(body[0])
	h.height = int(binary.BigEndian.Uint16(body[1:]))
	h.width = int(binary.BigEndian.Uint16(body[3:]))
	h.components = int(body[5])
	switch {
	case h.precision != 8:
		return unsupportedf("%d-bit JPEG", h.precision)
	case h.components != 1 && h.components != 3 && h.components != 4:
		return unsupportedf("JPEG of %d components", h.components)
	case len(body) < 6+3*h.components:
		return truncatedf("frame header")
	}
	// A unit spans the most blocks that any component has in it; that of a lone
	// component is one block.
	across, down := 1, 1
	for c := 0; c < h.components && h.components > 1; c++ {
		sampling := int(body[6+3*c+1])
		across, down = max(across, sampling>>4), max(down, sampling&15)
	}
	h.mcus = ceilDiv(h.width, 8*across) * ceilDiv(h.height, 8*down)
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
