package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

// writeFolder makes a folder of files.
func writeFolder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := writeWhole(filepath.Join(dir, filepath.FromSlash(name)), text); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newHub starts a hub that lets user "me" of "org" in, and makes a client with
// the user's token.
func newHub(t *testing.T) (*hubtest.Server, *Client, *said) {
	t.Helper()
	s := hubtest.New(t)
	s.AddUser("me", secret, "org")
	c, warned := newClient(t, s, t.TempDir(), "HF_TOKEN="+secret)
	return s, c, warned
}

// isServed downloads what was uploaded and compares it.
func isServed(t *testing.T, c *Client, repo Repo, want map[string][]byte) {
	t.Helper()
	dir, err := c.Snapshot(t.Context(), repo, func(name string) bool { return name != ".gitattributes" })
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, want)
}

// sent counts the requests that brought bytes of large files.
func sent(s *hubtest.Server) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == http.MethodPut {
			n++
		}
	}
	return n
}

func TestUploadIsServed(t *testing.T) {
	for _, c := range []struct {
		repo     Repo
		private  bool
		partSize int64
		want     string // the repository
	}{
		{Repo{Model, "org/name", ""}, false, 0, "models/org/name"},
		{Repo{Model, "name", ""}, true, 0, "models/me/name"},
		{Repo{Dataset, "me/data", "some/branch"}, true, 7000, "datasets/me/data"},
		{Repo{Model, "org/name", "v2"}, false, 30_000, "models/org/name"}, // exactly one of the files
	} {
		t.Run(c.want, func(t *testing.T) {
			s, client, warned := newHub(t)
			s.PartSize(c.partSize)
			files := modelFiles()
			info, err := client.Upload(t.Context(), Upload{
				Repo: c.repo, Folder: writeFolder(t, files), Private: c.private,
				Message: "A model", Description: "In two\nlines",
			})
			if err != nil {
				t.Fatal(err)
			}
			kind, id, _ := strings.Cut(c.want, "/")
			if want, err := (Repo{c.repo.Kind, id, c.repo.Revision}).checked(); info.Repo != want || err != nil {
				t.Errorf("went to %v, want %v", info.Repo, want)
			}
			history := s.History(c.want, info.Repo.Revision)
			if len(history) != 2 || history[0].OID != info.OID || history[0].Summary != "A model" || history[0].Description != "In two\nlines" || history[0].Author != "me" {
				t.Errorf("the history is %+v, the commit %s", history, info.OID)
			}
			page := map[string]string{"models": "/", "datasets": "/datasets/"}[kind] + id
			if info.URL != s.URL+page+"/commit/"+info.OID || info.PullRequest != "" || info.Files != len(files) {
				t.Errorf("told of %+v", info)
			}
			if s.Private(c.want) != c.private {
				t.Errorf("private is %v", s.Private(c.want))
			}
			if warned.String() != "" {
				t.Errorf("warned of %q", warned)
			}
			isServed(t, client, info.Repo, files)
			if large := s.Objects(c.want); !slices.Contains(large, shaOf(files["model.safetensors"])) || slices.Contains(large, shaOf(nil)) {
				t.Errorf("large file storage has %q", large)
			}
		})
	}
}

// asked is a request as the golden file has it.
type asked struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Query  string          `json:"query"`
	Token  bool            `json:"token"`
	Type   string          `json:"type"`
	Accept string          `json:"accept"`
	Bytes  int64           `json:"bytes"`
	Body   json.RawMessage `json:"body"`
}

// sortAny puts lists in an order: files, objects and lines of a commit may come
// in any.
func sortAny(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = sortAny(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(asText(a), asText(b)) })
	case map[string]any:
		for key := range v {
			v[key] = sortAny(v[key])
		}
	}
	return v
}

func asText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of what was read from JSON
	}
	return string(text)
}

// wireOf is what a server was asked, in an order.
func wireOf(t *testing.T, s *hubtest.Server) []string {
	t.Helper()
	var wire []string
	for _, r := range s.Requests() {
		if r.Method == http.MethodGet {
			continue
		}
		a := asked{Method: r.Method, Path: r.Path, Query: r.Query, Token: r.Header.Get("Authorization") != ""}
		if r.Method == http.MethodPut {
			if _, err := fmt.Sscan(r.Header.Get("Content-Length"), &a.Bytes); err != nil {
				t.Errorf("%s came without a length", r.Path)
			}
		} else {
			// "*/*" is what no header means.
			a.Type, a.Accept, a.Body = r.Header.Get("Content-Type"), strings.TrimPrefix(r.Header.Get("Accept"), "*/*"), r.Body
		}
		if strings.Contains(a.Query, "X-Signature") {
			a.Query = ""
		}
		wire = append(wire, a.text(t))
	}
	slices.Sort(wire)
	return wire
}

// text is the request for a comparison.
func (a asked) text(t *testing.T) string {
	t.Helper()
	body := []any{}
	for decoder := json.NewDecoder(bytes.NewReader(a.Body)); decoder.More(); {
		var line any
		if err := decoder.Decode(&line); err != nil {
			t.Fatalf("%s: %v", a.Path, err)
		}
		if lines, ok := line.([]any); ok {
			body = append(body, lines...) // of a commit, in the golden file
			continue
		}
		body = append(body, line)
	}
	return fmt.Sprintf("%s %s?%s token=%v type=%s accept=%s bytes=%d %s", a.Method, a.Path, a.Query, a.Token, a.Type, a.Accept, a.Bytes, asText(sortAny(body)))
}

// The golden file has what huggingface_hub asks for the same folder.
func TestUploadAsksWhatHuggingFaceDoes(t *testing.T) {
	var recorded struct {
		Files             map[string][]byte
		Unchanged, Stored string
		PartSize          int64 `json:"part_size"`
		Cases             []struct {
			Kind        Kind
			ID          string
			Revision    string
			Private     bool
			PullRequest bool `json:"pull_request"`
			Requests    []asked
		}
	}
	golden(t, "uploads.json", &recorded)
	if len(recorded.Cases) == 0 {
		t.Fatal("nothing was recorded")
	}
	dir := writeFolder(t, recorded.Files)
	for _, c := range recorded.Cases {
		repository := string(c.Kind) + "s/" + c.ID
		s, client, _ := newHub(t)
		s.PartSize(recorded.PartSize)
		for _, revision := range []string{"main", c.Revision} {
			s.Commit(repository, revision, map[string][]byte{
				recorded.Unchanged: recorded.Files[recorded.Unchanged],
				"old.bin":          recorded.Files[recorded.Stored],
			})
		}
		if c.Private {
			s.Hide(repository, secret)
		}
		_, err := client.Upload(t.Context(), Upload{
			Repo: Repo{c.Kind, c.ID, c.Revision}, Folder: dir, Private: c.Private, PullRequest: c.PullRequest,
			Message: "Upload", Description: "All of it.",
		})
		if err != nil {
			t.Errorf("%s: %v", repository, err)
			continue
		}
		var want []string
		for _, a := range c.Requests {
			want = append(want, a.text(t))
		}
		slices.Sort(want)
		sameWire(t, wireOf(t, s), want)
	}
}

func sameWire(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("huggingface_hub does not ask\n%s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("only huggingface_hub asks\n%s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d requests, huggingface_hub has %d", len(got), len(want))
	}
}

func TestUploadSendsOnlyWhatChanged(t *testing.T) {
	s, client, _ := newHub(t)
	files := modelFiles()
	dir := writeFolder(t, files)
	repo := repoOf(t, Model, "org/name")
	first, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: dir})
	if err != nil {
		t.Fatal(err)
	}
	if n := sent(s); n != 2 {
		t.Errorf("%d large files were sent, want 2", n)
	}

	again, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: dir})
	if err != nil || again.OID != first.OID || again.URL != first.URL || again.Files != 0 {
		t.Errorf("the same once more: %+v, %v, want the commit %+v", again, err, first)
	}
	if n := len(s.History("models/org/name", "main")); n != 2 || sent(s) != 2 {
		t.Errorf("the same once more made %d commits, and %d large files were sent", n-1, sent(s))
	}

	files["config.json"] = []byte("{}\n")
	files["renamed.safetensors"] = files["model.safetensors"] // which the storage has
	files["sub/deep/weights.bin"] = content(9, 30_000)
	files["twice.bin"] = files["sub/deep/weights.bin"]
	before := len(s.Requests())
	info, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files), Parent: first.OID})
	if err != nil || info.Files != 4 {
		t.Fatalf("%+v, %v, want 4 files", info, err)
	}
	if sent(s) != 3 {
		t.Errorf("%d large files were sent, want one more than 2", sent(s))
	}
	for _, r := range s.Requests()[before:] {
		if strings.Contains(r.Path, "/commit/") {
			if n := bytes.Count(r.Body, []byte("\n")); n != 5 {
				t.Errorf("the commit has %d lines, want a header and 4 files", n)
			}
		}
	}
	isServed(t, client, repo, files)
	if h := s.History("models/org/name", "main"); len(h) != 3 || h[0].Parent != first.OID {
		t.Errorf("the history is %+v", h)
	}
}

func TestUploadOpensAPullRequest(t *testing.T) {
	s, client, _ := newHub(t)
	s.AddUser("stranger", "hf_stranger")
	s.AddModel("org/name", map[string][]byte{"config.json": []byte("{}")})
	repo := repoOf(t, Model, "org/name")
	stranger, _ := newClient(t, s, t.TempDir(), "HF_TOKEN=hf_stranger")
	files := map[string][]byte{"config.json": []byte("[]"), weights: content(1, 1000)}
	info, err := stranger.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files), PullRequest: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.PullRequest != s.URL+"/org/name/discussions/1" || len(s.History("models/org/name", "main")) != 1 {
		t.Errorf("%+v, main has %d commits", info, len(s.History("models/org/name", "main")))
	}
	repo.Revision = "refs/pr/1"
	isServed(t, client, repo, files)

	files["more.txt"] = []byte("more")
	if _, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files)}); err != nil {
		t.Fatal(err)
	}
	isServed(t, client, repo, files)
}

func TestUploadLeavesFilesOut(t *testing.T) {
	s, client, warned := newHub(t)
	files := map[string][]byte{
		"config.json": []byte("{}"), "logs/a.log": []byte("a"), "sub/keep.txt": []byte("b"), "sub/events.out": []byte("c"),
		".git/HEAD": []byte("x"), "sub/.git": []byte("gitdir: x"), ".cache/huggingface/x": []byte("x"), "checkpoint-1/m.bin": content(1, 10),
		".gitignore": []byte("*.log\n!important.log\n"), "important.log": []byte("d"),
	}
	dir := writeFolder(t, files)
	elsewhere := writeFolder(t, map[string][]byte{"blob": content(2, 20), "sub/x": []byte("x")})
	for name, target := range map[string]string{"linked.bin": "blob", "folder": "sub"} {
		if err := os.Symlink(filepath.Join(elsewhere, target), filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	repo := repoOf(t, Model, "org/name")
	if _, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: dir, Ignore: []string{"checkpoint-*/*", "*/events.*"}}); err != nil {
		t.Fatal(err)
	}
	isServed(t, client, repo, map[string][]byte{
		"config.json": files["config.json"], "sub/keep.txt": files["sub/keep.txt"], ".gitignore": files[".gitignore"],
		"important.log": files["important.log"], "linked.bin": content(2, 20),
	})
	for _, name := range []string{"logs/a.log", "folder"} {
		if !strings.Contains(warned.String(), name) {
			t.Errorf("%s is missing, and nobody is told: %q", name, warned)
		}
	}
	if n := count(s.Requests(), "/info/lfs/objects/batch"); n != 1 {
		t.Errorf("%d questions for one large file", n)
	}
}

// What is wrong with an upload itself is told before anything is sent.
func TestUploadsThatCannotBe(t *testing.T) {
	good := writeFolder(t, map[string][]byte{"config.json": []byte("{}")})
	missing := filepath.Join(good, "missing")
	cached := writeFolder(t, map[string][]byte{"a": nil, ".cache/pip/x": nil})
	model := Repo{Kind: Model, ID: "org/name"}
	for _, c := range []struct {
		upload Upload
		env    string
		want   error
		says   []string
	}{
		{Upload{Repo: Repo{Model, "org/na me", ""}, Folder: good}, "", ErrRepo, []string{`"org/na me"`}},
		{Upload{Repo: Repo{Model, "org/name.git", ""}, Folder: good}, "", ErrRepo, []string{`"org/name.git"`}},
		{Upload{Repo: Repo{Model, "a--b", ""}, Folder: good}, "", ErrRepo, []string{`"a--b"`}},
		{Upload{Repo: Repo{Model, "a/b/c", ""}, Folder: good}, "", ErrRepo, []string{`"a/b/c"`}},
		{Upload{Repo: Repo{"space", "org/name", ""}, Folder: good}, "", ErrRepo, []string{`"space"`}},
		{Upload{Repo: Repo{Model, "org/name", "../x"}, Folder: good}, "", ErrRepo, []string{`"../x"`}},
		{Upload{Repo: Repo{Model, "org/name", strings.Repeat("a", 40)}, Folder: good}, "", ErrRepo, []string{"is a commit"}},
		{Upload{Repo: Repo{Model, "org/name", "refs/heads/x"}, Folder: good}, "", ErrRepo, []string{"refs/heads/x"}},
		{Upload{Repo: Repo{Model, "org/name", "v2"}, Folder: good, PullRequest: true}, "", ErrRepo, []string{"pull request", `"v2"`}},
		{Upload{Repo: model, Folder: good, Parent: "abc"}, "", ErrRepo, []string{`"abc"`, "parent"}},
		{Upload{Repo: model, Folder: missing}, "", os.ErrNotExist, []string{"missing"}},
		{Upload{Repo: model, Folder: filepath.Join(good, "config.json")}, "", nil, []string{"config.json", "not a folder"}},
		{Upload{Repo: model, Folder: good, Ignore: []string{"*.json"}}, "", nil, []string{good, "no files"}},
		{Upload{Repo: model, Folder: cached}, "", nil, []string{".cache/pip/x", "ignore"}},
		{Upload{Repo: model, Folder: good}, "HF_TOKEN=", ErrUnauthorized, []string{"set HF_TOKEN", "write to model org/name"}},
		{Upload{Repo: model, Folder: good}, "HF_HUB_OFFLINE=1", nil, []string{"unset HF_HUB_OFFLINE"}},
	} {
		s := hubtest.New(t)
		client, _ := newClient(t, s, t.TempDir(), "HF_TOKEN="+secret, c.env)
		client.Transport = noNetwork{t}
		_, err := client.Upload(t.Context(), c.upload)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.upload, err, c.want)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: %q is not in %v", c.upload, part, err)
			}
		}
	}
}

func TestUploadRefusalsSayWhatToDo(t *testing.T) {
	card := map[string][]byte{"README.md": []byte("---\nlicense: [mit\n---\n")}
	tokenFile := filepath.Join(t.TempDir(), "my token")
	if err := os.WriteFile(tokenFile, []byte("hf_reader"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		upload Upload
		env    string
		fault  hubtest.Fault
		want   error
		says   []string
	}{
		{"bad token", Upload{}, "HF_TOKEN=hf_bad", hubtest.Fault{}, ErrUnauthorized, []string{"status 401", "check that the token in HF_TOKEN", "Invalid credentials"}},
		{"bad token, no namespace", Upload{Repo: Repo{Model, "name", ""}}, "HF_TOKEN=hf_bad", hubtest.Fault{}, ErrUnauthorized, []string{"status 401", "the token in HF_TOKEN", "namespace"}},
		{"token that may only read", Upload{}, "HF_TOKEN=hf_reader", hubtest.Fault{}, ErrUnauthorized, []string{"status 403", `"write"`, "write to model org/name"}},
		{"token of a file", Upload{}, "HF_TOKEN_PATH=" + tokenFile, hubtest.Fault{}, ErrUnauthorized, []string{"status 403", "the token in " + tokenFile}},
		{"a stranger's repository", Upload{Repo: Repo{Model, "org/public", ""}}, "HF_TOKEN=hf_stranger", hubtest.Fault{}, ErrUnauthorized, []string{"status 403", "write to model org/public", "required permissions"}},
		{"a stranger's namespace", Upload{Repo: Repo{Dataset, "org/new", ""}}, "HF_TOKEN=hf_stranger", hubtest.Fault{}, ErrUnauthorized, []string{"status 403", "dataset org/new", "make the repository"}},
		{"a stranger's branch", Upload{Repo: Repo{Model, "org/public", "v3"}}, "HF_TOKEN=hf_stranger", hubtest.Fault{}, ErrUnauthorized, []string{"status 403", "org/public@v3", "make the branch"}},
		{"public though private is asked for", Upload{Repo: Repo{Model, "org/public", ""}, Private: true}, "HF_TOKEN=" + secret, hubtest.Fault{}, ErrRefused, []string{"public", "/org/public/settings"}},
		{"moved on", Upload{Repo: Repo{Model, "org/public", ""}, Parent: strings.Repeat("1", 40)}, "HF_TOKEN=" + secret, hubtest.Fault{}, ErrConflict, []string{"commit has happened"}},
		{"card", Upload{Folder: writeFolder(t, card)}, "HF_TOKEN=" + secret, hubtest.Fault{}, ErrRefused, []string{"README.md", "YAML Metadata Error"}},
		{"too large", Upload{}, "HF_TOKEN=" + secret, hubtest.Fault{On: hubtest.PathHas("/commit/"), Status: 413, Body: `{"error": "too much"}`}, ErrRefused, []string{"status 413", "too much", "commit"}},
		{"no room", Upload{}, "HF_TOKEN=" + secret, hubtest.Fault{On: hubtest.PathHas("/objects/batch"), Status: 200, Body: `{"objects": [{"oid": "` + shaOf(content(1, 1000)) + `", "size": 1000, "error": {"code": 507, "message": "no room"}}]}`}, ErrRefused, []string{"no room", "507", weights}},
		{"refused by large file storage", Upload{}, "HF_TOKEN=" + secret, hubtest.Fault{On: hubtest.PathHas("/objects/batch"), Status: 403, Body: `{"message": "not you"}`}, ErrUnauthorized, []string{"status 403", "not you"}},
		{"a page of a proxy", Upload{}, "HF_TOKEN=" + secret, hubtest.Fault{On: hubtest.PathHas("/preupload/"), Status: 200, Body: "<html>"}, ErrAnswer, []string{"proxy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, _ := newHub(t)
			s.AddUser("stranger", "hf_stranger")
			s.AddReader("reader", "hf_reader")
			s.AddModel("org/public", map[string][]byte{"config.json": []byte("{}")})
			if c.fault.On != nil {
				s.Inject(c.fault)
			}
			client, _ := newClient(t, s, t.TempDir(), c.env)
			if c.upload.Repo.ID == "" {
				c.upload.Repo = Repo{Kind: Model, ID: "org/name"}
			}
			if c.upload.Folder == "" {
				c.upload.Folder = writeFolder(t, map[string][]byte{"new.json": []byte("{}"), weights: content(1, 1000)})
			}
			_, err := client.Upload(t.Context(), c.upload)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %v", part, err)
				}
			}
			for _, token := range []string{secret, "hf_bad", "hf_reader", "hf_stranger"} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), token) {
					t.Errorf("the error shows a token: %v", err)
				}
			}
			if h := s.History("models/"+c.upload.Repo.ID, "main"); len(h) > 1 {
				t.Errorf("there is a commit: %+v", h)
			}
			if n := len(s.Requests()); n > 7 {
				t.Errorf("%d requests, though a retry cannot help", n)
			}
		})
	}
}

// A token that may not make repositories or branches may write to those there
// are.
func TestUploadToWhatIsThere(t *testing.T) {
	s, client, _ := newHub(t)
	s.AddModel("org/name", map[string][]byte{"a": []byte("a")})
	s.Commit("models/org/name", "v2", map[string][]byte{"a": []byte("b")})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/repos/create"), Status: 403})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/branch/"), Status: 403})
	files := map[string][]byte{"a": []byte("c")}
	for _, text := range []string{"org/name", "org/name@v2"} {
		repo := repoOf(t, Model, text)
		if _, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, files)}); err != nil {
			t.Fatal(err)
		}
		isServed(t, client, repo, files)
	}
}

func TestWhoami(t *testing.T) {
	s, client, _ := newHub(t)
	if name, err := client.Whoami(t.Context()); name != "me" || err != nil {
		t.Errorf("%q, %v, want me", name, err)
	}
	client.Token = ""
	if _, err := client.Whoami(t.Context()); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "set HF_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	client.Token = "hf_bad"
	if _, err := client.Whoami(t.Context()); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "does not take the token in HF_TOKEN") {
		t.Errorf("with a bad token: %v", err)
	}
	s.Inject(hubtest.Fault{On: hubtest.PathHas("whoami"), Status: 200, Body: `{"name": "../../x"}`})
	if _, err := client.Whoami(t.Context()); !errors.Is(err, ErrAnswer) {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestUploadKeepsTheTokenFromTheStorage(t *testing.T) {
	s, client, _ := newHub(t)
	s.PartSize(1000)
	if _, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: writeFolder(t, modelFiles())}); err != nil {
		t.Fatal(err)
	}
	toHub, signed := 0, 0
	for _, r := range s.Requests() {
		got := r.Header.Get("Authorization")
		if strings.Contains(r.Query, "X-Signature") {
			signed++
			if got != "" {
				t.Errorf("%s went to a signed address with a token", r.Path)
			}
			continue
		}
		toHub++
		if "http://"+r.Host != s.URL || got != "Bearer "+secret {
			t.Errorf("%s went to %s with %q", r.Path, r.Host, got)
		}
	}
	if toHub == 0 || signed == 0 {
		t.Errorf("%d requests to the hub, %d to signed addresses: nothing was seen", toHub, signed)
	}
}

// A large file is neither read into memory as a whole nor sent so. The server
// runs in this process too, and keeps nothing in memory either.
func TestUploadOfALargeFileTakesLittleMemory(t *testing.T) {
	const size = 32 << 20
	for name, partSize := range map[string]int64{"one piece": 0, "parts": 12 << 20} {
		s, client, _ := newHub(t)
		s.PartSize(partSize)
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, weights))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: dir}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > size/8 {
			t.Errorf("in %s: %d bytes were allocated for a file of %d", name, took, size)
		}
		if len(s.Objects("models/org/name")) != 1 {
			t.Errorf("in %s: large file storage has %q", name, s.Objects("models/org/name"))
		}
	}
}

func TestUploadProgressEndsAtTheTotal(t *testing.T) {
	s, client, _ := newHub(t)
	s.PartSize(50_000)
	s.AddModel("org/name", map[string][]byte{"config.json": modelFiles()["config.json"], "old.bin": content(2, 30_000)})
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 2, CutBody: 20_000})
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 1, Status: 500})
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 1, Status: 403, Body: hubtest.Expired}) // of four parts: all are sent again
	files := modelFiles()
	want := -int64(len(files["config.json"])) // is there
	for _, text := range files {
		want += int64(len(text))
	}
	var last int64
	client.Progress = func(done, total int64) {
		last = done
		if total != want || done < 0 || done > total {
			t.Errorf("%d of %d, want at most %d", done, total, want)
		}
	}
	if _, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: writeFolder(t, files)}); err != nil {
		t.Fatal(err)
	}
	if last != want {
		t.Errorf("ended at %d of %d", last, want)
	}
}

// A file that is not the one that was looked at first is not committed as it.
func TestUploadOfAFileThatChanges(t *testing.T) {
	for _, name := range []string{"vocab.txt", weights} {
		for how, change := range map[string]func(path string) error{
			"other bytes": func(path string) error {
				return errors.Join(os.WriteFile(path, content(8, 1000), 0o666), os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
			},
			"shorter": func(path string) error { return os.Truncate(path, 10) },
		} {
			s, client, _ := newHub(t)
			text := bytes.Repeat([]byte("text\n"), 200)
			dir := writeFolder(t, map[string][]byte{name: text})
			changed := make(chan struct{})
			at := "/objects/batch"
			if name == "vocab.txt" {
				at = "/preupload/"
			}
			s.Inject(hubtest.Fault{On: hubtest.PathHas(at), Times: 1, Wait: changed})
			go func() {
				for count(s.Requests(), at) == 0 && t.Context().Err() == nil {
					time.Sleep(time.Millisecond)
				}
				if err := change(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
				close(changed)
			}()
			_, err := client.Upload(t.Context(), Upload{Repo: repoOf(t, Model, "org/name"), Folder: dir})
			if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v, want that it was changed", name, how, err)
			}
			if n := len(s.History("models/org/name", "main")); n != 1 {
				t.Errorf("%s, %s: there is a commit", name, how)
			}
		}
	}
}

func TestCancelledUploadLeavesNoCommit(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	for name, c := range map[string]struct {
		fault hubtest.Fault
		after string // the request after which it is cancelled
	}{
		"asking":           {hubtest.Fault{On: hubtest.PathHas("/preupload/"), Wait: held}, "/preupload/"},
		"sending":          {hubtest.Fault{On: hubtest.IsUpload, Wait: held}, "/uploads/"},
		"between attempts": {hubtest.Fault{On: hubtest.IsUpload, Status: 503, Header: http.Header{"Retry-After": {"300"}}}, "/uploads/"},
		"committing":       {hubtest.Fault{On: hubtest.PathHas("/commit/"), Wait: held}, "/commit/"},
	} {
		t.Run(name, func(t *testing.T) {
			s, client, _ := newHub(t)
			s.Inject(c.fault)
			client.pause = nil
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for count(s.Requests(), c.after) == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			repo := repoOf(t, Model, "org/name")
			if _, err := client.Upload(ctx, Upload{Repo: repo, Folder: writeFolder(t, modelFiles())}); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
			if h := s.History("models/org/name", "main"); len(h) != 1 {
				t.Errorf("the history is %+v", h)
			}
			// What was sent before is not sent again.
			before := sent(s)
			s.Mend()
			if _, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: writeFolder(t, modelFiles())}); err != nil {
				t.Fatal(err)
			}
			if n := sent(s) - before; name == "committing" && n != 0 {
				t.Errorf("%d large files were sent again", n)
			}
			isServed(t, client, repo, modelFiles())
		})
	}
}

// A hub behind a proxy gives its own address, which may not be reached, and
// large file storage another one.
func TestStorageAddresses(t *testing.T) {
	for _, c := range []struct{ endpoint, text, want string }{
		{DefaultEndpoint, "https://huggingface.co/api/complete?x=%2F", "https://huggingface.co/api/complete?x=%2F"},
		{"https://proxy.example/hf", "https://huggingface.co/api/complete?x=%2F", "https://proxy.example/hf/api/complete?x=%2F"},
		{"http://proxy.example", "https://huggingface.co/a/b.git", "http://proxy.example/a/b.git"},
		{"https://proxy.example", "https://huggingface.co.evil.example/x", "https://huggingface.co.evil.example/x"},
		{"http://hub.example", "http://s3.example/x", "http://s3.example/x"},
		{"https://hub.example", "https://s3.example/x", "https://s3.example/x"},
		{"https://hub.example", "http://s3.example/x", ""},
		{"https://hub.example", "https://me:secret@s3.example/x", ""},
		{"https://hub.example", "file:///etc/passwd", ""},
		{"https://hub.example", "/x", ""},
		{"https://hub.example", "https://a b/?X-Signature=s3cret", ""},
	} {
		client := &Client{Endpoint: c.endpoint}
		endpoint, err := client.endpoint()
		if err != nil {
			t.Fatal(err)
		}
		got, err := storageAddress(c.text, endpoint)
		if (err == nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrAnswer) || strings.Contains(err.Error(), "secret")) || err == nil && got.String() != c.want {
			t.Errorf("%s of %s: %v, %v, want %q", c.text, c.endpoint, got, err, c.want)
		}
	}
}
