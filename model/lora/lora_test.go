package lora

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

func testBatch(t testing.TB) blip.Batch {
	t.Helper()
	return readTensors(t, filepath.Join(golden, "attention", "expected.safetensors")).batch(t, "0")
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string // part of the error; empty for none
	}{
		{Config{}, ""},
		{Config{Alpha: -1, Dropout: 3}, ""},
		{Config{Rank: 4, Alpha: 8}, ""},
		{Config{Rank: 4, Alpha: 0.5, Dropout: 0.1, Targets: []string{"query"}}, ""},
		{Config{Rank: -1, Alpha: 8}, "lora_rank is -1"},
		{Config{Rank: 4}, "lora_alpha is 0"},
		{Config{Rank: 4, Alpha: math.NaN()}, "lora_alpha is NaN"},
		{Config{Rank: 4, Alpha: math.Inf(1)}, "lora_alpha is +Inf"},
		{Config{Rank: 4, Alpha: 8, Dropout: 1}, "lora_dropout is 1"},
		{Config{Rank: 4, Alpha: 8, Dropout: -0.1}, "lora_dropout is -0.1"},
		{Config{Rank: 4, Alpha: 8, Targets: []string{"query", ""}}, `lora_target_modules is ["query" ""]`},
	} {
		err := c.config.Validate()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

// The model has two layers in each half.
func TestTargets(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	for _, c := range []struct {
		targets []string
		layers  int
		want    string // a layer that must be among them
	}{
		{nil, 2*2 + 2*2*3, "vision_model.encoder.layers.1.self_attn.projection"},
		{DefaultTargets(), 2*2 + 2*2*3, "text_decoder.bert.encoder.layer.0.crossattention.self.value"},
		{[]string{"qkv"}, 2, "vision_model.encoder.layers.0.self_attn.qkv"},
		{[]string{"qkv", "self_attn.qkv", "qkv"}, 2, "vision_model.encoder.layers.1.self_attn.qkv"},
		{[]string{"crossattention.self.query"}, 2, "text_decoder.bert.encoder.layer.1.crossattention.self.query"},
		{[]string{"fc1", "fc2"}, 4, "vision_model.encoder.layers.1.mlp.fc2"},
		{[]string{"dense"}, 4*2 + 1, "text_decoder.cls.predictions.transform.dense"},
		{[]string{"output.dense"}, 3 * 2, "text_decoder.bert.encoder.layer.0.output.dense"},
		{[]string{"text_decoder.cls.predictions.transform.dense"}, 1, "text_decoder.cls.predictions.transform.dense"},
	} {
		settings := Config{Rank: 1, Alpha: 1, Targets: c.targets}
		if err := settings.Check(m.Config); err != nil {
			t.Errorf("%q: %v, before the weights are read", c.targets, err)
		}
		a, err := Attach(m, settings, 1)
		if err != nil {
			t.Errorf("%q: %v", c.targets, err)
			continue
		}
		var names []string
		for _, p := range a.Params() {
			names = append(names, p.Name)
			if !p.Decay {
				t.Errorf("%s does not decay", p.Name)
			}
		}
		if len(names) != 2*c.layers || !slices.Contains(names, c.want+".lora_A.weight") || !slices.Contains(names, c.want+".lora_B.weight") {
			t.Errorf("%q: %d layers, want %d with %s: %q", c.targets, len(names)/2, c.layers, c.want, names)
		}
		a.Close()
	}
}

func TestTargetsThatFitNothing(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	for _, targets := range [][]string{
		{"query", "q_proj"}, {"ense"}, {".dense"}, {"decoder"}, {"self_attn"}, {"word_embeddings"}, {"LayerNorm"}, {"patch_embedding"}, {"qkv.weight"},
	} {
		_, err := Attach(m, Config{Rank: 1, Alpha: 1, Targets: targets}, 1)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), `"`+targets[len(targets)-1]+`"`) ||
			!strings.Contains(err.Error(), "dense, fc1, fc2, key, projection, qkv, query, value") {
			t.Errorf("%q: %v", targets, err)
		}
		if before := (Config{Rank: 1, Alpha: 1, Targets: targets}).Check(m.Config); before == nil || before.Error() != err.Error() {
			t.Errorf("%q: %v, before the weights are read", targets, before)
		}
	}
	if _, err := Attach(m, Config{}, 1); !errors.Is(err, ErrConfig) {
		t.Errorf("rank 0: %v", err)
	}
	for _, p := range m.Params() {
		if p.Update != nil {
			t.Errorf("%s has an update of an adapter that was refused", p.Name)
		}
	}
	attach(t, m, Config{Rank: 1, Alpha: 1, Targets: []string{"qkv"}}, 1)
	if _, err := Attach(m, Config{Rank: 1, Alpha: 1}, 1); err == nil || !strings.Contains(err.Error(), "self_attn.qkv has an update already") {
		t.Errorf("a second adapter: %v", err)
	}
}

func TestNewAdapterChangesNothing(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	batch := testBatch(t)
	without, _ := forward(t, m, torch.Inference, batch)
	a := attach(t, m, Config{Rank: 64, Alpha: 16}, 3)
	if logits, _ := forward(t, m, torch.Inference, batch); !slices.Equal(logits, without) {
		t.Error("a new adapter changes the logits")
	}
	first := values(t, a)
	for _, p := range a.Params() {
		if v := first[p.Name]; strings.Contains(p.Name, ".lora_B.") {
			if slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
				t.Errorf("%s is not zero", p.Name)
			}
		} else {
			checkUniform(t, p.Name, v, 1/math.Sqrt(float64(len(v))/64))
		}
	}
	a.Close()
	again := attach(t, m, Config{Rank: 64, Alpha: 16}, 3)
	if !maps.EqualFunc(first, values(t, again), slices.Equal) {
		t.Error("the same seed draws other matrices")
	}
	again.Close()
	if maps.EqualFunc(first, values(t, attach(t, m, Config{Rank: 64, Alpha: 16}, 4)), slices.Equal) {
		t.Error("another seed draws the same matrices")
	}
}

// checkUniform tests for U(−bound, bound), whose standard deviation is bound/√3;
// with the 768 values that the smallest matrix has, a sixth is six times the
// standard error of both moments' estimates.
func checkUniform(t *testing.T, name string, v []float32, bound float64) {
	t.Helper()
	var sum, squares float64
	for _, x := range v {
		if math.Abs(float64(x)) > bound*(1+1e-6) {
			t.Errorf("%s has %v, beyond ±%v", name, x, bound)
		}
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := float64(len(v))
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > bound/6 || math.Abs(deviation*math.Sqrt(3)/bound-1) > 1.0/6 {
		t.Errorf("%s has mean %v and deviation %v for a bound of %v", name, mean, deviation, bound)
	}
}

// learned gives the gradients of a step by name, the base model's as well, and
// its loss.
func learned(t *testing.T, m *blip.Model, a *Adapter, b blip.Batch, o blip.Objective) (map[string][]float32, float64) {
	t.Helper()
	if err := torch.Seed(11); err != nil {
		t.Fatal(err)
	}
	out := map[string][]float32{}
	var loss float64
	err := m.Device().Run(torch.Training, func() (err error) {
		collect(a)
		if loss, err = m.Learn(b, o); err != nil {
			return err
		}
		for _, p := range slices.Concat(m.Params(), a.Params()) {
			if g := p.Tensor.Grad(); g != nil {
				out[p.Name] = g.Float32s()
			}
			p.Tensor.ZeroGrad()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, loss
}

func TestOnlyTheAdapterLearns(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	if err := m.Device().Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Collected)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a := attachStored(t, m, filepath.Join(golden, "attention"))
	for _, frozen := range []bool{false, true} {
		gradients, _ := learned(t, m, a, testBatch(t), blip.Objective{FrozenVision: frozen})
		for _, p := range m.Params() {
			if gradients[p.Name] != nil {
				t.Errorf("%s of the base model collected a gradient", p.Name)
			}
		}
		for _, p := range a.Params() {
			want := !frozen || !strings.HasPrefix(p.Name, "vision_model.")
			if got := gradients[p.Name] != nil; got != want {
				t.Errorf("vision frozen %v: %s has a gradient: %v, want %v", frozen, p.Name, got, want)
			}
		}
	}
}

// Layers that are computed again draw the same dropout, and come to the same
// gradients to the bit.
func TestCheckpointingWithDropout(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	folder := filepath.Join(golden, "attention")
	c, err := ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	c.Dropout = 0.3
	a := attach(t, m, c, 1)
	if err := a.Load(folder); err != nil {
		t.Fatal(err)
	}
	plain, loss := learned(t, m, a, testBatch(t), blip.Objective{})
	again, lossAgain := learned(t, m, a, testBatch(t), blip.Objective{Checkpointing: true})
	if loss != lossAgain || !maps.EqualFunc(plain, again, slices.Equal) {
		t.Errorf("losses %v and %v, or the gradients differ", loss, lossAgain)
	}
	judged, _ := forward(t, m, torch.Inference, testBatch(t))
	trained, _ := forward(t, m, torch.Training, testBatch(t))
	if apart(t, trained, judged) < 1e-3 {
		t.Error("there is no dropout in training")
	}
	want := readTensors(t, filepath.Join(folder, "expected.safetensors"))
	if apart(t, judged, unpadded(want.floats(t, "logits"), testBatch(t))) > close32 {
		t.Error("there is dropout outside of training")
	}
}

// bfloat16 has 8 bits of mantissa: products are good for 1/256.
func TestAutocast(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	a := attachStored(t, m, filepath.Join(golden, "attention"))
	exact, loss := learned(t, m, a, testBatch(t), blip.Objective{})
	rough, roughLoss := learned(t, m, a, testBatch(t), blip.Objective{Autocast: torch.BFloat16, Checkpointing: true})
	if d := math.Abs(roughLoss-loss) / loss; d == 0 || d > 0.02 {
		t.Errorf("the loss is %v in bfloat16, %v in float32", roughLoss, loss)
	}
	if len(rough) != len(exact) {
		t.Errorf("%d gradients in bfloat16, %d in float32", len(rough), len(exact))
	}
	for name, g := range exact {
		if d := apart(t, rough[name], g); !(d < 0.3) {
			t.Errorf("the gradient of %s is %v of its largest value off", name, d)
		}
	}
}

// With its cached keys and values too, a model with an adapter says what the
// merged model says.
func TestGenerate(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	attachStored(t, m, filepath.Join(golden, "attention"))
	folder := t.TempDir()
	if err := m.Save(folder, nil); err != nil {
		t.Fatal(err)
	}
	caption := func(m *blip.Model) [][]generate.Hypothesis {
		bos := int32(m.Config.Text.BOSTokenID)
		found, err := m.Generate(context.Background(), testBatch(t).Pixels, [][]int32{{bos}, {bos, 7}, {bos}}, generate.Config{
			NumBeams: 3, MaxNewTokens: 12, EOSTokenID: generate.TokenIDs{int32(m.Config.Text.SepTokenID)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	on, merged, base := caption(m), caption(loadModel(t, folder)), caption(baseModel(t))
	differs := false
	for i := range on {
		if !slices.Equal(on[i][0].Tokens, merged[i][0].Tokens) || math.Abs(float64(on[i][0].Score-merged[i][0].Score)) > 1e-4 {
			t.Errorf("picture %d: %v with the adapter, %v merged", i, on[i][0], merged[i][0])
		}
		differs = differs || !slices.Equal(on[i][0].Tokens, base[i][0].Tokens)
	}
	if !differs {
		t.Error("the base model says the same: the comparison says nothing")
	}
}

func TestSaveAndLoad(t *testing.T) {
	noneLeft(t)
	folder := filepath.Join(t.TempDir(), "run", "adapter")
	m := baseModel(t)
	a := attachStored(t, m, filepath.Join(golden, "dense"))
	train(t, m, a, []blip.Batch{testBatch(t)}, torch.AdamW{Rate: 0.01, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8}, 2, blip.Objective{})
	if err := a.Save(folder, "someone/blip"); err != nil {
		t.Fatal(err)
	}
	saved := values(t, a)
	a.Close()
	if !maps.EqualFunc(saved, values(t, attachStored(t, m, folder)), slices.Equal) {
		t.Error("the adapter is not the one that was saved, to the bit")
	}
	entries, err := os.ReadDir(filepath.Dir(folder))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the adapter: %v, %v", entries, err)
	}

	config, err := os.ReadFile(filepath.Join(folder, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	var got, peft map[string]any
	if err := json.Unmarshal(config, &got); err != nil {
		t.Fatal(err)
	}
	if config, err = os.ReadFile(filepath.Join(golden, "dense", ConfigFile)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(config, &peft); err != nil {
		t.Fatal(err)
	}
	peft["base_model_name_or_path"] = "someone/blip"
	for key, v := range got {
		if a, b := marshal(t, v), marshal(t, peft[key]); !bytes.Equal(a, b) {
			t.Errorf("%s: %s is %s, PEFT writes %s", ConfigFile, key, a, b)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// An adapter of PEFT that is read and saved has PEFT's bytes.
func TestWeightsFileIsPEFTs(t *testing.T) {
	noneLeft(t)
	a := attachStored(t, baseModel(t), filepath.Join(golden, "attention"))
	folder := filepath.Join(t.TempDir(), "adapter")
	if err := a.Save(folder, ""); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(golden, "attention", WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the file differs from PEFT's")
	}
}

func TestSaveLeavesNothingHalf(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	a := attach(t, m, Config{Rank: 1, Alpha: 1}, 1)
	dir := t.TempDir()
	folder := filepath.Join(dir, "adapter")
	if err := a.Save(folder, ""); err != nil {
		t.Fatal(err)
	}
	before := marshal(t, values(t, a))
	if err := a.Save(folder, "other"); err == nil {
		t.Error("a folder that is there was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the adapter: %v, %v", entries, err)
	}
	if err := a.Load(folder); err != nil || !bytes.Equal(before, marshal(t, values(t, a))) {
		t.Errorf("the adapter that was there is spoiled: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	noneLeft(t)
	m := baseModel(t)
	good := Config{Rank: 2, Alpha: 4, Targets: []string{"qkv", "fc1"}}
	a := attach(t, m, good, 1)
	folder := filepath.Join(t.TempDir(), "adapter")
	if err := a.Save(folder, ""); err != nil {
		t.Fatal(err)
	}
	a.Close()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Rank: 3, Alpha: 4, Targets: good.Targets}, "has rank 2 and alpha 4, want 3 and 4"},
		{Config{Rank: 2, Alpha: 5, Targets: good.Targets}, "has rank 2 and alpha 4, want 2 and 5"},
		{Config{Rank: 2, Alpha: 4, Targets: []string{"qkv"}}, "fc1.lora_A.weight"},
		{Config{Rank: 2, Alpha: 4, Targets: []string{"qkv", "fc1", "fc2"}}, "lacks base_model.model.vision_model.encoder.layers.0.mlp.fc2.lora_A.weight"},
	} {
		a := attach(t, m, c.config, 2)
		before := values(t, a)
		if err := a.Load(folder); !errors.Is(err, ErrAdapter) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
		if !maps.EqualFunc(before, values(t, a), slices.Equal) {
			t.Errorf("%+v: the adapter was changed", c.config)
		}
		a.Close()
	}
	a = attach(t, m, good, 2)
	refuseTensors(t, a, folder)
	if err := a.Load(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// refuseTensors damages one tensor of an adapter's folder at a time.
func refuseTensors(t *testing.T, a *Adapter, folder string) {
	t.Helper()
	f := readTensors(t, filepath.Join(folder, WeightsFile))
	name := prefix + a.Params()[0].Name
	for _, c := range []struct {
		spoil func(s *safetensors.Source)
		want  string // empty where it is read
	}{
		{func(*safetensors.Source) {}, ""},
		{func(s *safetensors.Source) { s.DType, s.Data = safetensors.BF16, s.Data[:len(s.Data)/2] }, ""},
		{func(s *safetensors.Source) { slices.Reverse(s.Shape) }, "has shape [12 2], want [2 12]"},
		{func(s *safetensors.Source) { s.DType = safetensors.I32 }, "has elements of type I32"},
		{func(s *safetensors.Source) { s.Name = "other" }, "lacks " + name},
	} {
		var sources []safetensors.Source
		for _, n := range f.Names() {
			stored := f.tensor(t, n)
			s := safetensors.Source{Name: n, DType: stored.DType, Shape: slices.Clone(stored.Shape), Data: bytes.Clone(stored.Data)}
			if n == name {
				c.spoil(&s)
			}
			sources = append(sources, s)
		}
		spoiled := t.TempDir()
		config, err := os.ReadFile(filepath.Join(folder, ConfigFile))
		if err == nil {
			err = os.WriteFile(filepath.Join(spoiled, ConfigFile), config, 0o644)
		}
		if err := errors.Join(err, safetensors.Write(filepath.Join(spoiled, WeightsFile), sources, nil)); err != nil {
			t.Fatal(err)
		}
		err = a.Load(spoiled)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrAdapter) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestReadConfig(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // part of the error; empty for none
	}{
		{`{"peft_type":"LORA","target_modules":["query"]}`, ""},
		{`{"peft_type":"LORA","target_modules":["query"],"r":4,"lora_alpha":1.5,"use_rslora":false,"loftq_config":{"loftq_bits":4},"new_number":3,"new_list":[],"new_name":"x"}`, ""},
		{`{"peft_type":"LORA","target_modules":["query"],"init_lora_weights":"gaussian","exclude_modules":""}`, ""},
		{``, "unexpected end"},
		{`null`, "peft_type"},
		{`{"target_modules":["query"]}`, `peft_type is ""`},
		{`{"peft_type":"IA3","target_modules":["query"]}`, `peft_type is "IA3"`},
		{`{"peft_type":"LORA"}`, "target_modules names no layers"},
		{`{"peft_type":"LORA","target_modules":".*query"}`, "target_modules: "},
		{`{"peft_type":"LORA","target_modules":["query"],"r":0}`, "r is 0"},
		{`{"peft_type":"LORA","target_modules":["query"],"r":1.5}`, "r: "},
		{`{"peft_type":"LORA","target_modules":["query"],"lora_alpha":-1}`, "lora_alpha is -1"},
		{`{"peft_type":"LORA","target_modules":["query"],"lora_alpha":1e999}`, "lora_alpha: "},
		{`{"peft_type":"LORA","target_modules":["query"],"bias":"all"}`, `bias is "all"`},
		{`{"peft_type":"LORA","target_modules":["query"],"init_lora_weights":"pissa"}`, `init_lora_weights is "pissa"`},
		{`{"peft_type":"LORA","target_modules":["query"],"use_dora":true,"alpha_pattern":{"query":1}}`, "alpha_pattern, use_dora: not known"},
		{`{"peft_type":"LORA","target_modules":["query"],"use_rslora":true}`, "use_rslora"},
		{`{"peft_type":"LORA","target_modules":["query"],"fan_in_fan_out":true}`, "fan_in_fan_out"},
		{`{"peft_type":"LORA","target_modules":["query"],"layers_to_transform":0}`, "layers_to_transform"},
		{`{"peft_type":"LORA","target_modules":["query"],"modules_to_save":["x"]}`, "modules_to_save"},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, ConfigFile), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadConfig(folder)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrAdapter) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	c, err := ReadConfig(filepath.Join(golden, "dense"))
	want := Config{Rank: 2, Alpha: 5, Dropout: 0.25, Targets: []string{"crossattention.output.dense", "fc1", "transform.dense"}}
	if err != nil || !bytes.Equal(marshal(t, c), marshal(t, want)) {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
}

// FuzzConfig: whatever the text, an error or settings that can be attached, and
// that are written to a text which reads as the same.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"attention", "dense"} {
		text, err := os.ReadFile(filepath.Join(golden, name, ConfigFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"peft_type":"LORA","target_modules":[""],"r":1e3,"lora_dropout":1}`))
	f.Add([]byte(`{"peft_type":"LORA","target_modules":["a"],"exclude_modules":5,"rank_pattern":{"a":[1]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err != nil {
			return
		}
		if c.Validate() != nil || c.Rank < 1 || len(c.Targets) == 0 {
			t.Fatalf("%s was read as %+v", text, c)
		}
		again, err := (&Adapter{config: c}).marshal("base")
		if err != nil {
			t.Fatal(err)
		}
		if d, err := parseConfig(again); err != nil || !bytes.Equal(marshal(t, c), marshal(t, d)) {
			t.Fatalf("%s became %s: %+v, %v", text, again, d, err)
		}
	})
}
