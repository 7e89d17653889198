package blip

import (
	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// VisionModel turns a picture into S tokens: one for the whole, then one for
// each patch, row by row. Shapes: B batch, S tokens, D hidden size.
type VisionModel struct {
	config        VisionConfig
	class         *torch.Tensor // [1 1 D]
	position      *torch.Tensor // [1 S D]
	patches       nn.PatchEmbedding
	layers        []*EncoderLayer
	postLayerNorm nn.LayerNorm
}

func newVisionModel(p nn.Path, c VisionConfig) *VisionModel {
	e := p.Sub("embeddings")
	m := &VisionModel{
		config:   c,
		class:    e.Param("class_embedding", nn.TruncNormal(c.InitializerRange), 1, 1, c.HiddenSize),
		position: e.Param("position_embedding", nn.TruncNormal(c.InitializerRange), 1, c.Positions(), c.HiddenSize),
		patches:  nn.NewPatchEmbedding(e.Sub("patch_embedding"), c.HiddenSize, int64(c.PatchSize), c.InitializerRange),
	}
	for i := range c.NumHiddenLayers {
		m.layers = append(m.layers, newEncoderLayer(p.Sub("encoder.layers").At(i), c))
	}
	m.postLayerNorm = nn.NewLayerNorm(p.Sub("post_layernorm"), c.HiddenSize, c.LayerNormEps)
	return m
}

// Forward maps normalised pixels [B 3 side side] to normed tokens [B S D].
func (m *VisionModel) Forward(pixels *torch.Tensor) *torch.Tensor {
	d := pixels.Device()
	x := torch.Tidy(d, func() *torch.Tensor { return m.embed(pixels) })
	for _, layer := range m.layers {
		x = torch.Tidy(d, func() *torch.Tensor { return layer.Forward(x) })
	}
	return m.postLayerNorm.Forward(x)
}

func (m *VisionModel) embed(pixels *torch.Tensor) *torch.Tensor {
	patches := m.patches.Forward(pixels) // [B S−1 D]
	class := m.class.Expand(patches.Dim(0), 1, m.config.HiddenSize)
	return torch.Cat(1, class, patches).Add(m.position)
}

// EncoderLayer is a block of the vision transformer; it norms first.
type EncoderLayer struct {
	norm1, norm2 nn.LayerNorm
	attention    *VisionAttention
	fc1, fc2     nn.Linear
	act          torch.Activation
}

func newEncoderLayer(p nn.Path, c VisionConfig) *EncoderLayer {
	return &EncoderLayer{
		norm1:     nn.NewLayerNorm(p.Sub("layer_norm1"), c.HiddenSize, c.LayerNormEps),
		attention: newVisionAttention(p.Sub("self_attn"), c),
		norm2:     nn.NewLayerNorm(p.Sub("layer_norm2"), c.HiddenSize, c.LayerNormEps),
		fc1:       nn.NewLinear(p.Sub("mlp.fc1"), c.HiddenSize, c.IntermediateSize, c.InitializerRange),
		fc2:       nn.NewLinear(p.Sub("mlp.fc2"), c.IntermediateSize, c.HiddenSize, c.InitializerRange),
		act:       c.HiddenAct,
	}
}

// Forward keeps the shape [B S D].
func (l *EncoderLayer) Forward(x *torch.Tensor) *torch.Tensor {
	return l.feed(torch.Tidy(x.Device(), func() *torch.Tensor { return l.attend(x) }))
}

// attend is the first half of the layer.
func (l *EncoderLayer) attend(x *torch.Tensor) *torch.Tensor {
	return l.attention.Forward(l.norm1.Forward(x)).Add(x)
}

// attendAgain has the backward pass of attend, but not its values.
func (l *EncoderLayer) attendAgain(x *torch.Tensor) *torch.Tensor {
	return l.attention.projection.Again(l.attention.context(l.norm1.Forward(x))).Add(x)
}

// feed is the second half, the feed-forward network.
func (l *EncoderLayer) feed(x *torch.Tensor) *torch.Tensor {
	return l.fc2.Forward(l.widen(x)).Add(x)
}

// feedAgain has the backward pass of feed, but not its values.
func (l *EncoderLayer) feedAgain(x *torch.Tensor) *torch.Tensor {
	return l.fc2.Again(l.widen(x)).Add(x)
}

func (l *EncoderLayer) widen(x *torch.Tensor) *torch.Tensor {
	return l.fc1.Forward(l.norm2.Forward(x)).Activate(l.act)
}

// VisionAttention attends from every token to every token; query, key and
// value come out of one product.
type VisionAttention struct {
	qkv, projection nn.Linear
	heads           int64
	dropout         float64
}

func newVisionAttention(p nn.Path, c VisionConfig) *VisionAttention {
	return &VisionAttention{
		qkv:        nn.NewLinear(p.Sub("qkv"), c.HiddenSize, 3*c.HiddenSize, c.InitializerRange),
		projection: nn.NewLinear(p.Sub("projection"), c.HiddenSize, c.HiddenSize, c.InitializerRange),
		heads:      c.NumAttentionHeads,
		dropout:    c.AttentionDropout,
	}
}

// Forward keeps the shape [B S D].
func (a *VisionAttention) Forward(x *torch.Tensor) *torch.Tensor {
	return a.projection.Forward(a.context(x))
}

// context is what the heads found [B S D].
func (a *VisionAttention) context(x *torch.Tensor) *torch.Tensor {
	s := x.Shape()
	parts := a.qkv.Forward(x).Chunk(3, -1) // query, key, value; their gradients come together in one copy
	for i, p := range parts {
		parts[i] = p.Reshape(s[0], s[1], a.heads, s[2]/a.heads).Transpose(1, 2) // [B N S H]
	}
	context := nn.Attend(parts[0], parts[1], parts[2], nil, a.dropout)
	return context.Transpose(1, 2).Reshape(s...)
}
