package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
)

// folder writes files, by name, into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	const outside = "the metadata names a picture outside the data set's folder"
	const absent = "the metadata names a picture that is not there"
	tests := []struct {
		name  string
		files map[string]string
		want  []Ref
		dead  []records.DeadLetter
	}{
		{
			name: "imagefolder with one caption a row, grouped",
			files: map[string]string{
				"metadata.jsonl": "\ufeff{\"file_name\":\"b.jpg\",\"text\":\"one\"}\n\n{\"file_name\":\"a.jpg\",\"text\":\"two\"}\r\n{\"file_name\":\"b.jpg\",\"text\":\"three\\nlines\"}",
				"a.jpg":          "a", "b.jpg": "b", "unlisted.jpg": "u",
			},
			want: []Ref{
				{ImageID: "b.jpg", URI: "b.jpg", Captions: []string{"one", "three lines"}, Index: 0},
				{ImageID: "a.jpg", URI: "a.jpg", Captions: []string{"two"}, Index: 1},
			},
		},
		{
			name: "captions as a list, ids, splits in the rows",
			files: map[string]string{
				"metadata.jsonl": `{"file_name":"x/1.png","captions":["a","","c"],"image_id":391895,"split":"val"}
{"file_name":"y/1.png","caption":["d"],"text":"t","image_id":"k","split":"Train","other":{"deep":[1]}}`,
				"x/1.png": "1", "y/1.png": "1",
			},
			want: []Ref{
				{ImageID: "391895", URI: "x/1.png", Captions: []string{"a", "", "c"}, Split: Validation},
				{ImageID: "k", URI: "y/1.png", Captions: []string{"t", "d"}, Split: Train, Index: 1},
			},
		},
		{
			name: "Kaggle's Flickr8k",
			files: map[string]string{
				"captions.txt":  "image,caption\n1.jpg,\"A child , alone .\"\n1.jpg,A girl \"in\" pink .\n2.jpg,one, two, three\n",
				"Images/1.jpg":  "1",
				"Images/2.jpg":  "2",
				"Images/no.txt": "x",
			},
			want: []Ref{
				{ImageID: "Images/1.jpg", URI: "Images/1.jpg", Captions: []string{"A child , alone .", `A girl "in" pink .`}},
				{ImageID: "Images/2.jpg", URI: "Images/2.jpg", Captions: []string{"one, two, three"}, Index: 1},
			},
		},
		{
			name: "Kaggle's Flickr30k",
			files: map[string]string{
				"captions.csv": "image_name| comment_number| comment\r\n1.jpg| 0| Two men, talking .\r\n1.jpg| 1| Two \"men\" .\r\n",
				"images/1.jpg": "1",
			},
			want: []Ref{{ImageID: "images/1.jpg", URI: "images/1.jpg", Captions: []string{"Two men, talking .", `Two "men" .`}}},
		},
		{
			name: "split folders",
			files: map[string]string{
				"test/metadata.csv":    "caption;file_name\nc;../shared/3.jpg\nd;4.jpg\n",
				"train/metadata.jsonl": `{"file_name":"sub/1.jpg","text":"a"}`,
				"Val/captions.txt":     "image\tcaption\n2.jpg\tb\tb\n",
				"train/sub/1.jpg":      "1", "Val/2.jpg": "2", "shared/3.jpg": "3", "test/4.jpg": "4",
				"notes/metadata.jsonl": `{"file_name":"5.jpg","text":"e"}`,
			},
			want: []Ref{
				{ImageID: "Val/2.jpg", URI: "Val/2.jpg", Captions: []string{"b b"}, Split: Validation},
				{ImageID: "shared/3.jpg", URI: "shared/3.jpg", Captions: []string{"c"}, Split: Test, Index: 1},
				{ImageID: "test/4.jpg", URI: "test/4.jpg", Captions: []string{"d"}, Split: Test, Index: 2},
				{ImageID: "train/sub/1.jpg", URI: "train/sub/1.jpg", Captions: []string{"a"}, Split: Train, Index: 3},
			},
		},
		{
			name: "odd names",
			files: map[string]string{
				"metadata.jsonl": `{"file_name":"a b#?%[]*.jpg","text":"1"}
{"file_name":"new\nline 🎈.jpg","text":"2"}
{"file_name":"100%.jpg","text":"3"}
{"file_name":"file:caf%E9.jpg","text":"4"}
{"file_name":"-rf.jpg","text":"5"}`,
				"a b#?%[]*.jpg": "1", "new\nline 🎈.jpg": "2", "100%.jpg": "3", "caf\xe9.jpg": "4", "-rf.jpg": "5",
			},
			want: []Ref{
				{ImageID: "a b#?%[]*.jpg", URI: "a b#?%[]*.jpg", Captions: []string{"1"}},
				{ImageID: "new\nline 🎈.jpg", URI: "new\nline 🎈.jpg", Captions: []string{"2"}, Index: 1},
				{ImageID: "100%.jpg", URI: "100%.jpg", Captions: []string{"3"}, Index: 2},
				{ImageID: "file:caf%E9.jpg", URI: "file:caf%E9.jpg", Captions: []string{"4"}, Index: 3},
				{ImageID: "-rf.jpg", URI: "-rf.jpg", Captions: []string{"5"}, Index: 4},
			},
		},
		{
			name: "the folder of an odd name is a split",
			files: map[string]string{
				"metadata.jsonl":   "{\"file_name\":\"file:test/caf%E9.jpg\",\"text\":\"1\"}\n{\"file_name\":\"train/a.jpg\",\"text\":\"2\"}",
				"test/caf\xe9.jpg": "1", "train/a.jpg": "2",
			},
			want: []Ref{
				{ImageID: "file:test/caf%E9.jpg", URI: "file:test/caf%E9.jpg", Captions: []string{"1"}, Split: Test},
				{ImageID: "train/a.jpg", URI: "train/a.jpg", Captions: []string{"2"}, Split: Train, Index: 1},
			},
		},
		{
			name: "missing and escaping pictures",
			files: map[string]string{
				"metadata.jsonl": `{"file_name":"../secret.jpg","text":"1"}
{"file_name":"/etc/passwd","text":"2"}
{"file_name":"a/../../b.jpg","text":"3"}
{"file_name":"gone.jpg","text":"4"}
{"file_name":"gone.jpg","text":"5"}
{"file_name":"sub","text":"6"}
{"file_name":"file:..%2Fsecret.jpg","text":"7"}
{"file_name":"here.jpg"}
{"file_name":"other.jpg","text":"8"}`,
				"here.jpg": "h", "sub/x": "x", "other.jpg": "",
			},
			want: []Ref{
				{ImageID: "here.jpg", URI: "here.jpg"},
				{ImageID: "other.jpg", URI: "other.jpg", Captions: []string{"8"}, Index: 1},
			},
			dead: []records.DeadLetter{
				{Image: "../secret.jpg", Stage: Stage, Code: records.CodeRefusedPath, Error: outside},
				{Image: "/etc/passwd", Stage: Stage, Code: records.CodeRefusedPath, Error: outside},
				{Image: "../b.jpg", Stage: Stage, Code: records.CodeRefusedPath, Error: outside},
				{Image: "gone.jpg", Stage: Stage, Code: records.CodeMissing, Error: absent},
				{Image: "sub", Stage: Stage, Code: records.CodeMissing, Error: absent},
				{Image: "file:file:..%252Fsecret.jpg", Stage: Stage, Code: records.CodeMissing, Error: absent},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Load(folder(t, tt.files), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, set.Refs); diff != "" {
				t.Errorf("pictures (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.dead, set.Rejected); diff != "" {
				t.Errorf("dead letters (-want +got):\n%s", diff)
			}
			sources := set.Roots.Sources()
			for _, ref := range set.Refs {
				f, err := sources.Open(t.Context(), &ref)
				if err != nil {
					t.Errorf("open %q: %v", ref.URI, err)
					continue
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		is    error
		says  string
	}{
		{"empty folder", nil, ErrNoPictures, "the folder is empty"},
		{"pictures without captions", map[string]string{"a.jpg": "a"}, ErrNoCaptions, "none of metadata.jsonl, metadata.csv, metadata.parquet, captions.csv, captions.txt"},
		{"metadata without rows", map[string]string{"metadata.jsonl": "\n"}, ErrNoPictures, "has no rows"},
		{"rows without captions", map[string]string{"metadata.jsonl": `{"file_name":"a.jpg"}`, "a.jpg": ""}, ErrNoCaptions, "text, caption or captions"},
		{"all missing", map[string]string{"captions.csv": "image,caption\nx.jpg,a\ny.jpg,b\n"}, ErrNoPictures, "none of the 2"},
		{"not JSON", map[string]string{"metadata.jsonl": "{\"file_name\":\"a.jpg\",\"text\":\"x\"}\noops", "a.jpg": ""}, ErrMetadata, "metadata.jsonl: line 2: not a JSON object"},
		{"cut off", map[string]string{"metadata.jsonl": `{"file_name":"a.jpg","te`, "a.jpg": ""}, ErrMetadata, "line 1"},
		{"number for a name", map[string]string{"metadata.jsonl": `{"file_name":7,"text":"x"}`}, ErrMetadata, "file_name is a JSON number"},
		{"object for a caption", map[string]string{"metadata.jsonl": `{"file_name":"a.jpg","text":{"raw":"x"}}`}, ErrMetadata, "neither a text nor a list"},
		{"no name", map[string]string{"metadata.jsonl": `{"text":"x"}`}, ErrMetadata, "line 1: no file_name"},
		{"unknown split", map[string]string{"metadata.jsonl": `{"file_name":"a.jpg","text":"x","split":"holdout"}`, "a.jpg": ""}, ErrMetadata, `split "holdout" is none of train, validation, test`},
		{"two splits", map[string]string{"metadata.jsonl": "{\"file_name\":\"a.jpg\",\"text\":\"x\",\"split\":\"train\"}\n{\"file_name\":\"a.jpg\",\"text\":\"x\",\"split\":\"test\"}", "a.jpg": ""}, ErrMetadata, `line 2: a.jpg is in split "train" and in split "test"`},
		{"one id twice", map[string]string{"metadata.jsonl": "{\"file_name\":\"a.jpg\",\"text\":\"x\",\"image_id\":1}\n{\"file_name\":\"b.jpg\",\"text\":\"x\",\"image_id\":1}", "a.jpg": "", "b.jpg": ""}, ErrMetadata, `image_id "1" belongs to a.jpg and to b.jpg`},
		{"no header", map[string]string{"captions.txt": "1.jpg,A child\n"}, ErrMetadata, "captions.txt: line 1: the header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			_, err := Load(dir, Options{})
			if !errors.Is(err, tt.is) || !strings.Contains(fmt.Sprint(err), tt.says) || !strings.Contains(fmt.Sprint(err), dir) {
				t.Errorf("got %v\nwant %v in %s, saying %q", err, tt.is, dir, tt.says)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent folder: %v, want os.ErrNotExist", err)
	}
	file := filepath.Join(folder(t, map[string]string{"f": ""}), "f")
	if _, err := Load(file, Options{}); err == nil || !strings.Contains(err.Error(), "neither a folder nor") {
		t.Errorf("a file for a folder: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	rows := `{"file_name":"a.jpg","text":"x"}`
	dir := folder(t, map[string]string{"metadata.jsonl": rows, "a.jpg": "1", "note.txt": ""})
	identity := func() string {
		t.Helper()
		set, err := Load(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return set.Identity
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{identity(): "the first"}
	if identity() == "" || seen[identity()] == "" {
		t.Fatal("listing twice gives two identities")
	}
	write("note.txt", "something else")
	if seen[identity()] == "" {
		t.Error("a file that is no picture changed the identity")
	}
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"size", func() { write("a.jpg", "22") }},
		{"time", func() {
			if err := os.Chtimes(filepath.Join(dir, "a.jpg"), time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}},
		{"caption", func() { write("metadata.jsonl", `{"file_name":"a.jpg","text":"y"}`) }},
		{"missing picture", func() {
			write("metadata.jsonl", `{"file_name":"a.jpg","text":"y"}`+"\n"+`{"file_name":"b.jpg","text":"y"}`)
		}},
	} {
		change.do()
		id := identity()
		if other := seen[id]; other != "" {
			t.Errorf("after %s the identity is that after %s", change.name, other)
		}
		seen[id] = change.name
	}
}

func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	for range 2 { // the second finds it drawn
		set, err := Demo(dir, demo.Options{Seed: 1, Pictures: 20}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if set.Name != "demo" || len(set.Refs) != 20 || len(set.Refs[7].Captions) != demo.CaptionsPerPicture {
			t.Errorf("%s: %d pictures, %d captions to one", set.Name, len(set.Refs), len(set.Refs[7].Captions))
		}
	}
}

// keys lists an input and drops the URIs, after opening each.
func keys(t *testing.T, input string) []string {
	t.Helper()
	inputs, err := List(input)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, in := range inputs {
		f, err := Files("/nowhere")(in.URI)
		if err != nil {
			t.Errorf("open %q: %v", in.Key, err)
			continue
		}
		content, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
		all = append(all, in.Key+"="+string(content))
	}
	return all
}

func TestList(t *testing.T) {
	dir := folder(t, map[string]string{
		"b.JPG": "1", "a b#?%[]*.png": "2", "sub/deep/c.webp": "3", "sub/new\nline.gif": "4",
		"notes.txt": "a b#?%[]*.png\r\n\nsub/deep/c.webp\nfile:sub/new%0Aline.gif\nb.JPG\nb.JPG\n",
		"table.csv": "x", ".hidden.jpg": "h", ".cache/x.jpg": "h", "caf\xe9.jpg": "5", "no extension": "\xff\xd8\xff\xe0 JFIF",
		"no picture": "words", "sub/file:x.jpg": "6",
	})
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..", "sub/loop")
	link("../b.JPG", "sub/link.jpg")
	all := []string{
		"a b#?%[]*.png=2", "b.JPG=1", "file:caf%E9.jpg=5", "no extension=\xff\xd8\xff\xe0 JFIF",
		"sub/deep/c.webp=3", "sub/file:x.jpg=6", "sub/link.jpg=1", "sub/new\nline.gif=4",
	}
	tests := []struct {
		name, input string
		want        []string
	}{
		{"file", "b.JPG", []string{"b.JPG=1"}},
		{"file whose name is a pattern", "a b#?%[]*.png", []string{"a b#?%[]*.png=2"}},
		{"folder", "", all},
		{"glob", "*.[Jp]*", []string{"a b#?%[]*.png=2", "b.JPG=1"}},
		{"glob with folders", "su[b]/[dn]*", []string{"sub/deep/c.webp=3", "sub/new\nline.gif=4"}},
		{"list", "notes.txt", []string{"a b#?%[]*.png=2", "b.JPG=1", "sub/deep/c.webp=3", "sub/new\nline.gif=4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := keys(t, filepath.Join(dir, tt.input))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(keys(t, filepath.Join(dir, "notes.txt")), keys(t, "@"+filepath.Join(dir, "notes.txt"))); diff != "" {
		t.Errorf("@list differs from list:\n%s", diff)
	}
}

func TestListErrors(t *testing.T) {
	dir := folder(t, map[string]string{"empty/readme.md": "x", "list.txt": "\n"})
	for _, input := range []string{"empty", "list.txt", "nothing*"} {
		if _, err := List(filepath.Join(dir, input)); !errors.Is(err, ErrNoPictures) {
			t.Errorf("%s: %v, want ErrNoPictures", input, err)
		}
	}
	for _, input := range []string{"absent.jpg", "absent"} {
		if _, err := List(filepath.Join(dir, input)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want os.ErrNotExist", input, err)
		}
	}
	if _, err := List("@" + filepath.Join(dir, "absent.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent list: %v, want os.ErrNotExist", err)
	}
	if _, err := List(filepath.Join(dir, "a[.jpg")); err == nil {
		t.Error("a broken pattern gave no error")
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a.jpg", "file:x", "caf\xe9 %?#.jpg", "\n", "a/b c", "%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name := EncodeName(path)
		back, err := DecodeName(name)
		if err != nil || back != path {
			t.Errorf("%q became %q and then %q, %v", path, name, back, err)
		}
		if strings.ToValidUTF8(name, "") != name {
			t.Errorf("%q became %q, which is not UTF-8", path, name)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(`{"file_name":"a.jpg","text":"x","captions":["y",null],"image_id":1e9,"split":"dev"}`)
	f.Add("image,caption\n1.jpg,\"a\nb\"\n2.jpg,x,y\n")
	f.Add("image|comment|split\n1.jpg|x|test")
	f.Add("\ufefffile_name;text\r\n\"a;b.jpg\";\"c\"\"d\"")
	f.Fuzz(func(t *testing.T, content string) {
		check := func(r row) error {
			for _, c := range r.captions {
				if strings.ContainsAny(c, "\r\n\v\f\u2028\u2029") {
					t.Errorf("a caption of several lines: %q", c)
				}
			}
			return nil
		}
		// Errors are as good as rows; panics and captions of two lines are not.
		for _, name := range []string{"x.jsonl", "x.json", "x.csv", "x.token.txt", "x.tar"} {
			s := sourceOf(name)
			_ = s.read(&sourceFile{strings.NewReader(content), "", name, int64(len(content)), map[rowKey]string{}}, check)
		}
	})
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "pictures")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "1.jpg"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "captions.csv"), []byte("image,caption\n1.jpg,a dog\n1.jpg,a brown dog\n"), 0o600),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := Load(dir, Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, ref := range set.Refs {
		fmt.Println(ref.URI, len(ref.Captions), ref.Captions)
	}
	// Output: 1.jpg 2 [a dog a brown dog]
}
