package trainer

// lossScale is the factor that keeps small gradients from vanishing in float16
// (Micikevicius et al., arXiv 1710.03740), raised and lowered as torch's
// GradScaler does.
type lossScale struct {
	Factor float64 `json:"factor"`
	// Good counts the steps in a row without an overflow.
	Good int `json:"good"`
}

// GradScaler's defaults, and the factor below which the fault is not the scale's.
const (
	firstScale   = 65536
	scaleEvery   = 2000
	scaleGrowth  = 2
	scaleBackoff = 0.5
	lowestScale  = 1
)

// newLossScale is 1 and stays there for precisions that need none.
func newLossScale(p Precision) lossScale {
	if p == Float16 {
		return lossScale{Factor: firstScale}
	}
	return lossScale{Factor: 1}
}

// passed counts a step whose gradients were finite.
func (s *lossScale) passed(p Precision) {
	if p != Float16 {
		return
	}
	if s.Good++; s.Good == scaleEvery {
		s.Factor, s.Good = s.Factor*scaleGrowth, 0
	}
}

// overflowed lowers the factor after gradients that were not finite, and reports
// whether that may help.
func (s *lossScale) overflowed(p Precision) bool {
	if p != Float16 || s.Factor <= lowestScale {
		return false
	}
	s.Factor, s.Good = max(lowestScale, s.Factor*scaleBackoff), 0
	return true
}
