package card

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden are cards as they should be, each with what huggingface_hub reads out of
// it: see testdata/check_export.py.
const golden = "../../../testdata/golden/card"

func ptr(v float64) *float64 { return &v }

const report = `{
  "Bleu_1": 0.6231, "Bleu_2": 0.4412, "Bleu_3": 0.3071, "Bleu_4": 0.2145,
  "METEOR": null, "ROUGE_L": 0.4623, "CIDEr": 0.5519, "SPICE": null, "CIDEr_plain": 0.6002,
  "sacrebleu": {"score": 21.447, "signature": "nrefs:5|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"},
  "images": 405
}`

// flickr is the card of a run as people make it.
func flickr(t *testing.T) Card {
	t.Helper()
	scores, signature, err := Report([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	c := Card{
		Name: "blip-flickr8k", Source: "someone/blip-flickr8k", License: "bsd-3-clause", Language: "en",
		Network: "base, of 223,971,644 parameters, for pictures of 384×384 pixels",
		Base:    Origin{Name: "Salesforce/blip-image-captioning-base", ID: "Salesforce/blip-image-captioning-base"},
		Generation: []Setting{
			{"num_beams", "5"}, {"max_new_tokens", "30"}, {"length_penalty", "1"}, {"early_stopping", "true"},
		},
		Data: Data{
			Origin: Origin{Name: "ariG23498/flickr8k", ID: "ariG23498/flickr8k"},
			Splits: []Split{{"train", 7281, 36405}, {"validation", 405, 2025}, {"test", 405, 2025}},
			How:    []string{"Pictures are resized to 384×384 pixels.", "Splits are by content, seed 42."},
		},
		Training: Training{
			Step: 1820, Steps: 3640, Epoch: 2, Epochs: 4, Best: "sacrebleu",
			Settings: []Setting{{"learning_rate", "5e-05"}, {"lr_scheduler_type", "linear"}},
		},
		Test: scores, Validation: Evaluation(map[string]float64{"sacrebleu": 22.5, "loss": 1.9}), Signature: signature,
		Run: Run{
			Hardware: "cpu, 2 threads, AMD EPYC", Training: 3*time.Hour + 30*time.Minute, Evaluation: 25 * time.Minute,
			Waiting: 20 * time.Second, Samples: 145620, PeakMemory: 5 << 30,
			Energy: &Energy{KWh: 0.245, Grams: 116.4, Intensity: 475, Region: "world average", How: "Energy = power × time."},
		},
		Versions: []Setting{{"blipflow", "v0.5.0"}, {"libtorch", "2.11.0"}, {"Go", "1.26.8"}},
	}
	for step := 50; step <= 3640; step += 50 {
		c.Training.Log = append(c.Training.Log, Point{Step: step, Epoch: float64(step) / 910, Loss: ptr(3 - float64(step)/2000), LearningRate: ptr(5e-5)})
		if (step+50)/910 > step/910 {
			end := (step/910 + 1) * 910
			c.Training.Log = append(c.Training.Log, Point{Step: end, Epoch: float64(end) / 910, Eval: map[string]float64{
				"sacrebleu": 20 + float64(end)/910, "loss": 2.1 - float64(end)/9100, "CIDEr": 0.5,
			}})
		}
	}
	return c
}

// odd are names that a careless card would break at.
var odd = []string{
	"no", "null", "1e3", "12:30:45", "2020-01-01", "=", "- a: #b", `"quotes" and 'quotes'`, `back\slash`, "two\nlines",
	"a | b", "---", "{a}", "@a", "%", "é 雪 ❄", "\u2028", "\x01", "*bold* <script>alert(1)</script> [x](y)", "```", "$(rm -rf ~)", " ",
}

// strange has such a name in every place.
func strange() Card {
	all := strings.Join(odd, " ") + " end"
	c := Card{
		Name: all, Source: all, License: "no", Language: "no", Prompt: all, Network: all,
		Data:    Data{Origin: Origin{Name: all}, How: []string{all}},
		Adapter: []Setting{{"r", "8"}}, AdapterFolder: "adapter",
		Test:       []Score{scoreOf("Bleu_4", 1e-7), scoreOf("CIDEr", 0)},
		Validation: Evaluation(map[string]float64{"no": 1e21, "loss": 0.1, "a: b\n---\n": 2}),
		Training: Training{
			Ended: all, Step: 7, Log: []Point{{Step: 1, Loss: ptr(1e-9), LearningRate: ptr(0)}, {Step: 7, Eval: map[string]float64{all: 1}}},
		},
		Run: Run{Hardware: all, Energy: &Energy{KWh: 1e-9, Grams: 1e-7, Intensity: 100, Region: "no", How: "Energy = power × time."}},
	}
	for _, name := range odd {
		c.Training.Settings = append(c.Training.Settings, Setting{name, name})
	}
	return c
}

func TestGolden(t *testing.T) {
	for name, c := range map[string]Card{"flickr8k": flickr(t), "strange": strange()} {
		got, err := c.Markdown()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(golden, name+".md")
		if *update {
			if err := os.MkdirAll(golden, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff(read(t, strings.TrimSuffix(path, ".md")+".json"), plain(t, front(t, c))); diff != "" {
			t.Errorf("%s: metadata (-in huggingface_hub +here):\n%s", path, diff)
		}
	}
}

// front is the YAML of a card.
func front(t *testing.T, c Card) map[string]any {
	t.Helper()
	text, err := c.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(text, "---\n")
	head, body, found := strings.Cut(rest, "\n---\n")
	if !ok || !found || !strings.HasPrefix(body, "\n# ") {
		t.Fatalf("no metadata between two rules:\n%s", text)
	}
	var m map[string]any
	if err := yaml.Unmarshal([]byte(head), &m); err != nil {
		t.Fatalf("%v\n%s", err, head)
	}
	return m
}

// read is what huggingface_hub makes of a card's metadata.
func read(t *testing.T, path string) (v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// index flattens a model-index into lines of split, type, name and value.
func index(t *testing.T, m map[string]any) (lines []string) {
	t.Helper()
	text, err := json.Marshal(m["model-index"])
	if err != nil {
		t.Fatal(err)
	}
	var models []struct {
		Name    string
		Results []struct {
			Task, Dataset map[string]string
			Metrics       []struct {
				Type, Name string
				Value      float64
			}
		}
	}
	if err := json.Unmarshal(text, &models); err != nil {
		t.Fatal(err)
	}
	for _, model := range models {
		for _, r := range model.Results {
			for _, s := range r.Metrics {
				lines = append(lines, fmt.Sprintf("%s %s %s %s %s %v", r.Task["type"], r.Dataset["type"], r.Dataset["split"], s.Type, s.Name, s.Value))
			}
		}
	}
	return lines
}

func TestModelIndex(t *testing.T) {
	want := []string{
		"image-to-text ariG23498/flickr8k test sacrebleu sacreBLEU 21.447",
		"image-to-text ariG23498/flickr8k test bleu BLEU-1 0.6231",
		"image-to-text ariG23498/flickr8k test bleu BLEU-2 0.4412",
		"image-to-text ariG23498/flickr8k test bleu BLEU-3 0.3071",
		"image-to-text ariG23498/flickr8k test bleu BLEU-4 0.2145",
		"image-to-text ariG23498/flickr8k test rouge ROUGE-L 0.4623",
		"image-to-text ariG23498/flickr8k test cider CIDEr 0.5519",
		"image-to-text ariG23498/flickr8k validation loss Loss 1.9",
		"image-to-text ariG23498/flickr8k validation sacrebleu sacreBLEU 22.5",
	}
	if diff := cmp.Diff(want, index(t, front(t, flickr(t)))); diff != "" {
		t.Errorf("model-index (-want +got):\n%s", diff)
	}
}

func TestMetadataKeepTheirText(t *testing.T) {
	for _, name := range odd {
		c := flickr(t)
		c.Name, c.License, c.Language, c.Data.ID, c.Data.Name, c.Run.Energy.Region = name, name, name, "", name, name
		m := front(t, c)
		got := []any{m["license"], m["language"]}
		want := []any{name, name}
		if name == "" {
			continue
		}
		model := m["model-index"].([]any)[0].(map[string]any)
		data := model["results"].([]any)[0].(map[string]any)["dataset"].(map[string]any)
		co2 := m["co2_eq_emissions"].(map[string]any)
		got = append(got, model["name"], data["type"], data["name"], co2["geographical_location"])
		want = append(want, name, name, name, name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

// What is not known is not told.
func TestBareCard(t *testing.T) {
	c := Card{Name: "m", Source: "m", Data: Data{Origin: Origin{Name: "pictures"}}, Training: Training{Step: 3, Steps: 3, Epoch: 1, Epochs: 1}}
	m := front(t, c)
	for _, key := range []string{"license", "language", "base_model", "datasets", "metrics", "model-index", "co2_eq_emissions"} {
		if v, ok := m[key]; ok {
			t.Errorf("%s is %v", key, v)
		}
	}
	text, err := c.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"from random weights", "Nothing was scored"} {
		if !strings.Contains(text, want) {
			t.Errorf("the card does not say %q:\n%s", want, text)
		}
	}
	for _, not := range []string{"NaN", "<nil>", "%!", "| |", "validation split"} {
		if strings.Contains(text, not) {
			t.Errorf("the card says %q:\n%s", not, text)
		}
	}
}

func TestTablesKeepTheirColumns(t *testing.T) {
	text, err := strange().Markdown()
	if err != nil {
		t.Fatal(err)
	}
	columns := 0
	tables := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") {
			columns = 0
			continue
		}
		n := strings.Count(strings.NewReplacer(`\\`, "", `\|`, "").Replace(line), "|")
		if columns == 0 {
			columns = n
			tables++
		}
		if n != columns {
			t.Errorf("%d bars in a table of %d: %q", n, columns, line)
		}
	}
	if tables < 5 {
		t.Errorf("%d tables, want settings, adapter, curve, scores of two splits, and hardware", tables)
	}
}

func TestCurve(t *testing.T) {
	point := func(step int, loss float64) Point { return Point{Step: step, Epoch: 1, Loss: &loss} }
	eval := func(step int, scores map[string]float64) Point { return Point{Step: step, Epoch: 1, Eval: scores} }
	for _, tt := range []struct {
		name string
		log  []Point
		want string
	}{
		{"nothing logged", nil, ""},
		{"evaluations", []Point{point(1, 2), point(2, 1.5), eval(2, map[string]float64{"loss": 1.7, "sacrebleu": 3}), eval(4, map[string]float64{"loss": 1, "x": 2})},
			"| step | epoch | training loss | validation loss | sacreBLEU | x |\n| --- | --- | --- | --- | --- | --- |\n" +
				"| 2 | 1.00 | 1.5000 | 1.7000 | 3.0000 |  |\n| 4 | 1.00 | 1.5000 | 1.0000 |  | 2.0000 |\n"},
		{"evaluated before a line", []Point{eval(1, map[string]float64{"loss": 1})},
			"| step | epoch | training loss | validation loss |\n| --- | --- | --- | --- |\n| 1 | 1.00 |  | 1.0000 |\n"},
		{"no evaluation", []Point{point(10, 2)},
			"| step | epoch | training loss | learning rate |\n| --- | --- | --- | --- |\n| 10 | 1.00 | 2.0000 |  |\n"},
	} {
		if diff := cmp.Diff(tt.want, Training{Log: tt.log}.curve()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLongCurveIsThinned(t *testing.T) {
	var run Training
	run.Step = 777
	for step := range 1000 {
		run.Log = append(run.Log, Point{Step: step, Eval: map[string]float64{"loss": 1}})
	}
	text := run.curve()
	if lines := strings.Count(text, "\n"); lines > mostRows+8 {
		t.Errorf("%d lines", lines)
	}
	for _, want := range []string{"\n| 0 |", "\n| 777 |", "\n| 999 |", "of 1,000 lines"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestReportRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", `{"CIDEr": "high"}`, `{"sacrebleu": 3}`} {
		if _, _, err := Report([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	for _, name := range odd {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		c := strange()
		c.License, c.Name = name, name
		// Bytes that are no text become the sign for that.
		want := strings.ToValidUTF8(name, "\ufffd")
		got := front(t, c)["license"]
		if len([]rune(want)) == len([]rune(name)) && got != want {
			t.Errorf("license %q was read as %q", want, got)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(report))
	f.Add([]byte(`{"sacrebleu": null, "Bleu_4": 1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		scores, _, err := Report(text)
		if err != nil {
			return
		}
		m := front(t, Card{Name: "m", Data: Data{Origin: Origin{Name: "d"}}, Test: scores})
		if lines := index(t, m); len(lines) > len(scores) {
			t.Errorf("%d results of %d scores", len(lines), len(scores))
		}
	})
}

func ExampleCard_Markdown() {
	c := Card{
		Name: "my-captions", Source: "me/my-captions", License: "bsd-3-clause",
		Data:     Data{Origin: Origin{Name: "my pictures"}, Splits: []Split{{Name: "train", Pictures: 900, Captions: 4500}}},
		Training: Training{Step: 100, Steps: 100, Epoch: 1, Epochs: 1},
		Test:     Evaluation(map[string]float64{"CIDEr": 0.75}),
	}
	text, err := c.Markdown()
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := strings.Split(text, "\n")
	fmt.Println(strings.Join(lines[:6], "\n"))
	// Output:
	// ---
	// license: "bsd-3-clause"
	// library_name: "transformers"
	// pipeline_tag: "image-to-text"
	// tags:
	// - "image-captioning"
}
