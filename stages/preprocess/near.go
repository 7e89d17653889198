package preprocess

import (
	"slices"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// DefaultNearDistance is the distance of perceptual hashes up to which two
// pictures count as near-duplicates. Copies that were scaled or compressed again
// differ in 0 to 4 bits of 64 as a rule, other pictures in about 32.
const DefaultNearDistance = 4

// sight is what is known of a picture's looks.
type sight struct {
	look uint64
	// split is where it stands.
	split string
}

// precedence is the order in which splits keep their pictures: what is scored
// stays comparable, and what is trained on gives way.
var precedence = []string{dataset.Test, dataset.Validation, dataset.Train}

// lookalikes finds, for every picture, one that it looks like in a split that
// comes before its own in precedence: its index, or -1. A picture that gives way
// takes none with it.
//
// Hashes within a distance of d agree in at least one of d+1 pieces, so only those
// are compared that do.
func lookalikes(all []sight, d int) []int {
	twins := make([]int, len(all))
	index := newPieces(d)
	for _, split := range precedence {
		var kept []int
		for i, s := range all {
			if s.split != split {
				continue
			}
			if twins[i] = index.near(all, s.look); twins[i] < 0 {
				kept = append(kept, i)
			}
		}
		for _, i := range kept {
			index.add(all[i].look, i)
		}
	}
	return twins
}

// pieces finds hashes by parts of them.
type pieces struct {
	distance int
	bounds   []uint // where a piece begins, in bits; the last ends at 64
	where    []map[uint64][]int32
}

func newPieces(distance int) *pieces {
	n := min(distance+1, 64)
	p := &pieces{distance: distance, where: make([]map[uint64][]int32, n)}
	for i := range n {
		p.bounds = append(p.bounds, uint(64*i/n))
		p.where[i] = map[uint64][]int32{}
	}
	p.bounds = append(p.bounds, 64)
	return p
}

func (p *pieces) piece(look uint64, i int) uint64 {
	width := p.bounds[i+1] - p.bounds[i]
	return look >> p.bounds[i] & (1<<width - 1)
}

func (p *pieces) add(look uint64, at int) {
	for i, m := range p.where {
		key := p.piece(look, i)
		m[key] = append(m[key], int32(at))
	}
}

// near returns the first picture added that is near enough, or -1.
func (p *pieces) near(all []sight, look uint64) int {
	best := -1
	for i, m := range p.where {
		at := slices.IndexFunc(m[p.piece(look, i)], func(j int32) bool {
			return imaging.Distance(all[j].look, look) <= p.distance
		})
		if at < 0 {
			continue
		}
		if j := int(m[p.piece(look, i)][at]); best < 0 || j < best {
			best = j
		}
	}
	return best
}
