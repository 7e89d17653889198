package card

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml"
)

// metadata are the YAML before the words, in the order in which they are written.
type metadata struct {
	License  quotedText   `yaml:"license,omitempty"`
	Language quotedText   `yaml:"language,omitempty"`
	Library  quotedText   `yaml:"library_name"`
	Pipeline quotedText   `yaml:"pipeline_tag"`
	Tags     []quotedText `yaml:"tags"`
	Base     quotedText   `yaml:"base_model,omitempty"`
	Relation quotedText   `yaml:"base_model_relation,omitempty"`
	Datasets []quotedText `yaml:"datasets,omitempty"`
	Metrics  []quotedText `yaml:"metrics,omitempty"`
	CO2      *emissions   `yaml:"co2_eq_emissions,omitempty"`
	Index    []indexed    `yaml:"model-index,omitempty"`
}

// emissions are the hub's keys for them.
type emissions struct {
	Grams    number     `yaml:"emissions"`
	Source   quotedText `yaml:"source"`
	Kind     quotedText `yaml:"training_type"`
	Place    quotedText `yaml:"geographical_location,omitempty"`
	Hardware quotedText `yaml:"hardware_used,omitempty"`
}

// indexed is a model of model-index.
type indexed struct {
	Name    quotedText `yaml:"name"`
	Results []result   `yaml:"results"`
}

type result struct {
	Task struct {
		Type quotedText `yaml:"type"`
		Name quotedText `yaml:"name"`
	} `yaml:"task"`
	Dataset struct {
		Type     quotedText `yaml:"type"`
		Name     quotedText `yaml:"name"`
		Split    quotedText `yaml:"split"`
		Revision quotedText `yaml:"revision,omitempty"`
	} `yaml:"dataset"`
	Metrics []metric `yaml:"metrics"`
}

type metric struct {
	Type  quotedText `yaml:"type"`
	Value number     `yaml:"value"`
	Name  quotedText `yaml:"name"`
}

func (c Card) metadata() (string, error) {
	m := metadata{
		License: quotedText(c.License), Language: quotedText(c.Language), Library: "transformers", Pipeline: task,
		Tags: []quotedText{"image-captioning", "blip", "blipflow"}, CO2: c.Run.emissions(c.Base),
	}
	if c.Base.ID != "" {
		m.Base, m.Relation = quotedText(c.Base.ID), "finetune"
	}
	if c.Adapter != nil {
		m.Tags = append(m.Tags, "lora")
	}
	if c.Data.ID != "" {
		m.Datasets = []quotedText{quotedText(c.Data.ID)}
	}
	seen := map[string]bool{}
	index := indexed{Name: quotedText(c.Name)}
	for _, part := range []struct {
		split  string
		scores []Score
	}{{testSplit, c.Test}, {validationSplit, c.Validation}} {
		r := c.result(part.split, part.scores)
		if len(r.Metrics) > 0 {
			index.Results = append(index.Results, r)
		}
		for _, s := range part.scores {
			if s.Indexed && s.Type != lossType && !seen[s.Type] {
				seen[s.Type] = true
				m.Metrics = append(m.Metrics, quotedText(s.Type))
			}
		}
	}
	if len(index.Results) > 0 {
		m.Index = []indexed{index}
	}
	text, err := yaml.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("write the card's metadata: %w", err)
	}
	return string(text), nil
}

// task is the hub's name for what the model does.
const task = "image-to-text"

// result is a split's part of the model-index.
func (c Card) result(split string, scores []Score) result {
	var r result
	r.Task.Type, r.Task.Name = task, "Image captioning"
	// The type is an id on the hub, or, of other data sets, their name.
	r.Dataset.Type, r.Dataset.Name = quotedText(c.Data.ID), quotedText(c.Data.Name)
	if c.Data.ID == "" {
		r.Dataset.Type = quotedText(c.Data.Name)
	}
	r.Dataset.Split, r.Dataset.Revision = quotedText(split), quotedText(c.Data.Revision)
	for _, s := range scores {
		if s.Indexed {
			r.Metrics = append(r.Metrics, metric{quotedText(s.Type), number(s.Value), quotedText(s.Name)})
		}
	}
	return r
}

// quotedText is written in double quotes. Without them a reader of YAML 1.1 takes
// "no" (Norwegian) for false, 12:30:45 for a number of seconds and = for a mistake.
type quotedText string

// MarshalYAML is for the library. Texts in JSON are texts in YAML.
func (t quotedText) MarshalYAML() ([]byte, error) { return []byte(quoted(string(t))), nil }

// number is written without an exponent, since YAML 1.1 takes 1e-05 for a text, and
// with a point, since no reader's integers are too small then.
type number float64

// MarshalYAML is for the library.
func (n number) MarshalYAML() ([]byte, error) {
	text := strconv.AppendFloat(nil, float64(n), 'f', -1, 64)
	if !bytes.ContainsRune(text, '.') {
		text = append(text, ".0"...)
	}
	return text, nil
}

// quoted is a text as JSON has it, which is also how Python and YAML do.
func quoted(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // strings always have their JSON
	return string(bytes.TrimSpace(b.Bytes()))
}
