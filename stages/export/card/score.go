package card

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Score is a number that a metric gave.
type Score struct {
	// Key is the metric's in the file that it is from, Name what people call it
	// and Type the hub's word for it.
	Key, Name, Type string
	Value           float64
	// Indexed is false for what is no score to compare models by.
	Indexed bool
}

const lossType = "loss"

// known are the metrics under their keys in coco_metrics.json and in evaluations.
var known = []Score{
	{Key: "loss", Name: "Loss", Type: lossType, Indexed: true},
	{Key: "sacrebleu", Name: "sacreBLEU", Type: "sacrebleu", Indexed: true},
	{Key: "Bleu_1", Name: "BLEU-1", Type: "bleu", Indexed: true},
	{Key: "Bleu_2", Name: "BLEU-2", Type: "bleu", Indexed: true},
	{Key: "Bleu_3", Name: "BLEU-3", Type: "bleu", Indexed: true},
	{Key: "Bleu_4", Name: "BLEU-4", Type: "bleu", Indexed: true},
	{Key: "METEOR", Name: "METEOR", Type: "meteor", Indexed: true},
	{Key: "ROUGE_L", Name: "ROUGE-L", Type: "rouge", Indexed: true},
	{Key: "CIDEr", Name: "CIDEr", Type: "cider", Indexed: true},
	{Key: "SPICE", Name: "SPICE", Type: "spice", Indexed: true},
	// Another number than what papers call CIDEr.
	{Key: "CIDEr_plain", Name: "CIDEr without clipping", Type: "cider"},
}

// rank orders scores as known does, and others behind them.
func rank(key string) int {
	if i := slices.IndexFunc(known, func(s Score) bool { return s.Key == key }); i >= 0 {
		return i
	}
	return len(known)
}

func scoreOf(key string, value float64) Score {
	s := Score{Key: key, Name: key, Type: strings.ToLower(key), Indexed: true}
	if i := rank(key); i < len(known) {
		s = known[i]
	}
	s.Value = value
	return s
}

// Evaluation are the scores of an evaluation, in the order of a card. Values that
// are no numbers are left out, since neither JSON nor the hub has them.
func Evaluation(found map[string]float64) []Score {
	var list []Score
	for _, key := range keysOf(found) {
		if v := found[key]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			list = append(list, scoreOf(key, v))
		}
	}
	return list
}

// keysOf are those of an evaluation, in the order of a card.
func keysOf(found map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// Report reads the scores of a coco_metrics.json, and the signature of its
// sacreBLEU. What is null was not computed, and is left out.
func Report(text []byte) (list []Score, signature string, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, "", fmt.Errorf("read the scores: %w", err)
	}
	found := map[string]float64{}
	for key, raw := range fields {
		if rank(key) == len(known) || bytes.Equal(raw, []byte("null")) {
			continue
		}
		var bleu struct {
			Score     float64 `json:"score"`
			Signature string  `json:"signature"`
		}
		if key == "sacrebleu" {
			err = json.Unmarshal(raw, &bleu)
			signature = bleu.Signature
		} else {
			err = json.Unmarshal(raw, &bleu.Score)
		}
		if err != nil {
			return nil, "", fmt.Errorf("read the scores: %s: %w", key, err)
		}
		found[key] = bleu.Score
	}
	return Evaluation(found), signature, nil
}

func scores(list []Score) string {
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{inline(s.Name), decimal(s.Value)})
	}
	return table([]string{"metric", "score"}, rows)
}
