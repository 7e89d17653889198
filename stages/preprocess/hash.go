package preprocess

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn3x1[context.Context, []byte, func(chunk), error](&listFn{})
	register.Emitter1[chunk]()
	register.DoFn2x1[context.Context, chunk, hashed](&hashFn{})
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

// chunk is consecutive references.
type chunk struct {
	Refs []dataset.Ref
}

// planned is a reference with what is known of its content.
type planned struct {
	ImageID  string
	URI      string
	Captions []string
	Split    string
	Index    int
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

// listFn reads the listing, which is on the storage that the shards go to. So the
// pipeline's description stays small, and a data set is listed once.
type listFn struct {
	Listing string
	Chunk   int
}

// ProcessElement emits the listing in chunks.
func (fn *listFn) ProcessElement(_ context.Context, _ []byte, emit func(chunk)) error {
	f, err := os.Open(fn.Listing)
	if err != nil {
		return fmt.Errorf("read the listing: %w", err)
	}
	defer f.Close() // only read
	var c chunk
	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var ref dataset.Ref
		err := dec.Decode(&ref)
		if err == nil {
			c.Refs = append(c.Refs, ref)
		} else if !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the listing: %w", err)
		}
		if len(c.Refs) == fn.Chunk || err != nil && len(c.Refs) > 0 {
			emit(c)
			c = chunk{}
		}
		if err != nil {
			return nil
		}
	}
}

// hashFn reads every picture once for its hash, which the split needs.
type hashFn struct {
	Root    string
	Total   int
	Workers int
}

// ProcessElement hashes the pictures of a chunk.
func (fn *hashFn) ProcessElement(ctx context.Context, c chunk) hashed {
	task := progress.Start("hash", int64(fn.Total), "pictures")
	open := dataset.Files(fn.Root)
	var out hashed
	// take never fails, so neither does inOrder.
	_ = inOrder(workers(fn.Workers), c.Refs, func(ref dataset.Ref) hashed {
		return hashOne(open, ref)
	}, func(one hashed) error {
		out.Pictures = append(out.Pictures, one.Pictures...)
		out.Failed = append(out.Failed, one.Failed...)
		task.Add(1)
		return nil
	})
	seen.Inc(ctx, int64(len(c.Refs)))
	failed.Inc(ctx, int64(len(out.Failed)))
	return out
}

func hashOne(open dataset.Opener, ref dataset.Ref) hashed {
	hash, err := readPicture(open, ref.URI, io.Discard)
	if err != nil {
		return hashed{Failed: []letter{toLetter(deadLetter(ref.URI, err))}}
	}
	return hashed{Pictures: []planned{{
		ImageID: ref.ImageID, URI: ref.URI, Captions: ref.Captions,
		Split: ref.Split, Index: ref.Index, Hash: hash,
	}}}
}
