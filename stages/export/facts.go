package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/export/card"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// gather finds what the card tells, and gives the training log beside it. report is
// a coco_metrics.json, or empty.
func (c Config) gather(best, report string) (facts card.Card, log []byte, err error) {
	folder, err := checkpoint.Open(best)
	if err != nil {
		return facts, nil, err
	}
	chosen, err := trainer.ReadState(best)
	if err != nil {
		return facts, nil, err
	}
	last, err := trainer.Latest(filepath.Dir(best))
	if err != nil {
		return facts, nil, err
	}
	facts = card.Card{
		Name: c.Name, Source: filepath.Base(c.Output), License: c.License, Language: c.Language, Prompt: c.Prompt,
		Base: origin(hub.Model, c.Base), Data: card.Data{Origin: origin(hub.Dataset, c.Dataset)},
		Training: training(chosen, last), Run: c.run(last), Versions: versions(),
	}
	if c.Push.Repo != "" {
		facts.Source, facts.Revision = c.Push.Repo, c.Push.Revision
	}
	if last.BestMetric != nil && filepath.Base(best) == last.BestCheckpoint {
		facts.Training.Best = c.Metric
	}
	facts.Validation, facts.Signature = validation(last, chosen.GlobalStep)
	for _, fill := range []func() error{
		func() (err error) { facts.Network, err = network(folder); return err },
		func() (err error) { facts.Generation, err = generation(folder.Generation); return err },
		func() (err error) { facts.Training.Settings, err = rows(c.Settings); return err },
		func() error { return c.addData(&facts.Data, folder.Processor) },
		func() error { return addAdapter(&facts, best) },
		func() error { return addReport(&facts, report) },
	} {
		if err := fill(); err != nil {
			return facts, nil, err
		}
	}
	log, err = logLines(last)
	return facts, log, err
}

// origin is a model or data set by its id on the hub, or by its name.
func origin(kind hub.Kind, value string) card.Origin {
	if value == "" {
		return card.Origin{}
	}
	repo, err := hub.ParseRepo(kind, value)
	if _, statErr := os.Stat(value); statErr == nil || err != nil || !strings.Contains(repo.ID, "/") {
		return card.Origin{Name: filepath.Base(value)}
	}
	_, revision, _ := strings.Cut(value, "@")
	return card.Origin{Name: repo.ID, ID: repo.ID, Revision: revision}
}

func training(chosen, last trainer.State) card.Training {
	t := card.Training{
		Step: chosen.GlobalStep, Steps: last.GlobalStep, Epoch: chosen.Epoch, Epochs: last.Epoch, Ended: last.Ended,
	}
	for _, r := range last.LogHistory {
		t.Log = append(t.Log, card.Point{Step: r.Step, Epoch: r.Epoch, Loss: r.Loss, LearningRate: r.LearningRate, Eval: r.Eval})
	}
	return t
}

// validation are the scores of the model after a step, and the signature of
// sacrebleu.
func validation(s trainer.State, step int) (scores []card.Score, signature string) {
	for _, r := range s.LogHistory {
		if r.Step == step && r.Eval != nil {
			scores, signature = card.Evaluation(r.Eval), r.Notes[signatureNote]
		}
	}
	return scores, signature
}

// signatureNote is the key of sacrebleu's signature in an evaluation's notes.
const signatureNote = "sacrebleu_signature"

// network describes the network.
func network(f *checkpoint.Folder) (string, error) {
	tensors, err := safetensors.OpenFolder(f.Path)
	if err != nil {
		return "", err
	}
	defer tensors.Close() // only read
	parameters := int64(0)
	for _, name := range tensors.Names() {
		t, _ := tensors.Tensor(name) // which it has just named
		n := int64(1)
		for _, side := range t.Shape {
			n *= side
		}
		parameters += n
	}
	v, t := f.Config.Vision, f.Config.Text
	return fmt.Sprintf("of %s parameters, a vision transformer of %d layers of width %d over pictures of %d×%d pixels and a text decoder of %d layers of width %d",
		card.Count(int(parameters)), v.NumHiddenLayers, v.HiddenSize, v.ImageSize, v.ImageSize, t.NumHiddenLayers, t.HiddenSize), nil
}

// generation are the settings that make a caption what it is. The ids of tokens
// come with the model.
func generation(c generate.Config) ([]card.Setting, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(members(text, "", true), func(s card.Setting) bool { return strings.HasSuffix(s.Key, "_token_id") }), nil
}

// rows are the settings of a run.
func rows(settings any) ([]card.Setting, error) {
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	return members(text, "", false), nil
}

// members are those of a JSON object, in its order, and those of objects in it
// under joined keys, unless the inner key repeats the outer one, as lora_rank in
// lora. Texts go without their quotes, unless they are wanted.
func members(text []byte, outer string, quotes bool) (list []card.Setting) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return list
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return list
		}
		name := fmt.Sprint(key)
		if outer != "" && !strings.HasPrefix(name, outer+"_") {
			name = outer + "." + name
		}
		var s string
		switch {
		case value[0] == '{':
			list = append(list, members(value, name, quotes)...)
			continue
		case string(value) == "null":
			continue
		case value[0] == '"' && !quotes && json.Unmarshal(value, &s) == nil:
			list = append(list, card.Setting{Key: name, Value: s})
		default:
			list = append(list, card.Setting{Key: name, Value: string(value)})
		}
	}
	return list
}

// addData tells of the shards.
func (c Config) addData(d *card.Data, p *imaging.Processor) error {
	three := func(v [3]float64) string { return fmt.Sprintf("%.4g, %.4g, %.4g", v[0], v[1], v[2]) }
	d.How = append(d.How, fmt.Sprintf("Pictures are resized to %d×%d pixels (%s), scaled to 0 to 1 and normalised with mean (%s) and standard deviation (%s).",
		p.Width, p.Height, p.Resample, three(p.Mean), three(p.Std)))
	if c.Data == "" {
		return nil
	}
	m, err := preprocess.ReadManifest(c.Data)
	if err != nil {
		return err
	}
	for _, split := range dataset.Splits {
		s := card.Split{Name: split}
		for _, shard := range m.Shards {
			if shard.Split == split {
				s.Pictures += shard.Rows
				s.Captions += shard.Captions
			}
		}
		if s.Pictures > 0 {
			d.Splits = append(d.Splits, s)
		}
	}
	say := func(format string, args ...any) { d.How = append(d.How, fmt.Sprintf(format, args...)) }
	if len(m.JPEGDecoders) > 0 {
		say("JPEG files were decoded by %s.", strings.Join(m.JPEGDecoders, ", "))
	}
	shares, err := m.Shares.MarshalText()
	if err != nil {
		return err
	}
	say("Pictures of which the data set does not say the split went to train/validation/test by a hash of their content, %s with seed %d, so that copies of a picture are in one split.", shares, m.SplitSeed)
	for _, f := range []struct {
		n    int
		what string
	}{
		{m.PicturesFailed, "Pictures that could not be used: %s of " + card.Count(m.PicturesSeen) + "."},
		{m.CaptionsDropped, "Captions without a word, left out: %s."},
		{m.Duplicates, "Pictures that are copies of others: %s."},
		{m.Leaks, "Pictures that the data set has in more than one split, so that scores flatter: %s."},
		{m.NearDuplicates - m.NearDuplicatesDropped, "Pictures that look like one of another split: %s."},
	} {
		if f.n > 0 {
			say(f.what, card.Count(f.n))
		}
	}
	return nil
}

// addAdapter tells of a low-rank adapter, if the checkpoint has one.
func addAdapter(facts *card.Card, best string) error {
	path := filepath.Join(best, trainer.AdapterFolder, adapterConfig)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var has map[string]json.RawMessage
	if err := json.Unmarshal(text, &has); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	facts.AdapterFolder, facts.Adapter = trainer.AdapterFolder, []card.Setting{}
	for _, key := range []string{"r", "lora_alpha", "lora_dropout", "target_modules"} {
		var value bytes.Buffer
		if v, ok := has[key]; ok && json.Compact(&value, v) == nil {
			facts.Adapter = append(facts.Adapter, card.Setting{Key: key, Value: value.String()})
		}
	}
	return nil
}

// adapterConfig is PEFT's name for an adapter's settings.
const adapterConfig = "adapter_config.json"

// addReport tells of the scores of the test split.
func addReport(facts *card.Card, report string) error {
	if report == "" {
		return nil
	}
	scores, signature, err := card.Report([]byte(report))
	if err != nil {
		return err
	}
	facts.Test = scores
	if signature != "" {
		facts.Signature = signature
	}
	return nil
}

// versions are those of the software.
func versions() []card.Setting {
	name, version, _ := strings.Cut(records.Program(), " ")
	return []card.Setting{
		{Key: name, Value: version}, {Key: "libtorch", Value: torch.Version()},
		{Key: "Beam", Value: core.SdkVersion}, {Key: "Go", Value: strings.TrimPrefix(runtime.Version(), "go")},
	}
}

// logLines is the training log.
func logLines(s trainer.State) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range s.LogHistory {
		if err := enc.Encode(r); err != nil {
			return nil, fmt.Errorf("write the training log: %w", err)
		}
	}
	return b.Bytes(), nil
}
