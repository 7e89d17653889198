package imaging

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

func TestJPEGDecoderEnv(t *testing.T) {
	data := goldenFile(t, "420.jpg")
	t.Setenv(JPEGDecoderEnv, "go")
	if _, info, err := Decode(data, DecodeOptions{}); err != nil || info.Decoder != decoderGo {
		t.Errorf("go: %+v, %v", info, err)
	}
	if name, err := JPEGLibrary(); name != decoderGo || err != nil {
		t.Errorf("JPEGLibrary: %q, %v", name, err)
	}
	t.Setenv(JPEGDecoderEnv, "mozjpeg")
	if _, _, err := Decode(data, DecodeOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("unknown name: %v", err)
	}
	if _, info, err := Decode(data, DecodeOptions{JPEG: JPEGGo}); err != nil || info.Decoder != decoderGo {
		t.Errorf("the option goes first: %+v, %v", info, err)
	}
	lib, libErr := turbo()
	t.Setenv(JPEGDecoderEnv, "libjpeg-turbo")
	_, info, err := Decode(data, DecodeOptions{})
	if lib != nil && (err != nil || info.Decoder != decoderTurbo) {
		t.Errorf("libjpeg-turbo: %+v, %v", info, err)
	}
	if lib == nil && (!errors.Is(err, ErrUnsupported) || libErr == nil) {
		t.Errorf("libjpeg-turbo is missing, but: %v, %v", err, libErr)
	}
}

func TestJPEGLibrary(t *testing.T) {
	t.Setenv(JPEGDecoderEnv, "")
	name, err := JPEGLibrary()
	_, info, _ := Decode(goldenFile(t, "444.jpg"), DecodeOptions{})
	if name != info.Decoder || (name == decoderGo) != (err != nil) {
		t.Errorf("JPEGLibrary says %q, %v; Decode took %q", name, err, info.Decoder)
	}
}

// A file without its end marker is whole if no pixel hangs on what is missing.
func TestTurboOpenEnded(t *testing.T) {
	if lib, err := turbo(); lib == nil {
		t.Skip(err)
	}
	data := goldenFile(t, "420.jpg")
	whole, _, err := Decode(data, DecodeOptions{JPEG: JPEGTurbo})
	if err != nil {
		t.Fatal(err)
	}
	// Bytes behind the data: the pixels are all there.
	long := append(bytes.Clone(data[:len(data)-2]), make([]byte, 40)...)
	m, _, err := Decode(long, DecodeOptions{JPEG: JPEGTurbo})
	if err != nil || !bytes.Equal(m.Pix, whole.Pix) {
		t.Errorf("40 zeros in place of the end marker: %v", err)
	}
	for _, less := range []int{4, 20, 300} {
		if _, _, err := Decode(data[:len(data)-less], DecodeOptions{JPEG: JPEGTurbo}); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d bytes less: %v", less, err)
		}
	}
	if _, _, err := Decode(goldenFile(t, "progressive.jpg")[:400], DecodeOptions{JPEG: JPEGTurbo}); !errors.Is(err, ErrTruncated) {
		t.Errorf("progressive: %v", err)
	}
}

// The library must not write beyond the size that this package read from the
// header, whatever it reads itself.
func TestTurboSizeMismatch(t *testing.T) {
	lib, err := turbo()
	if lib == nil {
		t.Skip(err)
	}
	data := goldenFile(t, "420.jpg") // 53 by 37
	for _, size := range [][2]int{{52, 37}, {53, 36}, {10, 10}, {1, 1}, {60, 40}} {
		w, h := size[0], size[1]
		guarded := bytes.Repeat([]byte{0xC3}, w*h*3+64)
		n := w * h * 3
		err := lib.decode(data, guarded[:n:n], w, h, 3, turboRGB)
		if !bytes.Equal(guarded[n:], bytes.Repeat([]byte{0xC3}, 64)) {
			t.Errorf("%dx%d: wrote beyond the buffer (%v)", w, h, err)
		}
	}
	if err := lib.decode(data, make([]byte, 10), 53, 37, 3, turboRGB); err == nil {
		t.Error("a short buffer was taken")
	}
	if err := lib.decode(nil, make([]byte, 3), 1, 1, 3, turboRGB); err == nil {
		t.Error("no data was taken")
	}
}

func TestScanJPEG(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(golden, "files", "*.jpg"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		h, err := scanJPEG(goldenFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if !h.ended || h.spread != (name == "progressive.jpg") {
			t.Errorf("%s: ended %v, spread %v", name, h.ended, h.spread)
		}
	}
}
