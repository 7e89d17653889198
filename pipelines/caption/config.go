package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/caption"
)

// config are the command's settings.
type config struct {
	Model  string `flag:"model" usage:"Hugging Face folder of the captioning model, or one on the hub as NAME/NAME or NAME/NAME@REVISION"`
	Input  string `flag:"input" usage:"picture, folder, glob, or list of pictures (FILE.txt or @FILE)"`
	Output string `flag:"output" usage:"file for the captions, or a folder (name it with a slash at its end) for shards of them; one picture without it is captioned on stdout"`
	Format string `flag:"output_format" choices:"auto,jsonl,csv,coco" usage:"format of the captions; auto goes by the output's name"`

	BatchSize int    `flag:"batch_size" usage:"pictures that go through the model at a time"`
	ChunkSize int    `flag:"chunk_size" usage:"pictures in a unit of work, and in a shard"`
	Device    string `flag:"device" usage:"auto, cpu or cuda:N"`
	EXIF      string `flag:"exif" choices:"apply,ignore" usage:"whether pictures are turned as their EXIF data says"`
	Overwrite bool   `flag:"overwrite" usage:"replace an output that is there already"`

	Prompt      string `flag:"prompt" usage:"words that every caption begins with"`
	StripPrompt bool   `flag:"strip_prompt" usage:"leave the prompt out of the captions"`

	NumBeams          option[int]                    `flag:"num_beams" usage:"beams of the search; where empty the model folder says, else 5"`
	MaxNewTokens      option[int]                    `flag:"max_new_tokens" usage:"most tokens of a caption; where empty the model folder says, else 30"`
	MinLength         option[int]                    `flag:"min_length" usage:"least tokens of a caption, the prompt included; where empty the model folder says"`
	LengthPenalty     option[float64]                `flag:"length_penalty" usage:"above 0 favours long captions, below 0 short ones; where empty the model folder says, else 1"`
	EarlyStopping     option[generate.EarlyStopping] `flag:"early_stopping" usage:"true, false or never: when the beam search ends; where empty the model folder says, else false"`
	RepetitionPenalty option[float64]                `flag:"repetition_penalty" usage:"above 1 disfavours words that were said; where empty the model folder says, else 1"`
	NoRepeatNGramSize option[int]                    `flag:"no_repeat_ngram_size" usage:"length of word sequences that may occur only once; where empty the model folder says, else 0 for none"`
}

func program() settings.Program[config] {
	return settings.Program[config]{
		Name:     "caption",
		About:    "Writes a caption for every picture of an input. A bare argument is the input.",
		Argument: "input",
		Defaults: config{
			Format: "auto", BatchSize: caption.DefaultBatchSize, ChunkSize: caption.DefaultChunkSize,
			Device: "auto", EXIF: "apply",
		},
		Validate: (*config).validate,
	}
}

func (c *config) validate() error {
	switch {
	case c.Model == "":
		return settings.Bad("model", "name the folder of a captioning model")
	case c.Input == "":
		return settings.Bad("input", "name a picture, a folder of pictures or a glob")
	case c.BatchSize < 1:
		return settings.Bad("batch_size", "%d: write 1 or more", c.BatchSize)
	case c.ChunkSize < 1:
		return settings.Bad("chunk_size", "%d: write 1 or more", c.ChunkSize)
	case c.StripPrompt && c.Prompt == "":
		return settings.Bad("strip_prompt", "there is no --prompt to leave out")
	}
	return nil
}

// fetch finds the model's folder and checks the settings against it.
func (c *config) fetch(ctx context.Context) (folder string, err error) {
	if folder, err = settings.FetchModel(ctx, c.Model, true); err != nil {
		return "", err
	}
	if _, err = c.settings().Settle(folder); errors.Is(err, generate.ErrConfig) {
		err = &settings.Error{Problem: err.Error()}
	}
	return folder, err
}

// settings are those that decide about captions.
func (c *config) settings() caption.Settings {
	return caption.Settings{
		Generation: caption.Generation{
			NumBeams: c.NumBeams.value, MaxNewTokens: c.MaxNewTokens.value, MinLength: c.MinLength.value,
			LengthPenalty: c.LengthPenalty.value, RepetitionPenalty: c.RepetitionPenalty.value,
			EarlyStopping:     c.EarlyStopping.or(""),
			NoRepeatNGramSize: c.NoRepeatNGramSize.value,
		},
		Prompt: c.Prompt, StripPrompt: c.StripPrompt,
		IgnoreEXIF: c.EXIF == "ignore",
	}
}

func (c *config) stage() caption.Config {
	return caption.Config{Settings: c.settings(), Device: c.Device, BatchSize: c.BatchSize}
}

func (c *config) output() caption.Output {
	o := caption.Output{Path: c.Output, Format: caption.Format(c.Format)}
	if c.Format == "auto" {
		o.Format = formatOf(c.Output)
	}
	return o
}

func (c *config) existing() caption.Existing {
	if c.Overwrite {
		return caption.Overwrite
	}
	return caption.Keep
}

// option is a setting that may be left empty.
type option[T any] struct{ value *T }

func (o option[T]) or(other T) T {
	if o.value == nil {
		return other
	}
	return *o.value
}

// MarshalText writes the value, nothing where there is none.
func (o option[T]) MarshalText() ([]byte, error) {
	if o.value == nil {
		return nil, nil
	}
	return fmt.Append(nil, *o.value), nil
}

// UnmarshalText reads what MarshalText writes.
func (o *option[T]) UnmarshalText(text []byte) (err error) {
	o.value = nil
	if len(text) == 0 {
		return nil
	}
	v := new(T)
	switch p := any(v).(type) {
	case *int:
		if *p, err = strconv.Atoi(string(text)); err != nil {
			return errors.New("write a whole number")
		}
	case *float64:
		if *p, err = strconv.ParseFloat(string(text), 64); err != nil {
			return errors.New("write a number")
		}
	case *generate.EarlyStopping:
		if p.Set(string(text)) != nil {
			return errors.New("write true, false or never")
		}
	default:
		return fmt.Errorf("a setting of type %T cannot be read", *v)
	}
	o.value = v
	return nil
}
