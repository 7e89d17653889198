package evaluate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/blipflow/blipflow/stages/annotations"
	"github.com/blipflow/blipflow/stages/caption"
)

// jsonPrediction is an element of COCO's results, or a line of captions.
type jsonPrediction struct {
	ImageID annotations.ID `json:"image_id"`
	Image   string         `json:"image"`
	Caption *string        `json:"caption"`
	Score   caption.Score  `json:"score"`
	Prompt  string         `json:"prompt"`
}

// ParsePredictions reads COCO's results JSON, a list, or the JSON Lines that
// captioning writes.
func ParsePredictions(r io.Reader) ([]caption.Prediction, error) {
	in := annotations.SkipMark(r)
	list, err := annotations.BeginsList(in)
	if err != nil {
		return nil, err
	}
	var read []jsonPrediction
	dec := json.NewDecoder(in)
	if list {
		err = annotations.AppendTo(dec, &read)
		if err == nil {
			if _, err = dec.Token(); errors.Is(err, io.EOF) {
				err = nil
			} else {
				err = errors.New("something follows the list")
			}
		}
	} else {
		for err == nil {
			var p jsonPrediction
			if err = dec.Decode(&p); err == nil {
				read = append(read, p)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: after %d predictions: %w", ErrFormat, len(read), err)
	}
	return predictions(read)
}

func predictions(read []jsonPrediction) ([]caption.Prediction, error) {
	out := make([]caption.Prediction, len(read))
	for i, p := range read {
		if p.Caption == nil || p.ImageID == "" && p.Image == "" {
			return nil, fmt.Errorf("%w: prediction %d needs a caption and an image_id or image", ErrFormat, i+1)
		}
		out[i] = caption.Prediction{ImageID: string(p.ImageID), URI: p.Image, Caption: *p.Caption, Score: float32(p.Score), Prompt: p.Prompt}
	}
	return out, nil
}
