package hub

import (
	"io"
	"os"
	"sync"
)

// share is what one object adds to the progress.
type share struct {
	mu    sync.Mutex
	meter *meter
	n     int64
	ended bool
}

// end takes back all that was added, for an object that has to be sent again.
func (s *share) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.meter.add(-s.n)
}

// piece is the part of a file that one request sends.
type piece struct {
	file *os.File
	from int64
	size int64
	sent *share

	latest *attempt
}

// open reads the piece from its start, for another attempt. What the one before
// has sent does not count any more.
func (p *piece) open() io.ReadCloser {
	p.sent.mu.Lock()
	defer p.sent.mu.Unlock()
	if p.latest != nil && !p.sent.ended {
		p.sent.n -= p.latest.n
		p.sent.meter.add(-p.latest.n)
	}
	p.latest = &attempt{r: io.NewSectionReader(p.file, p.from, p.size), piece: p}
	return p.latest
}

// attempt is a piece that is being sent. One that another has replaced may still
// be read from by a connection that is given up.
type attempt struct {
	r     io.Reader
	piece *piece
	n     int64
}

func (a *attempt) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	sent := a.piece.sent
	sent.mu.Lock()
	defer sent.mu.Unlock()
	a.n += int64(n)
	if a.piece.latest == a && !sent.ended && n > 0 {
		sent.n += int64(n)
		sent.meter.add(int64(n))
	}
	if err == io.EOF && a.n < a.piece.size {
		err = final{errChanged}
	}
	return n, err
}

func (a *attempt) Close() error { return nil }
