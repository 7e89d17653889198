package settings

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// Pictures are the settings of every pipeline that decodes pictures.
type Pictures struct {
	EXIF       string `flag:"exif" usage:"what to do with EXIF orientation" choices:"apply,ignore"`
	MaxPixels  int64  `flag:"max_image_pixels" usage:"largest picture that is decoded, width times height; -1 is no limit"`
	Background Colour `flag:"background" usage:"#RRGGBB laid under transparent pixels; empty drops their alpha channel"`
}

// DefaultPictures are the defaults of Pictures.
func DefaultPictures() Pictures {
	return Pictures{EXIF: "apply", MaxPixels: imaging.DefaultMaxPixels}
}

// Decode are the settings as imaging takes them.
func (p Pictures) Decode() imaging.DecodeOptions {
	o := imaging.DecodeOptions{MaxPixels: p.MaxPixels, IgnoreEXIF: p.EXIF == "ignore"}
	if p.Background.Set {
		rgb := p.Background.RGB
		o.Background = &rgb
	}
	return o
}

// Colour is an optional colour, written #RRGGBB.
type Colour struct {
	Set bool
	RGB [3]uint8
}

// MarshalText writes the colour, or nothing for none.
func (c Colour) MarshalText() ([]byte, error) {
	if !c.Set {
		return nil, nil
	}
	return []byte("#" + hex.EncodeToString(c.RGB[:])), nil
}

// UnmarshalText reads what MarshalText writes.
func (c *Colour) UnmarshalText(text []byte) error {
	*c = Colour{}
	if len(text) == 0 {
		return nil
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(string(text), "#"))
	if err != nil || len(raw) != 3 {
		return errors.New("write a colour as #ffffff")
	}
	c.Set = true
	copy(c.RGB[:], raw)
	return nil
}

// DemoDataset is the value of --dataset that stands for the built-in data set.
const DemoDataset = "demo"

// Data are the settings of every pipeline that preprocesses a data set.
type Data struct {
	Dataset      string              `flag:"dataset" usage:"folder or file of pictures and captions; a data set on the hub, as NAME/NAME or NAME/NAME@REVISION; or demo for drawn ones"`
	ImageRoot    string              `flag:"image_root" usage:"folder of the pictures that metadata names, where they are not beside it"`
	Limit        int                 `flag:"limit" usage:"most pictures to take, of each named split its share; 0 is all"`
	ShuffleSeed  int64               `flag:"shuffle_seed" usage:"seed of the order of rows, and of what --limit takes; 0 keeps the order that the split has and takes the first"`
	Dedupe       bool                `flag:"dedupe" usage:"leave out pictures that look like one in another split; test comes before validation before train"`
	DemoPictures int                 `flag:"demo_pictures" usage:"number of pictures to draw for --dataset=demo"`
	DemoSeed     uint64              `flag:"demo_seed" usage:"seed of the drawn pictures"`
	Split        preprocess.Shares   `flag:"split" usage:"shares of train/validation/test, where the data set names no splits"`
	SplitSeed    int64               `flag:"split_seed" usage:"seed of the split"`
	MaxTextLen   int                 `flag:"max_txt_len" usage:"most tokens of a caption, the first and the last included"`
	Clean        bool                `flag:"clean_captions" usage:"train on captions in lower case and without punctuation, as BLIP did"`
	MaxWords     int                 `flag:"max_words" usage:"train on so many words of a caption; 0 is all"`
	Prompt       string              `flag:"prompt" usage:"words before every caption, which training takes as given"`
	ShardSizeMB  int64               `flag:"shard_size_mb" usage:"size of a shard before compression, in MiB"`
	PixelFormat  records.PixelFormat `flag:"pixel_format" usage:"how pixels are stored" choices:"uint8,float32"`
	Workers      int                 `flag:"preprocessing_num_workers" usage:"pictures that a process works on at a time; 0 is one a processor"`
	Pictures
}

// DefaultData are the defaults of Data.
func DefaultData() Data {
	return Data{
		Pictures: DefaultPictures(), DemoPictures: 2000,
		Split: preprocess.DefaultShares, SplitSeed: 42, MaxTextLen: 40,
		ShardSizeMB: preprocess.DefaultShardBytes >> 20, PixelFormat: records.Uint8,
	}
}

// Validate checks the settings before any work.
func (d *Data) Validate() error {
	switch {
	case d.Dataset == "":
		return Bad("dataset", "name a folder of pictures with their captions, or demo")
	case d.Dataset == DemoDataset && (d.DemoPictures < 1 || d.DemoPictures > demo.MaxPictures):
		return Bad("demo_pictures", "%d: write a number from 1 to %d", d.DemoPictures, demo.MaxPictures)
	case d.MaxTextLen < 3:
		return Bad("max_txt_len", "%d: a caption needs 3 tokens at least", d.MaxTextLen)
	case d.Limit < 0:
		return Bad("limit", "%d: write a number, 0 or more", d.Limit)
	case d.MaxWords < 0:
		return Bad("max_words", "%d: write a number, 0 or more", d.MaxWords)
	case d.ImageRoot != "" && d.Dataset == DemoDataset:
		return Bad("image_root", "the demo's pictures are drawn")
	case d.ShardSizeMB < 1 || d.ShardSizeMB > 1<<20:
		return Bad("shard_size_mb", "%d: write a number from 1 to %d", d.ShardSizeMB, 1<<20)
	case d.Workers < 0:
		return Bad("preprocessing_num_workers", "%d: write a number, 0 or more", d.Workers)
	}
	return nil
}

// Load lists the data set, which it fetches first if it is on the hub. The demo's pictures are drawn into a folder of output,
// unless they are there already.
func (d *Data) Load(ctx context.Context, output string) (*dataset.Set, error) {
	o := dataset.Options{ImageRoot: d.ImageRoot, Limit: d.Limit, ShuffleSeed: d.ShuffleSeed}
	if d.Dataset == DemoDataset {
		return dataset.Demo(filepath.Join(output, "demo-pictures"), demo.Options{Seed: d.DemoSeed, Pictures: d.DemoPictures}, o)
	}
	if d.ImageRoot != "" {
		if info, err := os.Stat(d.ImageRoot); err != nil || !info.IsDir() {
			return nil, Bad("image_root", "there is no folder %s", d.ImageRoot)
		}
	}
	dir := d.Dataset
	if isHubID(d.Dataset) {
		var err error
		if dir, err = fetchDataset(ctx, d.Dataset); err != nil {
			return nil, err
		}
		o.Name = d.Dataset
	}
	set, err := dataset.Load(dir, o)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Bad("dataset", "there is no folder %s", d.Dataset)
	}
	return set, err
}

// Preprocess is the configuration of the stage.
func (d *Data) Preprocess(output string, processor *imaging.Processor, words *preprocess.Text) preprocess.Config {
	captions := *words
	captions.Clean, captions.MaxWords, captions.Prompt = d.Clean, d.MaxWords, d.Prompt
	return preprocess.Config{
		Output: output, Processor: *processor, Decode: d.Decode(), Text: &captions,
		PixelFormat: d.PixelFormat, Shares: d.Split, SplitSeed: d.SplitSeed,
		ShuffleSeed: d.ShuffleSeed, Dedupe: d.Dedupe,
		ShardBytes: d.ShardSizeMB << 20, Workers: d.Workers,
	}
}
