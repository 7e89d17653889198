package hubtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Fault is something that goes wrong. Those of one Fault go wrong together.
type Fault struct {
	// On chooses the requests; nil means those for files' bytes.
	On func(*http.Request) bool
	// Times is how many requests it meets; 0 means all.
	Times int

	// Status answers with a status and Header, and nothing else, if not 0.
	Status int
	Header http.Header
	// Body is sent with Status.
	Body string
	// IgnoreRange sends the whole file whatever part was asked for.
	IgnoreRange bool
	// Corrupt flips a bit in the middle of what is sent.
	Corrupt bool
	// Append is sent after the file, as a part of it.
	Append string
	// Truncate sends that many bytes as if they were all.
	Truncate int
	// CutAfter closes the connection after that many bytes.
	CutAfter int
	// StallAfter sends that many bytes and then nothing until the client gives
	// up.
	StallAfter int
	// CutBody closes the connection after that many bytes of what the client
	// sends, and does nothing with them.
	CutBody int
	// Lose does what was asked, and closes the connection in place of an answer.
	Lose bool
	// Wait holds the answer back until the channel is closed or the client gives
	// up. Until then nothing is done.
	Wait <-chan struct{}
}

// Inject adds a fault, behind those before it: a request meets the first that
// chooses it.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = -1
	}
	s.faults = append(s.faults, &f)
}

// Mend removes the faults.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// PathHas chooses requests by a part of their path, for [Fault.On].
func PathHas(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}

// fault takes the first that meets the request. The caller holds the lock.
func (s *Server) fault(r *http.Request) *Fault {
	for _, f := range s.faults {
		on := f.On
		if on == nil {
			on = func(r *http.Request) bool { return r.Method == http.MethodGet && isContent(r.URL.Path) }
		}
		if f.Times == 0 || !on(r) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

func (f *Fault) serve(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if f.Wait != nil {
		// The server sees that a client is gone only once it has what it sent.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-f.Wait:
		case <-r.Context().Done():
			return
		}
	}
	if f.Status != 0 {
		for name, values := range f.Header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(f.Status)
		w.Write([]byte(f.Body))
		return
	}
	if f.CutBody > 0 {
		io.CopyN(io.Discard, r.Body, int64(f.CutBody)) // however many there are
		panic(http.ErrAbortHandler)
	}
	if f.IgnoreRange {
		r.Header.Del("Range")
	}
	answer := httptest.NewRecorder()
	serve(answer, r)
	if f.Lose {
		panic(http.ErrAbortHandler)
	}
	body := f.spoil(answer.Body.Bytes())
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.Code)
	f.send(w, r, body)
}

func (f *Fault) spoil(body []byte) []byte {
	body = append([]byte(nil), body...)
	if f.Corrupt && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	body = append(body, f.Append...)
	if f.Truncate > 0 {
		body = body[:min(f.Truncate, len(body))]
	}
	return body
}

func (f *Fault) send(w http.ResponseWriter, r *http.Request, body []byte) {
	part := max(f.CutAfter, f.StallAfter)
	if part == 0 || part >= len(body) {
		w.Write(body) // a client that is gone is no concern here
		return
	}
	w.Write(body[:part])
	w.(http.Flusher).Flush()
	if f.StallAfter > 0 {
		<-r.Context().Done()
		return
	}
	panic(http.ErrAbortHandler) // the server closes the connection, and says nothing
}
