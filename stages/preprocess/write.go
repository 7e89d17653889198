package preprocess

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

func init() {
	register.DoFn2x2[context.Context, shardJob, shardResult, error](&writeFn{})
}

// shardResult is a shard that is written, in the work folder.
type shardResult struct {
	// Job is the fingerprint of the job.
	Job string
	// Name, Split, Rows, Bytes and SHA256 are those of the file.
	Name   string
	Split  string
	Rows   int
	Bytes  int
	SHA256 string
	// Captions is the number of captions in the file.
	Captions int
	// Decoder is the JPEG decoder of the process that wrote it.
	Decoder string
	// Failed are pictures, Dropped single captions.
	Failed  []letter
	Dropped []letter
	// Looks are the perceptual hashes of the rows that have one.
	Looks []uint64
}

// writeFn writes shards into the work folder.
type writeFn struct {
	// Work and Output are the folders of the run.
	Listing, Work, Output string
	Roots                 dataset.Roots
	Config                Config
	Meta                  records.Meta
	Total                 int

	tokenizer *text.Tokenizer
}

// Setup puts the tokenizer together.
func (fn *writeFn) Setup() (err error) {
	if fn.Config.Text != nil {
		fn.tokenizer, err = fn.Config.Text.tokenizer()
	}
	return err
}

// ProcessElement writes one shard, unless an earlier run has done so.
func (fn *writeFn) ProcessElement(ctx context.Context, job shardJob) (shardResult, error) {
	writing <- struct{}{}
	defer func() { <-writing }()
	begun := time.Now()
	task := progress.Start("preprocess", int64(fn.Total), "pictures")
	res, done := fn.finished(&job)
	if done {
		task.Add(int64(len(job.Pictures)))
	} else {
		var err error
		if res, err = fn.write(ctx, &job, task); err != nil {
			return res, fmt.Errorf("shard %s: %w", job.Name, err)
		}
	}
	written.Inc(ctx, int64(res.Rows))
	failed.Inc(ctx, int64(len(res.Failed)))
	shardMS.Update(ctx, time.Since(begun).Milliseconds())
	return res, nil
}

// write makes the shard and then the note that says so.
func (fn *writeFn) write(ctx context.Context, job *shardJob, task *progress.Task) (shardResult, error) {
	meta := fn.Meta
	meta.Split = job.Split
	meta.JPEGDecoder, _ = imaging.JPEGLibrary() // the reason is told at the start
	res := shardResult{Job: job.fingerprint(), Name: job.Name, Split: job.Split, Decoder: meta.JPEGDecoder}
	err := records.WriteFile(filepath.Join(fn.Work, job.Name), func(out io.Writer) error {
		sum := sha256.New()
		size := &counter{}
		w, err := records.NewWriter(io.MultiWriter(out, sum, size), meta, records.WriterOptions{})
		if err != nil {
			return err
		}
		if err := fn.fill(ctx, w, job, &res, task); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		res.SHA256, res.Bytes = hex.EncodeToString(sum.Sum(nil)), size.n
		return nil
	})
	if err != nil {
		return res, err
	}
	return res, fn.note(&res)
}

// fill writes the rows of the job.
func (fn *writeFn) fill(ctx context.Context, w *records.Writer, job *shardJob, res *shardResult, task *progress.Task) error {
	lines, err := openListing(fn.Listing)
	if err != nil {
		return err
	}
	defer lines.Close() // only read
	sources := fn.Roots.Sources()
	defer sources.Close() // only read
	r := &recipe{
		listing: lines, sources: sources, work: fn.Work,
		processor: &fn.Config.Processor, decode: fn.Config.Decode,
		format: fn.Config.PixelFormat, text: fn.Config.Text, tokenizer: fn.tokenizer,
	}
	work := func(p planned) outcome {
		atWork <- struct{}{}
		defer func() { <-atWork }()
		return r.cook(ctx, p, job.Split)
	}
	return inOrder(workers(fn.Config.Workers), job.Pictures, work, func(o outcome) error {
		defer task.Add(1)
		if err := errors.Join(ctx.Err(), o.broken); err != nil {
			return err
		}
		for _, l := range o.dropped {
			res.Dropped = append(res.Dropped, asLetter(l))
		}
		if o.failed != nil {
			res.Failed = append(res.Failed, asLetter(*o.failed))
			return nil
		}
		if o.seen {
			res.Looks = append(res.Looks, o.look)
		}
		res.Rows++
		res.Captions += len(o.row.Captions)
		defer imaging.Recycle(o.row.Pixels) // the writer keeps nothing of them
		return w.Write(o.row)
	})
}

// atWork bounds the pictures that this process works on at a time, however many
// shards a runner gives it at once: a decoded photograph takes a hundred
// megabytes.
var atWork = make(chan struct{}, runtime.GOMAXPROCS(0))

// writing bounds the shards that this process writes at a time: one occupies all
// processors until its last rows, and each holds a row group.
var writing = make(chan struct{}, 2)

// counter counts bytes.
type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// noteName is the file that says how a finished shard came out.
func (fn *writeFn) noteName(shard string) string {
	return filepath.Join(fn.Work, shard+".json")
}

func (fn *writeFn) note(res *shardResult) error {
	return records.WriteFile(fn.noteName(res.Name), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(res)
	})
}

// finished returns the result of an earlier run that wrote just this shard, if
// the file is whole. It may be in its place already, if that run died in the
// commit.
func (fn *writeFn) finished(job *shardJob) (shardResult, bool) {
	var res shardResult
	data, err := os.ReadFile(fn.noteName(job.Name))
	if err != nil || json.Unmarshal(data, &res) != nil || res.Job != job.fingerprint() {
		return shardResult{}, false
	}
	for _, dir := range []string{fn.Work, fn.Output} {
		if sum, err := fileHash(filepath.Join(dir, job.Name)); err == nil && sum == res.SHA256 {
			return res, true
		}
	}
	return shardResult{}, false
}

func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
