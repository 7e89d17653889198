package imaging

import (
	"encoding/binary"
	"math"
)

// An ifd is the first image file directory of a TIFF structure, which EXIF
// data is as well (TIFF 6.0, section 2).
type ifd struct {
	data    []byte
	order   binary.ByteOrder
	entries map[uint16]ifdEntry
}

type ifdEntry struct {
	typ   uint16
	count int
	raw   []byte
}

// Types of directory entries.
const (
	typeByte      = 1
	typeASCII     = 2
	typeShort     = 3
	typeLong      = 4
	typeRational  = 5
	typeSByte     = 6
	typeUndefined = 7
	typeSShort    = 8
	typeSLong     = 9
	typeSRational = 10
	typeFloat     = 11
	typeDouble    = 12
	typeIFD       = 13
)

var typeSizes = map[uint16]int{
	typeByte: 1, typeASCII: 1, typeShort: 2, typeLong: 4, typeRational: 8,
	typeSByte: 1, typeUndefined: 1, typeSShort: 2, typeSLong: 4,
	typeSRational: 8, typeFloat: 4, typeDouble: 8, typeIFD: 4,
}

// parseIFD reads the header and the first directory. Entries that lie outside
// the data or have an unknown type are left out, as Pillow leaves them out.
func parseIFD(data []byte) (*ifd, error) {
	if len(data) < 8 {
		return nil, truncatedf("TIFF header")
	}
	d := &ifd{data: data, entries: map[uint16]ifdEntry{}}
	// Writers exist that have the byte order of the number 42 wrong.
	switch string(data[:4]) {
	case "II*\x00", "II\x00*":
		d.order = binary.LittleEndian
	case "MM\x00*", "MM*\x00":
		d.order = binary.BigEndian
	default:
		return nil, corruptf("TIFF header")
	}
	at := int64(d.order.Uint32(data[4:]))
	if at+2 > int64(len(data)) {
		return nil, truncatedf("image file directory at %d", at)
	}
	n := int64(d.order.Uint16(data[at:]))
	for i := range n {
		p := at + 2 + 12*i
		if p+12 > int64(len(data)) {
			break
		}
		d.add(data[p : p+12])
	}
	return d, nil
}

func (d *ifd) add(b []byte) {
	tag, e := d.order.Uint16(b), ifdEntry{typ: d.order.Uint16(b[2:])}
	size := int64(typeSizes[e.typ]) * int64(d.order.Uint32(b[4:]))
	if size == 0 || size > math.MaxInt32 {
		return
	}
	e.count = int(d.order.Uint32(b[4:]))
	if size <= 4 {
		e.raw = b[8 : 8+size]
	} else {
		at := int64(d.order.Uint32(b[8:]))
		if at+size > int64(len(d.data)) {
			return
		}
		e.raw = d.data[at : at+size]
	}
	d.entries[tag] = e
}

// uints returns the values of an entry of a whole-number type, nil if there is
// none.
func (d *ifd) uints(tag uint16) []uint32 {
	e := d.entries[tag]
	out := make([]uint32, 0, e.count)
	switch e.typ {
	case typeByte, typeUndefined:
		for _, v := range e.raw {
			out = append(out, uint32(v))
		}
	case typeShort, typeSShort:
		for i := range e.count {
			out = append(out, uint32(d.order.Uint16(e.raw[2*i:])))
		}
	case typeLong, typeSLong, typeIFD:
		for i := range e.count {
			out = append(out, d.order.Uint32(e.raw[4*i:]))
		}
	default:
		return nil
	}
	return out
}

// uint returns the first value of an entry, or missing if there is none.
func (d *ifd) uint(tag uint16, missing uint32) uint32 {
	if v := d.uints(tag); len(v) > 0 {
		return v[0]
	}
	return missing
}
