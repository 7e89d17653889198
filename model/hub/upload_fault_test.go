package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

// posts counts the requests to an address of the hub.
func posts(s *hubtest.Server, path string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == http.MethodPost && strings.Contains(r.Path, path) {
			n++
		}
	}
	return n
}

func TestUploadFaultsThatRetriesMend(t *testing.T) {
	const (
		batch  = "/objects/batch"
		commit = "/commit/"
	)
	on := hubtest.PathHas
	for _, c := range []struct {
		name   string
		faults []hubtest.Fault
		// How many requests there are of each sort; the weights have 4 parts.
		puts, batches, completes, commits int
		warned                            string
	}{
		{name: "none", puts: 4, batches: 1, completes: 1, commits: 1},
		{
			name:   "errors of the storage",
			faults: []hubtest.Fault{{On: hubtest.IsUpload, Times: 1, Status: 500}, {On: hubtest.IsUpload, Times: 1, Status: 503}, {On: hubtest.IsUpload, Times: 1, Status: 429}},
			puts:   7, batches: 1, completes: 1, commits: 1,
		},
		{
			name:   "dropped in a part",
			faults: []hubtest.Fault{{On: hubtest.IsUpload, Times: 3, CutBody: 10_000}},
			puts:   7, batches: 1, completes: 1, commits: 1,
		},
		{
			name:   "dropped after a part",
			faults: []hubtest.Fault{{On: hubtest.IsUpload, Times: 1, Status: 200, Header: http.Header{"Content-Length": {"5"}}}},
			// The headers came, and with them all that is needed but the ETag.
			puts: 1, batches: 1, completes: 0, commits: 0, warned: "ETag",
		},
		{
			name:   "an address that expired",
			faults: []hubtest.Fault{{On: on("/00003"), Times: 1, Status: 403, Body: hubtest.Expired}},
			puts:   -1, batches: 2, completes: 1, commits: 1, warned: "Request has expired",
		},
		{
			name:   "addresses that expired twice",
			faults: []hubtest.Fault{{On: on("/00003"), Times: 2, Status: 403, Body: hubtest.Expired}},
			puts:   -1, batches: 3, completes: 1, commits: 1, warned: "Request has expired",
		},
		{
			name:   "the answer that parts are together is lost",
			faults: []hubtest.Fault{{On: on("complete_multipart"), Times: 1, Lose: true}},
			// There is nothing to put together any more, and the object is there.
			puts: 4, batches: 2, completes: 2, commits: 1, warned: "could not be found",
		},
		{
			name:   "it is not there at once",
			faults: []hubtest.Fault{{On: on("/verify"), Times: 1, Status: 404, Body: `{"message": "not yet"}`}},
			puts:   4, batches: 2, completes: 1, commits: 1, warned: "not yet",
		},
		{
			name: "errors of the hub",
			faults: []hubtest.Fault{
				{On: on("/repos/create"), Times: 2, Status: 502}, {On: on("/validate-yaml"), Times: 1, Status: 500}, {On: on("/branch/"), Times: 1, Status: 504},
				{On: on("/preupload/"), Times: 1, Status: 429}, {On: on(batch), Times: 1, CutAfter: 3}, {On: on("/verify"), Times: 1, Status: 500},
				{On: on(commit), Times: 2, Status: 503},
			},
			puts: 4, batches: 2, completes: 1, commits: 3,
		},
		{
			name:   "the commit is dropped on its way",
			faults: []hubtest.Fault{{On: on(commit), Times: 1, CutBody: 100}},
			puts:   4, batches: 1, completes: 1, commits: 2,
		},
		{
			name:   "the answer to the commit is lost",
			faults: []hubtest.Fault{{On: on(commit), Times: 1, Lose: true}},
			puts:   4, batches: 1, completes: 1, commits: 1,
		},
		{
			name:   "the answer to the commit breaks off",
			faults: []hubtest.Fault{{On: on(commit), Times: 1, CutAfter: 1}},
			puts:   4, batches: 1, completes: 1, commits: 1,
		},
		{
			name:   "the account is busy",
			faults: []hubtest.Fault{{On: on("/repos/create"), Times: 2, Status: 409, Body: `{"error": "Cannot create repo: another conflicting operation is in progress"}`}},
			puts:   4, batches: 1, completes: 1, commits: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, client, warned := newHub(t)
			s.PartSize(60_000)
			for _, f := range c.faults {
				s.Inject(f)
			}
			files := map[string][]byte{weights: content(3, 200_000), "config.json": []byte("{}"), "README.md": []byte("---\nlicense: mit\n---\n")}
			repo := repoOf(t, Model, "org/name@v2")
			info, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files)})
			if c.commits == 0 {
				if !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), c.warned) {
					t.Errorf("%v, want ErrAnswer and %q", err, c.warned)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			isServed(t, client, repo, files)
			if h := s.History("models/org/name", "v2"); len(h) != 2 || h[0].OID != info.OID || info.Files != 3 || info.URL != s.URL+"/org/name/commit/"+info.OID {
				t.Errorf("the history is %+v, the commit %+v", h, info)
			}
			if n := sent(s); c.puts >= 0 && n != c.puts {
				t.Errorf("%d parts were sent, want %d", n, c.puts)
			}
			for path, want := range map[string]int{batch: c.batches, "complete_multipart": c.completes, commit: c.commits} {
				if n := posts(s, path); n != want {
					t.Errorf("%d requests for %s, want %d", n, path, want)
				}
			}
			if (c.warned == "") != (warned.String() == "") || !strings.Contains(warned.String(), c.warned) {
				t.Errorf("warned of %q, want %q", warned, c.warned)
			}
			if shown := warned.String(); strings.Contains(shown, "X-Signature") || strings.Contains(shown, secret) {
				t.Errorf("it shows a secret: %s", shown)
			}
		})
	}
}

func TestUploadFaultsThatStay(t *testing.T) {
	on := hubtest.PathHas
	for _, c := range []struct {
		name  string
		fault hubtest.Fault
		want  error
		says  string
		asked int // how many requests the fault meets
	}{
		{"storage", hubtest.Fault{On: hubtest.IsUpload, Status: 500}, ErrUnreachable, "status 500", 6},
		{"dropped", hubtest.Fault{On: hubtest.IsUpload, CutBody: 100}, ErrUnreachable, "check the connection", 6},
		{"expired at once", hubtest.Fault{On: hubtest.IsUpload, Status: 403, Body: hubtest.Expired}, ErrRefused, "Request has expired", 3},
		{"storage sends elsewhere", hubtest.Fault{On: hubtest.IsUpload, Status: 307, Header: http.Header{"Location": {"ftp://x/?X-Signature=s3cret"}}}, ErrAnswer, `a "ftp" address`, 1},
		{"commit", hubtest.Fault{On: on("/commit/"), Status: 500}, ErrUnreachable, "status 500", 6},
		{"commit refused", hubtest.Fault{On: on("/commit/"), Status: 400, Body: `{"error": "no, see https://x/?X-Signature=s3cret"}`}, ErrRefused, "no, see", 1},
		{"commit without a commit", hubtest.Fault{On: on("/commit/"), Status: 200, Body: `{"commitOid": "../x"}`}, ErrAnswer, "for a commit", 1},
		{"not the files", hubtest.Fault{On: on("/preupload/"), Status: 200, Body: `{"files": []}`}, ErrAnswer, "does not tell of", 1},
		{"other files", hubtest.Fault{On: on("/preupload/"), Status: 200, Body: `{"files": [{"path": "/etc/passwd", "uploadMode": "regular"}]}`}, ErrAnswer, "was not asked", 1},
		{"no address", hubtest.Fault{On: on("/objects/batch"), Status: 200, Body: `{"objects": [{"oid": "` + shaOf(content(3, 1000)) + `", "size": 1000, "actions": {"upload": {"href": "file:///etc/s3cret"}}}]}`}, ErrAnswer, "no sound address", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, client, _ := newHub(t)
			met := 0
			on := c.fault.On
			c.fault.On = func(r *http.Request) bool { // under the server's lock
				if on(r) {
					met++
				}
				return on(r)
			}
			s.Inject(c.fault)
			files := map[string][]byte{weights: content(3, 1000), "config.json": []byte("{}")}
			repo := repoOf(t, Model, "org/name")
			_, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files)})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "model org/name") {
				t.Fatalf("error %v, want %v with %q", err, c.want, c.says)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "X-Signature") {
				t.Errorf("the error shows a signed address: %v", err)
			}
			if n := len(s.History("models/org/name", "main")); n != 1 {
				t.Errorf("there are %d commits", n)
			}
			s.Mend() // what was left does no harm
			if met != c.asked {
				t.Errorf("asked %d times, want %d", met, c.asked)
			}
			if _, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files)}); err != nil {
				t.Fatal(err)
			}
			isServed(t, client, repo, files)
		})
	}
}

// A second pull request would be opened where the answer to the first is lost.
func TestPullRequestIsOpenedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		fault hubtest.Fault
		want  error
		pulls int
	}{
		"the answer is lost": {hubtest.Fault{Lose: true}, ErrUnreachable, 1},
		"a gateway":          {hubtest.Fault{Status: 504}, ErrUnreachable, 0},
		"too many requests":  {hubtest.Fault{Status: 429}, nil, 1},
	} {
		s, client, _ := newHub(t)
		c.fault.On, c.fault.Times = hubtest.PathHas("/commit/"), 1
		s.Inject(c.fault)
		_, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: writeFolder(t, modelFiles()), PullRequest: true})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		for n, want := range map[int]bool{1: c.pulls == 1, 2: false} {
			if there := s.History("models/org/name", fmt.Sprintf("refs/pr/%d", n)) != nil; there != want {
				t.Errorf("%s: pull request %d is there: %v", name, n, there)
			}
		}
	}
}

// A connection that takes nothing any more is given up.
func TestUploadThatStallsIsGivenUp(t *testing.T) {
	s, client, _ := newHub(t)
	held := make(chan struct{})
	defer close(held)
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 1, Wait: held})
	client.UploadTimeout = time.Second
	files := map[string][]byte{weights: content(3, 1000)}
	if _, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: writeFolder(t, files)}); err != nil {
		t.Fatal(err)
	}
	if n := sent(s); n < 2 {
		t.Errorf("%d requests for a large file that stalled once", n)
	}
}

// slowly takes what is sent in steps, each shorter than a timeout and all of
// them together longer.
type slowly struct{ timeout time.Duration }

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	for range 15 {
		select {
		case <-time.After(s.timeout / 10):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if _, err := r.Body.Read(make([]byte, 1)); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

func TestUploadThatIsSlowGoesOn(t *testing.T) {
	client := &Client{Retries: -1, Transport: slowly{time.Second}}
	to, err := client.at("/x")
	if err != nil {
		t.Fatal(err)
	}
	err = client.do(t.Context(), request{
		method: http.MethodPut, url: to, timeout: time.Second,
		body: jsonPayload(strings.Repeat("x", 100)),
		use:  func(resp *http.Response) error { return resp.Body.Close() },
	})
	if err != nil {
		t.Error(err)
	}
}

// FuzzPreupload: each file that was asked about has its mode, or there is an
// error.
func FuzzPreupload(f *testing.F) {
	f.Add([]byte(`{"files": [{"path": "a", "uploadMode": "lfs", "shouldIgnore": false, "oid": "x"}, {"path": "b", "uploadMode": "regular"}]}`))
	f.Add([]byte(`{"files": [{"path": "a", "uploadMode": "lfs"}, {"path": "a", "uploadMode": "lfs"}]}`))
	f.Add([]byte(`{"files": null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer preuploadAnswer
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		files := []*localFile{{name: "a", size: 1}, {name: "b"}}
		err := answer.apply(files)
		switch {
		case err != nil && !errors.Is(err, ErrAnswer):
			t.Errorf("%v is no ErrAnswer", err)
		case err == nil && len(answer.Files) != 2:
			t.Errorf("%d answers for two files", len(answer.Files))
		case files[1].large:
			t.Error("an empty file goes into large file storage")
		}
	})
}

// FuzzBatch: what is done to bring objects into the storage is whole and goes
// to addresses that a file may be sent to.
func FuzzBatch(f *testing.F) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	f.Add([]byte(`{"objects": [{"oid": "` + one + `", "size": 10, "actions": {"upload": {"href": "https://s/x"}, "verify": {"href": "https://huggingface.co/v"}}}, {"oid": "` + two + `", "size": 1}]}`))
	f.Add([]byte(`{"objects": [{"oid": "` + one + `", "size": 10, "actions": {"upload": {"href": "https://s/c", "header": {"chunk_size": "4", "00001": "https://s/1", "2": "https://s/2", "00003": "https://s/3"}}}}, {"oid": "` + two + `", "size": 1}]}`))
	f.Add([]byte(`{"objects": [{"oid": "` + one + `", "size": 10, "actions": {"upload": {"href": "https://s/c", "header": {"chunk_size": 1e9, "-1": 3, "00001": null}}}}]}`))
	f.Add([]byte(`{"objects": [{"oid": "` + one + `", "size": 10, "error": {"code": 422, "message": "no"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer batchAnswer
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		objects := []*object{{one, 10, &localFile{name: "a"}}, {two, 1, &localFile{name: "b"}}}
		endpoint := &url.URL{Scheme: "https", Host: "hub.example"}
		transfers, err := answer.transfers(objects, endpoint)
		if err != nil {
			if !errors.Is(err, ErrAnswer) && !errors.Is(err, ErrRefused) {
				t.Errorf("%v is neither ErrAnswer nor ErrRefused", err)
			}
			return
		}
		for _, o := range objects {
			transfer := transfers[o.OID]
			if transfer == nil {
				continue
			}
			addresses := append([]*url.URL{}, transfer.parts...)
			if transfer.put == nil {
				addresses = append(addresses, transfer.complete)
				if n := int64(len(transfer.parts)); transfer.chunk <= 0 || (n-1)*transfer.chunk >= o.Size || o.Size/n > transfer.chunk {
					t.Errorf("%d parts of %d for %d bytes", n, transfer.chunk, o.Size)
				}
			} else {
				addresses = append(addresses, transfer.put)
			}
			if transfer.verify != nil {
				addresses = append(addresses, transfer.verify)
			}
			for _, u := range addresses {
				if u == nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
					t.Errorf("address %v", u)
				}
			}
		}
	})
}

// FuzzCommitAnswer: a commit has an id, and pages that a person can be sent to.
func FuzzCommitAnswer(f *testing.F) {
	oid := strings.Repeat("a", 40)
	f.Add([]byte(`{"success": true, "commitOid": "` + oid + `", "commitUrl": "https://huggingface.co/a/b/commit/` + oid + `", "pullRequestUrl": null}`))
	f.Add([]byte(`{"commitOid": "` + oid + `", "commitUrl": "javascript:alert(1)", "pullRequestUrl": "https://me:x@h/"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer commitAnswer
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		info, err := answer.info()
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Errorf("%v is no ErrAnswer", err)
			}
			return
		}
		if !isCommit(info.OID) {
			t.Errorf("commit %q", info.OID)
		}
		for _, page := range []string{info.URL, info.PullRequest} {
			if page != "" && !regexp.MustCompile(`(?i)^https?://[^/@]`).MatchString(page) {
				t.Errorf("page %q", page)
			}
		}
	})
}

// FuzzWhoami: a name becomes a part of addresses.
func FuzzWhoami(f *testing.F) {
	f.Add([]byte(`{"type": "user", "name": "me", "orgs": []}`))
	f.Add([]byte(`{"name": "../x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer whoamiAnswer
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		name, err := answer.namespace()
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Errorf("%v is no ErrAnswer", err)
			}
			return
		}
		if repo, err := (Repo{Kind: Model, ID: name + "/x"}).checked(); err != nil || repo.ID != name+"/x" || strings.Count(repo.ID, "/") != 1 {
			t.Errorf("%q: %v", name, err)
		}
	})
}
