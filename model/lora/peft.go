package lora

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// Names of the files of an adapter's folder, as PEFT has them.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
)

// ErrAdapter is wrapped where an adapter's folder cannot be used: it is damaged,
// of a kind that this package does not have, or of another adapter.
var ErrAdapter = errors.New("adapter")

// peftConfig are the keys of adapter_config.json that say what an adapter is.
// PEFT has more, and takes those that are missing as switched off.
type peftConfig struct {
	PeftType      string      `json:"peft_type"`
	TaskType      *string     `json:"task_type"`
	AutoMapping   autoMapping `json:"auto_mapping"`
	Base          *string     `json:"base_model_name_or_path"`
	InferenceMode bool        `json:"inference_mode"`
	Rank          int         `json:"r"`
	Alpha         float64     `json:"lora_alpha"`
	Dropout       float64     `json:"lora_dropout"`
	TargetModules []string    `json:"target_modules"`
	FanInFanOut   bool        `json:"fan_in_fan_out"`
	Bias          string      `json:"bias"`
	InitWeights   bool        `json:"init_lora_weights"`
	UseDoRA       bool        `json:"use_dora"`
	UseRSLoRA     bool        `json:"use_rslora"`
}

// autoMapping tells PEFT's AutoPeftModel which class the base model has. Its
// task types have none that fits a model of pictures and text.
type autoMapping struct {
	Class   string `json:"base_model_class"`
	Library string `json:"parent_library"`
}

// prefix is what PEFT's own layers put in front of the model's names.
const prefix = "base_model.model."

// Save writes the adapter into a folder that is not there yet and that appears
// whole or not at all. The name of the model that it belongs to, a folder or a
// hub id, may be empty.
func (a *Adapter) Save(folder, base string) (err error) {
	config, err := a.marshal(base)
	if err != nil {
		return fmt.Errorf("save adapter: encode %s: %w", ConfigFile, err)
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return fmt.Errorf("save adapter: %w", err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(folder), "."+filepath.Base(folder)+".*")
	if err != nil {
		return fmt.Errorf("save adapter: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save adapter: %w", errors.Join(err, os.RemoveAll(aside)))
		}
	}()
	if err := os.Chmod(aside, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(aside, ConfigFile), append(config, '\n'), 0o644); err != nil {
		return err
	}
	if err := a.writeWeights(filepath.Join(aside, WeightsFile)); err != nil {
		return err
	}
	return os.Rename(aside, folder)
}

func (a *Adapter) marshal(base string) ([]byte, error) {
	c := peftConfig{
		PeftType: peftType, AutoMapping: autoMapping{"BlipForConditionalGeneration", "transformers.models.blip.modeling_blip"},
		InferenceMode: true, Rank: a.config.Rank, Alpha: a.config.Alpha, Dropout: a.config.Dropout,
		TargetModules: a.config.Targets, Bias: noBias, InitWeights: true,
	}
	if base != "" {
		c.Base = &base
	}
	return json.MarshalIndent(c, "", "  ")
}

const peftType, noBias = "LORA", "none"

func (a *Adapter) writeWeights(path string) error {
	var sources []safetensors.Source
	err := a.device.Run(torch.Inference, func() error {
		for _, p := range a.params {
			sources = append(sources, safetensors.Source{
				Name: prefix + p.Name, DType: safetensors.F32, Shape: p.Tensor.Shape(), Data: p.Tensor.Bytes(),
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return safetensors.Write(path, sources, nil)
}

// Load replaces the adapter's matrices by those of a folder, to the bit. The
// folder's rank, alpha and layers must be the adapter's; where they are not, the
// adapter stays as it is.
func (a *Adapter) Load(folder string) (err error) {
	c, err := ReadConfig(folder)
	if err != nil {
		return err
	}
	if c.Rank != a.config.Rank || c.Alpha != a.config.Alpha {
		return fmt.Errorf("%w in %s has rank %d and alpha %v, want %d and %v", ErrAdapter, folder, c.Rank, c.Alpha, a.config.Rank, a.config.Alpha)
	}
	f, err := safetensors.Open(filepath.Join(folder, WeightsFile))
	if err != nil {
		return fmt.Errorf("load adapter: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = a.device.Run(torch.Inference, func() error {
		if err := a.check(f); err != nil {
			return err
		}
		for _, p := range a.params {
			t, _ := f.Tensor(prefix + p.Name)
			p.Tensor.Copy_(a.device.FromBytes(t.Data, dtypes[t.DType], t.Shape...))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load adapter from %s: %w", folder, err)
	}
	return nil
}

// dtypes are the element types that float32 holds without loss.
var dtypes = map[safetensors.DType]torch.DType{
	safetensors.F32: torch.Float32, safetensors.F16: torch.Float16, safetensors.BF16: torch.BFloat16,
}

// check compares a file's tensors with the adapter's.
func (a *Adapter) check(f *safetensors.File) error {
	mine := map[string]bool{}
	for _, p := range a.params {
		name := prefix + p.Name
		mine[name] = true
		t, ok := f.Tensor(name)
		if !ok {
			return fmt.Errorf("%w: %s lacks %s", ErrAdapter, WeightsFile, name)
		}
		if want := p.Tensor.Shape(); !slices.Equal(t.Shape, want) {
			return fmt.Errorf("%w: %s of %s has shape %v, want %v", ErrAdapter, name, WeightsFile, t.Shape, want)
		}
		if _, ok := dtypes[t.DType]; !ok {
			return fmt.Errorf("%w: %s of %s has elements of type %s", ErrAdapter, name, WeightsFile, t.DType)
		}
	}
	for _, name := range f.Names() {
		if !mine[name] {
			return fmt.Errorf("%w: %s has %.200q, which is in none of the layers of lora_target_modules", ErrAdapter, WeightsFile, name)
		}
	}
	return nil
}

// ReadConfig reads the settings of an adapter's folder, for Attach.
func ReadConfig(folder string) (Config, error) {
	data, err := os.ReadFile(filepath.Join(folder, ConfigFile))
	if err != nil {
		return Config{}, fmt.Errorf("read adapter: %w", err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%w: read %s: %w", ErrAdapter, filepath.Join(folder, ConfigFile), err)
	}
	return c, nil
}

// parseConfig reads adapter_config.json. What it leaves out has PEFT's defaults
// (LoraConfig, peft 0.21).
func parseConfig(data []byte) (Config, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return Config{}, err
	}
	c, kind, bias := Config{Rank: 8, Alpha: 8}, "", noBias
	var init any
	read := map[string]any{
		"peft_type": &kind, "bias": &bias, "init_lora_weights": &init,
		"r": &c.Rank, "lora_alpha": &c.Alpha, "lora_dropout": &c.Dropout, "target_modules": &c.Targets,
	}
	for key, into := range read {
		if value, ok := keys[key]; ok {
			if err := json.Unmarshal(value, into); err != nil {
				return Config{}, fmt.Errorf("%s: %w", key, err)
			}
			delete(keys, key)
		}
	}
	switch {
	case kind != peftType:
		return Config{}, fmt.Errorf("peft_type is %.40q, want %q", kind, peftType)
	case bias != noBias:
		return Config{}, fmt.Errorf("bias is %.40q, want %q", bias, noBias)
	case len(c.Targets) == 0:
		return Config{}, errors.New("target_modules names no layers")
	case c.Rank < 1:
		return Config{}, fmt.Errorf("r is %d", c.Rank)
	}
	// The others (pissa, olora, loftq, …) subtract the first adapter from the
	// base model.
	if name, ok := init.(string); ok && name != "gaussian" {
		return Config{}, fmt.Errorf("init_lora_weights is %.40q, which may go with another base model", name)
	}
	if err := refuseForeign(keys); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// harmless are keys that may have any value.
var harmless = []string{"auto_mapping", "inference_mode", "loftq_config", "runtime_config"}

// restricting are keys that leave layers out, whatever type their value has.
var restricting = []string{"exclude_modules", "layers_to_transform"}

// refuseForeign refuses keys of PEFT, today's or a later one's, that make an
// adapter more than plain LoRA. What they do is switched on by true or by a
// list or object with something in it; numbers and strings only set its details.
func refuseForeign(keys map[string]json.RawMessage) error {
	var set []string
	for key, raw := range keys {
		if slices.Contains(harmless, key) {
			continue
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
		on := false
		switch v := value.(type) {
		case bool:
			on = v
		case []any:
			on = len(v) > 0
		case map[string]any:
			on = len(v) > 0
		case string, float64:
			on = v != "" && slices.Contains(restricting, key)
		}
		if on {
			set = append(set, fmt.Sprintf("%.40s", key))
		}
	}
	if len(set) == 0 {
		return nil
	}
	slices.Sort(set)
	return fmt.Errorf("%s: not known here, where an adapter is plain LoRA", strings.Join(set, ", "))
}
