package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

func TestSnapshotHasTheFilesInHuggingFacesLayout(t *testing.T) {
	s := hubtest.New(t)
	s.PageSize(4) // several pages, some of them folders only
	files := modelFiles()
	commit := s.AddModel("org/name", files)
	home := t.TempDir()
	c, _ := newClient(t, s, home)
	dir, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(home, "hub", "models--org--name")
	if want := filepath.Join(repo, "snapshots", commit); dir != want {
		t.Errorf("snapshot in %s, want %s", dir, want)
	}
	sameFiles(t, dir, files)
	if ref, err := os.ReadFile(filepath.Join(repo, "refs", "main")); string(ref) != commit {
		t.Errorf("refs/main holds %q (%v), want %q and no more", ref, err, commit)
	}
	for name, want := range map[string]string{
		// As git hash-object says.
		"config.json":          "../../blobs/5bec6e276849a98c4fa550fba468d7b7043273e0",
		"sub/deep/weights.bin": "../../../../blobs/" + shaOf(files["sub/deep/weights.bin"]),
		"sub/vocab.txt":        "../../../blobs/7d59d1552e25259c1631f1f59a861832f3137588",
		"empty":                "../../blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
	} {
		if link, err := os.Readlink(filepath.Join(dir, filepath.FromSlash(name))); filepath.ToSlash(link) != want {
			t.Errorf("%s links to %s (%v), want %s", name, link, err, want)
		}
	}
	blobs := below(t, filepath.Join(repo, "blobs"))
	if len(blobs) != len(files)-1 { // two have one content
		t.Errorf("%d blobs of %d files, two of them equal: %q", len(blobs), len(files), blobs)
	}
	for _, name := range blobs {
		if strings.HasSuffix(name, ".incomplete") {
			t.Errorf("%s is left", name)
		}
		if _, err := os.Stat(filepath.Join(home, "hub", ".locks", "models--org--name", name+".lock")); err != nil {
			t.Error(err)
		}
	}
	if got := below(t, filepath.Join(repo, "trees")); !slices.Equal(got, []string{commit + ".json"}) {
		t.Errorf("trees has %q", got)
	}
}

func TestSnapshotFetchesOnlyWhatTheCacheLacks(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("org/name", files)
	c, _ := newClient(t, s, t.TempDir())
	repo := repoOf(t, Model, "org/name")
	dir, err := c.Snapshot(t.Context(), repo, Match("*.json"))
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, without(files, "model.safetensors", "sub/deep/weights.bin", "sub/vocab.txt", "copy of vocab.txt", "empty", "a#b?c%41&d=e+f;g.txt"))
	fetched := len(s.Contents())

	if _, err := c.Snapshot(t.Context(), repo, Match("*.json", "sub/")); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Contents()) - fetched; n != 2 {
		t.Errorf("%d requests for the two files that were missing", n)
	}

	files["config.json"] = []byte("{}") // which is also "größe 🙂/résumé.json"
	files["new.txt"] = []byte("new")
	s.AddModel("org/name", files)
	fetched = len(s.Contents())
	second, err := c.Snapshot(t.Context(), repo, Match("*.json", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if second == dir {
		t.Error("the new commit has the folder of the old one")
	}
	sameFiles(t, second, without(files, "model.safetensors", "sub/deep/weights.bin", "empty"))
	if n := len(s.Contents()) - fetched; n != 2 { // new.txt and the odd one
		t.Errorf("%d requests for the two contents that were missing", n)
	}
}

func TestSnapshotOfRevisionsAndDatasets(t *testing.T) {
	s := hubtest.New(t)
	for _, revision := range []string{"main", "v1.0", "refs/pr/1", "feature/x"} {
		s.Commit("datasets/data", revision, map[string][]byte{"revision.txt": []byte(revision), "train.parquet": content(1, 100)})
	}
	c, _ := newClient(t, s, t.TempDir())
	for _, revision := range []string{"", "v1.0", "refs/pr/1", "feature/x"} {
		text := strings.TrimSuffix("data@"+revision, "@")
		dir, err := c.Snapshot(t.Context(), repoOf(t, Dataset, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := revision
		if want == "" {
			want = "main"
		}
		sameFiles(t, dir, map[string][]byte{"revision.txt": []byte(want), "train.parquet": content(1, 100)})
		if ref, err := os.ReadFile(filepath.Join(c.Cache, "datasets--data", "refs", filepath.FromSlash(want))); string(ref) != filepath.Base(dir) {
			t.Errorf("the ref of %s holds %q (%v)", want, ref, err)
		}
	}
	if n := count(s.Contents(), "/blobs/"); n != 1 {
		t.Errorf("the file that all revisions have was fetched %d times", n)
	}
}

func TestFilesAreListed(t *testing.T) {
	s := hubtest.New(t)
	s.PageSize(2)
	files := modelFiles()
	want := s.AddModel("org/name", files)
	home := t.TempDir()
	c, _ := newClient(t, s, home)
	repo := repoOf(t, Model, "org/name")
	for _, c := range []*Client{c, {Cache: c.Cache, Offline: true}} {
		commit, got, err := c.Files(t.Context(), repo)
		if !c.Offline && err != nil {
			t.Fatal(err)
		}
		if c.Offline && errors.Is(err, ErrOffline) {
			// Only a snapshot records where the branch stands.
			repo.Revision = want
			commit, got, err = c.Files(t.Context(), repo)
		}
		if err != nil || commit != want || len(got) != len(files) {
			t.Fatalf("offline %v: %d files of commit %s (%v), want %d of %s", c.Offline, len(got), commit, err, len(files), want)
		}
		for _, f := range got {
			etag := gitSHA(files[f.Name])
			if strings.HasSuffix(f.Name, ".bin") || strings.HasSuffix(f.Name, ".safetensors") {
				etag = shaOf(files[f.Name])
			}
			if f.Size != int64(len(files[f.Name])) || f.ETag != etag {
				t.Errorf("%s: %d bytes, %s, want %d, %s", f.Name, f.Size, f.ETag, len(files[f.Name]), etag)
			}
		}
	}
}

// noNetwork fails the test that lets a client use it.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("a connection to %s", r.URL)
	return nil, errors.New("no network")
}

func TestOfflineMakesNoConnection(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("org/name", files)
	home := t.TempDir()
	online, _ := newClient(t, s, home)
	repo := repoOf(t, Model, "org/name")
	if _, err := online.Snapshot(t.Context(), repo, Match("*.json")); err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=yes"} {
		c, warned := newClient(t, s, home, variable)
		c.Transport = noNetwork{t}
		dir, err := c.Snapshot(t.Context(), repo, Match("*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
			t.Error(err)
		}
		for what, keep := range map[string]func(string) bool{"lacks 6 of 9 files": nil, "has 9 files, none of those asked for": Match("*.none")} {
			_, err := c.Snapshot(t.Context(), repo, keep)
			if !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "unset HF_HUB_OFFLINE") {
				t.Errorf("%v, want ErrOffline, HF_HUB_OFFLINE and %q", err, what)
			}
		}
		if _, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/other"), nil); !errors.Is(err, ErrOffline) {
			t.Errorf("a model that was never fetched: %v", err)
		}
		if warned.String() != "" {
			t.Errorf("warned of %s", warned)
		}
		// Versions of huggingface_hub before 2 left no list.
		if err := os.RemoveAll(filepath.Join(home, "hub", "models--org--name", "trees")); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Snapshot(t.Context(), repo, nil); got != dir || err != nil || !strings.Contains(warned.String(), "is not known") {
			t.Errorf("without a list: %s, %v, warned of %q", got, err, warned)
		}
		if _, err := c.Snapshot(t.Context(), repo, Match("*.bin")); !errors.Is(err, ErrOffline) {
			t.Errorf("without a list and without a file: %v", err)
		}
		if _, err := online.Snapshot(t.Context(), repo, Match("*.json")); err != nil { // puts the list back
			t.Fatal(err)
		}
	}
}

func TestCommitInTheCacheNeedsNoConnection(t *testing.T) {
	s := hubtest.New(t)
	commit := s.AddModel("org/name", modelFiles())
	c, _ := newClient(t, s, t.TempDir())
	repo := repoOf(t, Model, "org/name@"+commit)
	want, err := c.Snapshot(t.Context(), repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Transport = noNetwork{t}
	if got, err := c.Snapshot(t.Context(), repo, nil); got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if _, err := os.Stat(filepath.Join(c.Cache, "models--org--name", "refs")); err == nil {
		t.Error("a commit has a ref")
	}
}

func TestCacheServesWhereTheHubIsDown(t *testing.T) {
	for name, down := range map[string]func(*hubtest.Server, *Client){
		"no connection": func(s *hubtest.Server, _ *Client) { s.Close() },
		"status 503": func(s *hubtest.Server, _ *Client) {
			s.Inject(hubtest.Fault{On: hubtest.PathHas("/"), Status: 503})
		},
		"stalled": func(s *hubtest.Server, c *Client) {
			s.Inject(hubtest.Fault{On: hubtest.PathHas("/"), Wait: make(chan struct{})})
			c.ListTimeout = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t)
			s.AddModel("org/name", modelFiles())
			c, warned := newClient(t, s, t.TempDir())
			repo := repoOf(t, Model, "org/name")
			want, err := c.Snapshot(t.Context(), repo, Match("*.json"))
			if err != nil {
				t.Fatal(err)
			}
			down(s, c)
			before := len(s.Requests())
			got, err := c.Snapshot(t.Context(), repo, Match("*.json"))
			if got != want || err != nil {
				t.Errorf("%s, %v, want %s", got, err, want)
			}
			if !strings.Contains(warned.String(), "model org/name is served from the cache") {
				t.Errorf("warned of %q", warned)
			}
			if n := len(s.Requests()) - before; n > 1 {
				t.Errorf("%d tries to reach it, though the cache could serve", n)
			}
			if _, err := c.Snapshot(t.Context(), repo, nil); !errors.Is(err, ErrUnreachable) {
				t.Errorf("files that the cache lacks: %v, want ErrUnreachable", err)
			}
		})
	}
}

func TestSnapshotWithoutSymlinks(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("org/name", files)
	c, _ := newClient(t, s, t.TempDir(), "HF_HUB_DISABLE_SYMLINKS=1")
	repo := repoOf(t, Model, "org/name")
	dir, err := c.Snapshot(t.Context(), repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, files)
	for _, name := range below(t, dir) {
		if info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	before := len(s.Contents())
	if _, err := c.Snapshot(t.Context(), repo, nil); err != nil || len(s.Contents()) != before {
		t.Errorf("the second time: %v, %d requests", err, len(s.Contents())-before)
	}
}

// A snapshot that lost a blob, or has a part of a file, is mended.
func TestSnapshotIsMended(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("org/name", files)
	c, _ := newClient(t, s, t.TempDir())
	repo := repoOf(t, Model, "org/name")
	dir, err := c.Snapshot(t.Context(), repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(c.Cache, "models--org--name", "blobs")
	if err := os.Remove(filepath.Join(blobs, gitSHA(files["config.json"]))); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(blobs, shaOf(files["model.safetensors"])), 100); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "sub", "vocab.txt")); err != nil {
		t.Fatal(err)
	}
	before := len(s.Contents())
	if _, err := c.Snapshot(t.Context(), repo, nil); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, files)
	if n := len(s.Contents()) - before; n != 2 {
		t.Errorf("%d requests for the two blobs that were missing", n)
	}
}

// The cache may be read-only, or a person's who only lends it.
func TestWholeCacheIsNotWrittenTo(t *testing.T) {
	s := hubtest.New(t)
	s.AddModel("org/name", modelFiles())
	c, warned := newClient(t, s, t.TempDir())
	repo := repoOf(t, Model, "org/name")
	if _, err := c.Snapshot(t.Context(), repo, nil); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	touched := func() (names []string) {
		err := filepath.WalkDir(c.Cache, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err == nil && info.ModTime().After(past) {
				names = append(names, path)
				err = os.Chtimes(path, past, past)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(touched()) == 0 {
		t.Error("nothing was written at first")
	}
	if _, err := c.Snapshot(t.Context(), repo, nil); err != nil || warned.String() != "" {
		t.Errorf("%v, warned of %q", err, warned)
	}
	if names := touched(); len(names) != 0 {
		t.Errorf("wrote %q", names)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("org/name", files)
	large := hubtest.PathHas("/blobs/" + shaOf(files["model.safetensors"]))
	s.Inject(hubtest.Fault{Times: 1, On: large, CutAfter: 7000})
	s.Inject(hubtest.Fault{Times: 1, On: large, IgnoreRange: true, CutAfter: 9000}) // starts over
	s.Inject(hubtest.Fault{Times: 1, On: large, Corrupt: true})                     // twice
	c, _ := newClient(t, s, t.TempDir())
	want := -int64(len("[PAD]\n")) // fetched once for two files
	for _, text := range files {
		want += int64(len(text))
	}
	var last, most int64
	c.Progress = func(done, total int64) {
		last, most = done, max(most, done)
		if total != want || done < 0 || done > total {
			t.Errorf("%d of %d, want at most %d", done, total, want)
		}
	}
	if _, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); err != nil {
		t.Fatal(err)
	}
	if last != want {
		t.Errorf("ended at %d of %d", last, want)
	}
}

func TestSnapshotOfNothingIsAnError(t *testing.T) {
	s := hubtest.New(t)
	s.AddModel("org/name", modelFiles())
	c, _ := newClient(t, s, t.TempDir())
	_, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), Match("*.onnx"))
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "9 files") {
		t.Errorf("%v, want ErrNotFound and what there is", err)
	}
	for _, repo := range []Repo{{}, {Kind: Model, ID: "../../etc"}, {Kind: "space", ID: "org/name"}, {Kind: Model, ID: "org/name", Revision: "../x"}} {
		if _, err := c.Snapshot(context.Background(), repo, nil); !errors.Is(err, ErrRepo) {
			t.Errorf("%+v: %v, want ErrRepo", repo, err)
		}
	}
	c.Cache = ""
	if _, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); err == nil {
		t.Error("a client without a cache fetched")
	}
}

func TestRenamedRepositoryIsFound(t *testing.T) {
	s := hubtest.New(t)
	files := modelFiles()
	s.AddModel("new/name", files)
	s.Move("models/old/name", "models/new/name")
	c, _ := newClient(t, s, t.TempDir())
	dir, err := c.Snapshot(t.Context(), repoOf(t, Model, "old/name"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, files)
}

// Another process may be reading the snapshot.
func TestLinkLeavesWhatIsThere(t *testing.T) {
	s := hubtest.New(t)
	commit := s.AddModel("org/name", modelFiles())
	c, _ := newClient(t, s, t.TempDir())
	repo := repoOf(t, Model, "org/name")
	dir, err := c.Snapshot(t.Context(), repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := c.open(repo)
	if err != nil {
		t.Fatal(err)
	}
	_, files, err := c.Files(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.link(commit, f.Name, blob{etag: f.ETag, size: f.Size}); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("%s was made anew: %v", f.Name, err)
		}
	}
}
