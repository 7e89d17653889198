package preprocess

import (
	"context"
	"io"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn2x2[context.Context, chunk, hashed, error](&hashFn{})
}

// Beam's metrics of this stage, all in the namespace "preprocess".
const Metrics = "preprocess"

// Names of Beam's metrics.
const (
	// PicturesSeen counts the data set's pictures, PicturesWritten and
	// PicturesFailed what became of them.
	PicturesSeen    = "pictures_seen"
	PicturesWritten = "pictures_written"
	PicturesFailed  = "pictures_failed"
	// ShardMilliseconds is the distribution of the time a shard took.
	ShardMilliseconds = "shard_ms"
)

var (
	seen    = beam.NewCounter(Metrics, PicturesSeen)
	written = beam.NewCounter(Metrics, PicturesWritten)
	failed  = beam.NewCounter(Metrics, PicturesFailed)
	shardMS = beam.NewDistribution(Metrics, ShardMilliseconds)
)

// chunk is consecutive lines of the listing.
type chunk struct {
	// Offset is where the first of them begins.
	Offset int64
	// Lines is how many they are.
	Lines int
}

// planned is a reference to a line of the listing, with what the plan needs to
// know of the picture. Names and captions stay in the listing: a runner may keep
// all elements of a stage in memory.
type planned struct {
	Offset int64
	Index  int
	Split  string
	// Hash is the SHA-256 of the file, in hex.
	Hash string
}

// hashed is a chunk after hashing.
type hashed struct {
	Pictures []planned
	Failed   []letter
}

// letter is a dead letter as an element: Beam's row coder knows plain strings
// only.
type letter struct {
	Image, Code, Error string
}

func toLetter(l records.DeadLetter) letter { return letter{l.Image, string(l.Code), l.Error} }

func (l letter) deadLetter() records.DeadLetter {
	return records.DeadLetter{Image: l.Image, Stage: Stage, Code: records.Code(l.Code), Error: l.Error}
}

// hashFn reads every picture once for its hash, which the split needs.
type hashFn struct {
	Listing string
	Root    string
	Total   int
	Workers int
}

// ProcessElement hashes the pictures of a chunk.
func (fn *hashFn) ProcessElement(ctx context.Context, c chunk) (hashed, error) {
	var out hashed
	lines, err := openListing(fn.Listing)
	if err != nil {
		return out, err
	}
	defer lines.Close() // only read
	refs, err := lines.chunk(c)
	if err != nil {
		return out, err
	}
	task := progress.Start("hash", int64(fn.Total), "pictures")
	open := dataset.Files(fn.Root)
	err = inOrder(workers(fn.Workers), refs, func(l listed) hashed {
		return hashOne(open, l)
	}, func(one hashed) error {
		out.Pictures = append(out.Pictures, one.Pictures...)
		out.Failed = append(out.Failed, one.Failed...)
		task.Add(1)
		return ctx.Err()
	})
	seen.Inc(ctx, int64(len(refs)))
	failed.Inc(ctx, int64(len(out.Failed)))
	return out, err
}

func hashOne(open dataset.Opener, l listed) hashed {
	hash, err := readPicture(open, l.ref.URI, io.Discard)
	if err != nil {
		return hashed{Failed: []letter{toLetter(deadLetter(l.ref.URI, err))}}
	}
	return hashed{Pictures: []planned{{Offset: l.offset, Index: l.ref.Index, Split: l.ref.Split, Hash: hash}}}
}
