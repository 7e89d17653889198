package footprint

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const (
	// WattsPerCore is the power of a core of a processor, of whatever model: the
	// default of Green Algorithms (Lannelongue et al., Advanced Science 2021,
	// doi:10.1002/advs.202100707; TDP_cpu.csv of its calculator). The processors
	// of that list have between 4 and 24 W a core.
	WattsPerCore = 12

	// WattsUnknownGPU is the power of a GPU that is not in the table: the default
	// of Green Algorithms (TDP_gpu.csv of its calculator).
	WattsUnknownGPU = 200
)

// ratings are the most power that GPUs draw by their makers' data sheets, in
// watts. A row holds for names that have all its words; the first that does is
// taken. Sources, if not a data sheet or product brief of NVIDIA for the model:
//   - A10G: the power limit that its driver shows on Amazon's G5 instances;
//   - GeForce and Titan: total graphics power of the reference card.
var ratings = []struct {
	words string
	watts float64
}{
	{"b200", 1000},
	{"h200 nvl", 600}, {"h200", 700},
	{"h100 pcie", 350}, {"h100 nvl", 400}, {"h100", 700},
	{"a100 pcie 80gb", 300}, {"a100 pcie", 250}, {"a100", 400},
	{"l40s", 350}, {"l40", 300}, {"l4", 72},
	{"a40", 300}, {"a30", 165}, {"a10g", 300}, {"a10", 150}, {"a2", 60},
	{"v100s", 250}, {"v100 pcie", 250}, {"v100", 300},
	{"p100 sxm2", 300}, {"p100", 250}, {"p40", 250}, {"p4", 75}, {"t4", 70},
	{"rtx pro 6000", 600}, {"rtx 6000 ada", 300}, {"rtx a6000", 300}, {"rtx a5000", 230}, {"rtx a4000", 140},
	{"quadro rtx 8000", 260}, {"quadro rtx 6000", 260},
	{"5090", 575}, {"5080", 360}, {"5070 ti", 300}, {"5070", 250},
	{"4090", 450}, {"4080", 320}, {"4070 ti", 285}, {"4070 super", 220}, {"4070", 200}, {"4060 ti", 160}, {"4060", 115},
	{"3090 ti", 450}, {"3090", 350}, {"3080 ti", 350}, {"3080", 320}, {"3070 ti", 290}, {"3070", 220}, {"3060 ti", 200}, {"3060", 170},
	{"2080 ti", 250}, {"2080", 215}, {"titan rtx", 280}, {"titan v", 250}, {"1080 ti", 250}, {"1080", 180},
}

// slower are words of names whose chip is run at less than the card's power, at
// how much less depends on the machine.
var slower = []string{"laptop", "mobile", "max"} // Max-Q

// rating looks a GPU up, 0 if it is not there.
func rating(gpu string) float64 {
	name := strings.FieldsFunc(strings.ToLower(gpu), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	has := func(word string) bool { return slices.Contains(name, word) }
	if slices.ContainsFunc(slower, has) {
		return 0
	}
	for _, r := range ratings {
		words := strings.Fields(r.words)
		if !slices.ContainsFunc(words, func(w string) bool { return !has(w) }) {
			return r.watts
		}
	}
	return 0
}

// Power is how many watts the device is taken to draw, and why, in a phrase.
func (m Machine) Power() (watts float64, why string) {
	if m.Device == "cpu" {
		cores := max(m.Cores, 1)
		return float64(cores * WattsPerCore), fmt.Sprintf("%d W for each of %d cores, the default of Green Algorithms (doi:10.1002/advs.202100707)", WattsPerCore, cores)
	}
	if watts = rating(m.GPU); watts > 0 {
		return watts, "what the GPU is rated for"
	}
	return WattsUnknownGPU, "the default of Green Algorithms (doi:10.1002/advs.202100707) for an unknown GPU"
}
