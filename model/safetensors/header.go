package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	lengthBytes = 8
	// maxHeader is the reference's cap.
	maxHeader = 100_000_000
	// metadataKey is the header's one key that is not a tensor.
	metadataKey = "__metadata__"
)

// entry is a tensor's place: bytes begin to end of the body.
type entry struct {
	name       string
	dtype      DType
	shape      []int64
	begin, end int64
}

type header struct {
	entries  []entry // by place
	metadata map[string]string
	body     []byte
}

// readHeader splits a file into its checked header and its body.
func readHeader(data []byte) (header, error) {
	if len(data) < lengthBytes {
		return header{}, fmt.Errorf("%d bytes are too few for a header", len(data))
	}
	length := binary.LittleEndian.Uint64(data)
	rest := data[lengthBytes:]
	switch {
	case length > maxHeader:
		return header{}, fmt.Errorf("the header claims %d bytes, want at most %d", length, maxHeader)
	case length > uint64(len(rest)):
		return header{}, fmt.Errorf("the header claims %d bytes, the file has %d after the length", length, len(rest))
	}
	text := rest[:length]
	if !utf8.Valid(text) {
		return header{}, errors.New("the header is not UTF-8")
	}
	h, err := parseHeader(text)
	if err != nil {
		return header{}, fmt.Errorf("header: %w", err)
	}
	h.body = rest[length:]
	return h, h.checkPlaces()
}

// checkPlaces sorts the entries by place and holds them to covering the body:
// end to end, none outside, each as long as its shape says.
func (h *header) checkPlaces() error {
	slices.SortStableFunc(h.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	var at int64
	for _, e := range h.entries {
		n, err := size(e.dtype, e.shape)
		switch {
		case err != nil:
			return fmt.Errorf("tensor %.80q: %w", e.name, err)
		case e.begin != at || e.end < e.begin:
			return fmt.Errorf("tensor %.80q stands at %d to %d, want it to begin at %d", e.name, e.begin, e.end, at)
		case e.end-e.begin != n:
			return fmt.Errorf("tensor %.80q has %d bytes, its shape and type need %d", e.name, e.end-e.begin, n)
		case e.end > int64(len(h.body)):
			return fmt.Errorf("tensor %.80q ends at %d, the file has %d bytes after the header", e.name, e.end, len(h.body))
		}
		at = e.end
	}
	if at != int64(len(h.body)) {
		return fmt.Errorf("the tensors cover %d bytes, the file has %d after the header", at, len(h.body))
	}
	return nil
}

// parseHeader reads the JSON text.
func parseHeader(text []byte) (header, error) {
	var h header
	p := newParser(text)
	err := p.document(func(key string) error {
		if key == metadataKey {
			var err error
			h.metadata, err = p.stringMap()
			return err
		}
		e, err := parseEntry(p)
		if err != nil {
			return fmt.Errorf("tensor %.80q: %w", key, err)
		}
		e.name = key
		h.entries = append(h.entries, e)
		return nil
	})
	return h, err
}

// parseEntry reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
func parseEntry(p *parser) (entry, error) {
	var e entry
	var offsets []int64
	found := 0
	err := p.object(func(key string) (err error) {
		found++
		switch key {
		case "dtype":
			var s string
			s, err = p.string()
			e.dtype = DType(s)
		case "shape":
			e.shape, err = p.integers(maxRank)
		case "data_offsets":
			offsets, err = p.integers(2)
		default:
			found--
			err = p.skip()
		}
		if err != nil {
			return fmt.Errorf("%.40q: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	if found != 3 { // a key given twice is refused by object
		return e, errors.New("want dtype, shape and data_offsets")
	}
	if len(offsets) != 2 {
		return e, fmt.Errorf("%d data_offsets, want 2", len(offsets))
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}

// integer reads a number that is a plain string of digits.
func integer(digits string) (int64, error) {
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a size", digits)
	}
	return int64(n), nil
}
