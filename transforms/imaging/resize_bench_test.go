package imaging

import "testing"

func noise(w, h int, seed uint32) *RGB {
	m := NewRGB(w, h)
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(seed >> 24)
	}
	return m
}

func BenchmarkResizeBicubic(b *testing.B) {
	m := noise(641, 483, 1)
	b.ReportAllocs()
	for b.Loop() {
		Resize(m, 384, 384, Bicubic)
	}
}
