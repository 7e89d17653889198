package metrics

import (
	"math"
	"sync"
)

// frequencyTable is DocumentFrequencies for one process: many goroutines count
// into it, and a picture remembers where its n-grams stand, so that the second
// pass looks none of them up again. Sharding keeps the goroutines out of each
// other's way.
type frequencyTable struct {
	shards [1 << shardBits]frequencyShard
}

const shardBits = 6

type frequencyShard struct {
	mu     sync.Mutex
	table  ngramTable
	counts []int32  // by n-gram: pictures that have it among their references
	_      [64]byte // keeps neighbours' locks out of one cache line
}

// add counts the n-grams of a counter's references and returns the places of all
// its n-grams.
func (t *frequencyTable) add(c *counter) []uint32 {
	seen := resize(&c.best, len(c.ngrams))
	clear(seen)
	for i := range c.references {
		for _, g := range c.references[i].grams {
			seen[g.id] = 1
		}
	}
	places := make([]uint32, len(c.ngrams))
	for id, key := range c.ngrams {
		places[id] = t.count(key, seen[id])
	}
	return places
}

// count adds n to an n-gram's count and returns its place.
func (t *frequencyTable) count(key ngram, n int32) uint32 {
	shard := uint32(key.hash() >> (64 - shardBits))
	s := &t.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	id, isNew := s.table.id(key)
	if isNew {
		s.counts = append(s.counts, 0)
	}
	s.counts[id] += n
	return id<<shardBits | shard
}

// weigh returns the inverse document frequency of n-grams whose places are
// known. Nothing may be counted at the same time.
func (t *frequencyTable) weigh(c *counter, places []uint32, images int) []float64 {
	weights := resize(&c.weights, len(places))
	all := math.Log(float64(images))
	for id, p := range places {
		n := t.shards[p&(1<<shardBits-1)].counts[p>>shardBits]
		weights[id] = all - math.Log(float64(max(1, n)))
	}
	return weights
}
