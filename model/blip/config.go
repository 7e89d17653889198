package blip

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/blipflow/blipflow/model/torch"
)

// ErrConfig is wrapped by every error about an impossible model configuration.
var ErrConfig = errors.New("model configuration")

// Config is Hugging Face's BlipConfig: the content of config.json.
type Config struct {
	Text   TextConfig   `json:"text_config"`
	Vision VisionConfig `json:"vision_config"`
	// Untied says that the language-model head has a matrix of its own, not
	// the table of words. A checkpoint's weights decide it.
	Untied bool `json:"-"`
}

// TextConfig describes the text decoder, a BERT with cross-attention.
type TextConfig struct {
	ModelType             string           `json:"model_type"`
	VocabSize             int64            `json:"vocab_size"`
	HiddenSize            int64            `json:"hidden_size"`
	EncoderHiddenSize     int64            `json:"encoder_hidden_size"`
	IntermediateSize      int64            `json:"intermediate_size"`
	NumHiddenLayers       int              `json:"num_hidden_layers"`
	NumAttentionHeads     int64            `json:"num_attention_heads"`
	MaxPositionEmbeddings int64            `json:"max_position_embeddings"`
	HiddenAct             torch.Activation `json:"hidden_act"`
	LayerNormEps          float64          `json:"layer_norm_eps"`
	HiddenDropout         float64          `json:"hidden_dropout_prob"`
	AttentionDropout      float64          `json:"attention_probs_dropout_prob"`
	InitializerRange      float64          `json:"initializer_range"`
	LabelSmoothing        float64          `json:"label_smoothing"`
	// BOSTokenID starts every caption, in training as in generation ([DEC]).
	BOSTokenID int64 `json:"bos_token_id"`
	// EOSTokenID is a placeholder in BLIP's own files; captions end at
	// SepTokenID.
	EOSTokenID int64 `json:"eos_token_id"`
	PadTokenID int64 `json:"pad_token_id"`
	SepTokenID int64 `json:"sep_token_id"`
	// IsDecoder is true in every captioner's file; the reference reads it.
	IsDecoder bool `json:"is_decoder"`
}

// VisionConfig describes the vision transformer.
type VisionConfig struct {
	ModelType         string           `json:"model_type"`
	HiddenSize        int64            `json:"hidden_size"`
	IntermediateSize  int64            `json:"intermediate_size"`
	NumHiddenLayers   int              `json:"num_hidden_layers"`
	NumAttentionHeads int64            `json:"num_attention_heads"`
	ImageSize         side             `json:"image_size"`
	PatchSize         side             `json:"patch_size"`
	HiddenAct         torch.Activation `json:"hidden_act"`
	LayerNormEps      float64          `json:"layer_norm_eps"`
	AttentionDropout  float64          `json:"attention_dropout"`
	InitializerRange  float64          `json:"initializer_range"`
}

// side is the length of a square's side in pixels; the file may give it as a
// number or as a pair of equal numbers.
type side int64

// UnmarshalJSON reads 384 or [384, 384].
func (s *side) UnmarshalJSON(b []byte) error {
	var pair []int64
	if json.Unmarshal(b, &pair) == nil {
		if len(pair) != 2 || pair[0] != pair[1] {
			return fmt.Errorf("%w: size %s is not a square", ErrConfig, b)
		}
		*s = side(pair[0])
		return nil
	}
	return json.Unmarshal(b, (*int64)(s))
}

// Base is the configuration of Salesforce/blip-image-captioning-base.
func Base() Config {
	c := defaults()
	c.Text.NumAttentionHeads = 12
	c.Vision.InitializerRange = 0.02
	return c
}

// Large is the configuration of Salesforce/blip-image-captioning-large: the
// vision transformer is a ViT-L/16, the decoder that of Base.
func Large() Config {
	c := Base()
	c.Vision.HiddenSize, c.Vision.IntermediateSize = 1024, 4096
	c.Vision.NumHiddenLayers, c.Vision.NumAttentionHeads = 24, 16
	c.Text.EncoderHiddenSize = c.Vision.HiddenSize
	return c
}

// defaults are those of the reference's classes for keys that a file leaves
// out (configuration_blip.py).
func defaults() Config {
	return Config{
		Text: TextConfig{
			ModelType: "blip_text_model", VocabSize: 30524, HiddenSize: 768, EncoderHiddenSize: 768,
			IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 8, MaxPositionEmbeddings: 512,
			HiddenAct: torch.GELU, LayerNormEps: 1e-12, InitializerRange: 0.02,
			BOSTokenID: 30522, EOSTokenID: 2, PadTokenID: 0, SepTokenID: 102, IsDecoder: true,
		},
		Vision: VisionConfig{
			ModelType: "blip_vision_model", HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12,
			NumAttentionHeads: 12, ImageSize: 384, PatchSize: 16, HiddenAct: torch.GELU, LayerNormEps: 1e-5,
			InitializerRange: 1e-10,
		},
	}
}

// ParseConfig reads config.json. Keys that are missing have the reference's
// defaults; the decoder attends to what the vision model gives, whatever the
// file says of encoder_hidden_size, as in the reference.
func ParseConfig(data []byte) (Config, error) {
	var kind struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if kind.ModelType != "blip" {
		return Config{}, fmt.Errorf("%w: model_type is %q, want \"blip\"", ErrConfig, kind.ModelType)
	}
	c := defaults()
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c.Text.EncoderHiddenSize = c.Vision.HiddenSize
	return c, c.Validate()
}

// JSON is the content of config.json, as transformers 4 and 5 read it.
func (c Config) JSON() ([]byte, error) {
	type plain Config
	full := struct {
		Architectures    []string `json:"architectures"`
		ModelType        string   `json:"model_type"`
		TieWords         bool     `json:"tie_word_embeddings"`
		InitializerRange float64  `json:"initializer_range"`
		DType            string   `json:"torch_dtype"`
		plain
	}{[]string{"BlipForConditionalGeneration"}, "blip", !c.Untied, c.Text.InitializerRange, "float32", plain(c)}
	data, err := json.MarshalIndent(full, "", "  ")
	return wholeReal.ReplaceAll(data, []byte("$1.0$2")), err
}

// wholeReal is a real setting whose value is a whole number. JSON has one kind
// of number, but transformers 5 reads 0 as an integer and refuses it for these.
var wholeReal = regexp.MustCompile(`("(?:label_smoothing|layer_norm_eps|initializer_range|[a-z_]*dropout[a-z_]*)": -?[0-9]+)([,\n])`)

// Validate names the first setting that cannot be.
func (c Config) Validate() error {
	t, v := c.Text, c.Vision
	const most = 1 << 24 // beyond any model; keeps products within int64
	for _, f := range []struct {
		key   string
		value int64
	}{
		{"text_config.vocab_size", t.VocabSize},
		{"text_config.hidden_size", t.HiddenSize},
		{"text_config.intermediate_size", t.IntermediateSize},
		{"text_config.num_hidden_layers", int64(t.NumHiddenLayers)},
		{"text_config.num_attention_heads", t.NumAttentionHeads},
		{"text_config.max_position_embeddings", t.MaxPositionEmbeddings},
		{"vision_config.hidden_size", v.HiddenSize},
		{"vision_config.intermediate_size", v.IntermediateSize},
		{"vision_config.num_hidden_layers", int64(v.NumHiddenLayers)},
		{"vision_config.num_attention_heads", v.NumAttentionHeads},
		{"vision_config.image_size", int64(v.ImageSize)},
		{"vision_config.patch_size", int64(v.PatchSize)},
	} {
		if f.value <= 0 || f.value > most {
			return fmt.Errorf("%w: %s is %d", ErrConfig, f.key, f.value)
		}
	}
	return errors.Join(t.validate(), v.validate())
}

func (t TextConfig) validate() error {
	if t.HiddenSize%t.NumAttentionHeads != 0 {
		return fmt.Errorf("%w: text_config.hidden_size %d is no multiple of %d heads", ErrConfig, t.HiddenSize, t.NumAttentionHeads)
	}
	for _, f := range []struct {
		key string
		id  int64
	}{{"bos_token_id", t.BOSTokenID}, {"sep_token_id", t.SepTokenID}, {"pad_token_id", t.PadTokenID}} {
		if f.id < 0 || f.id >= t.VocabSize {
			return fmt.Errorf("%w: text_config.%s %d lies outside a vocabulary of %d", ErrConfig, f.key, f.id, t.VocabSize)
		}
	}
	if err := rates("text_config", t.HiddenDropout, t.AttentionDropout, t.LabelSmoothing); err != nil {
		return err
	}
	return known("text_config", t.HiddenAct)
}

func (v VisionConfig) validate() error {
	if v.HiddenSize%v.NumAttentionHeads != 0 {
		return fmt.Errorf("%w: vision_config.hidden_size %d is no multiple of %d heads", ErrConfig, v.HiddenSize, v.NumAttentionHeads)
	}
	if v.PatchSize > v.ImageSize {
		return fmt.Errorf("%w: vision_config.patch_size %d is larger than image_size %d", ErrConfig, v.PatchSize, v.ImageSize)
	}
	if err := rates("vision_config", v.AttentionDropout); err != nil {
		return err
	}
	return known("vision_config", v.HiddenAct)
}

// rates checks dropouts and smoothing.
func rates(where string, values ...float64) error {
	for _, r := range values {
		if r < 0 || r >= 1 {
			return fmt.Errorf("%w: %s has a dropout or label smoothing of %v, want 0 ≤ p < 1", ErrConfig, where, r)
		}
	}
	return nil
}

func known(where string, a torch.Activation) error {
	switch a {
	case torch.GELU, torch.GELUTanh, torch.ReLU:
		return nil
	}
	return fmt.Errorf("%w: %s.hidden_act is %q, want gelu, gelu_new or relu", ErrConfig, where, a)
}

// Positions is the number of tokens a picture becomes: its patches and one for
// the whole.
func (v VisionConfig) Positions() int64 {
	n := int64(v.ImageSize / v.PatchSize)
	return n*n + 1
}
