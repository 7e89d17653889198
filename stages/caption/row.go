package caption

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"github.com/blipflow/blipflow/stages/records"
)

// Row is a captioned picture, a line of the output.
type Row struct {
	// Image is the picture as found, relative to the input.
	Image string `json:"image"`
	// ImageID is its name in its data set; empty where it has none.
	ImageID string `json:"image_id,omitempty"`
	// Caption is what the model says.
	Caption string `json:"caption"`
	// Score is the caption's log-probability under the length penalty.
	Score Score `json:"score"`
	// Model names the model.
	Model string `json:"model"`
	// Settings is the hash of the settings; the manifest spells them out.
	Settings string `json:"settings"`
}

// Score is a log-probability. One that is no finite number is null in JSON, and
// null reads as minus infinity.
type Score float32

// finite reports whether JSON can hold s.
func (s Score) finite() bool { return !math.IsInf(float64(s), 0) && !math.IsNaN(float64(s)) }

// String is the shortest text that reads as s; empty where s is not finite.
func (s Score) String() string {
	if !s.finite() {
		return ""
	}
	return strconv.FormatFloat(float64(s), 'g', -1, 32)
}

// MarshalJSON writes a number or null.
func (s Score) MarshalJSON() ([]byte, error) {
	if !s.finite() {
		return []byte("null"), nil
	}
	return json.Marshal(float32(s))
}

// UnmarshalJSON reads a number or null.
func (s *Score) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*s = Score(math.Inf(-1))
		return nil
	}
	return json.Unmarshal(data, (*float32)(s))
}

// Entry is what became of one picture: a row or a dead letter.
type Entry struct {
	Row     *Row                `json:"row,omitempty"`
	Failure *records.DeadLetter `json:"failure,omitempty"`
}

// Prediction is a caption on its way to another stage.
type Prediction struct {
	// ImageID is the picture's name in its data set.
	ImageID string
	// URI is the picture as found.
	URI string
	// Caption is what the model says.
	Caption string
	// Prompt is what the caption was made to begin with, where that is known.
	Prompt string
	// Score is the caption's log-probability under the length penalty; it may be
	// infinite.
	Score float32
}
