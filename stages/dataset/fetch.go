package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
)

// fetcher gets pictures by URL, each with some tries where the server or the way
// to it fails.
type fetcher struct {
	client *retryablehttp.Client
	// longestWait is the longest wait between tries, whatever the server asks for.
	longestWait time.Duration
}

// connections are kept for the next picture of any fetcher.
var connections = cleanhttp.DefaultPooledTransport()

// fetchTimeout is the longest that one try may take.
const fetchTimeout = time.Minute

func newFetcher() *fetcher {
	c := retryablehttp.NewClient()
	f := &fetcher{client: c, longestWait: time.Minute}
	c.Logger = nil
	c.RetryMax = 4
	c.RetryWaitMin, c.RetryWaitMax = 250*time.Millisecond, 10*time.Second
	c.HTTPClient = &http.Client{Transport: connections, Timeout: fetchTimeout}
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler // the last answer says why
	c.Backoff = func(least, most time.Duration, n int, res *http.Response) time.Duration {
		return min(max(0, retryablehttp.DefaultBackoff(least, most, n, res)), f.longestWait)
	}
	return f
}

// maxFetched bounds what is read of one picture.
const maxFetched = 1 << 30

// open gets the picture whole, so that a connection that breaks costs one try
// more. Errors do not repeat the URL.
func (f *fetcher) open(ctx context.Context, address string) (io.ReadCloser, error) {
	const tries = 3
	var data []byte
	var err error
	for range tries {
		var broken bool
		if data, broken, err = f.get(ctx, address); !broken || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// get reports besides whether the answer broke off.
func (f *fetcher) get(ctx context.Context, address string) (data []byte, broken bool, err error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, false, withoutURL(err)
	}
	req.Header.Set("User-Agent", "blipflow")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, false, withoutURL(err)
	}
	defer res.Body.Close() // only read
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, false, absent("the server answers " + res.Status)
	default:
		return nil, false, fmt.Errorf("the server answers %s", res.Status)
	}
	data, err = io.ReadAll(io.LimitReader(res.Body, maxFetched+1))
	return data, err != nil, err
}

func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
