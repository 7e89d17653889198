package imaging

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"testing"
)

// smooth is a picture of a usual size that compresses like a photograph.
func smooth() *RGB {
	return Resize(noise(80, 60, 1), 641, 483, Bicubic)
}

func rgba(m *RGB) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, m.W, m.H))
	for i := range m.W * m.H {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	var j, p bytes.Buffer
	if err := jpeg.Encode(&j, rgba(smooth()), &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	if err := png.Encode(&p, rgba(smooth())); err != nil {
		b.Fatal(err)
	}
	run := func(name string, data []byte, o DecodeOptions) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Decode(data, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if lib, _ := turbo(); lib != nil {
		run("jpeg/libjpeg-turbo", j.Bytes(), DecodeOptions{JPEG: JPEGTurbo})
	}
	run("jpeg/go", j.Bytes(), DecodeOptions{JPEG: JPEGGo})
	run("png", p.Bytes(), DecodeOptions{})
	run("webp/47x35", goldenFile(b, "lossy.webp"), DecodeOptions{})
}

func BenchmarkResize(b *testing.B) {
	m := noise(641, 483, 1)
	for _, f := range []Filter{Bicubic, Bilinear, Lanczos, Nearest} {
		b.Run(f.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Resize(m, 384, 384, f)
			}
		})
	}
}

func BenchmarkNormalize(b *testing.B) {
	m, p := noise(384, 384, 1), DefaultProcessor(384)
	x := make([]float32, 3*384*384)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Normalize(x, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOrient(b *testing.B) {
	m := noise(641, 483, 1)
	for b.Loop() {
		Orient(m, 6)
	}
}
