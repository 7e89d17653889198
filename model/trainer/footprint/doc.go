// Package footprint says what a run ran on, how much memory it held, and
// estimates the energy it used and the CO₂ that came of it.
//
// The estimate follows Lacoste et al., "Quantifying the Carbon Emissions of
// Machine Learning" (arXiv:1910.09700):
//
//	energy = power × time × PUE
//	CO₂ equivalent = energy × carbon intensity of the electricity
//
// Nothing is measured but the time. The power is what the maker rates the chip
// for, as if it were busy throughout; memory, disks and, of a machine with a
// GPU, its processor are left out. The power usage effectiveness (PUE) is what a
// data centre draws for each watt of its computers. Expect the right order of
// magnitude.
package footprint
