package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type decodeCase struct {
	File       string
	IgnoreEXIF bool      `json:"ignore_exif"`
	Background *[3]uint8 `json:"background"`
	Clip       bool      `json:"clip"`
	Width      int
	Height     int
	SHA256     string `json:"sha256"`
	Raw        *int   `json:"raw"`
}

func (c decodeCase) options(jpeg JPEGDecoder) DecodeOptions {
	o := DecodeOptions{IgnoreEXIF: c.IgnoreEXIF, Background: c.Background, JPEG: jpeg}
	if c.Clip {
		o.Deep = DeepClip
	}
	return o
}

func (c decodeCase) name() string {
	return strings.ReplaceAll(c.File, ".", "_") + map[bool]string{true: "_ignore_exif"}[c.IgnoreEXIF] +
		map[bool]string{true: "_background"}[c.Background != nil] + map[bool]string{true: "_clip"}[c.Clip]
}

// Every format but JPEG is exact in any case, JPEG with libjpeg-turbo.
func TestDecodeGolden(t *testing.T) {
	var cases []decodeCase
	readGolden(t, "decode.json", &cases)
	if len(cases) < 90 {
		t.Fatalf("%d cases, expected more", len(cases))
	}
	lib, libErr := turbo()
	for _, c := range cases {
		t.Run(c.name(), func(t *testing.T) {
			jpeg := JPEGAuto
			if c.Raw != nil {
				if lib == nil {
					t.Skip(libErr)
				}
				jpeg = JPEGTurbo
			}
			m, info, err := Decode(goldenFile(t, c.File), c.options(jpeg))
			if err != nil {
				t.Fatal(err)
			}
			if m.W != c.Width || m.H != c.Height {
				t.Fatalf("size %dx%d, want %dx%d", m.W, m.H, c.Width, c.Height)
			}
			if digest(m.Pix) != c.SHA256 {
				t.Errorf("pixels differ from Pillow's")
			}
			if want := map[bool]string{true: decoderTurbo, false: decoderGo}[c.Raw != nil]; info.Decoder != want {
				t.Errorf("decoder %q, want %q", info.Decoder, want)
			}
		})
	}
}

// image/jpeg has another inverse transform, which rounds some samples of the
// three planes the other way. One level of luma and of each chroma add up to
// at most 1 + 1.772, so 3. Upsampling and colour conversion are libjpeg's; a
// mean under a quarter of a level would not come out with others.
func TestDecodeJPEGWithGo(t *testing.T) {
	var cases []decodeCase
	readGolden(t, "decode.json", &cases)
	pixels := goldenPixels(t)
	tested := 0
	for _, c := range cases {
		if c.Raw == nil {
			continue
		}
		m, info, err := Decode(goldenFile(t, c.File), c.options(JPEGGo))
		if c.File == "cmyk_420.jpg" {
			if Code(err) != "unsupported_picture" {
				t.Errorf("%s: error %v; if image/jpeg has learnt this, update the package comment", c.File, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.File, err)
			continue
		}
		tested++
		if info.Decoder != decoderGo {
			t.Errorf("%s: decoder %q", c.File, info.Decoder)
		}
		if m.W != c.Width || m.H != c.Height {
			t.Errorf("%s: size %dx%d, want %dx%d", c.File, m.W, m.H, c.Width, c.Height)
			continue
		}
		want := pixels[*c.Raw : *c.Raw+len(m.Pix)]
		most, sum := 0, 0
		for i, v := range m.Pix {
			d := max(int(v), int(want[i])) - min(int(v), int(want[i]))
			most, sum = max(most, d), sum+d
		}
		if mean := float64(sum) / float64(len(want)); most > 3 || mean > 0.25 {
			t.Errorf("%s: off by up to %d, by %.3f on average", c.File, most, mean)
		}
	}
	if tested < 15 {
		t.Errorf("only %d files tested", tested)
	}
}

func TestDecodeInfo(t *testing.T) {
	for _, c := range []struct {
		file string
		want Info
	}{
		{"orientation_6.jpg", Info{Format: "jpeg", Width: 19, Height: 13, Orientation: 6, Decoder: decoderGo}},
		{"420.jpg", Info{Format: "jpeg", Width: 53, Height: 37, Orientation: 1, Decoder: decoderGo}},
		{"orientation.tif", Info{Format: "tiff", Width: 5, Height: 4, Orientation: 6, Decoder: decoderGo}},
		{"lossless.webp", Info{Format: "webp", Width: 24, Height: 18, Orientation: 1, Decoder: decoderGo}},
		{"part_of_canvas.gif", Info{Format: "gif", Width: 5, Height: 4, Orientation: 1, Decoder: decoderGo}},
		{"rle8.bmp", Info{Format: "bmp", Width: 8, Height: 3, Orientation: 1, Decoder: decoderGo}},
		{"exif_behind.png", Info{Format: "png", Width: 12, Height: 7, Orientation: 6, Decoder: decoderGo}},
	} {
		_, got, err := Decode(goldenFile(t, c.file), DecodeOptions{JPEG: JPEGGo, IgnoreEXIF: true})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.file, got, err, c.want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	jpeg, png := goldenFile(t, "420.jpg"), goldenFile(t, "rgb.png")
	bomb := bytes.Clone(goldenFile(t, "rgb.bmp"))
	binary.LittleEndian.PutUint32(bomb[18:], 3_000_000)
	binary.LittleEndian.PutUint32(bomb[22:], 2_000_000)
	for _, c := range []struct {
		name string
		data []byte
		want error
		code string
	}{
		{"nothing", nil, ErrEmpty, "empty_file"},
		{"text named .jpg", []byte("This is not a picture.\n"), ErrUnknownFormat, "unknown_format"},
		{"HTML", []byte("<!DOCTYPE html><html>404</html>"), ErrUnknownFormat, "unknown_format"},
		{"AVIF", []byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00"), ErrUnsupported, "unsupported_picture"},
		{"BigTIFF", []byte("II+\x00\x08\x00\x00\x00"), ErrUnsupported, "unsupported_picture"},
		{"half a JPEG", jpeg[:len(jpeg)/2], ErrTruncated, "truncated_picture"},
		{"JPEG header", jpeg[:100], ErrTruncated, "truncated_picture"},
		{"progressive JPEG", cut(goldenFile(t, "progressive.jpg"), 0.9), ErrTruncated, "truncated_picture"},

		{"JPEG with restarts, zeros behind", append(cut(goldenFile(t, "restart.jpg"), 0.7), make([]byte, 64)...), ErrTruncated, "truncated_picture"},
		{"half a PNG", png[:len(png)/2], ErrTruncated, "truncated_picture"},
		{"PNG header", png[:20], ErrTruncated, "truncated_picture"},
		{"PNG, damaged pixels", flip(png, len(png)/2), ErrCorrupt, "corrupt_picture"},
		{"PNG, damaged header", flip(png, 20), ErrCorrupt, "corrupt_picture"},
		{"half a GIF", cut(goldenFile(t, "palette.gif"), 0.6), ErrTruncated, "truncated_picture"},
		{"half a WebP", cut(goldenFile(t, "lossy.webp"), 0.5), ErrTruncated, "truncated_picture"},
		{"half a BMP", cut(goldenFile(t, "rgb.bmp"), 0.5), ErrTruncated, "truncated_picture"},
		{"half a TIFF", cut(goldenFile(t, "rgb.tif"), 0.5), ErrTruncated, "truncated_picture"},
		{"bomb", bomb, ErrTooLarge, "picture_too_large"},
	} {
		for _, decoder := range decoders(t) {
			m, _, err := Decode(c.data, DecodeOptions{JPEG: decoder})
			if !errors.Is(err, c.want) || Code(err) != c.code {
				t.Errorf("%s: error %v with code %q, want %v", c.name, err, Code(err), c.want)
			}
			if m != nil {
				t.Errorf("%s: a picture besides the error", c.name)
			}
		}
	}
	if Code(nil) != "" || Code(errors.New("other")) != "" {
		t.Error("Code of other errors is not empty")
	}
}

// decoders lists the JPEG decoders of this machine.
func decoders(t testing.TB) []JPEGDecoder {
	t.Helper()
	if lib, _ := turbo(); lib == nil {
		return []JPEGDecoder{JPEGGo}
	}
	return []JPEGDecoder{JPEGGo, JPEGTurbo}
}

func cut(data []byte, part float64) []byte {
	n := int(part * float64(len(data)))
	return bytes.Clone(data[:n])
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func TestMaxPixels(t *testing.T) {
	for _, name := range []string{"420.jpg", "rgb.png", "palette.gif", "lossy.webp", "lossless.webp", "animated.webp", "rgb.bmp", "rgb.tif"} {
		data := goldenFile(t, name)
		m, _, err := Decode(data, DecodeOptions{MaxPixels: -1})
		if err != nil {
			t.Fatal(err)
		}
		area := int64(m.W) * int64(m.H)
		if _, _, err := Decode(data, DecodeOptions{MaxPixels: area}); err != nil {
			t.Errorf("%s: %v at its own size", name, err)
		}
		if _, _, err := Decode(data, DecodeOptions{MaxPixels: area - 1}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v under its size", name, err)
		}
	}
}

func TestDecodeRecovers(t *testing.T) {
	saved := formats
	defer func() { formats = saved }()
	formats = []format{{"broken", hasPrefix("x"), func(b []byte, _ limits) (decoded, error) {
		_ = b[len(b)]
		return decoded{}, nil
	}}}
	_, info, err := Decode([]byte("xyz"), DecodeOptions{})
	if !errors.Is(err, ErrCorrupt) || info.Format != "broken" {
		t.Errorf("error %v, info %+v", err, info)
	}
}

// Content decides, whatever a file is called.
func TestSniff(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(golden, "files", "*"))
	if err != nil || len(files) < 60 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		want := map[string]string{".jpg": "jpeg", ".tif": "tiff"}[filepath.Ext(f)]
		if want == "" {
			want = filepath.Ext(f)[1:]
		}
		if got := Sniff(goldenFile(t, filepath.Base(f))); got != want {
			t.Errorf("%s: %q", f, got)
		}
	}
	if got := Sniff([]byte("hello")); got != "" {
		t.Errorf("text: %q", got)
	}
}

// Decoding is safe from many goroutines and gives each its own picture.
func TestDecodeConcurrently(t *testing.T) {
	names := []string{"420.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png", "lossy.webp", "rgb.tif"}
	want := map[string]string{}
	for _, n := range names {
		m, _, err := Decode(goldenFile(t, n), DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want[n] = digest(m.Pix)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				for _, n := range names {
					m, _, err := Decode(goldenFile(t, n), DecodeOptions{})
					if err != nil || digest(m.Pix) != want[n] {
						t.Errorf("%s: differs, %v", n, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(golden, "files", "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		f.Add(goldenFile(f, filepath.Base(name)))
	}
	f.Add([]byte("RIFF\x04\x00\x00\x00WEBPVP8 "))
	f.Add([]byte("BM"))
	background := [3]uint8{1, 2, 3}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		for _, o := range []DecodeOptions{
			{MaxPixels: limit},
			{MaxPixels: limit, JPEG: JPEGGo, Background: &background, Deep: DeepClip},
		} {
			m, info, err := Decode(data, o)
			switch {
			case err != nil && (m != nil || Code(err) == ""):
				t.Fatalf("picture %v with error %v of code %q", m != nil, err, Code(err))
			case err != nil:
				if strings.Contains(err.Error(), "decoder panic") {
					t.Logf("recovered: %v", err)
				}
			case m.Validate() != nil || m.W*m.H > limit || info.Width*info.Height != m.W*m.H:
				t.Fatalf("picture %dx%d with %d samples, info %+v", m.W, m.H, len(m.Pix), info)
			}
		}
	})
}
