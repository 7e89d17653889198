package metrics

import (
	"math"
	"sync"
)

// frequencyTable is DocumentFrequencies for one process: many goroutines count
// into it, and a picture remembers where its n-grams stand, so that the second
// pass looks none of them up again.
//
// The table outgrows the processor's caches, and waiting for memory is most of
// the work. So n-grams wait in batches, one for each of many shards: a batch
// takes the shard's lock once, and its look-ups overlap.
type frequencyTable struct {
	shards [1 << shardBits]frequencyShard
}

const (
	shardBits = 5
	batchSize = 256
)

type frequencyShard struct {
	mu     sync.Mutex
	table  ngramTable
	counts []int32  // by n-gram: pictures that have it among their references
	_      [64]byte // keeps neighbours' locks out of one cache line
}

// frequencyBatch is one goroutine's way to count into a table.
type frequencyBatch struct {
	table   *frequencyTable
	pending [1 << shardBits][]pendingGram
}

// pendingGram is an n-gram to be counted.
type pendingGram struct {
	key   ngram
	count int32   // 1 if a reference has it, 0 if only the prediction does
	place *uint32 // where its place in the table goes
}

// add counts the n-grams of a counter's references. The slice it returns gets
// the places of all the counter's n-grams, the last of them at flush.
func (b *frequencyBatch) add(c *counter) []uint32 {
	seen := resize(&c.best, len(c.ngrams))
	clear(seen)
	for i := range c.references {
		for _, g := range c.references[i].grams {
			seen[g.id] = 1
		}
	}
	places := make([]uint32, len(c.ngrams))
	for id, key := range c.ngrams {
		shard := key.hash() >> (64 - shardBits)
		b.pending[shard] = append(b.pending[shard], pendingGram{key, seen[id], &places[id]})
		if len(b.pending[shard]) >= batchSize {
			b.flushShard(int(shard))
		}
	}
	return places
}

// flush counts what is pending.
func (b *frequencyBatch) flush() {
	for shard, pending := range b.pending {
		if len(pending) > 0 {
			b.flushShard(shard)
		}
	}
}

func (b *frequencyBatch) flushShard(shard int) {
	s := &b.table.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range b.pending[shard] {
		id, isNew := s.table.id(p.key)
		if isNew {
			s.counts = append(s.counts, 0)
		}
		s.counts[id] += p.count
		*p.place = id<<shardBits | uint32(shard)
	}
	b.pending[shard] = b.pending[shard][:0]
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
