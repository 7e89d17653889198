package preprocess

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
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
	// Hash is the SHA-256 of the file.
	Hash []byte
	// Look is the picture's perceptual hash, if the settings ask for it here and
	// Seen says that it has one.
	Look uint64
	Seen bool
	// Copy is where the file is to be read again, if not where it was.
	Copy copied
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

func asLetter(l records.DeadLetter) letter { return letter{l.Image, string(l.Code), l.Error} }

func toLetter(uri string, err error) *letter {
	l := asLetter(deadLetter(uri, err))
	return &l
}

func (l letter) deadLetter() records.DeadLetter {
	return records.DeadLetter{Image: l.Image, Stage: Stage, Code: records.Code(l.Code), Error: l.Error}
}

// hashFn reads every picture once for its hash, which the split needs, and for
// its perceptual hash, which dropping near-duplicates needs.
type hashFn struct {
	Listing string
	Work    string
	Roots   dataset.Roots
	Total   int
	Workers int
	// Looks asks for perceptual hashes.
	Looks  bool
	Decode imaging.DecodeOptions
}

// fetchers is the number of pictures that are on their way over a network at a
// time.
const fetchers = 16

// ProcessElement hashes the pictures of a chunk.
func (fn *hashFn) ProcessElement(ctx context.Context, c chunk) (hashed, error) {
	task := progress.Start("hash", int64(fn.Total), "pictures")
	s := spool{fn.Work, c}
	out, done := s.finished()
	if done {
		task.Add(int64(c.Lines))
	} else {
		var err error
		if out, err = fn.hash(ctx, s, task); err != nil {
			return out, err
		}
	}
	seen.Inc(ctx, int64(c.Lines))
	failed.Inc(ctx, int64(len(out.Failed)))
	return out, nil
}

func (fn *hashFn) hash(ctx context.Context, s spool, task *progress.Task) (hashed, error) {
	lines, err := openListing(fn.Listing)
	if err != nil {
		return hashed{}, err
	}
	defer lines.Close() // only read
	refs, err := lines.chunk(s.chunk)
	if err != nil {
		return hashed{}, err
	}
	sources := fn.Roots.Sources()
	defer sources.Close() // only read
	if !slices.ContainsFunc(refs, func(l listed) bool { return dataset.Dear(&l.ref) }) {
		return fn.each(ctx, refs, sources, task, workers(fn.Workers), nil)
	}
	n := fetchers
	if !slices.ContainsFunc(refs, func(l listed) bool { return dataset.Fetched(&l.ref) }) {
		n = 1 // rows come in their order, or are looked for
	}
	var out hashed
	err = records.WriteFile(s.data(), func(w io.Writer) (err error) {
		out, err = fn.each(ctx, refs, sources, task, n, &copier{w: w, chunk: s.chunk})
		return err
	})
	if err != nil {
		return out, err
	}
	return out, s.finish(out)
}

// copier appends pictures to a spool.
type copier struct {
	w     io.Writer
	chunk chunk
	at    int64
}

func (c *copier) add(p *planned, data []byte) error {
	if _, err := c.w.Write(data); err != nil {
		return err
	}
	p.Copy = copied{Chunk: c.chunk.Offset, Lines: c.chunk.Lines, At: c.at, Size: int64(len(data))}
	c.at += int64(len(data))
	return nil
}

// each hashes n pictures at a time; those that are dear to read again go into the
// spool.
func (fn *hashFn) each(ctx context.Context, refs []listed, sources *dataset.Sources, task *progress.Task, n int, to *copier) (hashed, error) {
	var out hashed
	type one struct {
		planned planned
		failed  *letter
		data    *bytes.Buffer
	}
	err := inOrder(n, refs, func(l listed) one {
		var o one
		keep := to != nil && dataset.Dear(&l.ref)
		o.planned, o.data, o.failed = fn.look(ctx, sources, l, keep)
		return o
	}, func(o one) error {
		defer task.Add(1)
		if o.failed != nil {
			out.Failed = append(out.Failed, *o.failed)
			return ctx.Err()
		}
		if o.data != nil {
			if err := to.add(&o.planned, o.data.Bytes()); err != nil {
				return err
			}
			buffers.Put(o.data)
		}
		out.Pictures = append(out.Pictures, o.planned)
		return ctx.Err()
	})
	return out, err
}

// look reads one picture, and returns its bytes if they are to be kept.
func (fn *hashFn) look(ctx context.Context, sources *dataset.Sources, l listed, keep bool) (planned, *bytes.Buffer, *letter) {
	p := planned{Offset: l.offset, Index: l.ref.Index, Split: l.ref.Split}
	open := func() (io.ReadCloser, error) { return sources.Open(ctx, &l.ref) }
	var err error
	if !keep && !fn.Looks {
		if p.Hash, err = readPicture(open, io.Discard); err != nil {
			return p, nil, toLetter(l.ref.URI, err)
		}
		return p, nil, nil
	}
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	if p.Hash, err = readPicture(open, buf); err != nil {
		buffers.Put(buf)
		return p, nil, toLetter(l.ref.URI, err)
	}
	if fn.Looks {
		p.Look, p.Seen = appearance(buf.Bytes(), fn.Decode)
	}
	if !keep {
		buffers.Put(buf)
		buf = nil
	}
	return p, buf, nil
}

// appearance is a picture's perceptual hash. One that cannot be decoded has none;
// the stage that writes it says why.
func appearance(data []byte, o imaging.DecodeOptions) (look uint64, ok bool) {
	defer func() {
		if recover() != nil { // the stage that writes it says this too
			ok = false
		}
	}()
	atWork <- struct{}{}
	defer func() { <-atWork }()
	picture, _, err := imaging.Decode(data, o)
	if err != nil {
		return 0, false
	}
	defer imaging.Recycle(picture.Pix)
	return imaging.PerceptualHash(picture)
}
