package footprint_test

import (
	"fmt"

	"github.com/blipflow/blipflow/model/trainer/footprint"
)

func ExampleMachine_Estimate() {
	machine, err := footprint.Parse("cuda:0, NVIDIA H100 80GB HBM3, 16 cores of AMD EPYC 9354, 126.0 GiB of memory")
	if err != nil {
		fmt.Println(err)
		return
	}
	e, how := machine.Estimate(3.5, 56) // hours; grams a kWh: France in 2023, says Ember
	fmt.Printf("%.2f kWh, %.3f kg of CO₂ equivalent\n", e.KWh, e.KgCO2)
	fmt.Println(how)
	// Output:
	// 3.82 kWh, 0.214 kg of CO₂ equivalent
	// Energy = power × time × PUE = 700 W × 3.5 h × 1.56 = 3.82 kWh, as in Lacoste et al., arXiv:1910.09700. The power is what the GPU is rated for, as if it were busy throughout; the PUE is the average of data centres in the Uptime Institute's survey of 2024.
}

func ExampleOf() {
	e := footprint.Of(10, 300, 1, 400) // at home: a PUE of 1
	fmt.Printf("%g kWh, %g kg\n", e.KWh, e.KgCO2)
	// Output: 3 kWh, 1.2 kg
}
