package generate

import (
	"cmp"
	"slices"
)

// scored is a candidate: its place in the beams × vocabulary scores laid end
// to end, and its accumulated score.
type scored struct {
	score float32
	index int
}

// compareScored orders the greater score first and, of equals, the lower index.
func compareScored(a, b scored) int {
	if a.score != b.score {
		return -cmp.Compare(a.score, b.score)
	}
	return cmp.Compare(a.index, b.index)
}

// top keeps the k best of the values it is shown, in order. k is small beside
// the values: nearly all of them fail one comparison with the worst kept.
type top struct {
	k    int
	kept []scored
}

func newTop(k int) *top { return &top{k: k, kept: make([]scored, 0, k)} }

// add shows it values[i]+offset at index first+i, indices rising from call to
// call. A NaN is an error.
func (t *top) add(values []float32, offset float32, first int) error {
	i := 0
	for ; i < len(values) && len(t.kept) < t.k; i++ {
		v := values[i] + offset
		if v != v {
			return ErrNaN
		}
		t.kept = append(t.kept, scored{v, first + i})
		if len(t.kept) == t.k {
			slices.SortFunc(t.kept, compareScored)
		}
	}
	if len(t.kept) < t.k {
		return nil
	}
	worst := t.kept[t.k-1].score
	for ; i < len(values); i++ {
		// Written so that a NaN, which compares false, is looked at too.
		if v := values[i] + offset; !(v <= worst) {
			if v != v {
				return ErrNaN
			}
			worst = t.insert(scored{v, first + i})
		}
	}
	return nil
}

// insert puts a value better than the worst in its place, behind its equals,
// and returns the new worst score.
func (t *top) insert(s scored) float32 {
	i := t.k - 1
	for ; i > 0 && t.kept[i-1].score < s.score; i-- {
		t.kept[i] = t.kept[i-1]
	}
	t.kept[i] = s
	return t.kept[t.k-1].score
}

// sorted returns the kept candidates, best first.
func (t *top) sorted() []scored {
	slices.SortFunc(t.kept, compareScored)
	return t.kept
}

// best returns the n beams with the greatest scores, best first, equals in
// the order they came.
func best(pool []beam, n int) []beam {
	slices.SortStableFunc(pool, func(a, b beam) int { return -cmp.Compare(a.score, b.score) })
	return pool[:n]
}
