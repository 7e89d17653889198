package generate

import "math/bits"

// selectTop brings the k best to the front, best first, and returns them. It
// is quickselect for the k-th, then quicksort of those before it; both take
// the median of three as pivot and go over to a heap when they split badly.
func selectTop(s []scored, k int) []scored {
	quickSelect(s, k-1)
	quickSort(s[:k-1], splits(k-1))
	insertionSort(s[:k-1])
	return s[:k]
}

// splits is how often n values are split before it counts as going badly.
func splits(n int) int { return 2 * (bits.Len(uint(n)) - 1) }

// quickSelect puts the value of rank nth in its place, no worse ones before it
// and no better ones after.
func quickSelect(s []scored, nth int) {
	for left := splits(len(s)); len(s) > 3; left-- {
		if left == 0 {
			heapSelect(s, nth+1)
			s[0], s[nth] = s[nth], s[0]
			return
		}
		cut := partition(s)
		if cut <= nth {
			s, nth = s[cut:], nth-cut
		} else {
			s = s[:cut]
		}
	}
	insertionSort(s)
}

// heapSelect makes a heap of the k best at the front of s.
func heapSelect(s []scored, k int) {
	h := s[:k]
	heapify(h)
	for i := k; i < len(s); i++ {
		if v := s[i]; v.score > h[0].score {
			s[i] = h[0]
			place(h, 0, v)
		}
	}
}

// quickSort sorts runs of more than 16 into runs of at most 16.
func quickSort(s []scored, left int) {
	for ; len(s) > 16; left-- {
		if left == 0 {
			heapify(s)
			sortHeap(s)
			return
		}
		cut := partition(s)
		quickSort(s[cut:], left-1)
		s = s[:cut]
	}
}

// partition splits s by a pivot, which it moves to the front, and returns
// where the second part begins. Values equal to the pivot stop both scans, so
// that they end up on both sides.
func partition(s []scored) int {
	pivotToFront(s)
	pivot := s[0].score
	i, j := 1, len(s)
	for {
		for s[i].score > pivot {
			i++
		}
		j--
		for pivot > s[j].score {
			j--
		}
		if i >= j {
			return i
		}
		s[i], s[j] = s[j], s[i]
		i++
	}
}

// pivotToFront swaps the first value with the median of the second, the middle
// and the last.
func pivotToFront(s []scored) {
	a, b, c := 1, len(s)/2, len(s)-1
	before := func(x, y int) bool { return s[x].score > s[y].score }
	median := b
	switch {
	case before(a, b) && before(b, c):
	case before(a, b) && before(a, c):
		median = c
	case before(a, b):
		median = a
	case before(a, c):
		median = a
	case before(b, c):
		median = c
	}
	s[0], s[median] = s[median], s[0]
}

// insertionSort leaves equals in their order.
func insertionSort(s []scored) {
	for i := 1; i < len(s); i++ {
		v := s[i]
		j := i
		for ; j > 0 && v.score > s[j-1].score; j-- {
			s[j] = s[j-1]
		}
		s[j] = v
	}
}
