package preprocess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// Stage is the name under which this package writes dead letters.
const Stage = "preprocess"

// maxFileBytes bounds the file of one picture, which is read into memory whole.
const maxFileBytes = 1 << 30

// buffers are reused between pictures.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// recipe turns a reference into a row.
type recipe struct {
	listing   *listing
	sources   *dataset.Sources
	work      string // where the spools are
	processor *imaging.Processor
	decode    imaging.DecodeOptions
	format    records.PixelFormat
	text      *Text
	tokenizer *text.Tokenizer // nil if text is
}

// outcome is what became of one picture.
type outcome struct {
	row     *records.Example     // nil if the picture failed
	look    uint64               // its perceptual hash
	seen    bool                 // whether it has one
	failed  *records.DeadLetter  // nil if it did not
	dropped []records.DeadLetter // captions without a word
	broken  error                // what ends the run: the listing cannot be read
}

// failure is an error with the code of its dead letter.
type failure struct {
	code records.Code
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

func deadLetter(uri string, err error) records.DeadLetter {
	l := records.DeadLetter{Image: uri, Stage: Stage, Code: records.CodeInternal, Error: err.Error()}
	var f *failure
	if errors.As(err, &f) {
		l.Code = f.code
	} else if code := imaging.Code(err); code != "" {
		l.Code = records.Code(code)
	}
	return l
}

// cook makes the row of one picture. It never panics: a mistake in this program
// costs the picture, not the run.
func (r *recipe) cook(ctx context.Context, p planned, split string) (o outcome) {
	ref, err := r.listing.line(p.Offset)
	if err != nil {
		return outcome{broken: err}
	}
	defer func() {
		if v := recover(); v != nil {
			l := deadLetter(ref.URI, fmt.Errorf("panic: %v", v))
			o = outcome{failed: &l}
		}
	}()
	row := &records.Example{ImageID: ref.ImageID, URI: ref.URI, Split: split, ContentHash: hex.EncodeToString(p.Hash)}
	o.row = row
	o.dropped, err = r.captions(&ref, row)
	if err == nil {
		o.look, o.seen, err = r.pixels(row, func() (io.ReadCloser, error) {
			if p.Copy.Lines > 0 {
				return p.Copy.open(r.work)
			}
			return r.sources.Open(ctx, &ref)
		}, &p)
	}
	if err != nil {
		l := deadLetter(ref.URI, err)
		return outcome{failed: &l}
	}
	if from := ref.Origin; from != nil {
		row.URI, row.Width, row.Height, row.ContentHash = from.URI, from.Width, from.Height, from.ContentHash
	}
	return o
}

// captions fills in the captions that have words, and reports those without.
func (r *recipe) captions(p *dataset.Ref, row *records.Example) ([]records.DeadLetter, error) {
	var dropped []records.DeadLetter
	for i, caption := range p.Captions {
		var ids []int32
		if caption != "" && r.tokenizer != nil {
			ids = r.text.encode(r.tokenizer, caption)
		}
		if caption == "" || r.tokenizer != nil && len(ids) == 0 {
			dropped = append(dropped, records.DeadLetter{
				Image: p.URI, Stage: Stage, Code: records.CodeEmptyCaption,
				Error: fmt.Sprintf("caption %d of %d has no word: %q", i+1, len(p.Captions), caption),
			})
			continue
		}
		row.Captions = append(row.Captions, caption)
		if r.tokenizer != nil {
			row.TokenIDs = append(row.TokenIDs, ids)
		}
	}
	switch {
	case len(p.Captions) == 0:
		return nil, &failure{records.CodeNoCaption, errors.New("no caption belongs to the picture")}
	case len(row.Captions) == 0:
		return nil, &failure{records.CodeEmptyCaption, fmt.Errorf("none of its %d captions has a word", len(p.Captions))}
	}
	return dropped, nil
}

// pixels reads, decodes and resizes the picture, and returns its perceptual hash
// if it has one, which may be known from before.
func (r *recipe) pixels(row *records.Example, open func() (io.ReadCloser, error), p *planned) (look uint64, seen bool, err error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	hash, err := readPicture(open, buf)
	if err != nil {
		return 0, false, err
	}
	if !bytes.Equal(hash, p.Hash) {
		return 0, false, &failure{records.CodeChanged, errors.New("the file changed while the run went on")}
	}
	picture, _, err := imaging.Decode(buf.Bytes(), r.decode)
	if err != nil {
		return 0, false, err
	}
	row.Width, row.Height = picture.W, picture.H
	if look, seen = p.Look, p.Seen; !seen {
		look, seen = imaging.PerceptualHash(picture)
	}
	decoded := picture
	if picture = r.processor.Apply(picture); &picture.Pix[0] != &decoded.Pix[0] {
		imaging.Recycle(decoded.Pix)
	}
	row.PixelWidth, row.PixelHeight = picture.W, picture.H
	if r.format != records.Float32 {
		row.Pixels = picture.Pix
		return look, seen, nil
	}
	row.Floats = make([]float32, len(picture.Pix))
	return look, seen, r.processor.Normalize(row.Floats, picture)
}

// readPicture copies a picture's bytes into w and returns their SHA-256.
func readPicture(open func() (io.ReadCloser, error), w io.Writer) (hash []byte, err error) {
	f, err := open()
	switch {
	case errors.Is(err, os.ErrNotExist):
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			err = errors.New("the file is not there")
		}
		return nil, &failure{records.CodeMissing, err}
	case err != nil:
		return nil, unreadable(err)
	}
	defer f.Close() // only read
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(sum, w), io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, unreadable(err)
	case n > maxFileBytes:
		return nil, &failure{records.CodeTooManyBytes, fmt.Errorf("the file is larger than %d bytes", maxFileBytes)}
	}
	return sum.Sum(nil), nil
}

// unreadable is the failure of a picture that is there.
func unreadable(err error) error { return &failure{records.CodeUnreadable, plain(err)} }

// plain drops the path from an error: the dead letter names the picture, and a
// path of this machine would make the same run differ on another.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return err
}
