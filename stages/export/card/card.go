// Package card writes the README.md of a model folder: a model card as the
// Hugging Face hub reads it, with metadata in YAML before the words.
//
// A card says what is in a [Card] and nothing else: parts that are not known are
// left out. What people named, data sets and folders among it, is escaped, in
// YAML so that readers of version 1.1 (the hub's own clients) and 1.2 find the
// same texts.
//
// The metadata have the keys of the hub's model card specification
// (https://github.com/huggingface/hub-docs/blob/main/modelcard.md), scores in
// model-index, and emissions in co2_eq_emissions in grams.
package card

import (
	"fmt"
	"strings"
)

// Card is what a model card tells.
type Card struct {
	// Name is what the model is called.
	Name string
	// Source is what opens the model: its id on the hub, or its folder; Revision is
	// the hub's branch, empty for main.
	Source, Revision string
	// License is the hub's key of a licence, as "bsd-3-clause".
	License string
	// Language is that of the captions, as an ISO 639 code.
	Language string
	// Network describes the network in half a sentence.
	Network string
	// Base is the model that training started from; nothing for random weights.
	Base Origin
	// Prompt is what captions were trained to follow.
	Prompt string
	// Generation are the settings that captions are generated with.
	Generation []Setting

	Data     Data
	Training Training
	// Adapter are the settings of a low-rank adapter that was trained and merged
	// into the weights, nil if there was none. AdapterFolder is where it is, in the
	// model's folder.
	Adapter       []Setting
	AdapterFolder string

	// Test and Validation are the scores of the exported weights.
	Test, Validation []Score
	// Signature says how sacreBLEU was computed, in its own words.
	Signature string

	Run Run
	// Versions are those of the software.
	Versions []Setting
}

// Origin is a model or a data set that was used.
type Origin struct {
	// Name is what to call it.
	Name string
	// ID and Revision are those on the hub, where it came from there.
	ID, Revision string
}

// Data is what the model learned from.
type Data struct {
	Origin
	Splits []Split
	// How says in whole sentences how pictures were prepared and put into splits,
	// and what was left out.
	How []string
}

// Split is a part of the data.
type Split struct {
	Name               string
	Pictures, Captions int
}

// Names of the splits that a card's scores are of.
const (
	testSplit       = "test"
	validationSplit = "validation"
)

// Training is how the weights came about.
type Training struct {
	// Step and Epoch are those of the weights, Steps and Epochs those of the run.
	Step, Steps   int
	Epoch, Epochs float64
	// Best says by which validation metric the weights were chosen, empty where
	// they are the last. Ended says why the run stopped early.
	Best, Ended string
	Settings    []Setting
	Log         []Point
}

// Setting is a key and its value, in words.
type Setting struct{ Key, Value string }

// Markdown is the card.
func (c Card) Markdown() (string, error) {
	metadata, err := c.metadata()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\n%s---\n\n# %s\n", metadata, inline(c.Name))
	for _, section := range []string{
		c.introduction(), c.use(), c.data(), c.training(), c.metrics(), c.Run.section(), c.limits(), c.versions(),
	} {
		if section != "" {
			b.WriteString("\n" + section)
		}
	}
	return b.String(), nil
}

func (c Card) introduction() string {
	var b strings.Builder
	b.WriteString("Captions pictures. ")
	fmt.Fprintf(&b, "The network is BLIP%s, ", prefixed(" ", c.Network))
	if c.Base == (Origin{}) {
		b.WriteString("trained from random weights")
	} else {
		fmt.Fprintf(&b, "fine-tuned from %s", c.Base.link(""))
	}
	fmt.Fprintf(&b, " on %s by blipflow.", c.Data.link("datasets/"))
	t := c.Training
	fmt.Fprintf(&b, " The weights are those after step %s of %s (epoch %.4g of %.4g)", Count(t.Step), Count(t.Steps), t.Epoch, t.Epochs)
	if t.Best != "" {
		fmt.Fprintf(&b, ", the best on the validation split by %s", inline(t.Best))
	}
	b.WriteString(".\n")
	if c.Prompt != "" {
		fmt.Fprintf(&b, "\nIt was trained to go on after a prompt, and captions best after it: `--prompt=%s`.\n", shell(c.Prompt))
	}
	if c.Adapter != nil {
		fmt.Fprintf(&b, "\nA low-rank adapter (LoRA) was trained, and its product is merged into the weights: nothing has to be loaded beside them. The adapter alone is in `%s/`, as PEFT reads it.\n", c.AdapterFolder)
	}
	return b.String()
}

func (c Card) use() string {
	var b strings.Builder
	b.WriteString("## Use\n\nWith transformers:\n\n```python\n")
	b.WriteString("from PIL import Image\nfrom transformers import BlipForConditionalGeneration, BlipProcessor\n\n")
	source, command := quoted(c.Source), c.Source
	if c.Revision != "" {
		source += ", revision=" + quoted(c.Revision)
		command += "@" + c.Revision
	}
	fmt.Fprintf(&b, "model = BlipForConditionalGeneration.from_pretrained(%s)\nprocessor = BlipProcessor.from_pretrained(%s)\n", source, source)
	b.WriteString(`picture = Image.open("picture.jpg").convert("RGB")` + "\n")
	prompt := ""
	if c.Prompt != "" {
		prompt = "text=" + quoted(c.Prompt) + ", "
	}
	fmt.Fprintf(&b, "inputs = processor(images=picture, %sreturn_tensors=\"pt\")\n", prompt)
	arguments := "**inputs"
	for _, s := range c.Generation {
		arguments += fmt.Sprintf(", %s=%s", s.Key, python(s.Value))
	}
	fmt.Fprintf(&b, "tokens = model.generate(%s)\nprint(processor.decode(tokens[0], skip_special_tokens=True))\n```\n\n", arguments)
	b.WriteString("With blipflow, for a picture, a folder or a whole archive of them:\n\n```sh\ngo run ./pipelines/caption")
	fmt.Fprintf(&b, " --model=%s", shell(command))
	if c.Prompt != "" {
		fmt.Fprintf(&b, " --prompt=%s", shell(c.Prompt))
	}
	b.WriteString(" --input=pictures --output=captions.jsonl\n```\n")
	return b.String()
}

func (c Card) data() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Training data\n\n%s", c.Data.link("datasets/"))
	if len(c.Data.Splits) == 0 {
		b.WriteString(".\n")
	} else {
		b.WriteString(":\n\n")
		var rows [][]string
		for _, s := range c.Data.Splits {
			rows = append(rows, []string{inline(s.Name), Count(s.Pictures), Count(s.Captions)})
		}
		b.WriteString(table([]string{"split", "pictures", "captions"}, rows))
	}
	if len(c.Data.How) > 0 {
		fmt.Fprintf(&b, "\n%s\n", inline(strings.Join(c.Data.How, " ")))
	}
	return b.String()
}

func (c Card) training() string {
	t := c.Training
	var b strings.Builder
	b.WriteString("## Training\n")
	if t.Ended != "" {
		fmt.Fprintf(&b, "\nThe run ended before its last step: %s.\n", inline(t.Ended))
	}
	if len(t.Settings) > 0 {
		b.WriteString("\n### Settings\n\n" + settings("setting", t.Settings))
	}
	if len(c.Adapter) > 0 {
		b.WriteString("\n### Adapter\n\n" + settings("setting", c.Adapter))
	}
	if curve := t.curve(); curve != "" {
		b.WriteString("\n### Log\n\n" + curve)
	}
	return b.String()
}

func (c Card) metrics() string {
	var b strings.Builder
	b.WriteString("## Metrics\n")
	if len(c.Test) > 0 {
		fmt.Fprintf(&b, "\nOn the test split, scored once, with these weights:\n\n%s", scores(c.Test))
	} else {
		b.WriteString("\nNothing was scored on a test split.\n")
	}
	if len(c.Validation) > 0 {
		chose := ""
		if c.Training.Best != "" {
			chose = ", which chose the weights and so flatters them"
		}
		fmt.Fprintf(&b, "\nOn the validation split%s:\n\n%s", chose, scores(c.Validation))
	}
	if c.Signature != "" {
		fmt.Fprintf(&b, "\nsacreBLEU is from 0 to 100, its signature `%s`.\n", strings.ReplaceAll(oneLine(c.Signature), "`", "'"))
	}
	b.WriteString("\nThe captions were generated from the pictures alone: the generator sees no reference.\n")
	return b.String()
}

func (c Card) limits() string {
	language := ""
	if c.Language != "" {
		language = fmt.Sprintf(" Captions are in the language of the training captions (`%s`) alone.", strings.ReplaceAll(oneLine(c.Language), "`", "'"))
	}
	found := ""
	for _, s := range c.Data.Splits {
		if s.Name == testSplit && s.Pictures > 0 && s.Pictures < fewPictures {
			found = fmt.Sprintf(" With %s test pictures they are uncertain, too.", Count(s.Pictures))
		}
	}
	return "## Limits\n\n" +
		"- It says what its training captions say. What is rare in them comes out wrong or not at all." + language + "\n" +
		"- It can be sure and wrong: it names things that are not there, miscounts, mixes up left and right, and cannot read.\n" +
		"- What it says of people, such as their sex, age or occupation, is a guess with the biases of those who wrote the captions and chose the pictures. Decide nothing about a person by it.\n" +
		"- The scores hold for pictures like those of the data set; on others they will be lower." + found + "\n"
}

// fewPictures is the size of a test split below which a card warns of chance: 1,000
// is that of Flickr8k and Flickr30k.
const fewPictures = 1000

func (c Card) versions() string {
	if len(c.Versions) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("## Versions\n\n")
	for _, v := range c.Versions {
		fmt.Fprintf(&b, "- %s %s\n", inline(v.Key), inline(v.Value))
	}
	return b.String()
}

// link leads to a model or data set on the hub, where it is there.
func (o Origin) link(room string) string {
	name := o.Name
	if name == "" {
		name = o.ID
	}
	if o.ID == "" {
		return inline(name)
	}
	at := ""
	if o.Revision != "" {
		at = " at " + inline(o.Revision)
	}
	return fmt.Sprintf("[%s](https://huggingface.co/%s%s)%s", inline(name), room, o.ID, at)
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + inline(s)
}
