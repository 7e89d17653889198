package export

import (
	"time"

	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/model/trainer/footprint"
	"github.com/blipflow/blipflow/stages/export/card"
)

// run is what the training took. There is no estimate of its energy where the state
// does not describe the machine.
func (c Config) run(s trainer.State) card.Run {
	r := card.Run{
		Hardware: s.Device, Training: seconds(s.TrainSeconds), Evaluation: seconds(s.EvalSeconds), Waiting: seconds(s.WaitSeconds),
		Samples: s.Samples, PeakMemory: s.PeakMemory,
	}
	machine, err := footprint.Parse(s.Device)
	if err != nil {
		return r
	}
	e, how := machine.Estimate((r.Training + r.Evaluation).Hours(), c.CarbonIntensity)
	r.Energy = &card.Energy{KWh: e.KWh, Grams: 1000 * e.KgCO2, Intensity: e.GramsPerKWh, Region: c.Region, How: how}
	return r
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
