package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

func TestColour(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "#ffffff": "#ffffff", "FF8000": "#ff8000", "#fff": "bad", "white": "bad", "#ff80001": "bad",
	} {
		var c Colour
		err := c.UnmarshalText([]byte(in))
		got, _ := c.MarshalText()
		if err != nil {
			got = []byte("bad")
		}
		if string(got) != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestDecodeSettings(t *testing.T) {
	p := DefaultPictures()
	if diff := cmp.Diff(imaging.DecodeOptions{MaxPixels: imaging.DefaultMaxPixels}, p.Decode()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	p = Pictures{EXIF: "ignore", MaxPixels: 7, Background: Colour{Set: true, RGB: [3]uint8{1, 2, 3}}}
	want := imaging.DecodeOptions{MaxPixels: 7, IgnoreEXIF: true, Background: &[3]uint8{1, 2, 3}}
	if diff := cmp.Diff(want, p.Decode()); diff != "" {
		t.Errorf("all set (-want +got):\n%s", diff)
	}
}

func TestValidateData(t *testing.T) {
	good := DefaultData()
	good.Dataset = "pictures"
	if err := good.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for name, spoil := range map[string]func(*Data){
		"dataset":                   func(d *Data) { d.Dataset = "" },
		"demo_pictures":             func(d *Data) { d.Dataset, d.DemoPictures = DemoDataset, 0 },
		"max_txt_len":               func(d *Data) { d.MaxTextLen = 2 },
		"shard_size_mb":             func(d *Data) { d.ShardSizeMB = 0 },
		"preprocessing_num_workers": func(d *Data) { d.Workers = -1 },
	} {
		d := good
		spoil(&d)
		var bad *Error
		if err := d.Validate(); !errors.As(err, &bad) || bad.Flag != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadData(t *testing.T) {
	output := t.TempDir()
	d := DefaultData()
	d.Dataset, d.DemoPictures = DemoDataset, 3
	set, err := d.Load(t.Context(), output)
	if err != nil || len(set.Refs) != 3 || !strings.HasPrefix(set.Roots.Pictures, output) {
		t.Errorf("demo: %+v, %v", set, err)
	}
	d.Dataset = filepath.Join(output, "absent")
	var bad *Error
	if _, err := d.Load(t.Context(), output); !errors.As(err, &bad) || bad.Flag != "dataset" {
		t.Errorf("absent folder: %v", err)
	}
	if err := os.Mkdir(d.Dataset, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(t.Context(), output); !errors.Is(err, dataset.ErrNoPictures) {
		t.Errorf("empty folder: %v", err)
	}
}

func TestPreprocessSettings(t *testing.T) {
	d := DefaultData()
	d.ShardSizeMB, d.PixelFormat, d.SplitSeed, d.Workers = 3, records.Float32, -1, 2
	words := &preprocess.Text{First: 5}
	want := preprocess.Config{
		Output: "out", Processor: *imaging.DefaultProcessor(8), Decode: d.Decode(), Text: words,
		PixelFormat: records.Float32, Shares: preprocess.DefaultShares, SplitSeed: -1,
		ShardBytes: 3 << 20, Workers: 2,
	}
	if diff := cmp.Diff(want, d.Preprocess("out", imaging.DefaultProcessor(8), words)); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
