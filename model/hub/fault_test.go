package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

func shaOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func gitSHA(b []byte) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b))
	return hex.EncodeToString(sum[:])
}

// weights is the file that the tests of faults fetch.
const weights = "model.safetensors"

// incomplete is where a part of the weights is kept.
func incomplete(c *Client, text []byte) string {
	return filepath.Join(c.Cache, "models--org--name", "blobs", shaOf(text)+".incomplete")
}

func TestFaultsThatRetriesMend(t *testing.T) {
	text := content(3, 100_000)
	for _, c := range []struct {
		name   string
		faults []hubtest.Fault
		// ranges are the requests for the weights' bytes, by their Range.
		ranges []string
		warned string
	}{
		{name: "none", ranges: []string{""}},
		{
			name:   "cut midway, more often than a request is retried",
			faults: repeat(10, hubtest.Fault{Times: 1, CutAfter: 9000}),
			ranges: []string{"", "bytes=9000-", "bytes=18000-", "bytes=27000-", "bytes=36000-", "bytes=45000-", "bytes=54000-", "bytes=63000-", "bytes=72000-", "bytes=81000-", "bytes=90000-"},
		},
		{
			name:   "shorter than it is, and says so",
			faults: []hubtest.Fault{{Times: 1, Truncate: 5000}},
			ranges: []string{"", "bytes=5000-"},
		},
		{
			name:   "stalls",
			faults: []hubtest.Fault{{Times: 1, StallAfter: 6000}},
			ranges: []string{"", "bytes=6000-"},
		},
		{
			name:   "cut, and then the server does not do ranges",
			faults: []hubtest.Fault{{Times: 1, CutAfter: 40_000}, {Times: 1, IgnoreRange: true}},
			ranges: []string{"", "bytes=40000-"},
		},
		{
			name:   "cut, and then the server refuses the range",
			faults: []hubtest.Fault{{Times: 1, CutAfter: 40_000}, {Times: 1, Status: 416}},
			ranges: []string{"", "bytes=40000-", ""},
		},
		{
			name:   "cut, and then another part comes",
			faults: []hubtest.Fault{{Times: 1, CutAfter: 40_000}, {Times: 1, Status: 206, Header: http.Header{"Content-Range": {"bytes 39999-99999/100000"}}, Body: "x"}},
			ranges: []string{"", "bytes=40000-", ""},
		},
		{
			name:   "a bit is wrong",
			faults: []hubtest.Fault{{Times: 1, Corrupt: true}},
			ranges: []string{"", ""},
			warned: "came spoilt",
		},
		{
			name:   "a bit is wrong and then it is cut",
			faults: []hubtest.Fault{{Times: 1, Corrupt: true}, {Times: 1, CutAfter: 1000}},
			ranges: []string{"", "", "bytes=1000-"},
			warned: "came spoilt",
		},
		{
			name:   "longer than it is",
			faults: []hubtest.Fault{{Times: 1, Append: "more"}},
			ranges: []string{"", ""},
			warned: "more than the 100000 bytes",
		},
		{
			name:   "errors of the server",
			faults: []hubtest.Fault{{Times: 1, Status: 500}, {Times: 1, Status: 502}, {Times: 1, Status: 503}, {Times: 1, Status: 504}, {Times: 1, Status: 408}},
			ranges: []string{"", "", "", "", "", ""},
		},
		{
			name: "errors of the server while asking",
			faults: []hubtest.Fault{
				{Times: 2, On: hubtest.PathHas("/revision/"), Status: 503},
				{Times: 2, On: hubtest.PathHas("/tree/"), CutAfter: 1},
				{Times: 2, On: hubtest.PathHas("/resolve/"), Status: 500},
			},
			ranges: []string{""},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.AddModel("org/name", map[string][]byte{weights: text})
			for _, f := range c.faults {
				s.Inject(f)
			}
			client, warned := newClient(t, s, t.TempDir())
			if c.name == "stalls" {
				client.DownloadTimeout = 2 * time.Second
			}
			dir, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFiles(t, dir, map[string][]byte{weights: text})
			var ranges []string
			for _, r := range s.Contents() {
				ranges = append(ranges, r.Header.Get("Range"))
			}
			if strings.Join(ranges, ",") != strings.Join(c.ranges, ",") {
				t.Errorf("asked for %q, want %q", ranges, c.ranges)
			}
			if (c.warned == "") != (warned.String() == "") || !strings.Contains(warned.String(), c.warned) {
				t.Errorf("warned of %q, want %q", warned, c.warned)
			}
		})
	}
}

func repeat(n int, f hubtest.Fault) []hubtest.Fault {
	faults := make([]hubtest.Fault, n)
	for i := range faults {
		faults[i] = f
	}
	return faults
}

func TestFaultsThatStay(t *testing.T) {
	text := content(3, 100_000)
	everywhere := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name  string
		fault hubtest.Fault
		want  error
		says  string
		// asked is how many requests the fault meets: one and five retries,
		// unless retries don't mend it.
		asked int
		left  bool // whether a part is kept for the next try
	}{
		{"spoilt", hubtest.Fault{Corrupt: true}, ErrHash, "its hash is", 2, false},
		{"too long", hubtest.Fault{Append: "more"}, ErrHash, "more than the 100000 bytes", 2, false},
		{"cut at the same byte", hubtest.Fault{IgnoreRange: true, CutAfter: 50_000}, ErrUnreachable, "unexpected EOF", 12, true},
		{"too short and no more", hubtest.Fault{IgnoreRange: true, Truncate: 5000}, ErrUnreachable, "unexpected EOF", 12, true},
		{"server error", hubtest.Fault{Status: 500}, ErrUnreachable, "status 500", 6, true},
		{"rate limit", hubtest.Fault{On: everywhere, Status: 429}, ErrUnreachable, "too many requests", 6, false},
		{"a wait too long", hubtest.Fault{On: everywhere, Status: 429, Header: http.Header{"Retry-After": {"7200"}}}, ErrUnreachable, "try again in 2h", 1, false},
		{"a page of a proxy", hubtest.Fault{On: everywhere, Status: 200, Body: "<html>log in</html>"}, ErrAnswer, "HF_ENDPOINT and the proxy", 1, false},
		{"teapot", hubtest.Fault{On: everywhere, Status: 418}, ErrAnswer, "status 418", 1, false},
		{"storage refuses", hubtest.Fault{Status: 403}, ErrUnauthorized, "status 403", 1, true},
		{"no commit", hubtest.Fault{On: everywhere, Status: 200, Body: `{"sha": "../../../etc"}`}, ErrAnswer, "for a commit", 1, false},
		{"circles", hubtest.Fault{On: everywhere, Status: 302, Header: http.Header{"Location": {"/?X-Signature=s3cret"}}}, ErrAnswer, "in circles", 11, false},
		{"another protocol", hubtest.Fault{On: everywhere, Status: 302, Header: http.Header{"Location": {"ftp://example.com/?X-Signature=s3cret"}}}, ErrAnswer, `a "ftp" address`, 1, false},
		{"no address", hubtest.Fault{On: everywhere, Status: 302, Header: http.Header{"Location": {"http://exa mple.com/?X-Signature=s3cret"}}}, ErrUnreachable, "Location", 6, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.AddModel("org/name", map[string][]byte{weights: text})
			s.Inject(c.fault)
			client, _ := newClient(t, s, t.TempDir())
			_, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "model org/name") {
				t.Fatalf("error %v, want %v with %q", err, c.want, c.says)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "X-Signature") {
				t.Errorf("the error shows a signed address: %v", err)
			}
			asked := len(s.Contents())
			if c.fault.On != nil {
				asked = len(s.Requests())
			}
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
			if _, err := os.Stat(incomplete(client, text)); (err == nil) != c.left {
				t.Errorf("a part is left: %v, want %v", err == nil, c.left)
			}
			if _, err := os.Stat(filepath.Join(client.Cache, "models--org--name", "refs", "main")); err == nil {
				t.Error("the ref says that the snapshot is whole")
			}

			s.Mend() // what was left does no harm
			dir, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFiles(t, dir, map[string][]byte{weights: text})
		})
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	s := hubtest.New(t)
	for _, id := range []string{"org/open", "org/gated", "org/private"} {
		s.AddModel(id, map[string][]byte{"config.json": []byte("{}")})
	}
	s.Gate("models/org/gated", "hf_good")
	s.Hide("models/org/private", "hf_good")
	s.AddModel("org/gone", map[string][]byte{"config.json": []byte("{}")})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("org/gone/resolve"), Status: 404, Header: http.Header{"X-Error-Code": {"EntryNotFound"}}})
	s.AddModel("org/bad-token", map[string][]byte{"config.json": []byte("{}")})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("org/bad-token"), Status: 401, Header: http.Header{"X-Error-Message": {"Invalid credentials in Authorization header"}}})
	for _, c := range []struct {
		repo, token string
		want        error
		says        []string
	}{
		{"org/open", "", nil, nil},
		{"org/open@nothing", "", ErrNotFound, []string{"no such branch, tag or commit", "model org/open@nothing"}},
		{"org/nothing", "", ErrNotFound, []string{"no such repository, or it is private", "set HF_TOKEN"}},
		{"org/nothing", "hf_good", ErrNotFound, []string{"no such repository, or it is private", "check that the token"}},
		{"org/private", "", ErrNotFound, []string{"private", "set HF_TOKEN"}},
		{"org/private", "hf_good", nil, nil},
		{"org/gated", "", ErrGated, []string{"accept its conditions at " + s.URL + "/org/gated", "set HF_TOKEN"}},
		{"org/gated", "hf_other", ErrGated, []string{"accept its conditions at " + s.URL + "/org/gated", "check that the token"}},
		{"org/gated", "hf_good", nil, nil},
		{"org/gone", "", ErrNotFound, []string{"config.json", "no such file"}},
		{"org/bad-token", "hf_bad", ErrUnauthorized, []string{"status 401", "check that the token", `"Invalid credentials`}},
	} {
		client, _ := newClient(t, s, t.TempDir(), "HF_TOKEN="+c.token)
		before := len(s.Requests())
		_, err := client.Snapshot(t.Context(), repoOf(t, Model, c.repo), nil)
		if !errors.Is(err, c.want) {
			t.Errorf("%s with token %q: %v, want %v", c.repo, c.token, err, c.want)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %v", c.repo, part, err)
			}
		}
		if n := len(s.Requests()) - before; c.want != nil && n > 3 {
			t.Errorf("%s: %d requests, though a retry cannot help", c.repo, n)
		}
	}
}

func TestTheHubsWaitIsKept(t *testing.T) {
	for _, c := range []struct {
		status int
		header http.Header
		want   time.Duration // and up to a quarter more
	}{
		{429, http.Header{"Retry-After": {"17"}}, 17 * time.Second},
		{503, http.Header{"Retry-After": {"17"}}, 17 * time.Second},
		{429, http.Header{"Retry-After": {time.Now().Add(100 * time.Second).UTC().Format(http.TimeFormat)}}, 98 * time.Second},
		{429, http.Header{"Ratelimit": {`"api";r=0;t=55`}, "Retry-After": {"3"}}, 56 * time.Second},
		{429, http.Header{"Ratelimit": {`"api";r=9;t=55`}, "Retry-After": {"3"}}, 3 * time.Second},
		{429, http.Header{"Retry-After": {"soon"}}, time.Second},
		{429, http.Header{"Retry-After": {"-5"}}, time.Second},
		{500, http.Header{"Retry-After": {"17"}}, time.Second},
	} {
		s := hubtest.New(t)
		s.AddModel("org/name", map[string][]byte{"a": []byte("a")})
		s.Inject(hubtest.Fault{Times: 1, On: hubtest.PathHas("/tree/"), Status: c.status, Header: c.header})
		client, warned := newClient(t, s, t.TempDir())
		var waits []time.Duration
		client.pause = func(d time.Duration) time.Duration {
			waits = append(waits, d)
			return 0
		}
		if _, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); err != nil {
			t.Fatal(err)
		}
		if len(waits) != 1 || waits[0] < c.want || waits[0] > c.want*5/4+2*time.Second {
			t.Errorf("%d with %v: waited %v, want %v", c.status, c.header, waits, c.want)
		}
		if long := c.want > 10*time.Second; long != strings.Contains(warned.String(), "asks to wait") {
			t.Errorf("%d with %v: warned of %q", c.status, c.header, warned)
		}
	}
}

func TestWaitsDouble(t *testing.T) {
	s := hubtest.New(t)
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/"), Status: 500})
	client, _ := newClient(t, s, t.TempDir())
	var waits []time.Duration
	client.pause = func(d time.Duration) time.Duration {
		waits = append(waits, d)
		return 0
	}
	if _, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 8} {
		want *= time.Second
		if len(waits) != 5 || waits[i] < want || waits[i] > want*5/4 {
			t.Errorf("wait %d of %v, want %v and up to a quarter more", i, waits, want)
		}
	}
}

func TestCancelEndsASnapshot(t *testing.T) {
	text := content(3, 100_000)
	for name, c := range map[string]struct {
		fault hubtest.Fault
		after string // the request after which it is cancelled
	}{
		"in a question":    {hubtest.Fault{On: hubtest.PathHas("/tree/"), Wait: make(chan struct{})}, "/tree/"},
		"in a file":        {hubtest.Fault{StallAfter: 1000}, "/blobs/"},
		"between attempts": {hubtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"300"}}}, "/blobs/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t)
			s.AddModel("org/name", map[string][]byte{weights: text})
			s.Inject(c.fault)
			client, _ := newClient(t, s, t.TempDir())
			client.pause = nil
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for count(s.Requests(), c.after) == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			// Without the cancel this ends with the test's own time.
			if _, err := client.Snapshot(ctx, repoOf(t, Model, "org/name"), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
		})
	}
}

func TestCancelEndsAWaitForALock(t *testing.T) {
	s := hubtest.New(t)
	text := content(3, 1000)
	s.AddModel("org/name", map[string][]byte{weights: text})
	client, warned := newClient(t, s, t.TempDir())
	unlock, err := lock(t.Context(), filepath.Join(client.Cache, ".locks", "models--org--name", shaOf(text)+".lock"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !strings.Contains(warned.String(), "waiting for another process") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := client.Snapshot(ctx, repoOf(t, Model, "org/name"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if _, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); err != nil {
		t.Error(err)
	}
}

// What an earlier try left is gone on from, whatever it is.
func TestPartsThatAreThere(t *testing.T) {
	text := content(3, 100_000)
	other := content(4, 100_000)
	for name, c := range map[string]struct {
		part   []byte
		ranges []string
	}{
		"the start":           {text[:60_000], []string{"bytes=60000-"}},
		"all":                 {text, nil},
		"all but a byte":      {text[:99_999], []string{"bytes=99999-"}},
		"nothing":             {nil, []string{""}},
		"too much":            {append(append([]byte(nil), text...), 1), []string{""}},
		"of another file":     {other[:60_000], []string{"bytes=60000-", ""}},
		"all of another file": {other, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t)
			s.AddModel("org/name", map[string][]byte{weights: text})
			client, _ := newClient(t, s, t.TempDir())
			path := incomplete(client, text)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.part, 0o666); err != nil {
				t.Fatal(err)
			}
			dir, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFiles(t, dir, map[string][]byte{weights: text})
			var ranges []string
			for _, r := range s.Contents() {
				ranges = append(ranges, r.Header.Get("Range"))
			}
			if strings.Join(ranges, ",") != strings.Join(c.ranges, ",") || len(ranges) != len(c.ranges) {
				t.Errorf("asked for %q, want %q", ranges, c.ranges)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the part is still there: %v", err)
			}
		})
	}
}

func TestNamesThatLeadOutAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "a/../../x", "/etc/x", `..\x`, `a\b`, "a\x00b", "C:/x", "c:x", "a/D:b", "", ".", "..", "a//b", "a/", "./a", "a/./b", "bad\xff"} {
		s := hubtest.New(t)
		s.AddModel("org/name", map[string][]byte{name: []byte("x"), "config.json": []byte("{}")})
		home := t.TempDir()
		client, _ := newClient(t, s, home)
		_, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
		if name == "bad\xff" { // JSON cannot carry it: it comes as another name, that nothing has
			if err == nil {
				t.Errorf("%q was fetched", name)
			}
			continue
		}
		if !errors.Is(err, ErrAnswer) {
			t.Errorf("%q: %v, want ErrAnswer", name, err)
		}
		if left := below(t, home); len(left) != 0 {
			t.Errorf("%q: wrote %q", name, left)
		}
	}
}

func TestListThatDoesNotEnd(t *testing.T) {
	s := hubtest.New(t)
	s.AddModel("org/name", modelFiles())
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/tree/"), Status: 200, Body: "[]", Header: http.Header{"Link": {`<?cursor=1>; rel="next"`}}})
	client, _ := newClient(t, s, t.TempDir())
	if _, _, err := client.Files(t.Context(), repoOf(t, Model, "org/name")); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("%v, want ErrAnswer", err)
	}
	s.Mend()
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/tree/"), Status: 200, Body: "[]", Header: http.Header{"Link": {`<ftp://h/a>; rel="next"`}}})
	if _, _, err := client.Files(t.Context(), repoOf(t, Model, "org/name")); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "no sound address") {
		t.Errorf("%v, want ErrAnswer", err)
	}
}

func TestRedirectsFromHTTPS(t *testing.T) {
	plain := hubtest.New(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	client, _ := newClient(t, plain, t.TempDir(), "HF_ENDPOINT="+secure.URL)
	client.Transport = secure.Client().Transport
	_, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
	if !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "from https to http") || len(plain.Requests()) != 0 {
		t.Errorf("%v after %d requests, want ErrAnswer", err, len(plain.Requests()))
	}
	client.Transport = nil // nor is a stranger's certificate taken
	if _, err := client.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want ErrUnreachable", err)
	}
}
