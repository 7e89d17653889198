package footprint

import "fmt"

const (
	// DefaultPUE is the average of data centres in the Uptime Institute's Global
	// Data Center Survey 2024.
	DefaultPUE = 1.56

	// WorldAverage is the carbon intensity of the world's electricity in 2024, in
	// grams of CO₂ equivalent a kWh: Ember, Global Electricity Review 2025.
	// Countries are far apart (Ember for 2023: France 56, India 713), so that of
	// the run's own place is worth setting.
	WorldAverage = 473
)

// Estimate is the energy of a run, and the CO₂ that came of it.
type Estimate struct {
	// Hours of work at PowerWatts.
	Hours      float64
	PowerWatts float64
	// PUE is the power that the building draws, divided by that of the machine: 1
	// at home.
	PUE float64
	// KWh is PowerWatts × Hours × PUE / 1000.
	KWh float64
	// GramsPerKWh is the carbon intensity of the electricity, as grams of CO₂
	// equivalent.
	GramsPerKWh float64
	// KgCO2 is KWh × GramsPerKWh / 1000, kilograms of CO₂ equivalent.
	KgCO2 float64
}

// Of estimates. A PUE of 0 stands for DefaultPUE, an intensity of 0 for
// WorldAverage.
func Of(hours, watts, pue, gramsPerKWh float64) Estimate {
	if pue == 0 {
		pue = DefaultPUE
	}
	if gramsPerKWh == 0 {
		gramsPerKWh = WorldAverage
	}
	kwh := watts * hours * pue / 1000
	return Estimate{Hours: hours, PowerWatts: watts, PUE: pue, KWh: kwh, GramsPerKWh: gramsPerKWh, KgCO2: kwh * gramsPerKWh / 1000}
}

// Estimate is that of a run of so many hours on the machine, with the default
// PUE, and tells how it came about in whole sentences. An intensity of 0 stands
// for WorldAverage.
func (m Machine) Estimate(hours, gramsPerKWh float64) (e Estimate, how string) {
	watts, why := m.Power()
	e = Of(hours, watts, 0, gramsPerKWh)
	how = fmt.Sprintf("Energy = power × time × PUE = %.4g W × %.3g h × %.3g = %.3g kWh, as in Lacoste et al., arXiv:1910.09700. "+
		"The power is %s, as if it were busy throughout; the PUE is the average of data centres in the Uptime Institute's survey of 2024.",
		e.PowerWatts, e.Hours, e.PUE, e.KWh, why)
	if gramsPerKWh == 0 {
		how += " The carbon intensity is the world's average of 2024 (Ember, Global Electricity Review 2025)."
	}
	return e, how
}
