package hub

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
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
// testdata/check_hub_cache.py describes.
const pythonVariable = "BLIPFLOW_HUB_PYTHON"

func needsPython(t *testing.T) {
	t.Helper()
	if os.Getenv(pythonVariable) == "" {
		t.Skip(pythonVariable + " names no Python with huggingface_hub")
	}
}

func python(t *testing.T, s *hubtest.Server, home string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Getenv(pythonVariable), append([]string{filepath.Join("..", "..", "testdata", "check_hub_cache.py")}, args...)...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+s.URL, "HF_HOME="+home, "HF_TOKEN="+secret, "HF_HUB_DISABLE_PROGRESS_BARS=1", "NO_PROXY=*")
	return cmd
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
