package blip

import (
	"math"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// TextDecoder is the image-grounded text decoder: a BERT (norms come after)
// with causal self-attention and, in each layer, cross-attention to the
// picture, under a language-model head.
type TextDecoder struct {
	config TextConfig
	embeddings
	layers []*DecoderLayer
	head   *Head
}

func newTextDecoder(p nn.Path, c TextConfig) *TextDecoder {
	bert := p.Sub("bert")
	m := &TextDecoder{config: c, embeddings: newEmbeddings(bert.Sub("embeddings"), c)}
	for i := range c.NumHiddenLayers {
		m.layers = append(m.layers, newDecoderLayer(bert.Sub("encoder.layer").At(i), c))
	}
	m.head = newHead(p.Sub("cls.predictions"), c, m.words)
	return m
}

// Forward gives the logits [B T V] of the token after each of ids [B T], for
// pictures [B S Dv]. Padding, all on the right, is hidden as mask says: see
// [causalMask].
func (m *TextDecoder) Forward(ids, pictures, mask *torch.Tensor) *torch.Tensor {
	d := ids.Device()
	x := torch.Tidy(d, func() *torch.Tensor { return m.embed(ids, m.positions(d, ids.Dim(1))) })
	for _, layer := range m.layers {
		x = torch.Tidy(d, func() *torch.Tensor {
			k, v := layer.cross.keysAndValues(pictures)
			return layer.Forward(x, nil, mask, k, v)
		})
	}
	return m.head.Forward(x)
}

// positions are the ids 0 … n−1, [1 n].
func (m *TextDecoder) positions(d *torch.Device, n int64) *torch.Tensor {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	return d.Ints(ids, 1, n)
}

// causalMask hides from each token those after it and, where lengths is not
// nil, the padding of its row: 0 where a token may look, −∞ where not,
// [B 1 T T] or [1 1 T T].
func causalMask(d *torch.Device, tokens int, lengths []int) *torch.Tensor {
	rows := max(1, len(lengths))
	mask := make([]float32, rows*tokens*tokens)
	for r := range rows {
		seen := tokens
		if lengths != nil {
			seen = lengths[r]
		}
		for i := range tokens {
			at := mask[(r*tokens+i)*tokens:][:tokens]
			for j := range at {
				if j > i || j >= seen {
					at[j] = float32(math.Inf(-1))
				}
			}
		}
	}
	return d.Floats(mask, int64(rows), 1, int64(tokens), int64(tokens))
}

// embeddings are the sum of words and positions, normed.
type embeddings struct {
	words, places nn.Embedding
	norm          nn.LayerNorm
	dropout       float64
}

func newEmbeddings(p nn.Path, c TextConfig) embeddings {
	return embeddings{
		words:   nn.NewEmbedding(p.Sub("word_embeddings"), c.VocabSize, c.HiddenSize, c.InitializerRange, c.PadTokenID),
		places:  nn.NewEmbedding(p.Sub("position_embeddings"), c.MaxPositionEmbeddings, c.HiddenSize, c.InitializerRange, -1),
		norm:    nn.NewLayerNorm(p.Sub("LayerNorm"), c.HiddenSize, c.LayerNormEps),
		dropout: c.HiddenDropout,
	}
}

// embed maps ids [B T] at positions [B T] or [1 T] to [B T D].
func (e embeddings) embed(ids, positions *torch.Tensor) *torch.Tensor {
	x := e.words.Forward(ids).Add(e.places.Forward(positions))
	return nn.Dropout(e.norm.Forward(x), e.dropout)
}

// DecoderLayer is a block of the text decoder.
type DecoderLayer struct {
	self, cross  *TextAttention
	intermediate nn.Linear
	act          torch.Activation
	output       output
}

func newDecoderLayer(p nn.Path, c TextConfig) *DecoderLayer {
	return &DecoderLayer{
		self:         newTextAttention(p.Sub("attention"), c, c.HiddenSize),
		cross:        newTextAttention(p.Sub("crossattention"), c, c.EncoderHiddenSize),
		intermediate: nn.NewLinear(p.Sub("intermediate.dense"), c.HiddenSize, c.IntermediateSize, c.InitializerRange),
		act:          c.HiddenAct,
		output:       newOutput(p.Sub("output"), c, c.IntermediateSize),
	}
}

// Forward maps x [B T D]. A memory, where there is one, holds the keys and
// values of the tokens before and takes those of x. The pictures' keys and
// values are [P N S H]; the B rows belong to them in order, B/P to each.
func (l *DecoderLayer) Forward(x *torch.Tensor, memory *layerMemory, mask, pictureKeys, pictureValues *torch.Tensor) *torch.Tensor {
	d := x.Device()
	x = torch.Tidy(d, func() *torch.Tensor {
		k, v := l.self.keysAndValues(x)
		if memory != nil {
			k, v = memory.extend(k, v)
		}
		return l.self.Forward(x, k, v, mask)
	})
	x = torch.Tidy(d, func() *torch.Tensor { return l.cross.Forward(x, pictureKeys, pictureValues, nil) })
	return l.output.Forward(l.intermediate.Forward(x).Activate(l.act), x)
}

// TextAttention is BERT's attention with its output layer.
type TextAttention struct {
	query, key, value nn.Linear
	output            output
	heads             int64
	dropout           float64
}

func newTextAttention(p nn.Path, c TextConfig, memory int64) *TextAttention {
	return &TextAttention{
		query:   nn.NewLinear(p.Sub("self.query"), c.HiddenSize, c.HiddenSize, c.InitializerRange),
		key:     nn.NewLinear(p.Sub("self.key"), memory, c.HiddenSize, c.InitializerRange),
		value:   nn.NewLinear(p.Sub("self.value"), memory, c.HiddenSize, c.InitializerRange),
		output:  newOutput(p.Sub("output"), c, c.HiddenSize),
		heads:   c.NumAttentionHeads,
		dropout: c.AttentionDropout,
	}
}

// keysAndValues of what is attended to, [B S ·], as [B N S H].
func (a *TextAttention) keysAndValues(memory *torch.Tensor) (k, v *torch.Tensor) {
	return a.split(a.key.Forward(memory)), a.split(a.value.Forward(memory))
}

// split maps [B S D] to [B N S H].
func (a *TextAttention) split(x *torch.Tensor) *torch.Tensor {
	s := x.Shape()
	return x.Reshape(s[0], s[1], a.heads, s[2]/a.heads).Transpose(1, 2)
}

// Forward maps x [B T D], attending to k and v [P N S H]. Where P < B, the
// rows of a picture become one row of queries, so that its keys and values
// need no copy for each beam.
func (a *TextAttention) Forward(x, k, v, mask *torch.Tensor) *torch.Tensor {
	s := x.Shape()
	pictures := k.Dim(0)
	q := a.split(a.query.Forward(x).Reshape(pictures, s[0]/pictures*s[1], s[2])) // [P N B/P·T H]
	context := nn.Attend(q, k, v, mask, a.dropout)
	return a.output.Forward(context.Transpose(1, 2).Reshape(s...), x)
}

// output is BERT's way out of a sub-layer: project, add the residual, norm.
type output struct {
	dense   nn.Linear
	norm    nn.LayerNorm
	dropout float64
}

func newOutput(p nn.Path, c TextConfig, in int64) output {
	return output{
		dense:   nn.NewLinear(p.Sub("dense"), in, c.HiddenSize, c.InitializerRange),
		norm:    nn.NewLayerNorm(p.Sub("LayerNorm"), c.HiddenSize, c.LayerNormEps),
		dropout: c.HiddenDropout,
	}
}

func (o output) Forward(x, residual *torch.Tensor) *torch.Tensor {
	return o.norm.Forward(nn.Dropout(o.dense.Forward(x), o.dropout).Add(residual))
}

// Head is the language-model head. Its matrix is the table of words, unless
// the checkpoint has one of its own.
type Head struct {
	dense   nn.Linear
	act     torch.Activation
	norm    nn.LayerNorm
	decoder *torch.Tensor // [V D]
	bias    *torch.Tensor // [V]
}

func newHead(p nn.Path, c TextConfig, words nn.Embedding) *Head {
	h := &Head{
		dense: nn.NewLinear(p.Sub("transform.dense"), c.HiddenSize, c.HiddenSize, c.InitializerRange),
		act:   c.HiddenAct,
		norm:  nn.NewLayerNorm(p.Sub("transform.LayerNorm"), c.HiddenSize, c.LayerNormEps),
		bias:  p.Param("bias", nn.Zeros, c.VocabSize),
	}
	h.decoder = untied(p.Sub("decoder"), "weight", words.Weight)
	if own := untied(p.Sub("decoder"), "bias", h.bias); own != h.bias {
		p.Forget("bias") // the reference adds only the decoder's own
		h.bias = own
	}
	return h
}

// untied is a checkpoint's own copy of a tied parameter where it has one that
// differs, and the tied one elsewhere.
func untied(p nn.Path, name string, tied *torch.Tensor) *torch.Tensor {
	if tied == nil {
		return nil
	}
	own := p.Optional(name, tied.Shape()...)
	if own == nil {
		return tied
	}
	if own.Sub(tied).Norm().Float() == 0 {
		p.Forget(name)
		return tied
	}
	return own
}

// Forward maps [... D] to logits [... V].
func (h *Head) Forward(x *torch.Tensor) *torch.Tensor {
	return h.norm.Forward(h.dense.Forward(x).Activate(h.act)).Linear(h.decoder, h.bias)
}
