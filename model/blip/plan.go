package blip

import (
	"cmp"
	"slices"

	"github.com/blipflow/blipflow/model/torch"
)

// plan says what each layer's steps leave for the backward pass.
type plan struct{ attend, feed, text []retained }

// leastSpare and the weights' own size are what graphs may take beyond the room
// that gradients leave, whichever is more.
const leastSpare = 256 << 20

// plan decides it. Without checkpointing everything leaves its graph. With it,
// memory is at its peak at the end of the backward pass, when all gradients are
// there; until their turn comes, those that are missing leave room. So a step
// leaves its graph where, at every moment of the backward pass, the graphs that
// are still there fit into that room and a spare that the size of the batch does
// not change; those come first that save most work for their size. A parameter
// that has a gradient already, from an earlier batch of the same group, leaves
// no room.
func (m *Model) plan(o Objective, rows, tokens, spare int64) plan {
	made := plan{
		attend: make([]retained, len(m.Vision.layers)),
		feed:   make([]retained, len(m.Vision.layers)),
		text:   make([]retained, len(m.Text.layers)),
	}
	if !o.Checkpointing {
		return made // graph is the zero value
	}
	steps := m.steps(o, rows, tokens)
	fit(steps, float64(spare))
	for i := range m.Vision.layers {
		made.attend[i], made.feed[i] = steps[2*i].retained, steps[2*i+1].retained
	}
	for i := range m.Text.layers {
		made.text[i] = steps[2*len(m.Vision.layers)+i].retained
	}
	return made
}

// spare is what a plan has beyond gradients to come.
func (m *Model) spare() int64 {
	weights := int64(0)
	for _, p := range m.params {
		weights += p.Tensor.Size()
	}
	return max(weights, leastSpare)
}

// planned is a step as the plan sees it.
type planned struct {
	graph float64 // bytes of its graph beyond its input
	work  float64 // multiplications that computing it again takes
	// room is the bytes of gradients that come at this step of the backward pass
	// or after it: those of its parameters, and of steps before it.
	room     float64
	retained retained
}

// fit lets steps, which are in the order of the forward pass, leave their
// graphs while there is room.
func fit(steps []planned, spare float64) {
	order := make([]int, len(steps))
	for i := range steps {
		steps[i].retained = input
		order[i] = i
	}
	// Among equals the later one: its graph is there for a shorter time.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(steps[b].work/steps[b].graph, steps[a].work/steps[a].graph), cmp.Compare(b, a))
	})
	left := make([]float64, len(steps))
	for i, s := range steps {
		left[i] = s.room + spare
	}
	for _, i := range order {
		if slices.Min(left[i:]) < steps[i].graph {
			continue
		}
		steps[i].retained = graph
		for j := i; j < len(left); j++ {
			left[j] -= steps[i].graph
		}
	}
}

// steps are those of the vision model, two for each layer, and of the text
// decoder. Sizes and work are those of the large tensors; see the layers' types
// for where they come from.
func (m *Model) steps(o Objective, rows, tokens int64) []planned {
	const float = 4
	v, t := m.Config.Vision, m.Config.Text
	size := 1.0 * float
	if o.Autocast == torch.BFloat16 || o.Autocast == torch.Float16 {
		size = float/2 + 1 // norms and sums stay in float32, and so do their results
	}
	b, seen, d, wide := float64(rows), float64(v.Positions()), float64(v.HiddenSize), float64(v.IntermediateSize)
	r := b * seen
	attend := planned{graph: size * 5 * r * d, work: r*d*3*d + 2*r*seen*d}
	if v.AttentionDropout > 0 { // no fused kernel: scores, probabilities, what is left of them
		attend.graph += size * 3 * b * float64(v.NumAttentionHeads) * seen * seen
	}
	feed := planned{graph: size * r * (d + 2*wide), work: r * d * wide}
	td, twide, read := float64(t.HiddenSize), float64(t.IntermediateSize), b*float64(tokens)
	text := planned{
		graph: size * (2*r*td + read*(12*td+2*twide)),
		work:  2*r*d*td + read*td*(6*td+2*twide),
	}
	if t.AttentionDropout > 0 {
		text.graph += size * 3 * b * float64(t.NumAttentionHeads) * float64(tokens) * (seen + float64(tokens))
	}
	room := m.pending(o)
	var steps []planned
	add := func(s planned, last *torch.Tensor) {
		s.room = room[last]
		steps = append(steps, s)
	}
	for _, l := range m.Vision.layers {
		add(attend, l.attention.projection.Bias)
		add(feed, l.fc2.Bias)
	}
	for _, l := range m.Text.layers {
		add(text, l.output.norm.Bias)
	}
	return steps
}

// pending is, for each parameter, the bytes of the gradients to come of it and
// those in front of it in the network.
func (m *Model) pending(o Objective) map[*torch.Tensor]float64 {
	sums, sum := make(map[*torch.Tensor]float64, len(m.params)), 0.0
	vision := o.FrozenVision
	torch.Tidy(m.device, func() *torch.Tensor {
		for _, p := range m.params {
			words := p.Tensor == m.Text.words.Weight
			vision = vision && !words // the text decoder begins with them
			tied := words && p.Tensor == m.Text.head.decoder
			if !vision && !tied && p.Tensor.RequiresGrad() && p.Tensor.Grad() == nil {
				sum += float64(p.Tensor.Size())
			}
			sums[p.Tensor] = sum
		}
		return nil
	})
	return sums
}
