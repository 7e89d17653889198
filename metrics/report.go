package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// Value is a score that may be missing: null in JSON. The zero value is missing.
type Value struct {
	Score float64
	Known bool // false where the metric was left out or can't be computed
}

// known is a score that is there.
func known(score float64) Value { return Value{Score: score, Known: true} }

// MarshalJSON gives the number, or null.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Known {
		return []byte("null"), nil
	}
	return json.Marshal(v.Score)
}

// UnmarshalJSON takes a number or null.
func (v *Value) UnmarshalJSON(data []byte) error {
	*v = Value{}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if err := json.Unmarshal(data, &v.Score); err != nil {
		return fmt.Errorf("read a score: %w", err)
	}
	v.Known = true
	return nil
}

// String gives the number with four decimals, or a dash.
func (v Value) String() string {
	if !v.Known {
		return "-"
	}
	return fmt.Sprintf("%.4f", v.Score)
}

// Scores are the COCO caption scores, of a set or of one picture, under the
// names that pycocoevalcap gives them.
type Scores struct {
	Bleu1  Value `json:"Bleu_1"`
	Bleu2  Value `json:"Bleu_2"`
	Bleu3  Value `json:"Bleu_3"`
	Bleu4  Value `json:"Bleu_4"`
	METEOR Value `json:"METEOR"`
	RougeL Value `json:"ROUGE_L"`
	CIDEr  Value `json:"CIDEr"` // CIDEr-D, as on the leaderboards
	SPICE  Value `json:"SPICE"`

	// PlainCIDEr is CIDEr without clipping and length penalty. It is another
	// number than CIDEr and not to be compared with it.
	PlainCIDEr Value `json:"CIDEr_plain"`
}

// ByKey goes through the scores under their keys in JSON.
func (s *Scores) ByKey() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, v := range []struct {
			key   string
			value Value
		}{
			{"Bleu_1", s.Bleu1}, {"Bleu_2", s.Bleu2}, {"Bleu_3", s.Bleu3}, {"Bleu_4", s.Bleu4}, {"METEOR", s.METEOR},
			{"ROUGE_L", s.RougeL}, {"CIDEr", s.CIDEr}, {"SPICE", s.SPICE}, {"CIDEr_plain", s.PlainCIDEr},
		} {
			if !yield(v.key, v.value) {
				return
			}
		}
	}
}

// setBleu fills in the four orders.
func (s *Scores) setBleu(b BleuStats) {
	v := b.Scores()
	s.Bleu1, s.Bleu2, s.Bleu3, s.Bleu4 = known(v[0]), known(v[1]), known(v[2]), known(v[3])
}

func (s *Scores) setCider(c CiderScores) {
	s.CIDEr, s.PlainCIDEr = known(c.D), known(c.Plain)
}

// ImageScores are the scores of one picture.
type ImageScores struct {
	ImageID string `json:"image_id"`
	Scores
}

// Report is what Score finds. Its JSON is coco_metrics.json: the scores of the
// set, each key always there, null where a metric was left out.
type Report struct {
	Scores
	SacreBleu *SacreBleu    `json:"sacrebleu"` // nil where left out
	Images    int           `json:"images"`
	PerImage  []ImageScores `json:"-"` // in the order of the items
}
