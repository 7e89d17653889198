package preprocess

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn1x1[[]byte, string](&doneFn{})
}

// Run adds the job to a pipeline. It returns a PCollection of one string, the
// folder of the shards, once they are all in it; ReadManifest says what is there.
// If the job is complete already, that is all there is to it.
func Run(s beam.Scope, job *Job) beam.PCollection {
	s = s.Scope("preprocess")
	start := beam.Impulse(s)
	if job.complete != nil {
		return beam.ParDo(s, &doneFn{Output: job.output}, start)
	}
	meta, err := job.meta()
	if err != nil {
		panic(fmt.Sprintf("preprocess.Run: %v", err)) // settings that were validated have their JSON
	}
	total := job.total

	chunks := beam.Reshuffle(s, beam.ParDo(s, &listFn{
		Listing: job.listing(), Chunk: job.cfg.ChunkSize,
	}, start))
	hashes := beam.ParDo(s, &hashFn{
		Listing: job.listing(), Work: job.work, Roots: job.roots, Total: total, Workers: job.cfg.Workers,
		Looks: job.cfg.Dedupe, Decode: job.cfg.Decode,
	}, chunks)
	distance := -1
	if job.cfg.Dedupe {
		distance = job.cfg.NearDistance
	}
	jobs, sum := beam.ParDo2(s, &planFn{
		Listing: job.listing(), Shares: job.cfg.Shares, Seed: job.cfg.SplitSeed, Shuffle: job.cfg.ShuffleSeed,
		Rows: job.rows, Distance: distance,
	}, together(s, hashes))
	results := beam.ParDo(s, &writeFn{
		Listing: job.listing(), Roots: job.roots, Work: job.work, Output: job.output,
		Config: job.cfg, Meta: meta, Total: total,
	}, beam.Reshuffle(s, jobs))
	return beam.ParDo(s, &commitFn{
		Work: job.work, Output: job.output, Total: total,
		Rejected: job.rejected, NearDistance: job.cfg.NearDistance, Manifest: job.manifest(),
	}, beam.CoGroupByKey(s, beam.AddFixedKey(s, results), beam.AddFixedKey(s, sum)))
}

// together is a barrier: all elements under one key.
func together(s beam.Scope, col beam.PCollection) beam.PCollection {
	return beam.GroupByKey(s, beam.AddFixedKey(s, col))
}

// doneFn stands for a job that an earlier run completed.
type doneFn struct {
	Output string
}

// ProcessElement returns the folder of the shards.
func (fn *doneFn) ProcessElement([]byte) string { return fn.Output }
