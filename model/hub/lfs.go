package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// lfsType is the media type of large file storage.
// https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
const lfsType = "application/vnd.git-lfs+json"

func isLFS(h http.Header) {
	h.Set("Accept", lfsType)
	h.Set("Content-Type", lfsType)
}

// object is what large file storage has: a content, whatever files have it.
type object struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`

	file *localFile // one of those with the content
}

// sendLarge sends to large file storage what it lacks of the files, and counts
// on the way what there is to send.
func (u *uploading) sendLarge(ctx context.Context, files []*localFile) error {
	u.meter = &meter{report: u.Progress}
	var objects []*object
	seen := map[string]bool{}
	for _, f := range files {
		if f.large && seen[f.sum] {
			continue
		}
		u.meter.total += f.size
		if f.large {
			seen[f.sum] = true
			objects = append(objects, &object{f.sum, f.size, f})
		}
	}
	sending := semaphore.NewWeighted(int64(u.workers()))
	for len(objects) > 0 {
		chunk := objects[:min(maxAsked, len(objects))]
		objects = objects[len(chunk):]
		transfers, err := u.batch(ctx, chunk)
		if err != nil {
			return fmt.Errorf("ask where large files go: %w", err)
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(u.workers())
		for _, o := range chunk {
			group.Go(func() error {
				if err := u.sendObject(ctx, o, transfers[o.OID], sending); err != nil {
					return fmt.Errorf("%s: %w", o.file.name, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// maxRounds is how often the hub is asked where an object goes.
const maxRounds = 3

// errStale is why an object is sent to new addresses: the old ones expired, or
// the storage has dropped or finished what was begun.
var errStale = errors.New("large file storage does not take it")

// sendObject sends an object, unless the storage has it, which is where there is
// no transfer for it.
func (u *uploading) sendObject(ctx context.Context, o *object, t *transfer, sending *semaphore.Weighted) error {
	for round := 1; t != nil; round++ {
		err := u.transfer(ctx, o, t, sending)
		if err == nil {
			return nil
		}
		if round == maxRounds || !errors.Is(err, errStale) {
			return err
		}
		u.warn("%s is sent to a new address: %v", o.file.name, err)
		transfers, err := u.batch(ctx, []*object{o})
		if err != nil {
			return err
		}
		t = transfers[o.OID]
	}
	u.meter.add(o.Size)
	return nil
}

// transfer is how an object gets into the storage.
type transfer struct {
	// put is where the bytes go in one piece, if there are no parts.
	put *url.URL
	// parts are where the pieces go, each of chunk bytes but for the last, and
	// complete is told once they are there.
	parts    []*url.URL
	chunk    int64
	complete *url.URL
	// verify is told at the end, if not nil.
	verify *url.URL
}

// batch asks how objects get into the storage. There is no transfer for those
// that it has.
func (u *uploading) batch(ctx context.Context, objects []*object) (map[string]*transfer, error) {
	to, err := u.at(u.repo.page() + ".git/info/lfs/objects/batch")
	if err != nil {
		return nil, err
	}
	type ref struct {
		Name string `json:"name"`
	}
	ask := struct {
		Operation string    `json:"operation"`
		Transfers []string  `json:"transfers"`
		Objects   []*object `json:"objects"`
		HashAlgo  string    `json:"hash_algo"`
		Ref       *ref      `json:"ref,omitempty"`
	}{"upload", []string{"basic", "multipart"}, objects, "sha256", &ref{u.repo.Revision}}
	if u.PullRequest {
		ask.Ref = nil // who may open one may not write to the branch
	}
	var answer batchAnswer
	if err := u.post(ctx, request{url: to, prepare: isLFS, body: jsonPayload(ask)}, &answer); err != nil {
		return nil, err
	}
	endpoint, err := u.endpoint()
	if err != nil {
		return nil, err
	}
	return answer.transfers(objects, endpoint)
}

type batchAnswer struct {
	Objects []struct {
		OID     string `json:"oid"`
		Size    int64  `json:"size"`
		Actions *struct {
			Upload *batchAction `json:"upload"`
			Verify *batchAction `json:"verify"`
		} `json:"actions"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	} `json:"objects"`
}

type batchAction struct {
	Href   string                `json:"href"`
	Header map[string]headerText `json:"header"`
}

// headerText is a header's value, which some servers write as a number.
type headerText string

func (t *headerText) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		s = string(text)
	}
	*t = headerText(s)
	return nil
}

// transfers checks the answer and sorts it by object.
func (a batchAnswer) transfers(objects []*object, endpoint *url.URL) (map[string]*transfer, error) {
	wanted := map[string]*object{}
	for _, o := range objects {
		wanted[o.OID] = o
	}
	transfers := map[string]*transfer{}
	for _, said := range a.Objects {
		o := wanted[said.OID]
		delete(wanted, said.OID)
		switch {
		case o == nil:
			return nil, fmt.Errorf("%w: large file storage tells of %.80q, which was not asked, or twice", ErrAnswer, said.OID)
		case said.Error != nil:
			return nil, fmt.Errorf("%w: %s: large file storage says %.300q (%d)", ErrRefused, o.file.name, clean(said.Error.Message), said.Error.Code)
		case said.Size != o.Size:
			return nil, fmt.Errorf("%w: large file storage takes %s for %d bytes", ErrAnswer, o.file.name, said.Size)
		case said.Actions == nil || said.Actions.Upload == nil:
			continue // it has it
		}
		t, err := said.Actions.Upload.transfer(o.Size, endpoint)
		if err == nil && said.Actions.Verify != nil {
			t.verify, err = storageAddress(said.Actions.Verify.Href, endpoint)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.file.name, err)
		}
		transfers[o.OID] = t
	}
	for _, o := range wanted {
		return nil, fmt.Errorf("%w: large file storage does not tell of %s", ErrAnswer, o.file.name)
	}
	return transfers, nil
}

// maxParts is how many parts the storage takes of one object (the limit of S3).
const maxParts = 10_000

// transfer reads the hub's own way to say which parts there are: their numbers
// and "chunk_size" are the names of headers.
func (a *batchAction) transfer(size int64, endpoint *url.URL) (*transfer, error) {
	to, err := storageAddress(a.Href, endpoint)
	if err != nil {
		return nil, err
	}
	text, multipart := a.Header["chunk_size"]
	if !multipart {
		return &transfer{put: to}, nil
	}
	t := &transfer{complete: to}
	if t.chunk, err = strconv.ParseInt(string(text), 10, 64); err != nil || t.chunk <= 0 {
		return nil, fmt.Errorf("%w: large file storage wants parts of %.20q bytes", ErrAnswer, text)
	}
	n := (size-1)/t.chunk + 1
	if n > maxParts {
		return nil, fmt.Errorf("%w: large file storage wants %d parts", ErrAnswer, n)
	}
	t.parts = make([]*url.URL, n)
	for name, href := range a.Header {
		number, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue // another header
		}
		if number < 1 || number > n || t.parts[number-1] != nil {
			return nil, fmt.Errorf("%w: large file storage wants a part %.20q of %d", ErrAnswer, name, n)
		}
		if t.parts[number-1], err = storageAddress(string(href), endpoint); err != nil {
			return nil, err
		}
	}
	for i, part := range t.parts {
		if part == nil {
			return nil, fmt.Errorf("%w: large file storage has no address for part %d of %d", ErrAnswer, i+1, n)
		}
	}
	return t, nil
}

// storageAddress reads an address that the hub gives. A hub that is reached by
// a proxy gives its own address, and is reached by the proxy there too. Errors
// leave the address out, since it may be signed.
func storageAddress(text string, endpoint *url.URL) (*url.URL, error) {
	if rest, ok := strings.CutPrefix(text, DefaultEndpoint+"/"); ok {
		text = endpoint.String() + "/" + rest
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != endpoint.Scheme {
		return nil, fmt.Errorf("%w: large file storage has no sound address", ErrAnswer)
	}
	return u, nil
}

// transfer sends an object by one way. After an error its bytes are not counted.
func (u *uploading) transfer(ctx context.Context, o *object, t *transfer, sending *semaphore.Weighted) (err error) {
	file, err := os.Open(o.file.path)
	if err != nil {
		return err
	}
	defer file.Close()
	sent := &share{meter: u.meter}
	defer func() {
		if err != nil {
			sent.end()
		}
	}()
	if t.put != nil {
		_, err = u.put(ctx, t.put, &piece{file: file, size: o.Size, sent: sent}, sending)
	} else {
		err = u.putParts(ctx, o, t, file, sent, sending)
	}
	if changed := o.file.unchanged(); changed != nil {
		return changed // which also is why the storage would refuse it
	}
	if err == nil && t.verify != nil {
		err = u.post(ctx, request{url: t.verify, prepare: isJSON, body: jsonPayload(o)}, nil)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrRefused) {
			err = fmt.Errorf("%w: %w", errStale, err)
		}
	}
	return err
}

// donePart is a part that the storage has.
type donePart struct {
	Number int    `json:"partNumber"`
	ETag   string `json:"etag"`
}

// putParts sends the parts of an object and tells the hub when they are there.
func (u *uploading) putParts(ctx context.Context, o *object, t *transfer, file *os.File, sent *share, sending *semaphore.Weighted) error {
	done := make([]donePart, len(t.parts))
	group, partsCtx := errgroup.WithContext(ctx)
	group.SetLimit(u.workers())
	for i, to := range t.parts {
		group.Go(func() error {
			from := int64(i) * t.chunk
			etag, err := u.put(partsCtx, to, &piece{file: file, from: from, size: min(t.chunk, o.Size-from), sent: sent}, sending)
			if err == nil && etag == "" {
				err = fmt.Errorf("%w: large file storage gives no ETag", ErrAnswer)
			}
			if err != nil {
				return fmt.Errorf("part %d of %d: %w", i+1, len(t.parts), err)
			}
			done[i] = donePart{i + 1, etag}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	ask := struct {
		OID   string     `json:"oid"`
		Parts []donePart `json:"parts"`
	}{o.OID, done}
	return u.post(ctx, request{
		url: t.complete, prepare: isLFS, body: jsonPayload(ask), signed: true,
		use: u.stored,
	}, nil)
}

// put sends a piece of a file to the storage and returns its ETag.
func (u *uploading) put(ctx context.Context, to *url.URL, p *piece, sending *semaphore.Weighted) (etag string, err error) {
	if err := sending.Acquire(ctx, 1); err != nil {
		return "", context.Cause(ctx)
	}
	defer sending.Release(1)
	err = u.do(ctx, request{
		method: http.MethodPut, url: to, repo: u.repo, access: writing, timeout: u.uploadTimeout(), retries: u.retries(), signed: true,
		body: &payload{p.size, p.open},
		// A storage that refuses can say so before it is sent a file.
		prepare: func(h http.Header) { h.Set("Expect", "100-continue") },
		use: func(resp *http.Response) error {
			etag = resp.Header.Get("ETag")
			return u.stored(resp)
		},
	})
	return etag, err
}

// stored reads an answer of the storage.
func (u *uploading) stored(resp *http.Response) error {
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return final{fmt.Errorf("%w: %w (status %d)%s", ErrRefused, errStale, resp.StatusCode, remark(resp))}
	}
	return final{u.statusError(resp, u.repo, writing)}
}
