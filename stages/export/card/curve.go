package card

import (
	"fmt"
	"slices"
)

// Point is a line of the training log.
type Point struct {
	Step  int
	Epoch float64
	// Loss and LearningRate are those of training, nil in lines of evaluations.
	Loss, LearningRate *float64
	// Eval are the scores of an evaluation.
	Eval map[string]float64
}

// mostRows bounds the table of the curve. The log has all.
const mostRows = 60

// curve is the table of the evaluations, each with the training loss logged last
// before it, or, in a run without any, of the training loss.
func (t Training) curve() string {
	var scored []Point
	var loss *float64
	keys := map[string]float64{}
	for _, p := range t.Log {
		if p.Loss != nil {
			loss = p.Loss
		}
		if p.Eval == nil {
			continue
		}
		p.Loss = loss
		scored = append(scored, p)
		for key := range p.Eval {
			keys[key] = 0
		}
	}
	if len(scored) == 0 {
		return t.losses()
	}
	header := []string{"step", "epoch", "training loss"}
	columns := keysOf(keys)
	for _, key := range columns {
		name := scoreOf(key, 0).Name
		if key == lossType {
			name = "validation loss"
		}
		header = append(header, inline(name))
	}
	var rows [][]string
	for _, p := range t.thinned(scored) {
		row := []string{Count(p.Step), fmt.Sprintf("%.2f", p.Epoch), optional(p.Loss)}
		for _, key := range columns {
			v, ok := p.Eval[key]
			if !ok {
				row = append(row, "")
				continue
			}
			row = append(row, decimal(v))
		}
		rows = append(rows, row)
	}
	return table(header, rows) + note(len(rows), len(scored))
}

func (t Training) losses() string {
	logged := slices.DeleteFunc(slices.Clone(t.Log), func(p Point) bool { return p.Loss == nil })
	if len(logged) == 0 {
		return ""
	}
	var rows [][]string
	for _, p := range t.thinned(logged) {
		rate := ""
		if p.LearningRate != nil {
			rate = fmt.Sprintf("%.3g", *p.LearningRate)
		}
		rows = append(rows, []string{Count(p.Step), fmt.Sprintf("%.2f", p.Epoch), optional(p.Loss), rate})
	}
	return table([]string{"step", "epoch", "training loss", "learning rate"}, rows) + note(len(rows), len(logged))
}

// thinned are at most about mostRows of the points, evenly, with that of the
// weights and the last among them.
func (t Training) thinned(all []Point) []Point {
	every := (len(all) + mostRows - 1) / mostRows
	var some []Point
	for i, p := range all {
		if i%every == 0 || p.Step == t.Step || i == len(all)-1 {
			some = append(some, p)
		}
	}
	return some
}

func note(shown, all int) string {
	if shown == all {
		return ""
	}
	return fmt.Sprintf("\n%s of %s lines; training_log.jsonl has all.\n", Count(shown), Count(all))
}
