package demo

// random is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
// number generators", OOPSLA 2014). The standard library's generators promise
// their raw output but not how ranges are made of it; a picture must not
// change with the version of Go, so the few lines stand here.
type random struct{ state uint64 }

const golden = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, the generator's step

// newRandom returns a generator for one scene. Seed and index are mixed before
// they are joined, so that (1, 2) and (2, 1) have nothing in common.
func newRandom(seed, index uint64) *random {
	r := &random{state: seed}
	r.state = r.next() ^ index*golden
	r.state = r.next()
	return r
}

func (r *random) next() uint64 {
	r.state += golden
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// between returns a whole number from lo to hi, both included. The bias of the
// remainder is below 2^-40 for the small ranges used here.
func (r *random) between(lo, hi int) int {
	if hi <= lo {
		return lo
	}
	return lo + int(r.next()%uint64(hi-lo+1))
}

// pick returns one of the choices.
func pick[T any](r *random, choices []T) T {
	return choices[r.between(0, len(choices)-1)]
}
