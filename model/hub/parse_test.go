package hub

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func golden(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "golden", "hub", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func TestRepoIDsAreHuggingFaces(t *testing.T) {
	var valid map[string]bool
	golden(t, "repo_ids.json", &valid)
	for id, want := range valid {
		_, err := Repo{Kind: Model, ID: id}.checked()
		if (err == nil) != want || err != nil && !errors.Is(err, ErrRepo) {
			t.Errorf("%q: %v, want it valid: %v", id, err, want)
		}
	}
}

func TestParseRepo(t *testing.T) {
	for _, c := range []struct {
		text string
		want Repo // without a kind: an error
	}{
		{"org/name", Repo{Model, "org/name", "main"}},
		{"name", Repo{Model, "name", "main"}},
		{"org/name@v1.0", Repo{Model, "org/name", "v1.0"}},
		{"org/name@refs/pr/1", Repo{Model, "org/name", "refs/pr/1"}},
		{"org/name@feature/a-b_c+d", Repo{Model, "org/name", "feature/a-b_c+d"}},
		{"org/name@" + strings.Repeat("a", 40), Repo{Model, "org/name", strings.Repeat("a", 40)}},
		{"org/name@größe", Repo{Model, "org/name", "größe"}},
		{"org/name@a@b", Repo{Model, "org/name", "a@b"}},
		{"org/name@", Repo{}},
		{"@main", Repo{}},
		{"org/name@..", Repo{}},
		{"org/name@a/../../b", Repo{}},
		{"org/name@/etc/passwd", Repo{}},
		{"org/name@a/", Repo{}},
		{"org/name@a//b", Repo{}},
		{"org/name@a..b", Repo{}},
		{`org/name@a\b`, Repo{}},
		{"org/name@a b", Repo{}},
		{"org/name@a\nb", Repo{}},
		{"org/name@a:b", Repo{}},
		{"org/name@-a", Repo{}},
		{"org/name@a.lock", Repo{}},
		{"org/name@@{1}", Repo{}},
		{"org/name@\xff", Repo{}},
		{"https://huggingface.co/org/name", Repo{}},
	} {
		got, err := ParseRepo(Model, c.text)
		if got != c.want || (err == nil) != (c.want != Repo{}) || err != nil && !errors.Is(err, ErrRepo) {
			t.Errorf("%q: %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
}

// What is accepted leads neither out of the cache nor to another address.
func FuzzParseRepo(f *testing.F) {
	for _, text := range []string{"org/name", "name@refs/pr/1", "a/../b", "org/name@../x", "a--b", "C:x", "org/name@a%2fb", `a\b`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		repo, err := ParseRepo(Dataset, text)
		if err != nil {
			return
		}
		again, err := ParseRepo(Dataset, repo.ID+"@"+repo.Revision)
		if err != nil || again != repo {
			t.Errorf("%q: %+v reads as %+v, %v", text, repo, again, err)
		}
		s := &store{root: filepath.FromSlash("/cache"), repo: repo}
		for path, parent := range map[string]string{s.folder(): s.root, s.ref(): filepath.Join(s.folder(), "refs")} {
			if rest, err := filepath.Rel(parent, path); err != nil || !filepath.IsLocal(rest) || rest == "." {
				t.Errorf("%q: %s is not below %s", text, path, parent)
			}
		}
		if strings.ContainsRune(repo.folder(), '/') {
			t.Errorf("%q: folder %q", text, repo.folder())
		}
		c := &Client{Endpoint: "https://hub.example/mirror"}
		u, err := c.at(repo.api("revision", repo.Revision))
		if err != nil || u.Host != "hub.example" || u.RawQuery != "" || u.Fragment != "" || !strings.HasPrefix(u.Path, "/mirror/api/datasets/"+repo.ID+"/revision/") {
			t.Errorf("%q: address %v, %v", text, u, err)
		}
	})
}

func TestFileAddresses(t *testing.T) {
	c := &Client{}
	for _, name := range []string{"a", "a/b", "a b", "a#b?c%41&d=e+f;g:h@i.txt", "größe 🙂/x", "a'b\"c", "..a/b..", "%2e%2e/x", "a\nb"} {
		if !validName(name) {
			t.Errorf("%q is refused", name)
		}
		u, err := c.at(Repo{Kind: Model, ID: "org/name"}.file("c0", name))
		if err != nil || u.Path != "/org/name/resolve/c0/"+name || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: %v, %v", name, u, err)
		}
		if strings.ContainsAny(u.EscapedPath(), "+ ") {
			t.Errorf("%q: %s can be misread", name, u.EscapedPath())
		}
	}
}

func TestPatternsAreHuggingFaces(t *testing.T) {
	var cases struct {
		Names []string
		Kept  map[string][]string
	}
	golden(t, "patterns.json", &cases)
	for pattern, want := range cases.Kept {
		keep := Match(pattern)
		var got []string
		for _, name := range cases.Names {
			// A backslash in a name is refused before a pattern sees it.
			if keep(strings.ReplaceAll(name, `\`, "/")) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q keeps %q, want %q", pattern, got, want)
		}
	}
	keep := Match("*.json", "*.txt")
	if !keep("a.json") || !keep("b.txt") || keep("c.bin") || Match()("a") {
		t.Error("several patterns are not one or the other")
	}
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"*", "[a-c]", "[!]-a]", "[", "[]", "[c-a]x", "\xff", "[\xff-🙂]"} {
		f.Add(pattern, "a")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		Match(pattern)(name) // compiles
		if !strings.ContainsAny(pattern, `*?[\`) && !strings.HasSuffix(pattern, "/") && regexp.MustCompile(`^[ -~]*$`).MatchString(pattern) && !Match(pattern)(pattern) {
			t.Errorf("%q does not fit itself", pattern)
		}
	})
}

func TestNextLink(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`<https://h/a?cursor=x%3D&limit=2>; rel="next"`, "https://h/a?cursor=x%3D&limit=2"},
		{`<https://h/a>; rel=next`, "https://h/a"},
		{`</a,b;c>;rel="next"`, "/a,b;c"},
		{`</p>; rel="prev", </n>; rel="next", </l>; rel="last"`, "/n"},
		{`</p>; title="a, <x>; rel=\"next\""; rel="prev", </n>; rel="last next"`, "/n"},
		{`</n>; title="a"; REL = "Next"`, "/n"},
		{`</n>; rel="nextish"`, ""},
		{`</n>; notrel="next"`, ""},
		{`</n>`, ""},
		{`</n; rel="next"`, ""},
		{``, ""},
		{`<>; rel="next"`, ""},
	} {
		if got, ok := nextLink(c.header); got != c.want || ok != (c.want != "" || c.header == `<>; rel="next"`) {
			t.Errorf("%s: %q, %v, want %q", c.header, got, ok, c.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add("https://h/a", `</p>; rel="prev", `)
	f.Add("/a,b;c", "")
	f.Add("", `<`)
	f.Fuzz(func(t *testing.T, link, before string) {
		nextLink(before + link)
		if strings.ContainsAny(link, "<>") || !regexp.MustCompile(`^(<[a-z/]*>; rel=[a-mo-z]+, )*$`).MatchString(before) {
			return
		}
		if got, ok := nextLink(before + "<" + link + `>; rel="next"`); !ok || got != link {
			t.Errorf("%q after %q: %q, %v", link, before, got, ok)
		}
	})
}

// What a list says is used only if it can do no harm.
func FuzzTree(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"a","size":1,"oid":"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}]`))
	f.Add([]byte(`[{"type":"file","path":"../a","size":-1,"oid":"../x"},{"type":"directory","path":"b"}]`))
	f.Add([]byte(`{"format_version":1,"files":{"a/b":{"size":3,"blob_id":"","lfs_sha256":"` + strings.Repeat("0", 64) + `","lfs_size":3}}}`))
	f.Add([]byte(`{"format_version":1,"files":{"a":{"size":3,"blob_id":"x","lfs_size":null}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := parseTree(text)
		var items []treeItem
		if err != nil && json.Unmarshal(text, &items) == nil {
			for _, item := range items {
				if f, err := item.entry().file(item.Path); err == nil {
					files = append(files, f)
				}
			}
		}
		for _, f := range files {
			if !filepath.IsLocal(filepath.FromSlash(f.Name)) || strings.ContainsAny(f.Name, "\\\x00") || f.Name == "." {
				t.Errorf("name %q", f.Name)
			}
			if !regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString(f.ETag) || f.Size < 0 {
				t.Errorf("%q: hash %q, %d bytes", f.Name, f.ETag, f.Size)
			}
			if u, err := (&Client{}).at((Repo{Kind: Model, ID: "a/b"}).file(strings.Repeat("0", 40), f.Name)); err != nil || !strings.HasSuffix(u.Path, "/"+f.Name) {
				t.Errorf("%q: address %v, %v", f.Name, u, err)
			}
		}
	})
}

func TestTreeCacheReadsBack(t *testing.T) {
	size := int64(7)
	files := []File{
		{"a", 3, strings.Repeat("1", 40), treeEntry{Size: 3, BlobID: strings.Repeat("1", 40)}},
		{"b/c", 7, strings.Repeat("2", 64), treeEntry{Size: 7, BlobID: strings.Repeat("3", 40), LFSSHA256: strings.Repeat("2", 64), LFSSize: &size, XetHash: "broken"}},
	}
	s := &store{root: t.TempDir(), repo: Repo{Model, "org/name", "main"}}
	if err := s.writeTree("c0", files); err != nil {
		t.Fatal(err)
	}
	got, err := s.readTree("c0")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range got {
		if got[i].Name != files[i].Name || got[i].Size != files[i].Size || got[i].ETag != files[i].ETag || got[i].entry.BlobID != files[i].entry.BlobID || got[i].entry.XetHash != "" {
			t.Errorf("%+v, want %+v", got[i], files[i])
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://h/x", "https://H:443/y?z", true},
		{"http://h:80", "http://h", true},
		{"https://h", "http://h", false},
		{"https://h", "https://h:8443", false},
		{"https://h", "https://cdn.h", false},
		{"https://h", "https://h.evil.example", false},
		{"http://127.0.0.1:1", "http://127.0.0.1:2", false},
	} {
		a, errA := url.Parse(c.a)
		b, errB := url.Parse(c.b)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if (origin(a) == origin(b)) != c.same {
			t.Errorf("%s and %s: %s, %s", c.a, c.b, origin(a), origin(b))
		}
	}
}
