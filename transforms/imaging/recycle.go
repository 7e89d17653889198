package imaging

import (
	"math/bits"
	"sync"
)

// spare holds the samples that were given back, by the number of bits in their
// capacity.
var spare [64]sync.Pool

// Recycle gives the samples of a picture back, for the next that is decoded from a
// JPEG file or resized: new memory costs more than a tenth of both. Nothing may use
// them afterwards, nor anything that shares them, as what Resize or Orient return
// may do. Samples that nobody gives back are garbage like any other.
func Recycle(pix []uint8) {
	if cap(pix) > 0 {
		pix = pix[:cap(pix)]
		spare[bits.Len(uint(cap(pix)))].Put(&pix)
	}
}

// newSamples returns n samples that may hold anything.
func newSamples(n int) []uint8 {
	if old, _ := spare[bits.Len(uint(n))].Get().(*[]uint8); old != nil && cap(*old) >= n {
		return (*old)[:n]
	}
	return make([]uint8, n)
}
