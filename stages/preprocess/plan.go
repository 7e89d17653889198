package preprocess

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn5x1[context.Context, int, func(*hashed) bool, func(shardJob), func(summary), error](&planFn{})
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
	// Dropped counts those of Failed that gave way to a near-duplicate.
	Dropped int
}

// planFn assigns pictures to splits and shards. It sees all references at once.
type planFn struct {
	Listing string
	Shares  Shares
	Seed    int64
	// Shuffle is the seed of the order of rows; 0 is that of the split.
	Shuffle int64
	// Rows is the most rows of a shard.
	Rows int
	// Distance drops near-duplicates up to it, unless it is negative.
	Distance int
}

// ProcessElement emits the jobs of the shards and one summary.
func (fn *planFn) ProcessElement(ctx context.Context, _ int, chunks func(*hashed) bool, emitJob func(shardJob), emitSummary func(summary)) error {
	var pictures []planned
	var sum summary
	for h := (hashed{}); chunks(&h); h = (hashed{}) {
		pictures = append(pictures, h.Pictures...)
		sum.Failed = append(sum.Failed, h.Failed...)
	}
	bySplit := fn.divide(pictures)
	if fn.Distance >= 0 {
		dropped, err := fn.dedupe(bySplit)
		if err != nil {
			return fmt.Errorf("drop near-duplicates: %w", err)
		}
		sum.Failed = append(sum.Failed, dropped...)
		sum.Dropped = len(dropped)
		failed.Inc(ctx, int64(len(dropped)))
	}
	var jobs []shardJob
	for _, split := range dataset.Splits {
		jobs = append(jobs, shards(split, bySplit[split], fn.Rows)...)
	}
	for _, j := range jobs {
		emitJob(j)
	}
	sum.Shards = len(jobs)
	sum.Duplicates, sum.Leaks = duplicates(jobs)
	emitSummary(sum)
	progress.Start("hash", 0, "pictures").Done()
	return nil
}

// placed is a picture with its position.
type placed struct {
	planned
	at uint64
}

func inOrderOf(a, b placed) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Index, b.Index))
}

// divide puts the pictures into splits, each in the order of its rows. The outcome
// does not depend on the order in which they come.
func (fn *planFn) divide(pictures []planned) map[string][]planned {
	all := make([]placed, len(pictures))
	var free []uint64 // positions of the pictures without a named split
	for i, p := range pictures {
		all[i] = placed{p, position(fn.Seed, p.Hash)}
		if p.Split == "" {
			free = append(free, all[i].at)
		}
	}
	cuts := fn.Shares.cutsFor(free)
	for i := range all {
		if all[i].Split == "" {
			all[i].Split = cuts.split(all[i].at)
		}
		if fn.Shuffle != 0 {
			all[i].at = position(fn.Shuffle, all[i].Hash)
		}
	}
	slices.SortFunc(all, inOrderOf)
	bySplit := map[string][]planned{}
	for _, p := range all {
		bySplit[p.Split] = append(bySplit[p.Split], p.planned)
	}
	return bySplit
}

// dedupe takes out the pictures that look like one in a split that comes before
// theirs, equal files among them, and returns their dead letters.
func (fn *planFn) dedupe(bySplit map[string][]planned) ([]letter, error) {
	l, err := openListing(fn.Listing)
	if err != nil {
		return nil, err
	}
	defer l.Close() // only read
	var sights []sight
	var of []planned
	for _, split := range precedence {
		for _, p := range bySplit[split] {
			if p.Seen {
				sights, of = append(sights, sight{p.Look, split}), append(of, p)
			}
		}
	}
	twins := map[int64]planned{} // by offset in the listing
	for i, twin := range lookalikes(sights, fn.Distance) {
		if twin >= 0 {
			twins[of[i].Offset] = of[twin]
		}
	}
	first := map[string]planned{} // by content
	for _, split := range precedence {
		for _, p := range bySplit[split] {
			f, known := first[string(p.Hash)]
			if !known {
				first[string(p.Hash)] = p
			} else if f.Split != p.Split {
				twins[p.Offset] = f
			}
		}
	}
	var letters []letter
	for split, pictures := range bySplit {
		kept := pictures[:0]
		for _, p := range pictures {
			twin, ok := twins[p.Offset]
			if !ok {
				kept = append(kept, p)
				continue
			}
			one, err := alike(l, p, twin)
			if err != nil {
				return nil, err
			}
			letters = append(letters, one)
		}
		bySplit[split] = kept
	}
	return letters, nil
}

func alike(l *listing, p, twin planned) (letter, error) {
	a, errA := l.line(p.Offset)
	b, errB := l.line(twin.Offset)
	return letter{
		Image: a.URI, Code: string(records.CodeNearDuplicate),
		Error: fmt.Sprintf("the picture is in split %s and looks like %s in split %s", p.Split, b.URI, twin.Split),
	}, errors.Join(errA, errB)
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
	const several = "several"
	where := map[[sha256.Size]byte]string{} // content to split
	for _, j := range jobs {
		for _, p := range j.Pictures {
			key := [sha256.Size]byte(p.Hash)
			switch split, known := where[key]; {
			case !known:
				where[key] = j.Split
				continue
			case split != j.Split && split != several:
				where[key] = several
				leaks++
			}
			pictures++
		}
	}
	return pictures, leaks
}
