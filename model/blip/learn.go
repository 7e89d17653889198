package blip

import "github.com/blipflow/blipflow/model/torch"

// Objective says what [Model.Learn] differentiates.
type Objective struct {
	// Divisor divides the sum of the labels' losses; 0 stands for the batch's
	// own number of labels, which makes the loss their mean.
	Divisor float64
	// Scale multiplies the loss before the backward pass, but not the loss that
	// is given back: the factor of loss scaling, a batch's share of a group. 0
	// stands for 1.
	Scale float64
	// Smoothing is the label smoothing; nil stands for the configuration's.
	Smoothing *float64
	// Checkpointing is gradient checkpointing (Chen et al., arXiv 1604.06174):
	// the layers of both halves keep what goes into them, and compute the rest
	// again in the backward pass where there is no room to keep it. What they keep
	// beyond that takes no more memory than the gradients do later and, on top of
	// them, as much as the weights, or 256 MB where that is more.
	Checkpointing bool
	// Autocast is the type of matrix products: torch.BFloat16 or torch.Float16;
	// 0 or torch.Float32 for none.
	Autocast torch.DType
	// FrozenVision keeps gradients out of the vision model.
	FrozenVision bool
}

// Learn adds the gradient of a batch's loss to the parameters that collect one,
// and gives the loss, before Scale. It is called inside a Run of mode Training.
// Where it fails, gradients may be there in part.
func (m *Model) Learn(b Batch, o Objective) (loss float64, err error) {
	return m.learn(b, o, m.spare())
}

// learn is Learn with so many bytes to spare for what checkpointing keeps.
func (m *Model) learn(b Batch, o Objective, spare int64) (loss float64, err error) {
	ids, labels, lengths, err := m.lay(b)
	if err != nil {
		return 0, err
	}
	if err := m.checkPixels(b.Pixels, len(b.Tokens)); err != nil {
		return 0, err
	}
	if o.Divisor == 0 {
		o.Divisor = float64(b.Labels())
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Smoothing == nil {
		o.Smoothing = &m.Config.Text.LabelSmoothing
	}
	torch.Tidy(m.device, func() *torch.Tensor {
		l := lesson{model: m, Objective: o, rows: len(b.Tokens), ids: ids, lengths: lengths}
		l.find(labels)
		l.plan = m.plan(o, int64(l.rows), int64(len(ids)/l.rows), spare)
		loss = l.learn(b.Pixels)
		return nil
	})
	return loss, nil
}

// lesson is one call of Learn.
type lesson struct {
	Objective
	model   *Model
	rows    int     // captions
	ids     []int64 // [rows T]
	lengths []int
	// at are the places in ids whose next token is a label, and labels those
	// tokens: the head is needed nowhere else.
	at, labels []int64
	plan       plan
}

// find picks the labels that count out of those of all tokens but the first of
// each row.
func (l *lesson) find(labels []int64) {
	tokens := len(l.ids) / l.rows
	for i, label := range labels {
		if label != ignored {
			l.at = append(l.at, int64(i/(tokens-1)*tokens+i%(tokens-1)))
			l.labels = append(l.labels, label)
		}
	}
}

// learn runs forward and back, and gives the loss.
func (l *lesson) learn(pixels []float32) float64 {
	d := l.model.device
	side := int64(l.model.Config.Vision.ImageSize)
	vision := newChain(d.Floats(pixels, int64(l.rows), 3, side, side), l.Autocast)
	if l.FrozenVision {
		d.Unrecorded(func() { l.see(vision) })
	} else {
		l.see(vision)
	}
	if vision.learns() { // the pictures collect the gradients of all layers that look at them
		vision.x.RequireGrad(torch.Collected)
	}
	text := newChain(d.Ints(l.ids, int64(l.rows), int64(len(l.ids)/l.rows)), l.Autocast)
	l.read(text, vision.x)
	loss, gradient := l.score(text)
	text.backward(gradient)
	if g := vision.x.Grad(); g != nil {
		vision.x.Free()
		vision.backward(g)
	}
	return loss
}

// see runs the vision model.
func (l *lesson) see(c *chain) {
	v := l.model.Vision
	c.forward(graph, v.embed)
	for i, layer := range v.layers {
		c.forwardAgain(l.plan.attend[i], layer.attend, layer.attendAgain)
		c.forwardAgain(l.plan.feed[i], layer.feed, layer.feedAgain)
	}
	c.forward(graph, v.postLayerNorm.Forward)
}

// read runs the text decoder up to its head, and picks the hidden states [R D]
// of the places that have a label.
func (l *lesson) read(c *chain, pictures *torch.Tensor) {
	d, text := l.model.device, l.model.Text
	rows, tokens := c.x.Dim(0), c.x.Dim(1)
	mask := causalMask(d, int(tokens), l.lengths)
	positions := text.positions(d, tokens)
	c.forward(graph, func(ids *torch.Tensor) *torch.Tensor { return text.embed(ids, positions) })
	for i, layer := range text.layers {
		c.forward(l.plan.text[i], func(x *torch.Tensor) *torch.Tensor {
			k, v := layer.cross.keysAndValues(pictures)
			return layer.Forward(x, nil, mask, k, v)
		})
	}
	at := d.Ints(l.at, int64(len(l.at)))
	c.forward(graph, func(x *torch.Tensor) *torch.Tensor {
		return x.Reshape(rows*tokens, x.Dim(-1)).IndexSelect(0, at)
	})
}

// mostLogits is how many logits are there at a time: with what the loss needs
// of the same size, a quarter of a gigabyte.
const mostLogits = 1 << 24

// score runs the head on a chain's hidden states [R D], forward and back, some
// rows at a time, since the logits of a large batch take more memory than all
// else. It gives the loss and the gradient of the hidden states.
func (l *lesson) score(c *chain) (loss float64, gradient *torch.Tensor) {
	d, n := l.model.device, int64(len(l.labels))
	step := max(1, mostLogits/l.model.Config.Text.VocabSize)
	var losses, gradients []*torch.Tensor
	for from := int64(0); from < n; from += step {
		to := min(n, from+step)
		rows := c.x.Narrow(0, from, to-from)
		if c.learns() {
			rows.RequireGrad(torch.Collected)
		}
		losses = append(losses, torch.Tidy(d, func() *torch.Tensor {
			logits := c.compute(l.model.Text.head.Forward, rows).To(torch.Float32)
			sum := logits.CrossEntropy(d.Ints(l.labels[from:to], to-from), torch.ReduceSum, ignored, *l.Smoothing).Scale(1 / l.Divisor)
			sum.Scale(l.Scale).Backward()
			return sum.Detach().Reshape(1)
		}))
		if c.learns() {
			gradients = append(gradients, rows.Grad())
		}
	}
	if len(gradients) > 0 {
		gradient = torch.Cat(0, gradients...)
	}
	return torch.Cat(0, losses...).Sum().Float(), gradient
}
