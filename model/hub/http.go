package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// maxWait is the longest that a hub is waited for at its word. Its windows of
// rate limits are five minutes.
const maxWait = 6 * time.Minute

// errStalled is why a connection is given up that brings nothing any more.
var errStalled = errors.New("no data")

// final marks the failure of an attempt that another would not mend.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// access is what a request wants of a repository, for errors.
type access string

const (
	reading access = "read"
	writing access = "write to"
)

// request is one question to the hub, asked until it is answered.
type request struct {
	method  string // GET if empty
	url     *url.URL
	repo    Repo   // what it is about, for errors
	access  access // reading if empty
	timeout time.Duration
	retries int
	body    *payload // nil: none
	// signed tells that the address is a key in itself, and the token stays
	// here even if the endpoint is where it leads.
	signed bool
	// once tells that a second time would do it twice. Only an answer that says
	// that nothing was done, since too much was asked, leads to another attempt.
	once bool
	// again is called before another attempt; nil calls nothing. Its error is
	// the request's.
	again func() error
	// prepare sets the headers of an attempt; nil sets none.
	prepare func(http.Header)
	// use reads an answer, of any status but those that are retried. Its errors
	// lead to another attempt unless they are final.
	use func(*http.Response) error
}

// do asks until use is content, an error is final or the retries are used up.
func (c *Client) do(ctx context.Context, r request) error {
	endpoint, err := c.endpoint()
	if err != nil {
		return err
	}
	token := string(c.Token)
	if r.signed {
		token = ""
	}
	prepare := func(req *http.Request) error {
		req.Header.Set("User-Agent", "blipflow")
		if r.prepare != nil {
			r.prepare(req.Header)
		}
		return nil
	}
	retrying := retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     &transport{c.Transport, origin(endpoint), token, r.timeout},
			CheckRedirect: checkRedirect,
		},
		RetryMax:     r.retries,
		RetryWaitMin: cmp.Or(c.WaitMin, defaultWaitMin),
		RetryWaitMax: cmp.Or(c.WaitMax, defaultWaitMax),
		CheckRetry:   r.retry,
		Backoff:      c.backoff,
		PrepareRetry: func(req *http.Request) error {
			if r.again != nil {
				if err := r.again(); err != nil {
					return final{err}
				}
			}
			return prepare(req)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	var body any // of a nil interface there is none
	if r.body != nil {
		body = retryablehttp.ReaderFunc(func() (io.Reader, error) { return r.body.open(), nil })
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, cmp.Or(r.method, http.MethodGet), r.url.String(), body)
	if err != nil {
		return fmt.Errorf("%w: it leads to an address that cannot be: %s", ErrAnswer, clean(err.Error()))
	}
	if r.body != nil {
		req.ContentLength = r.body.length
	}
	req.SetResponseHandler(r.use)
	if err := prepare(req.Request); err != nil {
		return err
	}
	resp, err := retrying.Do(req)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		return c.explain(r, err)
	case retried(resp.StatusCode): // the retries are used up, and use was not called
		err = c.statusError(resp, r.repo, r.access)
	}
	if resp != nil {
		resp.Body.Close()
	}
	return err
}

// explain keeps of an error what the user may see: net/http puts the address
// into it, which may be signed, and so may what went wrong on the way.
func (c *Client) explain(r request, err error) error {
	if f := (final{}); errors.As(err, &f) {
		return f.error
	}
	where := r.url
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		if u, parseErr := url.Parse(failed.URL); parseErr == nil {
			where = u
		}
		err = failed.Err
	}
	return fmt.Errorf("%w at %s://%s: %s: check the connection, the proxy and HF_ENDPOINT", ErrUnreachable, where.Scheme, where.Host, clean(err.Error()))
}

// transport gives the token to the endpoint alone, on whatever way a request
// gets there, and gives up connections that bring nothing. net/http would take
// a header of the first request along to other ports and to subdomains.
type transport struct {
	base    http.RoundTripper
	origin  string
	token   string
	timeout time.Duration
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := &watchedBody{ctx: ctx, cancel: cancel, timeout: t.timeout}
	watch.timer = time.AfterFunc(t.timeout, func() { cancel(errStalled) })
	sent := &watchedPayload{timer: watch.timer, timeout: t.timeout}
	req = req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		sent.ReadCloser, req.Body = req.Body, sent
	}
	req.Header.Del("Authorization")
	if t.token != "" && origin(req.URL) == t.origin {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(req)
	sent.answered()
	if err != nil {
		err = watch.cause(err)
		cancel(nil)
		return nil, err
	}
	watch.ReadCloser, resp.Body = resp.Body, watch
	return resp, nil
}

// watchedPayload is what is sent, and puts off the end of the server's patience
// for as long as it is being taken.
type watchedPayload struct {
	io.ReadCloser
	timeout time.Duration
	mu      sync.Mutex
	timer   *time.Timer // nil once there is an answer
}

func (w *watchedPayload) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(w.timeout)
	}
	return n, err
}

func (w *watchedPayload) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.timer = nil
}

// watchedBody is a body that fails where it brings nothing for too long.
type watchedBody struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func (w *watchedBody) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF {
		err = w.cause(err)
	}
	return n, err
}

func (w *watchedBody) cause(err error) error {
	if errors.Is(context.Cause(w.ctx), errStalled) {
		return fmt.Errorf("%w for %v", errStalled, w.timeout)
	}
	return err
}

func (w *watchedBody) Close() error {
	w.timer.Stop()
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}

// origin is what a token is given to: scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL
	switch {
	case len(via) > 10:
		return final{fmt.Errorf("%w: it redirects in circles", ErrAnswer)}
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return final{fmt.Errorf("%w: it redirects to a %.20q address", ErrAnswer, req.URL.Scheme)}
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return final{fmt.Errorf("%w: it redirects from https to http, where anyone on the way could change the file", ErrAnswer)}
	}
	req.Header.Del("Referer") // the address may be signed
	return nil
}

// retried tells which answers may be others the next time.
func retried(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status >= 500 && status != http.StatusNotImplemented
}

// retry tells whether an attempt is followed by another.
func (r request) retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if f := (final{}); errors.As(err, &f) {
		return false, f
	}
	if r.once && (err != nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests) {
		return false, err
	}
	if err == nil && resp != nil && retried(resp.StatusCode) {
		wait, _ := askedWait(resp)
		return wait <= maxWait, nil
	}
	return retryablehttp.ErrorPropagatedRetryPolicy(ctx, resp, err)
}

// backoff is as long as the hub asks for, or doubles from one retry to the
// next. A bit more or less keeps several workers from coming back as one.
func (c *Client) backoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait, asked := askedWait(resp)
	if !asked {
		wait = retryablehttp.DefaultBackoff(least, most, attempt, nil)
	}
	if wait > defaultWaitMax {
		c.warn("the hub asks to wait %v before it answers again", wait)
	}
	wait += rand.N(wait/4 + 1)
	if c.pause != nil {
		wait = c.pause(wait)
	}
	return wait
}

// rateLimit is the header that the hub sends with its limits, such as
// `"api";r=0;t=55`: 0 requests remain, for 55 s.
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
var rateLimit = regexp.MustCompile(`;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,9})`)

// askedWait is how long the answer says to wait.
func askedWait(resp *http.Response) (time.Duration, bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	if m := rateLimit.FindStringSubmatch(resp.Header.Get("RateLimit")); m != nil {
		n, _ := strconv.Atoi(m[1])                              // nine digits are a number
		return time.Duration(n)*time.Second + time.Second, true // it rounds down
	}
	after := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(after, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}

// statusError explains a refusal and closes the answer.
func (c *Client) statusError(resp *http.Response, repo Repo, a access) error {
	defer resp.Body.Close()
	code, said := resp.Header.Get("X-Error-Code"), remark(resp)
	status := resp.StatusCode
	token := c.permission(repo, a)
	switch {
	case code == "GatedRepo":
		return fmt.Errorf("%w: accept its conditions at %s, and %s%s", ErrGated, c.page(repo), token, said)
	case code == "RepoNotFound":
		return fmt.Errorf("%w: there is no such repository, or it is private: check the name, or %s%s", ErrNotFound, token, said)
	case code == "RevisionNotFound":
		return fmt.Errorf("%w: the repository has no such branch, tag or commit%s", ErrNotFound, said)
	case code == "EntryNotFound":
		return fmt.Errorf("%w: the revision has no such file%s", ErrNotFound, said)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%w (status %d): %s%s", ErrUnauthorized, status, token, said)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w (status 404): check the name, and that HF_ENDPOINT is a hub%s", ErrNotFound, said)
	case status == http.StatusPreconditionFailed && a == writing:
		return fmt.Errorf("%w (status 412)%s", ErrConflict, said)
	case status >= 400 && status < 500 && !retried(status) && a == writing:
		return fmt.Errorf("%w (status %d)%s", ErrRefused, status, said)
	case retried(status):
		wait := "try again later"
		if asked, ok := askedWait(resp); ok {
			wait = fmt.Sprintf("try again in %v", asked)
		}
		if status == http.StatusTooManyRequests {
			wait = "too many requests: " + wait + ", or set HF_TOKEN, which has higher limits"
		}
		return fmt.Errorf("%w: it answers with status %d: %s%s", ErrUnreachable, status, wait, said)
	}
	return fmt.Errorf("%w: status %d from %s://%s%s", ErrAnswer, status, resp.Request.URL.Scheme, resp.Request.URL.Host, said)
}

// permission says what the token has to allow.
func (c *Client) permission(repo Repo, a access) string {
	what := string(cmp.Or(a, reading)) + " it"
	if a == writing {
		what = fmt.Sprintf("write to %s: its role has to be \"write\", or \"fine-grained\" with writing to the repository or its namespace", repo)
	}
	if c.Token == "" {
		return "set HF_TOKEN to a token that may " + what
	}
	return fmt.Sprintf("check that the token in %s may %s", c.tokenPlace(), what)
}

// page is the address where a person looks at the repository.
func (c *Client) page(repo Repo) string {
	return strings.TrimRight(cmp.Or(c.Endpoint, DefaultEndpoint), "/") + repo.page()
}

// remark is what the server has to say on an error, made safe to show. Large
// file storage says it under another name than the hub, and the storage host in
// another format.
func remark(resp *http.Response) string {
	text := resp.Header.Get("X-Error-Message")
	if text == "" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // a remark is worth no error
		var answer struct{ Error, Message string }
		var storage struct {
			XMLName xml.Name `xml:"Error"`
			Message string
		}
		if json.Unmarshal(body, &answer) == nil {
			text = cmp.Or(answer.Error, answer.Message)
		} else if xml.Unmarshal(body, &storage) == nil {
			text = storage.Message
		}
	}
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (the server says %.300q)", clean(text))
}

// query is what follows the path in an address. Storage hosts take signatures
// there.
var query = regexp.MustCompile(`\?[^\s"'<>]+`)

// clean takes the queries of addresses out of text that others wrote.
func clean(text string) string { return query.ReplaceAllString(text, "?…") }
