package metrics

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// Bootstrap says how often, and from which seed, a set's pictures are drawn
// again to see how far its scores depend on which pictures are in it (Efron 1979;
// Koehn, Statistical Significance Tests for Machine Translation Evaluation, 2004).
//
// Each picture is in each resample as often as a Poisson variable of mean 1 says,
// which for sets of more than some dozen pictures is the same as drawing as many
// as there are with replacement (Hanley and MacGibbon, Creating non-parametric
// bootstrap samples using Poisson frequencies, 2006). How often depends on the
// seed, the picture's id and the resample alone: so resamples can be added up in
// parts, in any order, and two systems are compared on the same ones.
//
// CIDEr's document frequencies stay those of the whole set.
type Bootstrap struct {
	// Resamples is how many; 0 for none.
	Resamples int
	Seed      int64
}

// Resamples are a set's resamples, each as what it adds up to.
type Resamples []Statistics

// Add adds a picture to a set's resamples, which it makes where there are none.
func (b Bootstrap) Add(to *Resamples, id string, one Statistics) {
	if *to == nil {
		*to = make(Resamples, b.Resamples)
	}
	random := Random(b.Seed, id)
	for i := range *to {
		(*to)[i].MergeTimes(one, poisson(random.Float64()))
	}
}

// Random draws for a picture, by a seed and the picture's id alone: the same wherever
// and in whatever order it is drawn for.
func Random(seed int64, id string) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), hashOf(id)))
}

func hashOf(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	return h.Sum64()
}

// poisson turns a uniform number from [0, 1) into a Poisson variable of mean 1.
func poisson(u float64) (n int64) {
	for p := math.Exp(-1); u >= p && p > 0; p /= float64(n) {
		u -= p
		n++
	}
	return n
}

// Merge adds the pictures of another set, resample by resample.
func (r *Resamples) Merge(o Resamples) {
	if *r == nil {
		*r = slices.Clone(o)
		return
	}
	for i := range o {
		(*r)[i].Merge(o[i])
	}
}

// Level is the share of resamples that an Interval holds.
const Level = 0.95

// Interval is where a score lies in the middle 95 % of resamples.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// interval takes the percentiles of values, which it sorts.
func interval(values []float64) Interval {
	slices.Sort(values)
	at := func(share float64) float64 {
		place := share * float64(len(values)-1)
		below := int(place)
		above := min(below+1, len(values)-1)
		return values[below] + (place-float64(below))*(values[above]-values[below])
	}
	return Interval{at((1 - Level) / 2), at((1 + Level) / 2)}
}

// Intervals gives each score's, under the key that the score has in a report. A
// score that a resample does not have, and a resample without a picture, are left
// out.
func (r Resamples) Intervals() map[string]Interval {
	values := map[string][]float64{}
	for i := range r {
		for key, v := range r[i].byKey() {
			values[key] = append(values[key], v)
		}
	}
	out := map[string]Interval{}
	for key, v := range values {
		out[key] = interval(v)
	}
	return out
}

// byKey are the scores that there are.
func (s *Statistics) byKey() map[string]float64 {
	out := map[string]float64{}
	if s.Images == 0 {
		return out
	}
	scores := s.Scores()
	for key, v := range scores.ByKey() {
		if v.Known && (key != "SPICE" || s.Spice.Count > 0) {
			out[key] = v.Score
		}
	}
	if b := s.SacreBleu(); b != nil {
		out["sacrebleu"] = b.Score
	}
	return out
}

// Difference compares a score with that of another system for the same pictures.
type Difference struct {
	Baseline float64 `json:"baseline"`
	// Difference is the score less the baseline's, with its interval.
	Difference float64 `json:"difference"`
	Interval
	// P is how likely a difference of this size, in either direction, would be if
	// the systems were equally good: the share of resamples whose difference is as
	// far from the mean of all of them (sacrebleu's significance.py).
	P float64 `json:"p"`
}

// Compare gives the differences of two systems' scores that both have, by key.
func Compare(system, baseline Statistics, ours, theirs Resamples) map[string]Difference {
	out := map[string]Difference{}
	scores, base := system.byKey(), baseline.byKey()
	drawn := map[string][]float64{}
	for i := range min(len(ours), len(theirs)) {
		a, b := ours[i].byKey(), theirs[i].byKey()
		for key, v := range a {
			if w, both := b[key]; both {
				drawn[key] = append(drawn[key], v-w)
			}
		}
	}
	for key, v := range scores {
		w, both := base[key]
		if !both {
			continue
		}
		d := Difference{Baseline: w, Difference: v - w, P: 1}
		if differences := drawn[key]; len(differences) > 0 {
			d.P = likelihood(differences, d.Difference)
			d.Interval = interval(differences)
		}
		out[key] = d
	}
	return out
}

// likelihood is P of [Difference].
func likelihood(differences []float64, seen float64) float64 {
	var sum float64
	for _, d := range differences {
		sum += d
	}
	centre := sum / float64(len(differences))
	far := 0
	for _, d := range differences {
		if math.Abs(d-centre) >= math.Abs(seen) {
			far++
		}
	}
	return float64(far+1) / float64(len(differences)+1)
}
