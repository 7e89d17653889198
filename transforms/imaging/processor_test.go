package imaging

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The floats of the reference, bit for bit.
func TestProcessorGolden(t *testing.T) {
	var cases []struct {
		Config json.RawMessage
		Shape  [3]int
		SHA256 string `json:"sha256"`
		First  []float32
	}
	readGolden(t, "processor.json", &cases)
	picture := noise(50, 40, 99)
	for _, c := range cases {
		p, err := ParseProcessor(c.Config)
		if err != nil {
			t.Errorf("%s: %v", c.Config, err)
			continue
		}
		m := p.Apply(picture)
		if m.H != c.Shape[1] || m.W != c.Shape[2] {
			t.Errorf("%s: %dx%d, want %v", c.Config, m.H, m.W, c.Shape)
			continue
		}
		x := make([]float32, 3*m.W*m.H)
		if err := p.Normalize(x, m); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 0, 4*len(x))
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if digest(b) != c.SHA256 {
			t.Errorf("%s: begins %v, the reference %v", c.Config, x[:4], c.First)
		}
	}
}

func TestParseProcessor(t *testing.T) {
	base := DefaultProcessor(384)
	sized := func(h, w int) *Processor {
		p := *base
		p.Height, p.Width = h, w
		return &p
	}
	for name, c := range map[string]struct {
		json string
		want *Processor
	}{
		"hub": {`{"do_normalize":true,"do_resize":true,"image_mean":[0.48145466,0.4578275,0.40821073],
			"image_processor_type":"BlipImageProcessor","image_std":[0.26862954,0.26130258,0.27577711],
			"processor_class":"BlipProcessor","resample":3,"rescale_factor":0.00392156862745098,
			"size":{"height":384,"width":384},"size_divisor":32}`, base},
		"nested":   {`{"image_processor":{"size":{"height":32,"width":48}},"processor_class":"BlipProcessor"}`, sized(32, 48)},
		"defaults": {`{"image_processor_type":"BlipImageProcessorFast"}`, base},
		"nulls":    {`{"size":null,"image_mean":null,"do_center_crop":null,"do_resize":null,"resample":null}`, base},
		"number":   {`{"size":224}`, sized(224, 224)},
		"list":     {`{"size":[10,20]}`, sized(10, 20)},
		"null key": {`{"size":{"height":7,"width":8,"shortest_edge":null}}`, sized(7, 8)},
		"crop off": {`{"size":9,"do_center_crop":false}`, sized(9, 9)},
	} {
		got, err := ParseProcessor([]byte(c.json))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	one, err := ParseProcessor([]byte(`{"size":9,"image_mean":0.5,"image_std":2,"do_rescale":false,"resample":2}`))
	want := &Processor{Height: 9, Width: 9, Resample: Bilinear, DoResize: true, DoNormalize: true,
		RescaleFactor: 1.0 / 255, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{2, 2, 2}}
	if err != nil || !reflect.DeepEqual(one, want) {
		t.Errorf("%+v, %v, want %+v", one, err, want)
	}
}

func TestParseProcessorErrors(t *testing.T) {
	for _, c := range []struct {
		json, says string
		want       error
	}{
		{`{"size":{"shortest_edge":224}}`, "shortest_edge", ErrProcessor},
		{`{"size":{"height":224}}`, "height and width", ErrProcessor},
		{`{"size":"big"}`, "height and width", ErrProcessor},
		{`{"size":0}`, "size 0x0", ErrProcessor},
		{`{"size":-3}`, "size -3x-3", ErrProcessor},
		{`{"size":99999999}`, "16384", ErrProcessor},
		{`{"size":9,"do_center_crop":true}`, "do_center_crop", ErrProcessor},
		{`{"size":9,"do_pad":true}`, "do_pad", ErrProcessor},
		{`{"size":9,"resample":6}`, "resample", ErrProcessor},
		{`{"size":9,"resample":"bicubic"}`, "resample", ErrProcessor},
		{`{"size":9,"image_mean":[1,2]}`, "image_mean", ErrProcessor},
		{`{"size":9,"image_std":[1,0,1]}`, "image_std", ErrProcessor},
		{`{"size":9,"image_std":[1,1e-60,1]}`, "image_std", ErrProcessor},
		{`{"size":9,"rescale_factor":1e300}`, "rescale_factor", ErrProcessor},
		{`not json`, "", ErrProcessor},
		{`[]`, "", ErrProcessor},
		{`{"image_processor":3}`, "", ErrProcessor},
		{`{"processor_class":"BlipProcessor"}`, "", ErrNoImageProcessor},
		{`{}`, "", ErrNoImageProcessor},
		{`null`, "", ErrNoImageProcessor},
	} {
		p, err := ParseProcessor([]byte(c.json))
		if !errors.Is(err, c.want) || p != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", c.json, p, err)
		}
	}
}

func TestProcessorRoundTrip(t *testing.T) {
	p := &Processor{Height: 30, Width: 20, Resample: Lanczos, DoResize: true, DoNormalize: true,
		RescaleFactor: 1.0 / 127, Mean: [3]float64{0.1, 0.2, 0.3}, Std: [3]float64{1, 2, 3}}
	for name, marshal := range map[string]func() ([]byte, error){
		"preprocessor": p.MarshalPreprocessor, "processor": p.MarshalProcessor,
	} {
		b, err := marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseProcessor(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, %v from %s", name, got, err, b)
		}
	}
	p.Mean[0] = math.NaN()
	if _, err := p.MarshalProcessor(); err == nil {
		t.Error("NaN was written")
	}
}

func TestLoadProcessor(t *testing.T) {
	write := func(dir, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := LoadProcessor(dir); !errors.Is(err, ErrNoImageProcessor) {
		t.Errorf("empty folder: %v", err)
	}
	write(dir, PreprocessorFile, `{"size":11}`)
	write(dir, ProcessorFile, `{"processor_class":"BlipProcessor"}`)
	if p, err := LoadProcessor(dir); err != nil || p.Height != 11 {
		t.Errorf("transformers 4: %+v, %v", p, err)
	}
	write(dir, ProcessorFile, `{"image_processor":{"size":12}}`)
	if p, err := LoadProcessor(dir); err != nil || p.Height != 12 {
		t.Errorf("transformers 5: %+v, %v", p, err)
	}
	write(dir, ProcessorFile, `{"image_processor":{"size":`)
	if _, err := LoadProcessor(dir); !errors.Is(err, ErrProcessor) || !strings.Contains(err.Error(), ProcessorFile) {
		t.Errorf("half a file: %v", err)
	}
}

// Each setting changes the hash; nothing else does.
func TestProcessorHash(t *testing.T) {
	seen := map[string]string{DefaultProcessor(384).Hash(): "default"}
	for name, change := range map[string]func(*Processor){
		"height": func(p *Processor) { p.Height++ }, "width": func(p *Processor) { p.Width++ },
		"resample": func(p *Processor) { p.Resample = Lanczos }, "do_resize": func(p *Processor) { p.DoResize = false },
		"do_rescale": func(p *Processor) { p.DoRescale = false }, "do_normalize": func(p *Processor) { p.DoNormalize = false },
		"factor": func(p *Processor) { p.RescaleFactor *= 2 },
		"mean0":  func(p *Processor) { p.Mean[0]++ }, "mean2": func(p *Processor) { p.Mean[2]++ },
		"std1": func(p *Processor) { p.Std[1]++ },
	} {
		p := DefaultProcessor(384)
		change(p)
		h := p.Hash()
		if other, ok := seen[h]; ok || len(h) != 64 {
			t.Errorf("%s: hash %s, as %s", name, h, other)
		}
		seen[h] = name
	}
	// Stored shards carry this value: it must never change.
	const fixed = "b37de5f536f7c2b10b8d1ecada4c01fd3c7df22442936501100f3b359a5a6085"
	if h := DefaultProcessor(384).Hash(); h != fixed {
		t.Errorf("hash of the default is %s, was %s", h, fixed)
	}
}

func TestNormalizeErrors(t *testing.T) {
	p := DefaultProcessor(4)
	if err := p.Normalize(make([]float32, 47), noise(4, 4, 1)); err == nil {
		t.Error("a short destination was taken")
	}
	if err := p.Normalize(make([]float32, 48), &RGB{W: 4, H: 4}); err == nil {
		t.Error("a picture without samples was taken")
	}
}

func FuzzProcessorConfig(f *testing.F) {
	for _, seed := range []string{
		`{"image_processor":{"size":{"height":32,"width":48},"resample":3}}`,
		`{"size":{"shortest_edge":224},"do_center_crop":true}`,
		`{"size":[1,2],"image_mean":0.5,"image_std":[1,1,1],"rescale_factor":1e-3}`,
		`{"size":224,"image_mean":[1e400]}`, `null`, `{"image_processor":null}`,
	} {
		f.Add([]byte(seed))
	}
	m := noise(3, 2, 1)
	x := make([]float32, 18)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProcessor(data)
		if err != nil {
			if p != nil || !errors.Is(err, ErrProcessor) && !errors.Is(err, ErrNoImageProcessor) {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := p.Normalize(x, m); err != nil {
			t.Fatal(err)
		}
		for _, marshal := range []func() ([]byte, error){p.MarshalPreprocessor, p.MarshalProcessor} {
			b, err := marshal()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseProcessor(b)
			if err != nil || *again != *p || again.Hash() != p.Hash() {
				t.Fatalf("%s: %+v, %v, want %+v", b, again, err, p)
			}
		}
	})
}
