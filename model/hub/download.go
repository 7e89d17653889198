package hub

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// blob is the content of one or more files.
type blob struct {
	etag  string
	size  int64
	names []string
}

// fetch brings the blobs into the cache and links them into the snapshot, some
// at a time.
func (c *Client) fetch(ctx context.Context, s *store, commit string, blobs []blob) error {
	m := &meter{report: c.Progress}
	for _, b := range blobs {
		m.total += b.size
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.workers())
	for _, b := range blobs {
		group.Go(func() error {
			if err := c.fetchOne(ctx, s, commit, b, m); err != nil {
				return fmt.Errorf("%s: %w", b.names[0], err)
			}
			return nil
		})
	}
	return group.Wait()
}

// fetchOne brings one blob, unless another process does so first.
func (c *Client) fetchOne(ctx context.Context, s *store, commit string, b blob, m *meter) (err error) {
	unlock, err := lock(ctx, s.lockFile(b.etag), func() {
		c.warn("waiting for another process that fetches %s of %s", b.names[0], s.repo)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if hasSize(s.blob(b.etag), b.size) {
		m.add(b.size)
	} else if err := c.download(ctx, s, commit, b, m); err != nil {
		return err
	}
	for _, name := range b.names {
		if err := s.link(commit, name, b); err != nil {
			return fmt.Errorf("link it into the snapshot: %w", err)
		}
	}
	return nil
}

// lockPoll is how often a lock that another process has is tried: the system
// cannot be told to stop waiting.
const lockPoll = 100 * time.Millisecond

// lock takes a lock file, after telling so if it has to wait, and returns what
// gives it back. The file stays: who removed it would let two others in, each
// with a lock on another file.
func lock(ctx context.Context, path string, waiting func()) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	f := flock.New(path, flock.SetPermissions(0o664))
	locked, err := f.TryLock()
	if err == nil && !locked {
		waiting()
		_, err = f.TryLockContext(ctx, lockPoll)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w: HF_HUB_CACHE has to be a folder that may be written to, on a file system with locks", path, err)
	}
	return f.Close, nil
}

// download fetches a blob. One that comes with the wrong hash is fetched once
// more from its start: what was there of it may have been spoilt.
func (c *Client) download(ctx context.Context, s *store, commit string, b blob, m *meter) error {
	if err := os.MkdirAll(filepath.Dir(s.blob(b.etag)), 0o777); err != nil {
		return err
	}
	err := c.downloadOnce(ctx, s, commit, b, m)
	if errors.Is(err, ErrHash) {
		c.warn("%s of %s came spoilt and is fetched again: %v", b.names[0], s.repo, err)
		err = c.downloadOnce(ctx, s, commit, b, m)
	}
	return err
}

func (c *Client) downloadOnce(ctx context.Context, s *store, commit string, b blob, m *meter) (err error) {
	p, err := openPartial(ctx, s.blob(b.etag)+".incomplete", b, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := c.fill(ctx, s, commit, b, p); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		m.add(-p.size)
		return errors.Join(err, p.close(), os.Remove(p.f.Name()))
	}
	return p.publish(s.blob(b.etag))
}

// fill asks for what a partial file lacks, and again for as long as each round
// of retries brings something: on a bad line a large file takes many.
func (c *Client) fill(ctx context.Context, s *store, commit string, b blob, p *partial) error {
	u, err := c.at(s.repo.file(commit, b.names[0]))
	if err != nil {
		return err
	}
	for p.size < b.size { // nobody asks for an empty file
		before := p.most
		err := c.do(ctx, request{
			url: u, repo: s.repo, timeout: cmp.Or(c.DownloadTimeout, defaultTimeout), retries: c.retries(),
			prepare: p.ask,
			use:     func(resp *http.Response) error { return p.receive(c, s.repo, resp) },
		})
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrUnreachable) || p.most == before {
			return err
		}
	}
	return nil
}

// partial is the file that holds what is there of a blob.
type partial struct {
	f     *os.File
	want  blob
	hash  hash.Hash
	size  int64 // what is there
	most  int64 // the most that was ever there
	err   error // of writing
	meter *meter
}

// openPartial opens or makes the file and hashes what an earlier try left.
func openPartial(ctx context.Context, path string, want blob, m *meter) (*partial, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p := &partial{f: f, want: want, meter: m, hash: newHash(want)}
	p.size, err = io.Copy(p.hash, within(ctx, f))
	m.add(p.size)
	if err == nil && p.size > want.size {
		err = p.restart()
	}
	p.most = p.size
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

// within reads until the context ends: reading a large file takes a while.
func within(ctx context.Context, r io.Reader) io.Reader {
	return reader(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(b)
	})
}

// newHash is the hash that a blob is named by.
func newHash(b blob) hash.Hash {
	if len(b.etag) == hex.EncodedLen(sha256.Size) {
		return sha256.New()
	}
	return gitHash(b.size)
}

// gitHash is what git names a file of that size by.
func gitHash(size int64) hash.Hash {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// restart empties the file.
func (p *partial) restart() error {
	p.meter.add(-p.size)
	p.size, p.hash = 0, newHash(p.want)
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	_, err := p.f.Seek(0, io.SeekStart)
	return err
}

// ask requests what is missing, uncompressed: the hash is of the file itself.
func (p *partial) ask(h http.Header) {
	h.Set("Accept-Encoding", "identity")
	h.Del("Range")
	if p.size > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(p.size, 10)+"-")
	}
}

// errAgain is why an answer was not used that did not go on where the file ends.
var errAgain = errors.New("the server did not send the part of the file that was asked for")

// receive appends what the server sends.
func (p *partial) receive(c *Client, repo Repo, resp *http.Response) error {
	defer resp.Body.Close()
	switch start, ok := contentStart(resp); {
	case resp.StatusCode == http.StatusOK:
		if p.size > 0 { // it does not do ranges
			if err := p.restart(); err != nil {
				return final{err}
			}
		}
	case resp.StatusCode == http.StatusPartialContent && ok && start == p.size:
	case resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		if err := p.restart(); err != nil {
			return final{err}
		}
		return errAgain
	default:
		return final{c.statusError(resp, repo, reading)}
	}
	// One byte more than is wanted shows a file that is too long.
	_, err := io.Copy(p, io.LimitReader(resp.Body, p.want.size-p.size+1))
	switch {
	case p.err != nil:
		return final{p.err}
	case err != nil:
		return err
	case p.size < p.want.size:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// contentStart is where the part of a file begins that the server sends.
func contentStart(resp *http.Response) (int64, bool) {
	_, span, ok := strings.Cut(resp.Header.Get("Content-Range"), "bytes ")
	if !ok {
		return 0, false
	}
	from, _, _ := strings.Cut(span, "-")
	start, err := strconv.ParseInt(from, 10, 64)
	return start, err == nil
}

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.hash.Write(b[:n])
	p.size += int64(n)
	p.most = max(p.most, p.size)
	p.meter.add(int64(n))
	if err != nil {
		p.err = fmt.Errorf("write it into the cache: %w", err)
	}
	return n, err
}

func (p *partial) check() error {
	got := hex.EncodeToString(p.hash.Sum(nil))
	switch {
	case p.size > p.want.size:
		return fmt.Errorf("%w: more than the %d bytes that it lists", ErrHash, p.want.size)
	case got != p.want.etag:
		return fmt.Errorf("%w: its hash is %s, want %s: it was changed on its way, or the server is at fault", ErrHash, got, p.want.etag)
	}
	return nil
}

// publish gives the whole file its name.
func (p *partial) publish(path string) error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	if err := p.close(); err != nil { // some systems rename no open file
		return err
	}
	return os.Rename(p.f.Name(), path)
}

func (p *partial) close() error {
	if err := p.f.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// meter adds up the progress of the files that are fetched at once.
type meter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.report != nil {
		m.report(m.done, m.total)
	}
}
