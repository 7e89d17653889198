package generate

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestConfigJSON(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Config
		err        error
	}{
		{name: "empty", text: `{}`},
		{
			name: "all",
			text: `{"num_beams":5,"max_new_tokens":30,"max_length":40,"min_new_tokens":2,"min_length":3,"length_penalty":-1,
				"early_stopping":"never","repetition_penalty":1.5,"no_repeat_ngram_size":3,"num_return_sequences":2,
				"eos_token_id":102,"bos_token_id":30522,"pad_token_id":0}`,
			want: Config{
				NumBeams: 5, MaxNewTokens: 30, MaxLength: 40, MinNewTokens: 2, MinLength: 3, LengthPenalty: new(-1.0),
				EarlyStopping: StopNever, RepetitionPenalty: 1.5, NoRepeatNGramSize: 3, NumReturnSequences: 2,
				EOSTokenID: TokenIDs{102}, BOSTokenID: new(int32(30522)), PadTokenID: new(int32(0)),
			},
		},
		{name: "true", text: `{"early_stopping":true}`, want: Config{EarlyStopping: StopWhenFull}},
		{name: "false", text: `{"early_stopping":false}`, want: Config{EarlyStopping: StopHeuristic}},
		{name: "nulls", text: `{"early_stopping":null,"eos_token_id":null,"length_penalty":null,"num_beams":null,"bad_words_ids":null}`},
		{name: "ends", text: `{"eos_token_id":[102,2]}`, want: Config{EOSTokenID: TokenIDs{102, 2}}},
		{name: "length penalty 0", text: `{"length_penalty":0}`, want: Config{LengthPenalty: new(0.0)}},
		{name: "min_new_tokens 0 overrules min_length", text: `{"min_new_tokens":0,"min_length":9}`},
		{name: "foreign but off", text: `{"do_sample":false,"guidance_scale":1.0,"temperature":0.7,"transformers_version":"5.23.0","_from_model_config":true}`},
		{name: "sampling", text: `{"do_sample":true}`, err: ErrUnsupported},
		{name: "suppressed tokens", text: `{"suppress_tokens":[1,2]}`, err: ErrUnsupported},
		{name: "early stopping", text: `{"early_stopping":"sometimes"}`, err: ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := json.Unmarshal([]byte(tt.text), &c)
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			if !reflect.DeepEqual(c, tt.want) {
				t.Errorf("got %+v, want %+v", c, tt.want)
			}
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var again Config
			if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%s reads as %+v, %v", text, again, err)
			}
		})
	}
}

func TestReadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generation_config.json")
	if c, err := ReadConfig(path); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("no file: %+v, %v", c, err)
	}
	for text, want := range map[string]error{
		`{"num_beams":3}`:  nil,
		`{"num_beams":-3}`: ErrConfig,
		`{"num_beams":`:    errAny,
		`{"num_beams":"3"`: errAny,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadConfig(path)
		if want == nil && err != nil || want != nil && (err == nil || !strings.Contains(err.Error(), path)) || want == ErrConfig && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

var errAny = errors.New("any error")

func TestConfigValidate(t *testing.T) {
	nan := math.NaN()
	for key, c := range map[string]Config{
		"num_beams":               {NumBeams: -1},
		"max_new_tokens":          {MaxNewTokens: -1},
		"max_length":              {MaxLength: -1},
		"min_new_tokens":          {MinNewTokens: -1},
		"min_length":              {MinLength: -1},
		"no_repeat_ngram_size":    {NoRepeatNGramSize: -1},
		"num_return_sequences":    {NumReturnSequences: 2},
		"length_penalty":          {LengthPenalty: &nan},
		"repetition_penalty":      {RepetitionPenalty: -2},
		"early_stopping":          {EarlyStopping: "maybe"},
		"eos_token_id":            {EOSTokenID: TokenIDs{-2}},
		"max_position_embeddings": {MaxPositions: -1},
	} {
		err := c.Validate()
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := (Config{NumBeams: 3, NumReturnSequences: 3}).Validate(); err != nil {
		t.Error(err)
	}
}

// The limits are those of the reference's _prepare_generated_length.
func TestConfigLengths(t *testing.T) {
	for _, tt := range []struct {
		config            Config
		prompt            int
		shortest, longest int
		err               error
	}{
		{Config{}, 3, 0, 23, nil},
		{Config{MaxPositions: 12}, 3, 0, 12, nil},
		{Config{MaxPositions: 12}, 12, 0, 0, ErrPrompt},
		{Config{MaxPositions: 12, MaxNewTokens: 30}, 3, 0, 33, nil},
		{Config{MaxLength: 9}, 3, 0, 9, nil},
		{Config{MaxLength: 9}, 9, 0, 0, ErrPrompt},
		{Config{MaxLength: 9, MaxNewTokens: 5}, 9, 0, 14, nil},
		{Config{MinLength: 7}, 3, 7, 23, nil},
		{Config{MinLength: 7, MinNewTokens: 2}, 3, 5, 23, nil},
	} {
		shortest, longest, err := tt.config.Lengths(tt.prompt)
		if shortest != tt.shortest || longest != tt.longest || !errors.Is(err, tt.err) {
			t.Errorf("%+v, prompt of %d: %d to %d, %v", tt.config, tt.prompt, shortest, longest, err)
		}
	}
}

func TestConfigHash(t *testing.T) {
	same := [][2]Config{
		{{}, {NumBeams: 1, NumReturnSequences: 1, MaxNewTokens: 20, LengthPenalty: new(1.0), RepetitionPenalty: 1, EarlyStopping: StopHeuristic}},
		{{MaxNewTokens: 5, MaxLength: 7}, {MaxNewTokens: 5}},
		{{MaxNewTokens: 5, MaxPositions: 512}, {MaxNewTokens: 5}},
		{{PadTokenID: new(int32(0))}, {}},
	}
	for _, pair := range same {
		if pair[0].Hash() != pair[1].Hash() {
			t.Errorf("%+v and %+v differ", pair[0], pair[1])
		}
	}
	seen := map[string]Config{}
	for _, c := range []Config{
		{}, {NumBeams: 2}, {NumBeams: 3}, {MaxNewTokens: 5}, {MaxLength: 5}, {MinNewTokens: 5}, {MinLength: 5},
		{LengthPenalty: new(0.0)}, {EarlyStopping: StopNever}, {EarlyStopping: StopWhenFull}, {RepetitionPenalty: 2},
		{NoRepeatNGramSize: 2}, {NumBeams: 2, NumReturnSequences: 2}, {EOSTokenID: TokenIDs{2}}, {EOSTokenID: TokenIDs{2, 3}},
		{MaxPositions: 512},
	} {
		h := c.Hash()
		if other, there := seen[h]; there || len(h) != 16 {
			t.Errorf("%+v and %+v have hash %s", c, other, h)
		}
		seen[h] = c
	}
}

func TestEarlyStoppingFlag(t *testing.T) {
	for text, want := range map[string]EarlyStopping{"true": StopWhenFull, "FALSE": StopHeuristic, "Never": StopNever} {
		var c Config
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.Var(&c.EarlyStopping, "early_stopping", "")
		if err := flags.Parse([]string{"--early_stopping=" + text}); err != nil || c.EarlyStopping != want {
			t.Errorf("%s: %q, %v", text, c.EarlyStopping, err)
		}
	}
	for _, text := range []string{"", "yes"} {
		var e EarlyStopping
		if err := e.UnmarshalText([]byte(text)); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzConfig: whatever the text, an error or a config that Validate judges, and
// that writes to a text which reads as the same.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"num_beams":5,"early_stopping":"never","eos_token_id":[1,2],"length_penalty":0}`))
	f.Add([]byte(`{"min_new_tokens":0,"min_length":9,"do_sample":true}`))
	f.Add([]byte(`{"eos_token_id":3,"repetition_penalty":1e300}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Config
		if json.Unmarshal(text, &c) != nil || c.Validate() != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var d Config
		if err := json.Unmarshal(again, &d); err != nil || c.Hash() != d.Hash() {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
	})
}
