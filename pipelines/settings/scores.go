package settings

import (
	"context"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/evaluate"
)

// Scores are the settings of every pipeline that scores captions.
type Scores struct {
	Meteor        bool   `flag:"meteor" usage:"compute METEOR, where make setup has fetched its tables"`
	Spice         bool   `flag:"spice" usage:"compute SPICE, where there is Java and make setup-spice has fetched its jars"`
	SpiceSample   int    `flag:"spice_sample" usage:"pictures to compute SPICE for, drawn at random; 0 for all"`
	SpiceSeed     int64  `flag:"spice_seed" usage:"seed that draws them"`
	SpiceCache    string `flag:"spice_cache" usage:"folder that keeps parses of captions for the next time; empty keeps none"`
	Bootstrap     int    `flag:"bootstrap" usage:"resamples that confidence intervals and comparisons come from; 0 for none"`
	BootstrapSeed int64  `flag:"bootstrap_seed" usage:"seed that draws them"`
}

// DefaultScores are the defaults of Scores.
func DefaultScores() Scores {
	s := Scores{Meteor: true, Spice: true, SpiceSeed: 1, Bootstrap: 1000, BootstrapSeed: 1}
	if cache, err := os.UserCacheDir(); err == nil {
		s.SpiceCache = filepath.Join(cache, "blipflow", "spice-parses")
	}
	return s
}

// ValidateScores names the first setting that cannot be.
func (s Scores) ValidateScores() error {
	switch {
	case s.SpiceSample < 0:
		return Bad("spice_sample", "is %d, want 0 or more", s.SpiceSample)
	case s.Bootstrap < 0:
		return Bad("bootstrap", "is %d, want 0 or more", s.Bootstrap)
	}
	return nil
}

// Scoring are the settings as the stage takes them, with what is to be said of
// metrics that are wanted but cannot be computed here.
func (s Scores) Scoring(ctx context.Context, output string) evaluate.Config {
	c := evaluate.Config{Output: output, Bootstrap: metrics.Bootstrap{Resamples: s.Bootstrap, Seed: s.BootstrapSeed}}
	if s.Meteor {
		folder, err := evaluate.FindMeteor()
		if err != nil {
			c.Warnings = append(c.Warnings, "METEOR is null: "+oneLine(err.Error()))
		}
		c.Meteor = folder
	}
	if s.Spice {
		spice, err := evaluate.FindSpice(ctx, s.SpiceCache)
		if err != nil {
			c.Warnings = append(c.Warnings, "SPICE is null: "+oneLine(err.Error()))
		}
		c.Spice = spice
		c.Spice.Sample, c.Spice.Seed = s.SpiceSample, s.SpiceSeed
	}
	return c
}
