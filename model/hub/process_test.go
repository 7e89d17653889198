package hub

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

// start makes another process fetch org/name into the cache below home.
func start(t *testing.T, s *hubtest.Server, home string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	output = &bytes.Buffer{}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=org/name", "HF_ENDPOINT="+s.URL, "HF_HOME="+home, "HF_HUB_CACHE=", "HF_TOKEN=", "HF_HUB_OFFLINE=", "NO_PROXY=*")
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, output
}

func TestProcessesFetchAFileOnce(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	commit := s.AddModel("org/name", files)
	all := make(chan struct{})
	s.Inject(hubtest.Fault{Wait: all, Times: 1}) // the first to come waits with its lock held
	home := t.TempDir()
	const processes = 3
	var wg sync.WaitGroup
	for range processes {
		cmd, output := start(t, s, home)
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
			if want := filepath.Join(home, "hub", "models--org--name", "snapshots", commit); strings.TrimSpace(output.String()) != want {
				t.Errorf("printed %s, want %s", output, want)
			}
		})
	}
	for count(s.Requests(), "/revision/") < processes || count(s.Contents(), "") == 0 {
		time.Sleep(time.Millisecond)
	}
	close(all)
	wg.Wait()
	sameFiles(t, filepath.Join(home, "hub", "models--org--name", "snapshots", commit), files)
	seen := map[string]int{}
	for _, r := range s.Contents() {
		seen[r.Path]++
	}
	if len(seen) != len(files)-2 { // two have one content, and nobody asks for an empty file
		t.Errorf("%d files were fetched: %v", len(seen), seen)
	}
	for path, n := range seen {
		if n != 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
}

func TestKilledProcessIsGoneOnFrom(t *testing.T) {
	s := hubtest.New(t)
	text := content(5, 500_000)
	s.AddModel("org/name", map[string][]byte{weights: text})
	s.Inject(hubtest.Fault{Times: 1, StallAfter: 300_000})
	home := t.TempDir()
	cmd, output := start(t, s, home)
	c, _ := newClient(t, s, home)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for there := false; !there; {
		select {
		case err := <-ended:
			t.Fatalf("it ended by itself: %v: %s", err, output)
		case <-time.After(time.Millisecond):
			info, err := os.Stat(incomplete(c, text))
			there = err == nil && info.Size() == 300_000
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	dir, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, map[string][]byte{weights: text})
	requests := s.Contents()
	if got := requests[len(requests)-1].Header.Get("Range"); got != "bytes=300000-" {
		t.Errorf("went on with Range %q", got)
	}
}

// pythonVariable names a Python with huggingface_hub, for a check by hand that
// testdata/check_hub_cache.py and check_hub_upload.py describe.
const pythonVariable = "BLIPFLOW_HUB_PYTHON"

func needsPython(t *testing.T) {
	t.Helper()
	if os.Getenv(pythonVariable) == "" {
		t.Skip(pythonVariable + " names no Python with huggingface_hub")
	}
}

func python(t *testing.T, s *hubtest.Server, home string, args ...string) *exec.Cmd {
	return pythonScript(t, s, "check_hub_cache.py", home, secret, args)
}

func pythonScript(t *testing.T, s *hubtest.Server, script, home, token string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Getenv(pythonVariable), append([]string{filepath.Join("..", "..", "testdata", script)}, args...)...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+s.URL, "HF_HOME="+home, "HF_TOKEN="+token, "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_XET=1", "NO_PROXY=*")
	return cmd
}

// printed is what the script for uploads says.
type printed struct {
	OID, URL, Repo, Name, Said string
	PullRequest                string `json:"pull_request"`
}

func pythonUpload(t *testing.T, s *hubtest.Server, token string, args ...string) (p printed) {
	t.Helper()
	out := &bytes.Buffer{}
	cmd := pythonScript(t, s, "check_hub_upload.py", t.TempDir(), token, args)
	cmd.Stderr = out
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s%s", args, err, text, out)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%q: %v: %s", args, err, text)
	}
	return p
}

// uploadOf are files that show all that an upload has to tell apart.
func uploadOf() map[string][]byte {
	files := modelFiles()
	files["README.md"] = []byte("---\nlicense: mit\n---\n# A model\n")
	files[".gitignore"] = []byte("*.log\n")
	return files
}

func TestPythonUploads(t *testing.T) {
	needsPython(t)
	files := uploadOf()
	dir := writeFolder(t, files)
	for _, c := range []struct {
		repo    Repo
		options []string
	}{
		{Repo{Model, "org/name", "main"}, nil},
		{Repo{Dataset, "me/name", "a/branch"}, []string{"private"}},
		{Repo{Model, "org/name", "main"}, []string{"pull_request"}},
	} {
		private, pull := slices.Contains(c.options, "private"), slices.Contains(c.options, "pull_request")
		args := append([]string{"folder", string(c.repo.Kind), c.repo.ID, c.repo.Revision, dir}, c.options...)
		repository := string(c.repo.Kind) + "s/" + c.repo.ID

		// What Python uploads is served, and Go finds nothing to add.
		byPython, client, _ := newHub(t)
		byPython.PartSize(70_000)
		p := pythonUpload(t, byPython, secret, args...)
		wire := wireOf(t, byPython)
		repo := c.repo
		if pull {
			repo.Revision = "refs/pr/1"
		}
		isServed(t, client, repo, files)
		if byPython.Private(repository) != private {
			t.Errorf("%v: private is %v", repo, byPython.Private(repository))
		}
		h := byPython.History(repository, repo.Revision)
		if len(h) != 2 || h[0].OID != p.OID || h[0].Summary != "Upload" || h[0].Author != "me" || pull != (p.PullRequest != "") {
			t.Errorf("%v: the history is %+v, Python says %+v", repo, h, p)
		}
		info, err := client.Upload(t.Context(), Upload{Repo: repo, Folder: dir, Private: private})
		if err != nil || info.OID != p.OID || info.Files != 0 || !pull && info.URL != p.URL {
			t.Errorf("%v: Go after Python: %+v, %v, want %+v", repo, info, err, p)
		}

		// What Go uploads took the same requests, and Python finds nothing to add.
		byGo, client, _ := newHub(t)
		byGo.PartSize(70_000)
		info, err = client.Upload(t.Context(), Upload{
			Repo: c.repo, Folder: dir, Private: private, PullRequest: pull, Message: "Upload", Description: "All of it.",
		})
		if err != nil {
			t.Fatal(err)
		}
		sameWire(t, wireOf(t, byGo), slices.Compact(wire)) // Python has the card checked twice
		if pull {
			continue
		}
		before := sent(byGo)
		if p := pythonUpload(t, byGo, secret, args...); p.OID != info.OID || p.URL != info.URL || sent(byGo) != before {
			t.Errorf("%v: Python after Go: %+v and %d large files, want %+v", repo, p, sent(byGo)-before, info)
		}
	}
}

func TestPythonUploadsAreRefused(t *testing.T) {
	needsPython(t)
	s, _, _ := newHub(t)
	s.AddReader("reader", "hf_reader")
	commit := s.AddModel("org/name", map[string][]byte{"a": []byte("a")})
	if p := pythonUpload(t, s, secret, "whoami"); p.Name != "me" {
		t.Errorf("Python is told that it is %q", p.Name)
	}
	for _, c := range []struct{ token, id string }{{"hf_reader", "reader/name"}, {secret, "other/name"}} {
		if p := pythonUpload(t, s, c.token, "refused", "model", c.id); !strings.Contains(p.Said, "You don't have the rights") {
			t.Errorf("%s: Python is told %q", c.id, p.Said)
		}
	}
	dir := writeFolder(t, map[string][]byte{weights: content(1, 1000)})
	pythonUpload(t, s, secret, "file", "model", "org/name", "main", dir, weights)
	if p := pythonUpload(t, s, secret, "stale", "model", "org/name", commit); !strings.Contains(p.Said, "A commit has happened since") {
		t.Errorf("Python is told %q", p.Said)
	}
	if n := len(s.History("models/org/name", "main")); n != 2 {
		t.Errorf("there are %d commits", n)
	}
}

// huggingface_hub goes on after the faults that Go goes on after, so the server
// is not at fault itself.
func TestPythonUploadsAfterFaults(t *testing.T) {
	needsPython(t)
	s, client, _ := newHub(t)
	s.PartSize(70_000)
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 1, Status: 500})
	s.Inject(hubtest.Fault{On: hubtest.IsUpload, Times: 1, CutBody: 1000})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/preupload/"), Times: 1, Status: 503})
	files := uploadOf()
	pythonUpload(t, s, secret, "folder", "model", "org/name", "main", writeFolder(t, files))
	isServed(t, client, repoOf(t, Model, "org/name"), files)
}

func TestPythonSharesTheCache(t *testing.T) {
	needsPython(t)
	s := hubtest.New(t)
	s.PageSize(4)
	files := modelFiles()
	want := t.TempDir()
	for name, text := range files {
		if err := writeWhole(filepath.Join(want, filepath.FromSlash(name)), text); err != nil {
			t.Fatal(err)
		}
	}
	for _, repository := range []string{"models/org/name", "datasets/name", "datasets/org/pr"} {
		revision := map[bool]string{true: "refs/pr/1", false: "main"}[repository == "datasets/org/pr"]
		s.Commit(repository, revision, files)
		s.Gate(repository, secret)
		folder, id, _ := strings.Cut(repository, "/")
		kind := Kind(strings.TrimSuffix(folder, "s"))
		repo := repoOf(t, kind, id+"@"+revision)

		// Python finds what Go fetched, offline.
		home := t.TempDir()
		c, _ := newClient(t, s, home, "HF_TOKEN="+secret)
		if _, err := c.Snapshot(t.Context(), repo, nil); err != nil {
			t.Fatal(err)
		}
		out, err := python(t, s, home, "find", want, string(kind), id, revision).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("%s", out)
		before := len(s.Contents())
		if out, err := python(t, s, home, "fetch", want, string(kind), id, revision).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if n := len(s.Contents()) - before; n != 0 {
			t.Errorf("Python fetched %d files that Go had fetched", n)
		}

		// Go finds what Python fetched from the test server, offline.
		home = t.TempDir()
		out, err = python(t, s, home, "fetch", want, string(kind), id, revision).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("%s", out)
		c, warned := newClient(t, s, home, "HF_HUB_OFFLINE=1")
		c.Transport = noNetwork{t}
		dir, err := c.Snapshot(t.Context(), repo, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, noList := os.Stat(filepath.Join(dir, "..", "..", "trees")) // before huggingface_hub 2
		if (noList == nil) != (warned.String() == "") {
			t.Errorf("warned of %q", warned)
		}
		sameFiles(t, dir, files)
	}
}

func TestPythonHonoursTheLock(t *testing.T) {
	needsPython(t)
	s := hubtest.New(t)
	files := map[string][]byte{weights: content(6, 1000)}
	s.AddModel("org/name", files)
	home := t.TempDir()
	c, warned := newClient(t, s, home)
	path := filepath.Join(c.Cache, ".locks", "models--org--name", shaOf(files[weights])+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := python(t, s, home, "lock", path)
	release, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	done := make(chan error)
	go func() {
		_, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
		done <- err
	}()
	for !strings.Contains(warned.String(), "waiting for another process") {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * lockPoll) // long enough for it to go on, if it would
	if n := len(s.Contents()); n != 0 {
		t.Errorf("%d requests while Python held the lock", n)
	}
	if err := release.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
