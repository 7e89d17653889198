package imaging

import (
	"bytes"
	"testing"
)

// What was in recycled samples does not show in the pictures that are made of
// them.
func TestRecycle(t *testing.T) {
	data := goldenFile(t, "420.jpg")
	decode := func() *RGB {
		m, _, err := Decode(data, DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := decode()
	small := Resize(first, 21, 13, Bicubic)
	wantFirst, wantSmall := bytes.Clone(first.Pix), bytes.Clone(small.Pix)
	for range 20 {
		for _, m := range []*RGB{first, small} {
			for i := range m.Pix {
				m.Pix[i] = 0xA5
			}
			Recycle(m.Pix)
		}
		first = decode()
		small = Resize(first, 21, 13, Bicubic)
		if !bytes.Equal(first.Pix, wantFirst) || !bytes.Equal(small.Pix, wantSmall) {
			t.Fatal("a picture differs after others were recycled")
		}
	}
}

func TestNewSamples(t *testing.T) {
	Recycle(nil)
	Recycle(make([]uint8, 5, 600))
	for _, n := range []int{0, 1, 599, 600, 601, 1023, 1024} {
		if got := len(newSamples(n)); got != n {
			t.Errorf("%d samples, want %d", got, n)
		}
	}
}
