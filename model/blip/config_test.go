package blip

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestConfigGoesInAndOut(t *testing.T) {
	for name, c := range map[string]Config{"base": Base(), "large": Large()} {
		data, err := c.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseConfig(data)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, c)
		}
	}
}

// transformers 5 refuses a whole number for a setting that is real.
func TestRealSettingsHaveAPoint(t *testing.T) {
	c := Base()
	c.Text.LayerNormEps, c.Text.InitializerRange = 1e-12, 1
	data, err := c.JSON()
	if err != nil || !json.Valid(data) {
		t.Fatal(string(data), err)
	}
	for _, want := range []string{
		`"label_smoothing": 0.0`, `"hidden_dropout_prob": 0.0`, `"attention_dropout": 0.0`, `"layer_norm_eps": 1e-12`,
		`"initializer_range": 1.0`, `"initializer_range": 0.02`, `"vocab_size": 30524`,
	} {
		if !strings.Contains(string(data), want+",") && !strings.Contains(string(data), want+"\n") {
			t.Errorf("no %s in %s", want, data)
		}
	}
}

func TestConfigDefaultsAreTheReferences(t *testing.T) {
	c, err := ParseConfig([]byte(`{"model_type":"blip","vision_config":{"hidden_size":1024,"num_attention_heads":16,"image_size":[384,384]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Text.NumAttentionHeads != 8 || c.Vision.LayerNormEps != 1e-5 || c.Text.EncoderHiddenSize != 1024 || c.Vision.Positions() != 577 {
		t.Errorf("%+v", c)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"model_type":"clip"}`, `{"model_type":"blip","text_config":{"vocab_size":0}}`,
		`{"model_type":"blip","text_config":{"hidden_size":100,"num_attention_heads":3}}`,
		`{"model_type":"blip","text_config":{"bos_token_id":40000}}`,
		`{"model_type":"blip","text_config":{"hidden_act":"mish"}}`,
		`{"model_type":"blip","text_config":{"hidden_dropout_prob":1}}`,
		`{"model_type":"blip","vision_config":{"image_size":[384,224]}}`,
		`{"model_type":"blip","vision_config":{"image_size":8}}`,
		`{"model_type":"blip","vision_config":{"num_hidden_layers":-1}}`,
		`{"model_type":"blip","vision_config":{"hidden_size":99999999999}}`,
	} {
		if _, err := ParseConfig([]byte(text)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	data, err := Base().JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"model_type":"blip","vision_config":{"image_size":[1]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err == nil && c.Validate() != nil {
			t.Error("a configuration that is not valid was read")
		}
	})
}
