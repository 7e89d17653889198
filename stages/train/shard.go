package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
)

var (
	// ErrShardGone is wrapped where a shard that the manifest names is not there.
	ErrShardGone = errors.New("a shard is gone that was there when training began; put it back or preprocess again")
	// ErrShardChanged is wrapped where a shard is not the one that the manifest
	// names.
	ErrShardChanged = errors.New("a shard is not as preprocess left it; put that back or preprocess again")
)

// partsAhead is how many parts are in memory, decoded or on their way, that whose
// rows are taken included. Each is 34 MB for row groups of the default size.
func partsAhead() int { return min(4, max(2, runtime.GOMAXPROCS(0))) }

// partBytes bounds the pixels of a part, for shards with larger row groups than
// ours.
const partBytes = 2 * records.DefaultRowGroupBytes

// split are the shards of a split, in some order.
type split struct {
	files []string
	// promised says, by name, what the manifest knows of the files; those that it
	// does not know, or knows no size of, are taken as they are.
	promised map[string]preprocess.Shard
	picture  int // bytes of a picture's pixels
}

// place is where a row is: the number of its file, and its own within that.
type place struct {
	file int
	row  int64
}

// part is what is decoded in one go: rows of a row group.
type part struct {
	shard *shard
	at    place // of the first
	rows  int64
}

// located is a row and where it comes from.
type located struct {
	at place
	records.Example
}

// rows reads from a place on. Parts of files are decoded on goroutines of their
// own, ahead of the taker, who gets rows in their order. Where wanted is not nil
// it names the rows that are needed, and parts without one are left out; so are
// files without one, which are not even opened.
func (s split) rows(ctx context.Context, from place, wanted map[place]bool, o records.ReaderOptions) iter.Seq2[located, error] {
	type decoded struct {
		rows []located
		err  error
	}
	return func(yield func(located, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		queue := make(chan chan decoded, partsAhead()-1) // and one in the taker's hands
		var crew sync.WaitGroup
		defer crew.Wait()
		defer stop()
		crew.Go(func() {
			defer close(queue)
			for p, err := range s.parts(from, wanted) {
				next := make(chan decoded, 1)
				select {
				case queue <- next:
				case <-ctx.Done():
					return
				}
				if err != nil {
					next <- decoded{err: err}
					return
				}
				p.shard.retain()
				crew.Go(func() {
					rows, err := p.decode(o)
					next <- decoded{rows, errors.Join(err, p.shard.release())}
				})
			}
		})
		for next := range queue {
			d := <-next
			for _, r := range d.rows {
				if !yield(r, nil) {
					return
				}
			}
			if d.err != nil {
				yield(located{}, d.err)
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(located{}, err)
		}
	}
}

// parts divides files into what is decoded in one go.
func (s split) parts(from place, wanted map[place]bool) iter.Seq2[part, error] {
	most := int64(max(1, partBytes/max(1, s.picture)))
	needed := map[int]bool{}
	for at := range wanted {
		needed[at.file] = true
	}
	return func(yield func(part, error) bool) {
		for file := from.file; file < len(s.files); file++ {
			if wanted != nil && !needed[file] {
				continue
			}
			shard, err := s.open(file)
			if err != nil {
				yield(part{}, err)
				return
			}
			first := from.row
			if file > from.file {
				first = 0
			}
			more := true
			for p := range shard.divide(file, first, most) {
				if p.narrow(wanted); p.rows == 0 {
					continue
				}
				if more = yield(p, nil); !more {
					break
				}
			}
			if err := shard.release(); err != nil && more {
				yield(part{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// narrow takes the rows before the first and after the last that is wanted from a
// part; nil wants all.
func (p *part) narrow(wanted map[place]bool) {
	if wanted == nil {
		return
	}
	is := func(i int64) bool { return wanted[place{p.at.file, p.at.row + i}] }
	for p.rows > 0 && !is(p.rows-1) {
		p.rows--
	}
	for p.rows > 0 && !is(0) {
		p.at.row++
		p.rows--
	}
}

// decode reads the rows of a part.
func (p part) decode(o records.ReaderOptions) ([]located, error) {
	rows := make([]located, 0, p.rows)
	for e, err := range p.shard.read(o, p.at.row, p.rows) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, located{place{p.at.file, p.at.row + int64(len(rows))}, e})
	}
	return rows, nil
}

// shard is an open file of examples. One that is deleted can be read to its end.
type shard struct {
	path   string
	file   *os.File
	size   int64
	groups []int64 // rows of each row group
	users  atomic.Int64
}

// open opens a file and holds it against the manifest.
func (s split) open(number int) (*shard, error) {
	path := s.files[number]
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrShardGone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open shard: %w", err)
	}
	opened := &shard{path: path, file: file}
	opened.retain()
	if err := opened.look(s.promised[filepath.Base(path)]); err != nil {
		return nil, errors.Join(fmt.Errorf("open shard %s: %w", path, err), opened.release())
	}
	return opened, nil
}

// look finds the file's row groups.
func (s *shard) look(promised preprocess.Shard) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if s.size = info.Size(); promised.Bytes > 0 && s.size != int64(promised.Bytes) {
		return fmt.Errorf("%w: %d bytes, the manifest says %d", ErrShardChanged, s.size, promised.Bytes)
	}
	parquet, err := records.OpenParquet(s.file, s.size)
	if err != nil {
		return changed(err)
	}
	rows := int64(0)
	for _, g := range parquet.RowGroups() {
		s.groups = append(s.groups, g.NumRows())
		rows += g.NumRows()
	}
	if promised.Bytes > 0 && rows != int64(promised.Rows) {
		return fmt.Errorf("%w: %d rows, the manifest says %d", ErrShardChanged, rows, promised.Rows)
	}
	return nil
}

// changed adds to an error of reading what can be done about it. A file that is cut
// off while it is open ends too early.
func changed(err error) error {
	for _, sign := range []error{records.ErrMalformed, records.ErrNotExamples, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, sign) {
			return fmt.Errorf("%w: %w", ErrShardChanged, err)
		}
	}
	return err
}

func (s *shard) retain() { s.users.Add(1) }

// release closes the file after its last user.
func (s *shard) release() error {
	if s.users.Add(-1) > 0 {
		return nil
	}
	return s.file.Close()
}

// divide gives the file's parts from a row on, of a number of rows at most.
func (s *shard) divide(number int, from, most int64) iter.Seq[part] {
	return func(yield func(part) bool) {
		end := int64(0)
		for _, n := range s.groups {
			start := end
			end += n
			for at := max(start, from); at < end; at += most {
				if !yield(part{s, place{number, at}, min(most, end-at)}) {
					return
				}
			}
		}
	}
}

// read gives a number of rows.
func (s *shard) read(o records.ReaderOptions, from, count int64) iter.Seq2[records.Example, error] {
	return func(yield func(records.Example, error) bool) {
		fail := func(err error) { yield(records.Example{}, fmt.Errorf("read shard %s: %w", s.path, changed(err))) }
		r, err := records.NewReader(s.file, s.size, o)
		if err == nil {
			err = r.SkipTo(from)
		}
		if err != nil {
			fail(err)
			return
		}
		for range count {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: it ends after %d rows", records.ErrMalformed, r.Rows())
			}
			if err != nil {
				fail(errors.Join(err, r.Close()))
				return
			}
			if !yield(e, nil) {
				_ = r.Close() // nobody is listening any more, and the file stays open
				return
			}
		}
		if err := r.Close(); err != nil {
			fail(err)
		}
	}
}
