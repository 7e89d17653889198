// Package safetensors reads and writes weights in the safetensors format:
// eight bytes of header length, a JSON header that names each tensor's type,
// shape and place, and the tensors' bytes end to end.
//
// # Reading
//
// [Open] maps the file into memory: a tensor's Data is a view into the map, no
// second copy of the weights is made, and pages come from disk as they are
// touched. (On systems without mmap the file is read whole.) [OpenFolder] reads
// a model folder, sharded or not.
//
// A header may come from anyone, so nothing in it is believed before it is
// checked, and no memory is taken on the strength of a number it claims. What
// the reference reader (huggingface/safetensors 0.8.0) refuses is refused:
// lengths beyond the file or 100 MB, text that is not UTF-8 or not JSON,
// unknown types, missing fields, negative or fractional numbers, sizes that
// overflow or differ from shape times type, tensors that overlap, leave holes
// or do not cover the file to its end. Beyond it this reader refuses a key
// that is given twice (the reference keeps one of them), names with broken
// surrogate escapes, the array form of an entry, more than 64 dimensions and
// foreign values nested deeper than 16.
//
// # Writing
//
// [Write] lays tensors out as the reference does (widest type first, then by
// name; header padded with spaces to a multiple of eight bytes), so that the
// same tensors give the same bytes. The file is written aside, synced and
// renamed: it is there whole or not at all.
//
// Bytes are little-endian, as the format has them; the views are of use as
// numbers only on little-endian machines, which is all that Go and libtorch
// share in practice.
package safetensors

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"slices"
)

var (
	// ErrFormat is wrapped by every error about a file that is not a sound
	// safetensors file or index.
	ErrFormat = errors.New("not a sound safetensors file")
	// ErrNoWeights is wrapped where a folder has no weights.
	ErrNoWeights = errors.New("no weights")
	// ErrPickle is wrapped where a folder's only weights are in PyTorch's
	// pickle format; the message says how to convert them.
	ErrPickle = errors.New("weights are a pickle, which can run code, and are not read")
	// ErrTensor is wrapped where a tensor cannot be written: its bytes do not
	// fit its shape and type, or its name cannot be.
	ErrTensor = errors.New("bad tensor")
)

// DType is an element type by the format's own name.
type DType string

// The element types of the format.
const (
	Bool       DType = "BOOL"
	F4         DType = "F4"
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	U8         DType = "U8"
	I8         DType = "I8"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3     DType = "F8_E4M3"
	F8E8M0     DType = "F8_E8M0"
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	I16        DType = "I16"
	U16        DType = "U16"
	F16        DType = "F16"
	BF16       DType = "BF16"
	I32        DType = "I32"
	U32        DType = "U32"
	F32        DType = "F32"
	C64        DType = "C64"
	F64        DType = "F64"
	I64        DType = "I64"
	U64        DType = "U64"
)

// dtypes are in the order by which the reference lays tensors out, last first.
var dtypes = []struct {
	dtype DType
	bits  int
}{
	{Bool, 8}, {F4, 4}, {F6E2M3, 6}, {F6E3M2, 6}, {U8, 8}, {I8, 8},
	{F8E5M2, 8}, {F8E4M3, 8}, {F8E8M0, 8}, {F8E4M3FNUZ, 8}, {F8E5M2FNUZ, 8},
	{I16, 16}, {U16, 16}, {F16, 16}, {BF16, 16},
	{I32, 32}, {U32, 32}, {F32, 32}, {C64, 64}, {F64, 64}, {I64, 64}, {U64, 64},
}

func (d DType) rank() int {
	for i, t := range dtypes {
		if t.dtype == d {
			return i
		}
	}
	return -1
}

// Bits is the size of an element in bits, 0 for an unknown type.
func (d DType) Bits() int {
	if i := d.rank(); i >= 0 {
		return dtypes[i].bits
	}
	return 0
}

// Tensor is a named array.
type Tensor struct {
	Name  string
	DType DType
	// Shape is the sizes of the dimensions, outermost first; none for a scalar.
	Shape []int64
	// Data are the elements, row-major, little-endian. Of an open file it is a
	// view into the map: to be read, not written (a write ends the process),
	// and gone after Close.
	Data []byte
}

// maxRank is how many dimensions a tensor may have: torch has the same limit.
const maxRank = 64

// size returns the number of bytes that a shape takes, with every product
// checked as the reference does, so that a huge size beside a 0 is refused too.
func size(d DType, shape []int64) (int64, error) {
	width := d.Bits()
	if width == 0 {
		return 0, fmt.Errorf("unknown type %.40q", string(d))
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions, want at most %d", len(shape), maxRank)
	}
	n := uint64(1)
	for _, dim := range append(slices.Clip(shape), int64(width)) {
		if dim < 0 {
			return 0, fmt.Errorf("negative dimension %d", dim)
		}
		hi, lo := bits.Mul64(n, uint64(dim))
		if hi != 0 {
			return 0, errors.New("the size overflows")
		}
		n = lo
	}
	if n%8 != 0 {
		return 0, fmt.Errorf("%d bits do not fill bytes", n)
	}
	return int64(n / 8), nil // below 2⁶¹
}

// File is an open file. Its methods may be used from several goroutines, but
// Close only when none of them uses a view any longer.
type File struct {
	path     string
	data     []byte
	unmap    func() error // nil if there is nothing to release
	tensors  []Tensor     // by place in the file
	index    map[string]int
	metadata map[string]string
}

// Open maps a file and checks its header. An error about the contents wraps
// [ErrFormat]. The file must not be shortened while it is open: touching pages
// that are no longer there ends the process. Replacing it by rename, as Write
// does, is safe.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	switch {
	case !info.Mode().IsRegular(): // opening a named pipe would wait for a writer
		return nil, fmt.Errorf("open weights: %w: %s is not a regular file", ErrFormat, path)
	case info.Size() < lengthBytes || info.Size() > math.MaxInt:
		return nil, fmt.Errorf("open weights: %w: %s has %d bytes", ErrFormat, path, info.Size())
	}
	data, unmap, err := mapFile(path, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open weights: %s: %w", path, err), unmap())
	}
	f.path, f.unmap = path, unmap
	return f, nil
}

// Parse reads a file's bytes from memory. The tensors are views of data.
func Parse(data []byte) (*File, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	f := &File{data: data, metadata: h.metadata, index: make(map[string]int, len(h.entries))}
	f.tensors = make([]Tensor, len(h.entries))
	for i, e := range h.entries {
		view := h.body[e.begin:e.end:e.end]
		f.tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: view}
		f.index[e.name] = i
	}
	return f, nil
}

// Names lists the tensors in the order of their place in the file.
func (f *File) Names() []string {
	names := make([]string, len(f.tensors))
	for i, t := range f.tensors {
		names[i] = t.Name
	}
	return names
}

// Tensor returns the tensor of a name; false if the file has none or is
// closed.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Metadata returns the header's __metadata__, nil if there is none. It is the
// file's own: read it, don't change it.
func (f *File) Metadata() map[string]string { return f.metadata }

// Close gives the map back. Every view into it is invalid afterwards: reading
// one ends the process. A second Close does nothing.
func (f *File) Close() error {
	unmap := f.unmap
	f.unmap, f.data, f.tensors, f.index = nil, nil, nil, nil
	if unmap == nil {
		return nil
	}
	if err := unmap(); err != nil {
		return fmt.Errorf("close %s: %w", f.path, err)
	}
	return nil
}
