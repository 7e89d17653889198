package generate

// A heap of scored values with the worst at its root. A value that is taken
// out leaves a hole that sinks to the bottom along the worse children; what
// replaces it climbs up from there.

func heapify(h []scored) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		place(h, i, h[i])
	}
}

// sortHeap turns a heap into a list, best first.
func sortHeap(h []scored) {
	for n := len(h) - 1; n > 0; n-- {
		last := h[n]
		h[n] = h[0]
		place(h[:n], 0, last)
	}
}

// place puts s into the subheap of which at is the root, for what was there.
func place(h []scored, at int, s scored) {
	hole := at
	for child := 2*hole + 2; child < len(h); child = 2*hole + 2 {
		if h[child].score > h[child-1].score { // of equals the right one
			child--
		}
		h[hole] = h[child]
		hole = child
	}
	if left := 2*hole + 1; left < len(h) { // a last child without a sibling
		h[hole] = h[left]
		hole = left
	}
	for hole > at {
		parent := (hole - 1) / 2
		if h[parent].score <= s.score {
			break
		}
		h[hole] = h[parent]
		hole = parent
	}
	h[hole] = s
}
