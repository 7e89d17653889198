package blip

import (
	"context"
	"fmt"
	"math"

	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/torch"
)

// Decoding writes captions for a batch of encoded pictures, a token a step: it
// is the [generate.Decoder] over this network. It holds what earlier steps
// computed: for each layer the keys and values of the rows' own tokens, and
// those of the pictures, once for each however many beams look at them.
//
// A Decoding lives within one Run of the model's device; Close frees it.
type Decoding struct {
	model    *Model
	mode     generate.Mode
	layers   []*layerMemory
	lengths  []int // tokens that each row has
	columns  int   // tokens that the memory has a place for: those of the longest row
	holes    [][2]int
	pictures []int // which picture each group of rows belongs to
	scores   []float32
}

var _ generate.Decoder = (*Decoding)(nil)

// layerMemory is what a layer remembers. Shapes: R rows, P pictures that are
// still being written about, t tokens so far.
type layerMemory struct {
	keys, values               *torch.Tensor // [R N t H], nil before the first
	pictureKeys, pictureValues *torch.Tensor // [P N S H]
}

// extend adds the keys and values [R N T H] of new tokens.
func (l *layerMemory) extend(k, v *torch.Tensor) (keys, values *torch.Tensor) {
	if l.keys != nil {
		k, v = torch.Cat(2, l.keys, k), torch.Cat(2, l.values, v)
	}
	replace(&l.keys, k.Contiguous())
	replace(&l.values, v.Contiguous())
	return l.keys, l.values
}

// gather keeps the rows that an index names, in its order.
func (l *layerMemory) gather(rows *torch.Tensor) {
	replace(&l.keys, l.keys.IndexSelect(0, rows))
	replace(&l.values, l.values.IndexSelect(0, rows))
}

// gatherPictures does the same for the pictures.
func (l *layerMemory) gatherPictures(index *torch.Tensor) {
	replace(&l.pictureKeys, l.pictureKeys.IndexSelect(0, index))
	replace(&l.pictureValues, l.pictureValues.IndexSelect(0, index))
}

// replace keeps the new tensor and frees the old.
func replace(slot **torch.Tensor, t *torch.Tensor) {
	if *slot == t {
		return
	}
	(*slot).Free()
	*slot = t.Keep()
}

func (l *layerMemory) free() {
	for _, t := range []*torch.Tensor{l.keys, l.values, l.pictureKeys, l.pictureValues} {
		t.Free()
	}
}

// Decode begins captions for pictures as the vision model gives them [P S D].
func (m *Model) Decode(pictures *torch.Tensor) *Decoding {
	d := &Decoding{model: m}
	begun := false
	defer func() {
		if !begun { // libtorch refused: nobody else would free the layers
			d.Close()
		}
	}()
	for i := range pictures.Dim(0) {
		d.pictures = append(d.pictures, int(i))
	}
	for _, layer := range m.Text.layers {
		memory := &layerMemory{}
		d.layers = append(d.layers, memory)
		torch.Tidy(m.device, func() *torch.Tensor {
			k, v := layer.cross.keysAndValues(pictures)
			replace(&memory.pictureKeys, k.Contiguous())
			replace(&memory.pictureValues, v.Contiguous())
			return nil
		})
	}
	begun = true
	return d
}

// Close frees what the decoding remembers.
func (d *Decoding) Close() {
	for _, l := range d.layers {
		l.free()
	}
	d.layers = nil
}

// Generate captions normalised pictures (CHW, one after the other), one for
// each prompt: see [generate.Generate]. It runs on the model's device.
func (m *Model) Generate(ctx context.Context, pixels []float32, prompts [][]int32, c generate.Config) (found [][]generate.Hypothesis, err error) {
	err = m.device.Run(torch.Inference, func() error {
		x, err := m.pixels(pixels, len(prompts))
		if err != nil {
			return err
		}
		d := m.Decode(m.Vision.Forward(x))
		defer d.Close()
		found, err = generate.Generate(ctx, d, prompts, c)
		return err
	})
	return found, err
}

// Start reads the prompts, one for each picture.
func (d *Decoding) Start(prompts [][]int32, mode generate.Mode) ([][]float32, error) {
	if len(prompts) != len(d.pictures) {
		return nil, fmt.Errorf("%w: %d prompts for %d pictures", ErrBatch, len(prompts), len(d.pictures))
	}
	if err := d.model.checkTokens(prompts); err != nil {
		return nil, err
	}
	d.mode = mode
	d.lengths = make([]int, len(prompts))
	for i, p := range prompts {
		d.lengths[i] = len(p)
		d.columns = max(d.columns, len(p))
	}
	ids := make([]int64, len(prompts)*d.columns)
	d.holes = make([][2]int, len(prompts))
	for i, p := range prompts {
		for j := range d.columns {
			ids[i*d.columns+j] = d.model.Config.Text.PadTokenID
			if j < len(p) {
				ids[i*d.columns+j] = int64(p[j])
			}
		}
		d.holes[i] = [2]int{len(p), d.columns}
	}
	dev := d.model.device
	return d.read(func() *torch.Tensor {
		rows, columns := int64(len(prompts)), int64(d.columns)
		positions := d.model.Text.positions(dev, columns)
		mask := causalMask(dev, d.columns, d.lengths)
		x := d.through(dev.Ints(ids, rows, columns), positions, mask)
		last := make([]int64, rows)
		for i, n := range d.lengths {
			last[i] = int64(i*d.columns + n - 1)
		}
		return x.Reshape(rows*columns, x.Dim(-1)).IndexSelect(0, dev.Ints(last, rows))
	}, len(prompts)), nil
}

// Step appends a token to each row.
func (d *Decoding) Step(rows []generate.Row) ([][]float32, error) {
	if err := d.rearrange(rows); err != nil {
		return nil, err
	}
	text, dev := d.model.Text, d.model.device
	ids, positions := make([]int64, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		if r.Token < 0 || int64(r.Token) >= text.config.VocabSize || int64(d.lengths[i]) >= text.config.MaxPositionEmbeddings {
			return nil, fmt.Errorf("%w: token %d at position %d, the model has %d tokens and %d positions", ErrBatch,
				r.Token, d.lengths[i], text.config.VocabSize, text.config.MaxPositionEmbeddings)
		}
		ids[i], positions[i] = int64(r.Token), int64(d.lengths[i])
		d.lengths[i]++
	}
	d.columns++
	n := int64(len(rows))
	return d.read(func() *torch.Tensor {
		x := d.through(dev.Ints(ids, n, 1), dev.Ints(positions, n, 1), d.holeMask())
		return x.Reshape(n, x.Dim(-1))
	}, len(rows)), nil
}

// rearrange brings the memory into the order of the new rows, and drops the
// pictures that have none.
func (d *Decoding) rearrange(rows []generate.Row) error {
	lengths, holes := make([]int, len(rows)), make([][2]int, len(rows))
	index, same := make([]int64, len(rows)), len(rows) == len(d.lengths)
	var pictures []int
	for i, r := range rows {
		if r.Parent < 0 || r.Parent >= len(d.lengths) {
			return fmt.Errorf("%w: row %d continues row %d of %d", ErrBatch, i, r.Parent, len(d.lengths))
		}
		index[i], lengths[i], holes[i] = int64(r.Parent), d.lengths[r.Parent], d.holes[r.Parent]
		same = same && r.Parent == i
		if len(pictures) == 0 || pictures[len(pictures)-1] != r.Picture {
			pictures = append(pictures, r.Picture)
		}
	}
	d.lengths, d.holes = lengths, holes
	dev := d.model.device
	torch.Tidy(dev, func() *torch.Tensor {
		if !same {
			at := dev.Ints(index, int64(len(index)))
			for _, l := range d.layers {
				l.gather(at)
			}
		}
		if len(pictures) != len(d.pictures) {
			at := dev.Ints(places(pictures, d.pictures), int64(len(pictures)))
			for _, l := range d.layers {
				l.gatherPictures(at)
			}
			d.pictures = pictures
		}
		return nil
	})
	return nil
}

// places finds each of some, in all, where they stand in the same order.
func places(some, all []int) []int64 {
	out := make([]int64, 0, len(some))
	for at, p := range all {
		if len(out) < len(some) && some[len(out)] == p {
			out = append(out, int64(at))
		}
	}
	return out
}

// holeMask hides the padding between a short prompt and what follows it; nil
// where there is none.
func (d *Decoding) holeMask() *torch.Tensor {
	any := false
	for _, h := range d.holes {
		any = any || h[0] < h[1]
	}
	if !any {
		return nil
	}
	mask := make([]float32, len(d.holes)*d.columns)
	for i, h := range d.holes {
		for j := h[0]; j < h[1]; j++ {
			mask[i*d.columns+j] = float32(math.Inf(-1))
		}
	}
	return d.model.device.Floats(mask, int64(len(d.holes)), 1, 1, int64(d.columns))
}

// through runs ids [R T] through the layers, to [R T D].
func (d *Decoding) through(ids, positions, mask *torch.Tensor) *torch.Tensor {
	dev := d.model.device
	x := d.model.Text.embed(ids, positions)
	for i, layer := range d.model.Text.layers {
		l := d.layers[i]
		x = torch.Tidy(dev, func() *torch.Tensor { return layer.Forward(x, l, mask, l.pictureKeys, l.pictureValues) })
	}
	return x
}

// read turns the last hidden states [R D] that fn gives into scores, a slice a
// row, in memory that the next step uses again.
func (d *Decoding) read(fn func() *torch.Tensor, rows int) [][]float32 {
	vocab := int(d.model.Config.Text.VocabSize)
	if cap(d.scores) < rows*vocab {
		d.scores = make([]float32, rows*vocab)
	}
	flat := d.scores[:rows*vocab]
	torch.Tidy(d.model.device, func() *torch.Tensor {
		scores := d.model.Text.head.Forward(fn())
		if d.mode == generate.LogProbs {
			scores = scores.LogSoftmax()
		}
		scores.CopyTo(flat)
		return nil
	})
	out := make([][]float32, rows)
	for i := range out {
		out[i] = flat[i*vocab:][:vocab:vocab]
	}
	return out
}
