package preprocess

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

// webSet is a data set whose pictures are on a server, which counts how often each
// is asked for.
type webSet struct {
	set   *dataset.Set
	close func()

	mu    sync.Mutex
	asked map[string]int
}

const webPictures = 10

func newWebSet(t *testing.T) *webSet {
	t.Helper()
	w := &webSet{asked: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		w.mu.Lock()
		w.asked[name]++
		w.mu.Unlock()
		var i int
		switch name {
		case "gone.jpg":
			http.NotFound(out, r)
		case "forbidden.jpg":
			http.Error(out, "no", http.StatusForbidden)
		case "page.jpg":
			_, _ = out.Write([]byte("<!DOCTYPE html><title>Not here</title>"))
		case "empty.jpg":
		default:
			if _, err := fmt.Sscanf(name, "%d.jpg", &i); err != nil {
				t.Error(err)
			}
			_, _ = out.Write(jpegOf(t, i))
		}
	}))
	t.Cleanup(server.Close)
	w.close = server.Close
	var meta strings.Builder
	add := func(name string) {
		fmt.Fprintf(&meta, "{\"image_id\":%q,\"url\":%q,\"caption\":\"a red circle\"}\n", name, server.URL+"/"+name)
	}
	for i := range webPictures {
		add(fmt.Sprintf("%d.jpg", i))
	}
	for _, name := range []string{"gone.jpg", "forbidden.jpg", "page.jpg", "empty.jpg"} {
		add(name)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rows.jsonl"), []byte(meta.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.set, err = dataset.Load(dir, dataset.Options{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// check wants every picture to have been asked for once, and each outcome.
func (w *webSet) check(t *testing.T, cfg Config, m *Manifest) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) != len(w.set.Refs) {
		t.Errorf("%d of %d pictures were asked for", len(w.asked), len(w.set.Refs))
	}
	for name, n := range w.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", name, n)
		}
	}
	checkCounts(t, w.set, cfg, m)
	if m.PicturesWritten != webPictures {
		t.Errorf("%d pictures written, want %d", m.PicturesWritten, webPictures)
	}
	letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range letters {
		got = append(got, fmt.Sprintf("%s %s: %s", filepath.Base(l.Image), l.Code, l.Error))
	}
	want := []string{
		"empty.jpg empty_file: empty file",
		"forbidden.jpg unreadable: the server answers 403 Forbidden",
		"gone.jpg missing: the server answers 404 Not Found",
		`page.jpg unknown_format: not a picture in a known format (it begins with "<!DOCTYPE html><")`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// block keeps a run from putting a shard into its place, and returns what takes the
// hindrance away. What is hashed by then is kept.
func block(t *testing.T, set *dataset.Set, cfg Config) (work string, unblock func()) {
	t.Helper()
	job, err := Prepare(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	shard := filepath.Join(job.work, "train-00000-of-00001.parquet")
	if err := errors.Join(os.MkdirAll(filepath.Join(shard, "x"), 0o700), job.Close()); err != nil {
		t.Fatal(err)
	}
	return job.work, func() {
		if err := os.RemoveAll(shard); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDownloadsOnce(t *testing.T) {
	w, cfg := newWebSet(t), config(t)
	cfg.ChunkSize = 4
	m, err := runSet(t, w.set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, cfg, m)
	want := files(t, cfg.Output)

	// A run that ends after hashing does not download again.
	broken, again := newWebSet(t), config(t)
	again.ChunkSize = 4
	work, unblock := block(t, broken.set, again)
	if _, err := runSet(t, broken.set, again); err == nil {
		t.Fatal("the run was to fail")
	}
	spools, err := filepath.Glob(filepath.Join(work, "spool-*.bin"))
	if err != nil || len(spools) != 4 {
		t.Errorf("%d spools for 14 pictures in chunks of 4, %v", len(spools), err)
	}
	unblock()
	broken.close()
	if m, err = runSet(t, broken.set, again); err != nil {
		t.Fatal(err)
	}
	broken.check(t, again, m)
	if got := files(t, again.Output); len(got) != len(want) {
		t.Errorf("files %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// TestRowsAreReadOnce takes the data set's files away after hashing.
func TestRowsAreReadOnce(t *testing.T) {
	for _, name := range []string{"flickr8k_parquet", "webdataset"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, name))); err != nil {
				t.Fatal(err)
			}
			if name == "webdataset" { // members of plain tar files are read twice, at no cost
				packed, err := os.ReadFile(filepath.Join(dir, "test-000000.tar.gz"))
				if err := errors.Join(err, os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "train.tgz"), packed, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set, err := dataset.Load(dir, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			cfg, other := config(t), config(t)
			if _, err := runSet(t, set, other); err != nil {
				t.Fatal(err)
			}
			_, unblock := block(t, set, cfg)
			if _, err := runSet(t, set, cfg); err == nil {
				t.Fatal("the run was to fail")
			}
			unblock()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			m, err := runSet(t, set, cfg)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, set, cfg, m)
			if diff := cmp.Diff(files(t, other.Output), files(t, cfg.Output)); diff != "" {
				t.Errorf("files (-in one go +in two):\n%s", diff)
			}
		})
	}
}

func TestSpoiledSpool(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(data []byte) []byte // nil removes the file
		of    string
		times int // how often pictures are asked for
		bad   int // pictures that fail besides those that always do
	}{
		{"note gone", nil, ".json", 2, 0},
		{"data cut off", func(b []byte) []byte { return b[:len(b)-1] }, ".bin", 2, 0},
		{"another byte", func(b []byte) []byte { b[100]++; return b }, ".bin", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, cfg := newWebSet(t), config(t)
			work, unblock := block(t, w.set, cfg)
			if _, err := runSet(t, w.set, cfg); err == nil {
				t.Fatal("the run was to fail")
			}
			unblock()
			found, err := filepath.Glob(filepath.Join(work, "spool-*"+tt.of))
			if err != nil || len(found) != 1 {
				t.Fatalf("%d files, %v", len(found), err)
			}
			if tt.spoil == nil {
				err = os.Remove(found[0])
			} else if data, readErr := os.ReadFile(found[0]); readErr != nil {
				err = readErr
			} else {
				err = os.WriteFile(found[0], tt.spoil(data), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			m, err := runSet(t, w.set, cfg)
			if err != nil {
				t.Fatal(err)
			}
			for name, n := range w.asked {
				if n != tt.times {
					t.Errorf("%s was asked for %d times, want %d", name, n, tt.times)
				}
			}
			checkCounts(t, w.set, cfg, m)
			if m.PicturesWritten != webPictures-tt.bad {
				t.Errorf("%d pictures written, want %d", m.PicturesWritten, webPictures-tt.bad)
			}
			letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
			changed := slices.ContainsFunc(letters, func(l records.DeadLetter) bool { return l.Code == records.CodeChanged })
			if err != nil || changed != (tt.bad > 0) {
				t.Errorf("a letter of a changed picture: %v, %v", changed, err)
			}
		})
	}
}

func TestSpool(t *testing.T) {
	s := spool{t.TempDir(), chunk{Offset: 17, Lines: 3}}
	if _, ok := s.finished(); ok {
		t.Error("a spool that is not there is finished")
	}
	var data bytes.Buffer
	to := copier{w: &data, chunk: s.chunk}
	pictures := make([]planned, 3)
	for i, content := range []string{"one", "", "three"} {
		if err := to.add(&pictures[i], []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	out := hashed{Pictures: pictures, Failed: []letter{{Image: "x", Code: "missing", Error: "gone"}}}
	if err := errors.Join(os.WriteFile(s.data(), data.Bytes(), 0o600), s.finish(out)); err != nil {
		t.Fatal(err)
	}
	data.WriteString("more")
	for name, content := range map[string][]byte{s.note(): []byte(`{"Pictures":[{`), s.data(): data.Bytes()} {
		whole, err := os.ReadFile(name)
		if err := errors.Join(err, os.WriteFile(name, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.finished(); ok {
			t.Errorf("with %q in %s it is finished", content, filepath.Base(name))
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := s.finished()
	if diff := cmp.Diff(out, got); !ok || diff != "" {
		t.Errorf("finished: %v (-want +got):\n%s", ok, diff)
	}
	for i, want := range []string{"one", "", "three"} {
		f, err := pictures[i].Copy.open(s.work)
		if err != nil {
			t.Fatal(err)
		}
		var have bytes.Buffer
		if _, err := have.ReadFrom(f); err != nil || have.String() != want {
			t.Errorf("picture %d is %q, %v", i, have.String(), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}
