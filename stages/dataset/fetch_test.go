package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hurried makes sources that do not wait between tries.
func hurried() *Sources {
	s := Roots{}.Sources()
	s.http.client.RetryWaitMin, s.http.longestWait = time.Microsecond, time.Millisecond
	return s
}

const wholePicture = "these are the bytes of a picture"

// whole answers with the picture.
func whole(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, wholePicture) }

func answer(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

// cut breaks the connection off within the picture.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(wholePicture)))
	_, _ = io.WriteString(w, wholePicture[:10])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// drop breaks the connection off before an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestFetch(t *testing.T) {
	const tries = 5 // of one that fails before its body
	tests := []struct {
		name    string
		answers []http.HandlerFunc // the last one is repeated
		tries   int32
		says    string // "" for the picture
		absent  bool
	}{
		{"200", []http.HandlerFunc{whole}, 1, "", false},
		{"404", []http.HandlerFunc{answer(404)}, 1, "the server answers 404 Not Found", true},
		{"410", []http.HandlerFunc{answer(410)}, 1, "the server answers 410 Gone", true},
		{"403", []http.HandlerFunc{answer(403)}, 1, "the server answers 403 Forbidden", false},
		{"204", []http.HandlerFunc{answer(204)}, 1, "the server answers 204 No Content", false},
		{"501", []http.HandlerFunc{answer(501)}, 1, "the server answers 501 Not Implemented", false},
		{"429 with seconds, then 200", []http.HandlerFunc{answer(429, "Retry-After", "3600"), whole}, 2, "", false},
		{"429 with a date, then 200", []http.HandlerFunc{answer(429, "Retry-After", "Fri, 31 Dec 2199 23:59:59 GMT"), whole}, 2, "", false},
		{"429 with too large a number, then 200", []http.HandlerFunc{answer(429, "Retry-After", "9999999999999"), whole}, 2, "", false},
		{"429 with nonsense, then 200", []http.HandlerFunc{answer(429, "Retry-After", "soon"), whole}, 2, "", false},
		{"429 for ever", []http.HandlerFunc{answer(429)}, tries, "the server answers 429 Too Many Requests", false},
		{"503 twice, then 200", []http.HandlerFunc{answer(503), answer(503), whole}, 3, "", false},
		{"503 for ever", []http.HandlerFunc{answer(503)}, tries, "the server answers 503 Service Unavailable", false},
		{"500, then 404", []http.HandlerFunc{answer(500), answer(404)}, 2, "the server answers 404 Not Found", true},
		{"dropped, then 200", []http.HandlerFunc{drop, whole}, 2, "", false},
		{"dropped for ever", []http.HandlerFunc{drop}, tries, "EOF", false},
		{"cut off, then whole", []http.HandlerFunc{cut, whole}, 2, "", false},
		{"cut off twice, then whole", []http.HandlerFunc{cut, cut, whole}, 3, "", false},
		{"cut off, then 503, then whole", []http.HandlerFunc{cut, answer(503), whole}, 3, "", false},
		{"never whole", []http.HandlerFunc{cut}, 3, "unexpected EOF", false},
		{"moved", []http.HandlerFunc{answer(302, "Location", "/elsewhere"), whole}, 2, "", false},
		{"moved for ever", []http.HandlerFunc{answer(302, "Location", "/elsewhere")}, 10, "stopped after 10 redirects", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := int(asked.Add(1))
				tt.answers[min(n, len(tt.answers))-1](w, r)
			}))
			defer server.Close()
			s := hurried()
			f, err := s.Open(t.Context(), &Ref{URI: server.URL + "/a%20b.jpg?size=1"})
			if got := asked.Load(); got != tt.tries {
				t.Errorf("asked %d times, want %d", got, tt.tries)
			}
			if tt.says != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.says) || errors.Is(err, os.ErrNotExist) != tt.absent {
					t.Fatalf("error %v, want %q; that it is absent: %v", err, tt.says, tt.absent)
				}
				if strings.Contains(err.Error(), "a%20b") {
					t.Errorf("the error repeats the address: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil || string(data) != wholePicture {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
}

func TestFetchWhereThereIsNoServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	for _, address := range []string{server.URL + "/x.jpg", "http://[::1", "https://" + strings.TrimPrefix(server.URL, "http://")} {
		if _, err := hurried().Open(t.Context(), &Ref{URI: address}); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want an error other than os.ErrNotExist", address, err)
		}
	}
}

func TestFetchIsCancelled(t *testing.T) {
	for name, stop := range map[string]func(cancel func(), w http.ResponseWriter, r *http.Request){
		"before the answer": func(cancel func(), _ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		},
		"within the picture": func(cancel func(), w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		},
		"while it waits": func(cancel func(), w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
			w.(http.Flusher).Flush()
			time.AfterFunc(time.Millisecond, cancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				stop(cancel, w, r)
			}))
			defer server.Close()
			s := hurried()
			s.http.longestWait = time.Hour
			_, err := s.Open(ctx, &Ref{URI: server.URL})
			if !errors.Is(err, context.Canceled) || asked.Load() != 1 {
				t.Errorf("%v after %d tries, want context.Canceled after 1", err, asked.Load())
			}
		})
	}
}

// TestFetchTimesOut has a server that never answers.
func TestFetchTimesOut(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	defer server.Close()
	s := hurried()
	s.http.client.HTTPClient.Timeout = 10 * time.Millisecond
	var slow interface{ Timeout() bool }
	if _, err := s.Open(t.Context(), &Ref{URI: server.URL}); !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
	if asked.Load() == 0 {
		t.Error("the server was not asked")
	}
}

func TestLongestWait(t *testing.T) {
	f := newFetcher()
	for _, seconds := range []string{"61", "86400", "9999999999999"} {
		res := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {seconds}}}
		if wait := f.client.Backoff(time.Second, time.Second, 0, res); wait < 0 || wait > time.Minute {
			t.Errorf("waits %v where the server asks for %s seconds", wait, seconds)
		}
	}
}
