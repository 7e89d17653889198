package preprocess

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn5x0[context.Context, int, func(*hashed) bool, func(shardJob), func(summary)](&planFn{})
	register.Iter1[hashed]()
	register.Emitter1[shardJob]()
	register.Emitter1[summary]()
}

// shardJob is one shard to be written: the element of the stage that does the
// work.
type shardJob struct {
	// Name is the shard's file.
	Name  string
	Split string
	// Pictures are the rows to be, in their order.
	Pictures []planned
}

// fingerprint names the job's content, for a run that resumes.
func (j *shardJob) fingerprint() string { return records.Fingerprint(j) }

// summary is what the plan tells the commit.
type summary struct {
	// Shards is the number of jobs.
	Shards int
	// Failed are the pictures that could not be read.
	Failed []letter
	// Duplicates counts the pictures whose bytes are those of another, less the
	// first of each.
	Duplicates int
	// Leaks counts the distinct contents that are in several splits, which only
	// a data set that names its splits can have.
	Leaks int
}

// planFn assigns pictures to splits and shards. It sees all references at once.
type planFn struct {
	Shares Shares
	Seed   int64
	// Rows is the most rows of a shard.
	Rows int
}

// ProcessElement emits the jobs of the shards and one summary.
func (fn *planFn) ProcessElement(_ context.Context, _ int, chunks func(*hashed) bool, emitJob func(shardJob), emitSummary func(summary)) {
	var pictures []planned
	var sum summary
	for h := (hashed{}); chunks(&h); h = (hashed{}) {
		pictures = append(pictures, h.Pictures...)
		sum.Failed = append(sum.Failed, h.Failed...)
	}
	jobs := fn.jobs(pictures)
	for _, j := range jobs {
		emitJob(j)
	}
	sum.Shards = len(jobs)
	sum.Duplicates, sum.Leaks = duplicates(jobs)
	emitSummary(sum)
	progress.Start("hash", 0, "pictures").Done()
}

// jobs divides the pictures. The outcome does not depend on their order.
func (fn *planFn) jobs(pictures []planned) []shardJob {
	type placed struct {
		planned
		at uint64
	}
	all := make([]placed, len(pictures))
	var free []uint64 // positions of the pictures without a named split
	for i, p := range pictures {
		all[i] = placed{p, position(fn.Seed, p.Hash)}
		if p.Split == "" {
			free = append(free, all[i].at)
		}
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Index, b.Index))
	})
	cuts := fn.Shares.cutsFor(free)
	bySplit := map[string][]planned{}
	for _, p := range all {
		split := p.Split
		if split == "" {
			split = cuts.split(p.at)
		}
		bySplit[split] = append(bySplit[split], p.planned)
	}
	var jobs []shardJob
	for _, split := range dataset.Splits {
		jobs = append(jobs, shards(split, bySplit[split], fn.Rows)...)
	}
	return jobs
}

// shards cuts the pictures of a split into the fewest shards of at most rows
// rows, and makes these as even as can be.
func shards(split string, pictures []planned, rows int) []shardJob {
	n := (len(pictures) + rows - 1) / rows
	jobs := make([]shardJob, n)
	for i := range jobs {
		jobs[i] = shardJob{
			Name:     fmt.Sprintf("%s-%05d-of-%05d.parquet", split, i, n),
			Split:    split,
			Pictures: pictures[len(pictures)*i/n : len(pictures)*(i+1)/n],
		}
	}
	return jobs
}

// duplicates counts equal files.
func duplicates(jobs []shardJob) (pictures, leaks int) {
	where := map[string]map[string]bool{} // content to splits
	for _, j := range jobs {
		for _, p := range j.Pictures {
			if where[p.Hash] == nil {
				where[p.Hash] = map[string]bool{}
			} else {
				pictures++
			}
			where[p.Hash][j.Split] = true
		}
	}
	for _, splits := range where {
		if len(splits) > 1 {
			leaks++
		}
	}
	return pictures, leaks
}
