package generate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// EarlyStopping is when beam search stops. It reads and writes as the
// reference's true, false or "never", in JSON and as text (a flag, YAML).
type EarlyStopping string

const (
	// StopHeuristic (false, the zero value's meaning) stops once the best
	// running beam, at its present length, is no better than the worst of
	// NumBeams finished ones.
	StopHeuristic EarlyStopping = "false"
	// StopWhenFull (true) stops as soon as NumBeams hypotheses are finished.
	StopWhenFull EarlyStopping = "true"
	// StopNever ("never") stops only when no running beam can get better,
	// counting with the greatest length where that is the favoured one.
	StopNever EarlyStopping = "never"
)

func (e EarlyStopping) valid() bool {
	return e == "" || e == StopHeuristic || e == StopWhenFull || e == StopNever
}

// String returns true, false or never.
func (e EarlyStopping) String() string {
	if e == "" {
		return string(StopHeuristic)
	}
	return string(e)
}

// Set reads what String writes, in any case; it makes *EarlyStopping a
// flag.Value.
func (e *EarlyStopping) Set(s string) error {
	switch v := EarlyStopping(strings.ToLower(strings.TrimSpace(s))); {
	case v == "":
		return fmt.Errorf("%w: early_stopping is empty, want true, false or never", ErrConfig)
	case v.valid():
		*e = v
		return nil
	}
	return fmt.Errorf("%w: early_stopping is %q, want true, false or never", ErrConfig, s)
}

// MarshalText implements encoding.TextMarshaler.
func (e EarlyStopping) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *EarlyStopping) UnmarshalText(text []byte) error { return e.Set(string(text)) }

// MarshalJSON writes a boolean, or "never".
func (e EarlyStopping) MarshalJSON() ([]byte, error) {
	if e == StopNever {
		return []byte(`"never"`), nil
	}
	return []byte(e.String()), nil
}

// UnmarshalJSON reads a boolean, "never" or null.
func (e *EarlyStopping) UnmarshalJSON(data []byte) error {
	switch s := string(data); s {
	case "null":
		*e = ""
	case "true", "false", `"never"`:
		*e = EarlyStopping(strings.Trim(s, `"`))
	default:
		return fmt.Errorf(`%w: early_stopping is %s, want true, false or "never"`, ErrConfig, s)
	}
	return nil
}

// TokenIDs is one id or a list of them in JSON, as eos_token_id is.
type TokenIDs []int32

// MarshalJSON writes a single id as a number.
func (t TokenIDs) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return strconv.AppendInt(nil, int64(t[0]), 10), nil
	}
	return json.Marshal([]int32(t))
}

// UnmarshalJSON reads a number, a list or null.
func (t *TokenIDs) UnmarshalJSON(data []byte) error {
	var one int32
	if data[0] != '[' && string(data) != "null" {
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*t = TokenIDs{one}
		return nil
	}
	return json.Unmarshal(data, (*[]int32)(t))
}

// ReadConfig reads a model folder's generation_config.json. A key that this
// package does not have and that would change the tokens is an error wrapping
// [ErrUnsupported]; other keys are passed over. A file that is not there gives
// the zero Config.
func ReadConfig(path string) (Config, error) {
	var c Config
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read generation config: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// UnmarshalJSON reads the keys of a generation_config.json, see [ReadConfig].
func (c *Config) UnmarshalJSON(data []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	if err := refuseForeign(keys); err != nil {
		return err
	}
	type plain Config
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	// In the reference a min_new_tokens that is there overrules min_length
	// even if it is 0, which a zero field cannot say.
	if string(keys["min_new_tokens"]) == "0" {
		c.MinLength = 0
	}
	return nil
}

// foreign are the reference's keys that change the tokens and are not in
// Config, with the values (beside null) that leave them off.
var foreign = map[string][]string{
	"assistant_early_exit":             nil,
	"bad_words_ids":                    nil,
	"begin_suppress_tokens":            nil,
	"constraints":                      nil,
	"diversity_penalty":                {"0", "0.0"},
	"do_sample":                        {"false"},
	"dola_layers":                      nil,
	"encoder_no_repeat_ngram_size":     {"0"},
	"encoder_repetition_penalty":       {"1", "1.0"},
	"exponential_decay_length_penalty": nil,
	"force_words_ids":                  nil,
	"forced_bos_token_id":              nil,
	"forced_decoder_ids":               nil,
	"forced_eos_token_id":              nil,
	"guidance_scale":                   {"1", "1.0"},
	"max_time":                         nil,
	"num_beam_groups":                  {"0", "1"},
	"penalty_alpha":                    {"0", "0.0"},
	"prompt_lookup_num_tokens":         {"0"},
	"remove_invalid_values":            {"false"},
	"sequence_bias":                    nil,
	"stop_strings":                     nil,
	"suppress_tokens":                  nil,
	"token_healing":                    {"false"},
	"watermarking_config":              nil,
}

func refuseForeign(keys map[string]json.RawMessage) error {
	var set []string
	for key, off := range foreign {
		value, there := keys[key]
		text := string(bytes.TrimSpace(value))
		if there && text != "null" && !slices.Contains(off, text) {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil
	}
	slices.Sort(set)
	return fmt.Errorf("%w: %s: remove it from the generation config", ErrUnsupported, strings.Join(set, ", "))
}
