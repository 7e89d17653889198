package spice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/blipflow/blipflow/metrics"
)

// errOutput begins the errors of decode.
var errOutput = errors.New("SPICE's output is not understood")

// decode reads the jar's output for n pictures, by place. It must have each
// picture once, with all categories and numbers that can be.
func decode(data []byte, n int) ([]Scores, error) {
	var list []struct {
		Place  *int               `json:"image_id"`
		Scores map[string]*Tuples `json:"scores"`
	}
	in := json.NewDecoder(bytes.NewReader(data))
	if err := in.Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: %w", errOutput, err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows", errOutput)
	}
	if len(list) != n {
		return nil, fmt.Errorf("%w: it has %d pictures of %d", errOutput, len(list), n)
	}
	out, seen := make([]Scores, n), make([]bool, n)
	for _, one := range list {
		if one.Place == nil || *one.Place < 0 || *one.Place >= n || seen[*one.Place] {
			return nil, fmt.Errorf("%w: a picture is another's", errOutput)
		}
		seen[*one.Place] = true
		if err := out[*one.Place].fill(one.Scores); err != nil {
			return nil, fmt.Errorf("%w: picture %d: %w", errOutput, *one.Place, err)
		}
	}
	return out, nil
}

// fill takes the scores of the categories.
func (p *Scores) fill(scores map[string]*Tuples) error {
	for i, t := range p.tuples() {
		from := scores[categories[i]]
		if from == nil {
			return fmt.Errorf("no scores for %s", categories[i])
		}
		if !from.valid() {
			return fmt.Errorf("no such scores for %s can be: %+v", categories[i], *from)
		}
		*t = *from
	}
	if !p.All.F.Known {
		return errors.New("no score for all tuples")
	}
	return nil
}

func (t *Tuples) valid() bool {
	for _, v := range []metrics.Value{t.F, t.Precision, t.Recall} {
		if v.Known != t.F.Known || v.Score < 0 || v.Score > 1 {
			return false
		}
	}
	return t.TruePositives >= 0 && t.FalsePositives >= 0 && t.FalseNegatives >= 0
}
