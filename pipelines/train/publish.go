package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/export"
	"github.com/blipflow/blipflow/stages/train"
)

// publishing are the settings of what is said of the model, and of where it is
// published.
type publishing struct {
	License         string  `flag:"license" usage:"the model's licence in its card, by the hub's key, as bsd-3-clause; empty leaves it open"`
	Language        string  `flag:"language" usage:"language of the captions in the model card, by its ISO 639 code"`
	CarbonIntensity float64 `flag:"carbon_intensity" usage:"CO2 of the electricity in grams a kWh, for the estimate in the model card; 0 takes the world's average"`
	Region          string  `flag:"region" usage:"where the machine stands, for the model card"`
	PushToHub       bool    `flag:"push_to_hub" usage:"push the model to the hub, with the token of HF_TOKEN or of the hub's own login"`
	HubModelID      string  `flag:"hub_model_id" usage:"repository to push to as NAME/NAME; empty for the output's name in the token's account"`
	HubPrivateRepo  bool    `flag:"hub_private_repo" usage:"make the repository a private one"`
	HubRevision     string  `flag:"hub_revision" usage:"branch to push to; empty for main"`
}

// repo is where the model is pushed; empty for nowhere.
func (c *config) repo() string {
	switch {
	case !c.PushToHub:
		return ""
	case c.HubModelID != "":
		return c.HubModelID
	}
	path, err := filepath.Abs(c.Output)
	if err != nil {
		path = c.Output
	}
	return filepath.Base(path)
}

func (c *config) validatePublishing() error {
	if !(c.CarbonIntensity >= 0 && c.CarbonIntensity < 1e6) {
		return settings.Bad("carbon_intensity", "is %v, want grams a kWh", c.CarbonIntensity)
	}
	if !c.PushToHub {
		return nil
	}
	if _, err := hub.ParseRepo(hub.Model, c.repo()); err != nil {
		return settings.Bad("hub_model_id", "%v", err)
	}
	return nil
}

// checkToken asks the hub whose token it is that will push, before any work.
func (c *config) checkToken(ctx context.Context) error {
	if !c.PushToHub {
		return nil
	}
	client, err := hub.FromEnv(os.Getenv)
	if err == nil {
		_, err = client.Whoami(ctx)
	}
	if err != nil {
		return settings.Bad("push_to_hub", "%v", err)
	}
	return nil
}

// export are the settings of the last stage.
func (j *job) export() export.Config {
	c := &j.cfg
	base := c.Model
	if base == scratch {
		base = ""
	}
	out := export.Config{
		Output: c.Output, Name: filepath.Base(c.Output), Base: base, Dataset: j.set.Name, Data: j.data, Prompt: j.prompt,
		Metric: strings.TrimPrefix(c.BestMetric, "eval_"), License: c.License, Language: c.Language, Settings: c.trained(),
		CarbonIntensity: c.CarbonIntensity, Region: c.Region,
	}
	if repo := c.repo(); repo != "" {
		out.Name = filepath.Base(repo)
		out.Push = export.Push{
			Repo: repo, Private: c.HubPrivateRepo, Revision: c.HubRevision,
			Message: "Add model trained with blipflow", Also: []string{metricsFile, runsFolder},
		}
	}
	return out
}

// trained are the settings of the training in the model card, in the order of
// its table.
func (c *config) trained() any {
	return struct {
		trainer.Config
		TrainBatch int                 `json:"per_device_train_batch_size"`
		EvalBatch  int                 `json:"per_device_eval_batch_size"`
		Captions   train.CaptionPolicy `json:"captions_per_image"`
		Augment    string              `json:"augment"`
		MaxTextLen int                 `json:"max_txt_len"`
	}{c.trainer(), c.TrainBatch, c.EvalBatch, c.CaptionPolicy, c.Augment.String(), c.MaxTextLen}
}
