package blip

import (
	"slices"
	"testing"
)

// The graphs that are there never take more than the room at that moment, and
// the best fit first.
func TestPlanKeepsWhatFits(t *testing.T) {
	step := func(graph, work, room float64) planned { return planned{graph: graph, work: work, room: room} }
	for _, c := range []struct {
		name  string
		steps []planned
		spare float64
		want  []retained
	}{
		{"all", []planned{step(10, 1, 10), step(10, 1, 20)}, 0, []retained{graph, graph}},
		{"none", []planned{step(10, 1, 0), step(10, 1, 0)}, 9, []retained{input, input}},
		{"spare", []planned{step(10, 1, 0), step(10, 1, 0)}, 10, []retained{input, graph}},
		{"most work", []planned{step(10, 5, 10), step(10, 1, 10)}, 0, []retained{graph, input}},
		{"for its size", []planned{step(10, 5, 10), step(1, 1, 10)}, 0, []retained{input, graph}},
		// The first would fit at its own moment, but is still there at the second's.
		{"later moments", []planned{step(1, 1, 5), step(8, 9, 8), step(8, 8, 10)}, 0, []retained{input, graph, input}},
		{"earlier moments", []planned{step(4, 1, 3), step(8, 1, 12)}, 0, []retained{input, graph}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fit(c.steps, c.spare)
			var got []retained
			kept := 0.0
			for _, s := range c.steps {
				got = append(got, s.retained)
				if s.retained == graph {
					kept += s.graph
				}
				if kept > max(0, s.room+c.spare) {
					t.Errorf("graphs take %v of %v", kept, s.room+c.spare)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("kept %v, want %v", got, c.want)
			}
		})
	}
}

// Gradients to come leave room; those of a group's first batch leave none for
// its second, whose graphs have the spare alone.
func TestPlanUsesTheRoomOfGradients(t *testing.T) {
	noneLeft(t)
	m, b := learnModel(t, 0)
	collect(t, m, all)
	count := func(p plan) (graphs int) {
		for _, r := range slices.Concat(p.attend, p.feed, p.text) {
			if r == graph {
				graphs++
			}
		}
		return graphs
	}
	layers := 2*len(m.Vision.layers) + len(m.Text.layers)
	var fresh, second, spared, plain int
	learn(t, m, func() (float64, error) {
		fresh = count(m.plan(Objective{Checkpointing: true}, 1, 8, 0))
		plain = count(m.plan(Objective{}, 1, 8, 0))
		if _, err := m.Learn(b, Objective{}); err != nil {
			return 0, err
		}
		second = count(m.plan(Objective{Checkpointing: true}, 1, 8, 0))
		spared = count(m.plan(Objective{Checkpointing: true}, 1, 8, m.spare()))
		return 0, nil
	})
	if fresh == 0 || second != 0 || spared != layers || plain != layers {
		t.Errorf("of %d steps, %d are kept without gradients, %d with them, %d with memory to spare, %d without checkpointing", layers, fresh, second, spared, plain)
	}
}
