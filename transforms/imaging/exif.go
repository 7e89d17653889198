package imaging

import (
	"bytes"
	"regexp"
)

const tagOrientation = 274

var (
	exifPrefix = []byte("Exif\x00\x00")
	// The value stands as an attribute or as an element.
	xmpOrientation = regexp.MustCompile(`tiff:Orientation(="|>)([0-9])`)
)

// metadata is what a file says of its orientation.
type metadata struct {
	exif []byte
	xmp  []byte
}

// orientation returns the EXIF orientation, else the one in XMP, else 0. EXIF
// that cannot be read counts as absent: a picture is not lost over it.
func (m metadata) orientation() int {
	if v := exifOrientation(m.exif); v != 0 {
		return v
	}
	return xmpOrientationOf(m.xmp)
}

func exifOrientation(exif []byte) int {
	for bytes.HasPrefix(exif, exifPrefix) {
		exif = exif[len(exifPrefix):]
	}
	d, err := parseIFD(exif)
	if err != nil {
		return 0
	}
	return d.orientation()
}

// orientation returns the tag's value, or 0 if there is no such tag of a type
// that holds whole numbers. A value out of range comes back as 1: it turns
// nothing, but keeps XMP from being asked, as in Pillow.
func (d *ifd) orientation() int {
	switch d.entries[tagOrientation].typ {
	case typeShort, typeLong, typeSShort, typeSLong:
		if v := d.uint(tagOrientation, 0); v >= 1 && v <= 8 {
			return int(v)
		}
		return 1
	}
	return 0
}

func xmpOrientationOf(xmp []byte) int {
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return int(m[2][0] - '0')
	}
	return 0
}
