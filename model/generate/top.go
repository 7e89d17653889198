package generate

// scored is a candidate: its place in the beams × vocabulary scores laid end
// to end, and its accumulated score.
type scored struct {
	score float32
	index int
}

// top keeps the k best of n values that it is shown in order, as torch.topk's
// CPU kernel does: torch promises no order for equal scores, but beams that
// differ by the order of two words do meet in one score, and which goes first
// can decide the caption. So values move here as they do there, in the two
// algorithms of the C++ library that torch is built with (libstdc++):
//
//   - k·64 ≤ n: partial_sort, a heap with the worst at its root. With BLIP's
//     two candidates per beam that is any vocabulary of 128 and more. Nearly
//     all values fail one comparison with the root.
//   - else: nth_element and sort, see selectTop.
type top struct {
	k     int
	all   bool     // keep everything until sorted
	items []scored // a heap once there are k of them, unless all is set
}

func newTop(k, n int) *top {
	all := k*64 > n
	if all {
		return &top{k: k, all: true, items: make([]scored, 0, n)}
	}
	return &top{k: k, items: make([]scored, 0, k)}
}

// add shows it values[i]+offset at index first+i, indices rising from call to
// call. A NaN is an error.
func (t *top) add(values []float32, offset float32, first int) error {
	i := 0
	for ; i < len(values) && (t.all || len(t.items) < t.k); i++ {
		v := values[i] + offset
		if v != v {
			return ErrNaN
		}
		t.items = append(t.items, scored{v, first + i})
		if !t.all && len(t.items) == t.k {
			heapify(t.items)
		}
	}
	if i == len(values) {
		return nil
	}
	worst := t.items[0].score
	for ; i < len(values); i++ {
		// Written so that a NaN, which compares false, is looked at too.
		if v := values[i] + offset; !(v <= worst) {
			if v != v {
				return ErrNaN
			}
			place(t.items, 0, scored{v, first + i})
			worst = t.items[0].score
		}
	}
	return nil
}

// sorted returns the k best, best first. It is the last call.
func (t *top) sorted() []scored {
	if t.all {
		return selectTop(t.items, t.k)
	}
	sortHeap(t.items)
	return t.items
}

// best returns the n beams with the greatest scores, best first.
func best(pool []beam, n int) []beam {
	t := newTop(n, len(pool))
	for i, b := range pool {
		t.items = append(t.items, scored{b.score, i})
	}
	out := make([]beam, n)
	for i, s := range t.sorted() {
		out[i] = pool[s.index]
	}
	return out
}
