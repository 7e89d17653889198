package card

import (
	"fmt"
	"strings"
	"time"
)

// Run is what the training took.
type Run struct {
	// Hardware is what it ran on.
	Hardware string
	// Training and Evaluation are the times of the steps and of the validations,
	// over all attempts; Waiting is the part of the steps in which they waited for
	// data.
	Training, Evaluation, Waiting time.Duration
	// Samples counts the pairs of a picture and a caption that were learned from.
	Samples int64
	// PeakMemory is the most memory that the process held, in bytes.
	PeakMemory int64
	// Energy is an estimate, nil where there is none.
	Energy *Energy
}

// Energy is an estimate of what a run used and what came of it.
type Energy struct {
	// KWh is the energy and Grams the CO₂ equivalent, at Intensity grams a kWh.
	KWh, Grams, Intensity float64
	// Region is where the machine stands, in words.
	Region string
	// How says in whole sentences how the energy was found.
	How string
}

func (r Run) section() string {
	var rows []Setting
	add := func(key, value string) { rows = append(rows, Setting{key, value}) }
	if r.Hardware != "" {
		add("hardware", r.Hardware)
	}
	if r.Training > 0 {
		steps := duration(r.Training)
		if r.Samples > 0 {
			steps += fmt.Sprintf(", %.3g picture-caption pairs a second", float64(r.Samples)/r.Training.Seconds())
		}
		add("training", steps)
		add("waiting for data", fmt.Sprintf("%.1f %% of the training", 100*r.Waiting.Seconds()/r.Training.Seconds()))
	}
	if r.Evaluation > 0 {
		add("validation", duration(r.Evaluation))
	}
	if r.Samples > 0 {
		add("picture-caption pairs seen", Count(int(r.Samples)))
	}
	if r.PeakMemory > 0 {
		add("peak memory", fmt.Sprintf("%.2f GiB", float64(r.PeakMemory)/(1<<30)))
	}
	if e := r.Energy; e != nil {
		add("energy", fmt.Sprintf("%.3g kWh, estimated", e.KWh))
		add("CO₂ equivalent", fmt.Sprintf("%.3g g, estimated", e.Grams))
		if e.Region != "" {
			add("place", e.Region)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("## Hardware, energy and CO₂\n\n" + settings("what", rows))
	if e := r.Energy; e != nil {
		fmt.Fprintf(&b, "\n%s\n\nCO₂ = energy × carbon intensity of the electricity = %.4g kWh × %.4g g/kWh = %.3g g. The making of the machine, the preprocessing and the scoring of the test split are not in it.\n",
			inline(e.How), e.KWh, e.Intensity, e.Grams)
	}
	return b.String()
}

// emissions are those for the hub.
func (r Run) emissions(base Origin) *emissions {
	if r.Energy == nil {
		return nil
	}
	kind := quotedText("fine-tuning")
	if base == (Origin{}) {
		kind = "pre-training"
	}
	return &emissions{
		Grams: number(r.Energy.Grams), Source: "blipflow, estimated: power of the hardware × time × carbon intensity; see below",
		Kind: kind, Place: quotedText(r.Energy.Region), Hardware: quotedText(r.Hardware),
	}
}
