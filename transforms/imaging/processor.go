package imaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the files that hold a [Processor] in a Hugging Face model folder.
const (
	// ProcessorFile is what transformers 5 writes: the image processor is
	// nested in it under "image_processor".
	ProcessorFile = "processor_config.json"
	// PreprocessorFile is what transformers 4 writes, and 5 still reads.
	PreprocessorFile = "preprocessor_config.json"
)

var (
	// ErrNoImageProcessor: the file says nothing of an image processor.
	ErrNoImageProcessor = errors.New("no image processor settings")
	// ErrProcessor: the settings are malformed, or ask for something that this
	// package does not do.
	ErrProcessor = errors.New("image processor settings")
)

// MaxSide is the largest height or width a Processor may resize to.
const MaxSide = 1 << 14

// Processor turns a picture into BLIP's input. Its fields carry the keys of
// preprocessor_config.json. A valid one comes from [DefaultProcessor],
// [ParseProcessor] or [LoadProcessor]; the zero value is not valid.
//
// The key do_convert_rgb is not kept: [Decode] always gives RGB.
type Processor struct {
	// Height and Width are the size in pixels that pictures are squashed to.
	Height, Width int
	// Resample is the filter.
	Resample Filter
	// DoResize, DoRescale and DoNormalize switch the three steps on.
	DoResize, DoRescale, DoNormalize bool
	// RescaleFactor multiplies samples of 0 to 255 before normalisation.
	RescaleFactor float64
	// Mean and Std are those of red, green and blue: (x - Mean) / Std.
	Mean, Std [3]float64
}

// DefaultProcessor returns the settings that the reference's
// BlipImageProcessor has by default, at size by size pixels: bicubic, samples
// divided by 255, CLIP's mean and deviation.
func DefaultProcessor(size int) *Processor {
	return &Processor{
		Height: size, Width: size, Resample: Bicubic,
		DoResize: true, DoRescale: true, DoNormalize: true,
		RescaleFactor: 1.0 / 255,
		Mean:          [3]float64{0.48145466, 0.4578275, 0.40821073},
		Std:           [3]float64{0.26862954, 0.26130258, 0.27577711},
	}
}

// processorJSON is the wire form. Pointers tell absent keys, and nulls, which
// both mean the default.
type processorJSON struct {
	Type          string          `json:"image_processor_type,omitempty"`
	ConvertRGB    *bool           `json:"do_convert_rgb"`
	DoNormalize   *bool           `json:"do_normalize"`
	DoRescale     *bool           `json:"do_rescale"`
	DoResize      *bool           `json:"do_resize"`
	Mean          json.RawMessage `json:"image_mean"`
	Std           json.RawMessage `json:"image_std"`
	Resample      *int            `json:"resample"`
	RescaleFactor *float64        `json:"rescale_factor"`
	Size          json.RawMessage `json:"size"`

	// Steps of other processors, refused unless they are off.
	DoCenterCrop *bool `json:"do_center_crop,omitempty"`
	DoPad        *bool `json:"do_pad,omitempty"`
	DoThumbnail  *bool `json:"do_thumbnail,omitempty"`
}

// ParseProcessor reads the bytes of preprocessor_config.json, or of
// processor_config.json with the image processor nested in it. Keys that are
// missing or null take the reference's defaults. It returns
// [ErrNoImageProcessor] for a processor_config.json without an image processor
// (transformers 4 writes those) and otherwise wraps [ErrProcessor].
func ParseProcessor(data []byte) (*Processor, error) {
	var outer struct {
		Image json.RawMessage `json:"image_processor"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProcessor, err)
	}
	if present(outer.Image) {
		data = outer.Image
	} else if !describesImages(data) {
		return nil, ErrNoImageProcessor
	}
	var in processorJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProcessor, err)
	}
	p, err := in.processor()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProcessor, err)
	}
	return p, nil
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// describesImages tells image processor settings from those of a whole
// processor, which has only names in it.
func describesImages(data []byte) bool {
	var keys map[string]json.RawMessage
	if json.Unmarshal(data, &keys) != nil {
		return false
	}
	for _, k := range []string{"image_processor_type", "size", "image_mean", "do_resize", "do_normalize", "do_rescale"} {
		if _, ok := keys[k]; ok {
			return true
		}
	}
	return false
}

func (in *processorJSON) processor() (*Processor, error) {
	const defaultSide = 384
	p := DefaultProcessor(defaultSide)
	for key, on := range map[string]*bool{
		"do_center_crop": in.DoCenterCrop, "do_pad": in.DoPad, "do_thumbnail": in.DoThumbnail,
	} {
		if on != nil && *on {
			return nil, fmt.Errorf("%s is on, which BLIP's processor does not know", key)
		}
	}
	setBool(&p.DoResize, in.DoResize)
	setBool(&p.DoRescale, in.DoRescale)
	setBool(&p.DoNormalize, in.DoNormalize)
	if in.Resample != nil {
		p.Resample = Filter(*in.Resample)
	}
	if in.RescaleFactor != nil {
		p.RescaleFactor = *in.RescaleFactor
	}
	var err error
	if p.Height, p.Width, err = parseSize(in.Size, defaultSide); err != nil {
		return nil, err
	}
	if err := parseTriple(&p.Mean, in.Mean); err != nil {
		return nil, fmt.Errorf("image_mean: %w", err)
	}
	if err := parseTriple(&p.Std, in.Std); err != nil {
		return nil, fmt.Errorf("image_std: %w", err)
	}
	return p, p.Validate()
}

func setBool(to *bool, from *bool) {
	if from != nil {
		*to = *from
	}
}

// parseSize reads {"height": h, "width": w}, and what old files have: one
// number for a square, or a list of height and width.
func parseSize(raw json.RawMessage, missing int) (h, w int, err error) {
	if !present(raw) {
		return missing, missing, nil
	}
	if json.Unmarshal(raw, &h) == nil {
		return h, h, nil
	}
	var list []int
	if json.Unmarshal(raw, &list) == nil && len(list) == 2 {
		return list[0], list[1], nil
	}
	var dict map[string]*int
	if err := json.Unmarshal(raw, &dict); err != nil {
		return 0, 0, fmt.Errorf("size %s: want height and width", raw)
	}
	for k, v := range dict {
		if v == nil {
			continue
		}
		switch k {
		case "height":
			h = *v
		case "width":
			w = *v
		default:
			return 0, 0, fmt.Errorf("size has %s, want height and width only", k)
		}
	}
	if h == 0 || w == 0 {
		return 0, 0, fmt.Errorf("size %s: want height and width", raw)
	}
	return h, w, nil
}

// parseTriple reads three numbers, or one for all three.
func parseTriple(to *[3]float64, raw json.RawMessage) error {
	if !present(raw) {
		return nil
	}
	var one float64
	if json.Unmarshal(raw, &one) == nil {
		*to = [3]float64{one, one, one}
		return nil
	}
	var list []float64
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	if len(list) != len(to) {
		return fmt.Errorf("%d numbers, want 3", len(list))
	}
	copy(to[:], list)
	return nil
}

// Validate reports the first setting that cannot be worked with.
func (p *Processor) Validate() error {
	if p.Height < 1 || p.Width < 1 || p.Height > MaxSide || p.Width > MaxSide {
		return fmt.Errorf("size %dx%d, want sides of 1 to %d", p.Height, p.Width, MaxSide)
	}
	if !p.Resample.valid() {
		return fmt.Errorf("resample %d, want 0 to 5", int(p.Resample))
	}
	for _, v := range append(p.Mean[:], p.RescaleFactor) {
		if !finite32(v) {
			return fmt.Errorf("image_mean %v, rescale_factor %v: want finite numbers", p.Mean, p.RescaleFactor)
		}
	}
	for _, v := range p.Std {
		if !finite32(v) || float32(v) == 0 {
			return fmt.Errorf("image_std %v: want finite numbers other than 0", p.Std)
		}
	}
	return nil
}

func finite32(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(float64(float32(v)), 0)
}

// LoadProcessor reads the settings from a Hugging Face model folder: from
// processor_config.json if an image processor is nested in it, else from
// preprocessor_config.json, as transformers 5 looks for them.
func LoadProcessor(dir string) (*Processor, error) {
	for _, name := range []string{ProcessorFile, PreprocessorFile} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := ParseProcessor(data)
		if errors.Is(err, ErrNoImageProcessor) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		return p, nil
	}
	return nil, fmt.Errorf("%w in %s: want %s or %s", ErrNoImageProcessor, dir, PreprocessorFile, ProcessorFile)
}

func (p *Processor) wire() map[string]any {
	return map[string]any{
		"do_convert_rgb":       true,
		"do_normalize":         p.DoNormalize,
		"do_rescale":           p.DoRescale,
		"do_resize":            p.DoResize,
		"image_mean":           p.Mean,
		"image_processor_type": "BlipImageProcessor",
		"image_std":            p.Std,
		"resample":             int(p.Resample),
		"rescale_factor":       p.RescaleFactor,
		"size":                 map[string]int{"height": p.Height, "width": p.Width},
	}
}

// MarshalPreprocessor returns the content of preprocessor_config.json, which
// transformers 4 and 5 read.
func (p *Processor) MarshalPreprocessor() ([]byte, error) {
	w := p.wire()
	w["processor_class"] = "BlipProcessor"
	return marshalIndent(w)
}

// MarshalProcessor returns the content of processor_config.json as
// transformers 5 writes it.
func (p *Processor) MarshalProcessor() ([]byte, error) {
	return marshalIndent(map[string]any{
		"image_processor": p.wire(),
		"processor_class": "BlipProcessor",
	})
}

func marshalIndent(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode image processor: %w", err)
	}
	return append(b, '\n'), nil
}

// Hash returns 64 hexadecimal digits that two processors share if and only if
// they have the same settings, for the metadata of stored pixels.
func (p *Processor) Hash() string {
	var b strings.Builder
	fmt.Fprintf(&b, "size=%dx%d resample=%d resize=%t rescale=%t normalize=%t",
		p.Height, p.Width, p.Resample, p.DoResize, p.DoRescale, p.DoNormalize)
	for _, v := range append([]float64{p.RescaleFactor}, append(p.Mean[:], p.Std[:]...)...) {
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// Apply resizes a picture to the processor's size, or returns it as it is if
// resizing is off or not needed.
func (p *Processor) Apply(m *RGB) *RGB {
	if !p.DoResize {
		return m
	}
	return Resize(m, p.Width, p.Height, p.Resample)
}

// Normalize writes the picture to dst as [3][H][W] float32: the planes red,
// green, blue, rows from the top. dst must have length 3*m.W*m.H; anything
// else is an error, and so is an invalid picture. The picture's size is taken
// as it is, see [Processor.Apply].
//
// The arithmetic is the reference's (transformers, image_transforms.py): the
// product with the factor in float64, rounded to float32, then the difference
// and the quotient in float32. So the values are the same to the bit.
func (p *Processor) Normalize(dst []float32, m *RGB) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("normalize: %w", err)
	}
	plane := m.W * m.H
	if len(dst) != 3*plane {
		return fmt.Errorf("normalize: %d floats for a picture of %dx%d, want %d", len(dst), m.W, m.H, 3*plane)
	}
	table := p.table()
	r, g, b := dst[:plane], dst[plane:2*plane], dst[2*plane:]
	pix := m.Pix[:3*plane]
	for i := range plane {
		px := pix[3*i : 3*i+3 : 3*i+3]
		r[i], g[i], b[i] = table[0][px[0]], table[1][px[1]], table[2][px[2]]
	}
	return nil
}

// table has the float of every sample, by channel.
func (p *Processor) table() *[3][256]float32 {
	var t [3][256]float32
	for c := range t {
		mean, std := float32(p.Mean[c]), float32(p.Std[c])
		for v := range t[c] {
			x := float32(v)
			if p.DoRescale {
				x = float32(float64(v) * p.RescaleFactor)
			}
			if p.DoNormalize {
				x = (x - mean) / std
			}
			t[c][v] = x
		}
	}
	return &t
}
