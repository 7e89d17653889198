package blip

import (
	"errors"
	"fmt"
	"slices"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// Model is BLIP for conditional generation: a vision model and a text decoder
// over it. Its methods with tensors run inside its device's Run; New, Load,
// Save, Close do that themselves.
type Model struct {
	Config Config

	Vision *VisionModel
	Text   *TextDecoder

	device *torch.Device
	params []*nn.Param
}

// New is a model with random weights, drawn as the reference draws them, from
// libtorch's generator seeded with seed. (The reference draws in another order:
// the distributions are the same, the numbers are not.)
func New(d *torch.Device, c Config, seed int64) (*Model, error) {
	if err := torch.Seed(seed); err != nil {
		return nil, err
	}
	return build(d, c, nn.Random(d))
}

// Load is a model with the weights of a Hugging Face folder, read through a
// memory map straight into libtorch's memory and converted to float32.
func Load(d *torch.Device, c Config, folder string) (*Model, error) {
	f, err := safetensors.OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := build(d, c, stored(d, f))
	if err != nil {
		return nil, fmt.Errorf("read the weights in %s: %w", folder, err)
	}
	return m, nil
}

// weights is what a single file and a sharded folder have in common.
type weights interface {
	Tensor(name string) (safetensors.Tensor, bool)
}

func stored(d *torch.Device, f weights) nn.Source {
	return func(name string, shape []int64, init nn.Init) (*torch.Tensor, error) {
		t, ok := f.Tensor(name)
		if !ok {
			return nil, nil
		}
		if !slices.Equal(t.Shape, shape) {
			return nil, fmt.Errorf("shape is %v, the configuration wants %v", t.Shape, shape)
		}
		dtype, ok := dtypes[t.DType]
		if !ok {
			return nil, fmt.Errorf("elements of type %s are no weights", t.DType)
		}
		return d.FromBytes(t.Data, dtype, shape...).To(torch.Float32), nil
	}
}

var dtypes = map[safetensors.DType]torch.DType{
	safetensors.F64: torch.Float64, safetensors.F32: torch.Float32,
	safetensors.F16: torch.Float16, safetensors.BF16: torch.BFloat16,
}

func build(d *torch.Device, c Config, source nn.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, device: d}
	b := nn.NewBuilder(source)
	err := d.Run(torch.Inference, func() error {
		m.Vision = newVisionModel(b.Root().Sub("vision_model"), c.Vision)
		m.Text = newTextDecoder(b.Root().Sub("text_decoder"), c.Text)
		return b.Err()
	})
	m.params = b.Params()
	if err != nil {
		m.Close()
		return nil, err
	}
	m.Config.Untied = m.Text.head.decoder != m.Text.words.Weight
	return m, nil
}

// Device is where the model's tensors are.
func (m *Model) Device() *torch.Device { return m.device }

// Params are the learned tensors by their checkpoint names. A tied tensor
// stands there once.
func (m *Model) Params() []*nn.Param { return m.params }

// Size is the number of learned values.
func (m *Model) Size() int64 {
	var n int64
	_ = m.device.Run(torch.Inference, func() error {
		for _, p := range m.params {
			k := int64(1)
			for _, s := range p.Tensor.Shape() {
				k *= s
			}
			n += k
		}
		return nil
	})
	return n
}

// Close frees the model's tensors.
func (m *Model) Close() {
	_ = m.device.Run(torch.Inference, func() error {
		for _, p := range m.params {
			p.Tensor.Free()
		}
		return nil
	})
	m.params = nil
}

// ErrBatch is wrapped by errors about a batch whose parts do not fit together
// or the model.
var ErrBatch = errors.New("batch")

// Batch is pictures with their captions, padded on the right to T tokens.
type Batch struct {
	// Pixels are the normalised pictures, B·3·side·side values, CHW.
	Pixels []float32
	// Tokens are the captions' ids: each begins with the configuration's
	// bos_token_id and ends with its sep_token_id.
	Tokens [][]int32
	// Prompt is how many ids of each caption, after the first, are a prompt's:
	// given rather than learned, and so no labels. nil for none.
	Prompt []int
}

// Labels is how many of the captions' tokens are labels: all but the first and
// the prompts'.
func (b Batch) Labels() int {
	n := 0
	for i, caption := range b.Tokens {
		n += len(caption) - b.given(i)
	}
	return n
}

// given is how many tokens of a caption are no labels.
func (b Batch) given(i int) int {
	if i < len(b.Prompt) {
		return 1 + b.Prompt[i]
	}
	return 1
}

// ignored is the label that does not count in the loss (PyTorch's default).
const ignored = -100

// Output is what Forward gives.
type Output struct {
	// Pictures are the vision model's tokens [B S D].
	Pictures *torch.Tensor
	// Logits are those of the token after each, [B T V].
	Logits *torch.Tensor
	// Loss is the mean negative log-likelihood of the labels that count.
	Loss *torch.Tensor
	// Labels is how many labels count.
	Labels int
}

// Forward runs the model on a batch and compares what it says with the
// captions: the logits of each token with the token after it.
func (m *Model) Forward(b Batch) (Output, error) {
	ids, labels, lengths, err := m.lay(b)
	if err != nil {
		return Output{}, err
	}
	pixels, err := m.pixels(b.Pixels, len(b.Tokens))
	if err != nil {
		return Output{}, err
	}
	rows, tokens := int64(len(b.Tokens)), int64(len(ids)/len(b.Tokens))
	out := Output{Pictures: m.Vision.Forward(pixels)}
	mask := causalMask(m.device, int(tokens), lengths)
	out.Logits = m.Text.Forward(m.device.Ints(ids, rows, tokens), out.Pictures, mask)
	said := out.Logits.Narrow(1, 0, tokens-1).Reshape(rows*(tokens-1), m.Config.Text.VocabSize)
	out.Loss = said.CrossEntropy(m.device.Ints(labels, rows*(tokens-1)), torch.ReduceMean, ignored, m.Config.Text.LabelSmoothing)
	out.Labels = b.Labels()
	return out, nil
}

// pixels makes the batch of pictures [B 3 side side].
func (m *Model) pixels(values []float32, pictures int) (*torch.Tensor, error) {
	if err := m.checkPixels(values, pictures); err != nil {
		return nil, err
	}
	side := int64(m.Config.Vision.ImageSize)
	return m.device.Floats(values, int64(pictures), 3, side, side), nil
}

// checkPixels refuses values that do not make up as many pictures.
func (m *Model) checkPixels(values []float32, pictures int) error {
	side := int64(m.Config.Vision.ImageSize)
	if int64(len(values)) != int64(pictures)*3*side*side {
		return fmt.Errorf("%w: %d pixel values for %d pictures of 3×%d×%d", ErrBatch, len(values), pictures, side, side)
	}
	return nil
}

// lay pads the captions into ids [B·T], and gives the labels of all but the
// first token [B·(T−1)] and each caption's length.
func (m *Model) lay(b Batch) (ids, labels []int64, lengths []int, err error) {
	longest := 0
	for i, caption := range b.Tokens {
		if len(caption) < 2 {
			return nil, nil, nil, fmt.Errorf("%w: caption %d has %d tokens, want two at least", ErrBatch, i, len(caption))
		}
		longest = max(longest, len(caption))
	}
	if longest == 0 {
		return nil, nil, nil, fmt.Errorf("%w: no captions", ErrBatch)
	}
	if err := m.checkTokens(b.Tokens); err != nil {
		return nil, nil, nil, err
	}
	if err := b.checkPrompt(); err != nil {
		return nil, nil, nil, err
	}
	for i, caption := range b.Tokens {
		given := b.given(i)
		lengths = append(lengths, len(caption))
		for j := range longest {
			id, label := m.Config.Text.PadTokenID, int64(ignored)
			if j < len(caption) {
				id = int64(caption[j])
				if j >= given {
					label = id
				}
			}
			ids = append(ids, id)
			if j > 0 {
				labels = append(labels, label)
			}
		}
	}
	return ids, labels, lengths, nil
}

// checkPrompt refuses prompts that leave nothing to learn of a caption.
func (b Batch) checkPrompt() error {
	if b.Prompt != nil && len(b.Prompt) != len(b.Tokens) {
		return fmt.Errorf("%w: %d prompts for %d captions", ErrBatch, len(b.Prompt), len(b.Tokens))
	}
	for i, n := range b.Prompt {
		if n < 0 || n > len(b.Tokens[i])-2 {
			return fmt.Errorf("%w: caption %d has %d tokens, %d of them a prompt's besides the first", ErrBatch, i, len(b.Tokens[i]), n)
		}
	}
	return nil
}

// checkTokens refuses ids that the tables do not have: libtorch would read
// past their end on some devices.
func (m *Model) checkTokens(rows [][]int32) error {
	for i, row := range rows {
		if int64(len(row)) > m.Config.Text.MaxPositionEmbeddings {
			return fmt.Errorf("%w: caption %d has %d tokens, the model has %d positions", ErrBatch, i, len(row), m.Config.Text.MaxPositionEmbeddings)
		}
		for _, id := range row {
			if id < 0 || int64(id) >= m.Config.Text.VocabSize {
				return fmt.Errorf("%w: caption %d has token %d, the vocabulary has %d", ErrBatch, i, id, m.Config.Text.VocabSize)
			}
		}
	}
	return nil
}
