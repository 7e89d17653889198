package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/blipflow/blipflow/stages/records"
)

// The fixtures are written by testdata/dataset_formats.py.
const fixtures = "../../testdata/datasets"

// wanted is what expected.json says of a data set.
type wanted struct {
	Pictures []wantedPicture `json:"pictures"`
	Rejected []struct {
		URI  string       `json:"uri"`
		Code records.Code `json:"code"`
	} `json:"rejected"`
}

type wantedPicture struct {
	SHA256   string   `json:"sha256"`
	URI      string   `json:"uri"`
	ID       *string  `json:"id"` // nil: the format has none
	Captions []string `json:"captions"`
	Split    string   `json:"split"`
}

func expected(t testing.TB) map[string]wanted {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixtures, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]wanted
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// imageRoots are the data sets whose pictures are elsewhere.
var imageRoots = map[string]string{
	"karpathy_coco":         "coco",
	"coco_karpathy_parquet": "coco",
	"coco_karpathy_jsonl":   "coco",
	"coco_karpathy_list":    "coco",
}

// loadFixture loads a data set of testdata, in a folder or as a file.
func loadFixture(t testing.TB, name string, o Options) *Set {
	t.Helper()
	base, _, _ := strings.Cut(name, "/")
	if root, ok := imageRoots[base]; ok {
		o.ImageRoot = filepath.Join(fixtures, root)
	}
	set, err := Load(filepath.Join(fixtures, name), o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// read opens a picture and reads it.
func read(t testing.TB, s *Sources, ref *Ref) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), ref)
	if err != nil {
		t.Fatalf("open %q: %v", ref.URI, err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatalf("read %q: %v", ref.URI, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkSet compares what was loaded, and the pictures' bytes, with what is wanted.
func checkSet(t *testing.T, set *Set, want wanted) {
	t.Helper()
	sources := set.Roots.Sources()
	got := wanted{}
	for i, ref := range set.Refs {
		one := wantedPicture{SHA256: digest(read(t, sources, &ref)), URI: ref.URI, ID: &ref.ImageID, Captions: ref.Captions, Split: ref.Split}
		if ref.Index != i {
			t.Errorf("%s has index %d, want %d", ref.URI, ref.Index, i)
		}
		got.Pictures = append(got.Pictures, one)
	}
	if err := sources.Close(); err != nil {
		t.Error(err)
	}
	pictures := slices.Clone(want.Pictures)
	for i := range pictures {
		if pictures[i].ID == nil {
			pictures[i].ID = &pictures[i].URI
		}
	}
	if diff := cmp.Diff(pictures, got.Pictures); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
	var refused, rejected []string
	for _, r := range want.Rejected {
		refused = append(refused, r.URI+" "+string(r.Code))
	}
	for _, l := range set.Rejected {
		rejected = append(rejected, l.Image+" "+string(l.Code))
		if l.Stage != Stage || l.Error == "" {
			t.Errorf("dead letter without stage or reason: %+v", l)
		}
	}
	if diff := cmp.Diff(refused, rejected); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestFormats(t *testing.T) {
	for name, want := range expected(t) {
		t.Run(name, func(t *testing.T) {
			set := loadFixture(t, name, Options{})
			if set.Name != name {
				t.Errorf("it is called %q", set.Name)
			}
			checkSet(t, set, want)
		})
	}
}

// TestOneFile names a file instead of its folder.
func TestOneFile(t *testing.T) {
	all := expected(t)
	for _, tt := range []struct {
		file string
		keep func(uri string) bool // nil keeps all
	}{
		{"kaggle/captions.txt", nil},
		{"flickr8k_text/Flickr8k.token.txt", nil},
		{"karpathy_flickr30k/dataset_flickr30k.json", nil},
		{"coco_karpathy_list/rows.json", nil},
		{"imagefolder_csv/metadata.csv", nil},
		{"imagefolder_parquet/metadata.parquet", nil},
		{"webdataset/val-000000.tar", func(uri string) bool { return strings.HasPrefix(uri, "tar:val-") }},
		{"flickr8k_columns/data/test-00000-of-00001-098f6bcd4621d373.parquet", func(uri string) bool { return strings.HasPrefix(uri, "parquet:data/test-") }},
	} {
		t.Run(tt.file, func(t *testing.T) {
			folder, _, _ := strings.Cut(tt.file, "/")
			want := all[folder]
			if tt.keep != nil {
				want.Pictures = slices.DeleteFunc(want.Pictures, func(p wantedPicture) bool { return !tt.keep(p.URI) })
				want.Rejected = nil
			}
			if deep := strings.TrimPrefix(path.Dir(tt.file), folder); deep != "" {
				for i := range want.Pictures {
					want.Pictures[i].URI = strings.Replace(want.Pictures[i].URI, deep[1:]+"/", "", 1)
				}
			}
			checkSet(t, loadFixture(t, tt.file, Options{}), want)
		})
	}
}

// TestAddresses reads rows of COCO whose pictures are on the web.
func TestAddresses(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(fixtures, "coco"))))
	defer server.Close()
	want := expected(t)["coco_karpathy_jsonl"]
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(fixtures, "coco_karpathy_jsonl", "*.jsonl"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.ReplaceAll(data, []byte("http://images.cocodataset.org"), []byte(server.URL))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want.Pictures {
		want.Pictures[i].URI = server.URL + "/" + want.Pictures[i].URI
	}
	set, err := Load(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkSet(t, set, want)
	for _, ref := range set.Refs {
		if !Fetched(&ref) || !Dear(&ref) {
			t.Errorf("%s is taken for a file", ref.URI)
		}
	}
}

func TestLimit(t *testing.T) {
	splits := func(set *Set) map[string]int {
		n := map[string]int{}
		for _, ref := range set.Refs {
			n[ref.Split]++
		}
		return n
	}
	uris := func(set *Set) []string {
		var all []string
		for i, ref := range set.Refs {
			if ref.Index != i {
				t.Errorf("%s has index %d, want %d", ref.URI, ref.Index, i)
			}
			all = append(all, ref.URI)
		}
		return all
	}
	all := loadFixture(t, "karpathy_flickr30k", Options{})
	for _, tt := range []struct {
		limit int
		want  map[string]int
	}{
		{0, map[string]int{Train: 4, Validation: 2, Test: 2}},
		{4, map[string]int{Train: 2, Validation: 1, Test: 1}},
		{7, map[string]int{Train: 3, Validation: 2, Test: 2}},
		{8, map[string]int{Train: 4, Validation: 2, Test: 2}},
		{100, map[string]int{Train: 4, Validation: 2, Test: 2}},
	} {
		for _, seed := range []int64{0, 7} {
			o := Options{Limit: tt.limit, ShuffleSeed: seed}
			set := loadFixture(t, "karpathy_flickr30k", o)
			if !maps.Equal(splits(set), tt.want) {
				t.Errorf("%+v: %v, want %v", o, splits(set), tt.want)
			}
			if again := loadFixture(t, "karpathy_flickr30k", o); !slices.Equal(uris(set), uris(again)) {
				t.Errorf("%+v: other pictures the second time", o)
			}
			if !isPart(uris(set), uris(all)) {
				t.Errorf("%+v: not in the order of the data set", o)
			}
			if (set.Identity == all.Identity) != (len(set.Refs) == len(all.Refs)) {
				t.Errorf("%+v: the identity does not tell %d of %d pictures", o, len(set.Refs), len(all.Refs))
			}
		}
	}
	// Without named splits the first pictures, or others for each seed.
	if got := uris(loadFixture(t, "kaggle", Options{Limit: 3})); !slices.Equal(got, uris(loadFixture(t, "kaggle", Options{}))[:3]) {
		t.Errorf("the first three are %q", got)
	}
	draws := map[string]bool{}
	for seed := range int64(20) {
		draws[strings.Join(uris(loadFixture(t, "kaggle", Options{Limit: 3, ShuffleSeed: seed + 1})), " ")] = true
	}
	if len(draws) < 10 { // 20 draws of 56 ways
		t.Errorf("20 seeds gave %d choices", len(draws))
	}
}

// isPart reports whether some are among all, in the same order.
func isPart(some, all []string) bool {
	for _, s := range some {
		at := slices.Index(all, s)
		if at < 0 {
			return false
		}
		all = all[at+1:]
	}
	return true
}

// oddNames are names of pictures that some part of a program may trip over. Each
// is a valid file name.
var oddNames = []string{
	"a b.jpg", "a#b.jpg", "a?b=c&d.jpg", "100%.jpg", "%41.jpg", "[x]*{y}.jpg", "new\nline.jpg", "tab\t.jpg",
	"🎈.jpg", "caf\xe9.jpg", "-rf.jpg", "http:x.jpg", "https:x.jpg", "tar:y.jpg", "parquet:z.jpg", "file:w.jpg", "file:caf%E9.jpg",
	`back\slash.jpg`, `quo"te'.jpg`, " lead.jpg", "é.jpg", "e\u0301.jpg", "UPPER.JPG", "~.jpg", "$HOME.jpg", "a;b.jpg",
	"one/same.jpg", "two/same.jpg", "tar:y/#.jpg/x.jpg",
}

// oddInJSON are those that JSON can tell apart: as "file:caf%E9.jpg" it has two.
func oddInJSON() []string {
	return slices.DeleteFunc(slices.Clone(oddNames), func(s string) bool { return s == "file:caf%E9.jpg" })
}

// inJSON is a name as JSON can hold it.
func inJSON(t testing.TB, name string) string {
	t.Helper()
	data, err := json.Marshal(EncodeName(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// checkOdd loads a data set and wants one picture for each odd name, its content
// and its caption being the name.
func checkOdd(t *testing.T, dir string, names []string) {
	t.Helper()
	set, err := Load(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Rejected) > 0 {
		t.Errorf("rejected: %+v", set.Rejected)
	}
	sources := set.Roots.Sources()
	defer sources.Close() // only read
	var got []string
	ids := map[string]bool{}
	for _, ref := range set.Refs {
		content := string(read(t, sources, &ref))
		got = append(got, content)
		if want := fmt.Sprint(slices.Index(names, content)); !slices.Equal(ref.Captions, []string{want}) {
			t.Errorf("%q has the captions %q, want %q", content, ref.Captions, want)
		}
		if ids[ref.ImageID] || ids["uri "+ref.URI] {
			t.Errorf("%q: id %q and URI %q are another's, too", content, ref.ImageID, ref.URI)
		}
		ids[ref.ImageID], ids["uri "+ref.URI] = true, true
		if _, err := json.Marshal(ref); err != nil || strings.ToValidUTF8(ref.URI+ref.ImageID, "") != ref.URI+ref.ImageID {
			t.Errorf("%q: id %q or URI %q are not UTF-8", content, ref.ImageID, ref.URI)
		}
	}
	if diff := cmp.Diff(names, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
}

func TestOddNames(t *testing.T) {
	with := func(names []string, meta, content string) map[string]string {
		files := map[string]string{meta: content}
		for _, name := range names {
			files[name] = name
		}
		return files
	}
	t.Run("JSON Lines", func(t *testing.T) {
		var meta strings.Builder
		for i, name := range oddInJSON() {
			fmt.Fprintf(&meta, "{\"file_name\":%s,\"text\":\"%d\"}\n", inJSON(t, name), i)
		}
		checkOdd(t, folder(t, with(oddInJSON(), "metadata.jsonl", meta.String())), oddInJSON())
	})
	t.Run("JSON list", func(t *testing.T) {
		var rows []string
		for i, name := range oddInJSON() {
			rows = append(rows, fmt.Sprintf("{\"image\":%s,\"text\":\"%d\"}", inJSON(t, name), i))
		}
		checkOdd(t, folder(t, with(oddInJSON(), "train.json", "["+strings.Join(rows, ",")+"]")), oddInJSON())
	})
	t.Run("CSV", func(t *testing.T) {
		var meta strings.Builder
		meta.WriteString("file_name,text\n")
		for i, name := range oddNames {
			fmt.Fprintf(&meta, "\"%s\",%d\n", strings.ReplaceAll(name, `"`, `""`), i)
		}
		checkOdd(t, folder(t, with(oddNames, "metadata.csv", meta.String())), oddNames)
	})
	t.Run("token file", func(t *testing.T) {
		// A line break or a tab ends a name there.
		names := slices.DeleteFunc(slices.Clone(oddNames), func(s string) bool { return strings.ContainsAny(s, "\n\t") })
		var meta strings.Builder
		for i, name := range names {
			fmt.Fprintf(&meta, "%s#0\t%d\n", name, i)
		}
		checkOdd(t, folder(t, with(names, "Flickr8k.token.txt", meta.String())), names)
	})
	t.Run("Karpathy", func(t *testing.T) {
		var rows []string
		for i, name := range oddInJSON() {
			rows = append(rows, fmt.Sprintf("{\"filename\":%s,\"sentences\":[{\"raw\":\"%d\"}],\"split\":\"train\"}", inJSON(t, name), i))
		}
		checkOdd(t, folder(t, with(oddInJSON(), "dataset.json", `{"images":[`+strings.Join(rows, ",")+`],"dataset":"x"}`)), oddInJSON())
	})
	t.Run("sidecars", func(t *testing.T) {
		files := with(oddNames, "readme", "")
		for i, name := range oddNames {
			files[strings.TrimSuffix(name, path.Ext(name))+".txt"] = fmt.Sprintln(i)
		}
		checkOdd(t, folder(t, files), oddNames)
	})
	for _, end := range []string{".tar", ".tar.gz"} {
		t.Run(end, func(t *testing.T) {
			var members []member
			for i, name := range oddNames {
				key, _ := splitKey(name)
				members = append(members, member{name, name}, member{key + ".txt", fmt.Sprint(i)})
			}
			// The file itself is called so, too.
			checkOdd(t, folder(t, map[string]string{"tar:y#%41 \xe9.jpg" + end: tarOf(t, end, members)}), oddNames)
		})
	}
	t.Run("Parquet", func(t *testing.T) {
		type row struct {
			Image   []byte `parquet:"image"`
			Name    []byte `parquet:"filename"`
			Caption string `parquet:"caption"`
		}
		var rows []row
		for i, name := range oddNames {
			rows = append(rows, row{[]byte(name), []byte(name), fmt.Sprint(i)})
		}
		checkOdd(t, folder(t, map[string]string{"a#%41?\n\xe9.parquet": parquetOf(t, rows)}), oddNames)
	})
}

type member struct{ name, content string }

// tarOf makes a tar file, gzipped if its name is to end so.
func tarOf(t testing.TB, end string, members []member) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		err := w.WriteHeader(&tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.content)), Typeflag: tar.TypeReg, Format: tar.FormatGNU})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(end, "gz") {
		return gzipped(t, buf.String())
	}
	return buf.String()
}

func gzipped(t testing.TB, data string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func parquetOf[T any](t testing.TB, rows []T, options ...parquet.WriterOption) string {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, options...)
	for i := range rows { // one at a time: a page ends between writes only
		if _, err := w.Write(rows[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// pagesOf counts the pages of a file's first column.
func pagesOf(t testing.TB, data string) int {
	t.Helper()
	file, err := parquet.OpenFile(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range file.RowGroups() {
		pages := group.ColumnChunks()[0].Pages()
		for page, err := pages.ReadPage(); err != io.EOF; page, err = pages.ReadPage() {
			if err != nil {
				t.Fatal(err)
			}
			parquet.Release(page)
			n++
		}
		if err := pages.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// embedded is a row as the datasets library writes it.
type embedded struct {
	Image struct {
		Bytes []byte  `parquet:"bytes,optional"`
		Path  *string `parquet:"path,optional"`
	} `parquet:"image,optional"`
	Captions []string `parquet:"caption,list"`
}

// TestRowsInAnyOrder reads rows of a file with several row groups, each with
// several pages, in every order and from several goroutines.
func TestRowsInAnyOrder(t *testing.T) {
	const n = 200
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]embedded, n)
	for i := range rows {
		rows[i].Image.Bytes = fmt.Appendf(nil, "picture %d %x", i, make([]byte, rng.IntN(300)))
		rows[i].Captions = []string{fmt.Sprint("caption ", i)}
	}
	for _, version := range []int{1, 2} {
		data := parquetOf(t, rows, parquet.PageBufferSize(700), parquet.MaxRowsPerRowGroup(60), parquet.DataPageVersion(version),
			parquet.Compression(&parquet.Zstd))
		if pages := pagesOf(t, data); pages < 3*(n/60+1) {
			t.Fatalf("%d pages: this tests nothing", pages)
		}
		dir := folder(t, map[string]string{"a.parquet": data})
		set, err := Load(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Refs) != n {
			t.Fatalf("%d pictures, want %d", len(set.Refs), n)
		}
		check := func(t *testing.T, s *Sources, i int) {
			t.Helper()
			if got := read(t, s, &set.Refs[i]); !bytes.Equal(got, rows[i].Image.Bytes) {
				t.Errorf("row %d is %.30q", i, got)
			}
		}
		ordered := make([]int, n)
		for i := range ordered {
			ordered[i] = i
		}
		reversed := slices.Clone(ordered)
		slices.Reverse(reversed)
		for name, order := range map[string][]int{"in order": ordered, "in reverse": reversed, "at random": rng.Perm(n), "the same": make([]int, 5)} {
			t.Run(fmt.Sprintf("version %d %s", version, name), func(t *testing.T) {
				s := set.Roots.Sources()
				for _, i := range order {
					check(t, s, i)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		t.Run(fmt.Sprintf("version %d by several", version), func(t *testing.T) {
			s := set.Roots.Sources()
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					for _, i := range rand.New(rand.NewPCG(uint64(worker), 0)).Perm(n) {
						f, err := s.Open(t.Context(), &set.Refs[i])
						if err != nil {
							t.Error(err)
							return
						}
						if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, rows[i].Image.Bytes) {
							t.Errorf("row %d is %.30q, %v", i, got, err)
						}
					}
				})
			}
			wg.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPages has column chunks that begin with a dictionary and go on without it.
func TestPages(t *testing.T) {
	for _, version := range []string{"1.0", "2.0"} {
		file := filepath.Join(fixtures, "pages", version+".parquet")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := pagesOf(t, string(data)); n < 10 {
			t.Fatalf("%d pages: this tests nothing", n)
		}
		set, err := Load(file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Refs) != 120 {
			t.Fatalf("%d pictures, want 120", len(set.Refs))
		}
		s := set.Roots.Sources()
		for _, i := range slices.Concat(rand.New(rand.NewPCG(3, 4)).Perm(120), []int{119, 0, 1, 2, 118, 117}) {
			want := fmt.Sprintf("picture %d %s", i, strings.Repeat("x", i*7%50))
			if got := string(read(t, s, &set.Refs[i])); got != want {
				t.Errorf("row %d is %q, want %q", i, got, want)
			}
			if c := set.Refs[i].Captions; len(c) != 1+i%3 || c[0] != fmt.Sprint("caption ", i) {
				t.Errorf("row %d has the captions %q", i, c)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAnyOrder reads the pictures of all fixtures out of order, and several at a
// time.
func TestAnyOrder(t *testing.T) {
	for name, want := range expected(t) {
		set := loadFixture(t, name, Options{})
		s := set.Roots.Sources()
		var wg sync.WaitGroup
		for worker := range 3 {
			wg.Go(func() {
				for _, i := range rand.New(rand.NewPCG(uint64(worker), 0)).Perm(len(set.Refs)) {
					f, err := s.Open(t.Context(), &set.Refs[i])
					if err != nil {
						t.Error(err)
						return
					}
					if data, err := io.ReadAll(f); err != nil || digest(data) != want.Pictures[i].SHA256 {
						t.Errorf("%s has other bytes, %v", set.Refs[i].URI, err)
					}
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestClosedAgain opens pictures after Close, which a runner's second bundle may do.
func TestClosedAgain(t *testing.T) {
	for _, name := range []string{"flickr8k_columns", "webdataset"} {
		set := loadFixture(t, name, Options{})
		s := set.Roots.Sources()
		for range 2 {
			read(t, s, &set.Refs[0])
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestImg2dataset has what img2dataset writes as files instead of tar files.
func TestImg2dataset(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(fixtures, "img2dataset", "00000.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, "img2dataset"))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "00000.tar")), os.Mkdir(filepath.Join(dir, "00000"), 0o700)); err != nil {
		t.Fatal(err)
	}
	members := tar.NewReader(bytes.NewReader(data))
	for h, err := members.Next(); err != io.EOF; h, err = members.Next() {
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(members)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "00000", h.Name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Load(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := expected(t)["img2dataset"]
	for i := range want.Pictures {
		want.Pictures[i].URI = strings.Replace(want.Pictures[i].URI, "tar:00000.tar#", "00000/", 1)
	}
	checkSet(t, set, want)
}

// TestTableBesideFolder has a table that is not img2dataset's.
func TestTableBesideFolder(t *testing.T) {
	type row struct {
		Name    string `parquet:"file_name"`
		Caption string `parquet:"text"`
	}
	set, err := Load(folder(t, map[string]string{
		"train.parquet": parquetOf(t, []row{{"train/1.jpg", "a"}}), "train/1.jpg": "1",
	}), Options{})
	if err != nil || len(set.Refs) != 1 || set.Refs[0].URI != "train/1.jpg" {
		t.Errorf("%+v, %v", set, err)
	}
}

func TestTars(t *testing.T) {
	const jpg = "0123456789abcdef"
	whole := tarOf(t, "", []member{{"a.jpg", jpg}, {"a.txt", "one"}, {"b.jpg", jpg}, {"b.txt", "two"}})
	special := func(headers ...tar.Header) string {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, h := range headers {
			if h.Mode = 0o644; h.Typeflag == tar.TypeReg {
				h.Size = 1
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				if _, err := io.WriteString(w, "x"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
	good := tarOf(t, "", []member{{"good.jpg", jpg}, {"good.txt", "good"}})
	tests := []struct {
		name, file, data string
		want             []string // URI: captions
		dead             []string // URI code: reason
	}{
		{
			"all that a sample can have", "x.tar", tarOf(t, "", []member{
				{"d/a.b.jpg", jpg}, {"d/a.jpg", jpg}, {"d/a.png", "second picture"}, {"d/a.json", `{"captions":["j","t"],"cocoid":7,"split":"val"}`},
				{"d/a.txt", "t\n\nu\n"}, {"d/a.cls", "3"}, {"d/.hidden.jpg", jpg}, {"./e.JPEG", jpg}, {"./e.caption", "c"},
				{"f.json", "[not a row"}, {"f.webp", jpg}, {"f.txt", ""},
			}),
			[]string{"tar:x.tar#d/a.jpg: [j t u] 7 validation", "tar:x.tar#./e.JPEG: [c] tar:x.tar#./e.JPEG ", "tar:x.tar#f.webp: [] tar:x.tar#f.webp "}, nil,
		},
		{
			"names that lead out", "x.tar", tarOf(t, "", []member{
				{"../a.jpg", jpg}, {"../a.txt", "a"}, {"/etc/b.jpg", jpg}, {"/etc/b.txt", "b"}, {"c/../../d.jpg", jpg}, {"c/../d.jpg", jpg}, {"c/../d.txt", "d"},
			}),
			[]string{"tar:x.tar#c/../d.jpg: [d] tar:x.tar#c/../d.jpg "},
			[]string{
				"tar:x.tar#../a.jpg refused_path: the member's name leads out of the tar file",
				"tar:x.tar#/etc/b.jpg refused_path: the member's name leads out of the tar file",
				"tar:x.tar#c/../../d.jpg refused_path: the member's name leads out of the tar file",
			},
		},
		{
			"links, folders and devices", "x.tar", special(
				tar.Header{Name: "l.jpg", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, tar.Header{Name: "l.txt", Typeflag: tar.TypeReg},
				tar.Header{Name: "h.jpg", Typeflag: tar.TypeLink, Linkname: "l.txt"}, tar.Header{Name: "d.jpg/", Typeflag: tar.TypeDir},
				tar.Header{Name: "f.jpg", Typeflag: tar.TypeFifo}, tar.Header{Name: "n.jpg", Typeflag: tar.TypeChar},
				tar.Header{Name: "r.jpg", Typeflag: tar.TypeReg}, tar.Header{Name: "r.txt", Typeflag: tar.TypeReg},
			),
			[]string{"tar:x.tar#r.jpg: [x] tar:x.tar#r.jpg "},
			[]string{"tar:x.tar#l missing: the sample has no picture"},
		},
		{
			"cut off in a picture", "x.tar", whole[:4*512+512+5],
			[]string{"tar:x.tar#a.jpg: [one] tar:x.tar#a.jpg "},
			[]string{"tar:x.tar#b.jpg unreadable: the tar file ends within the picture", "tar:x.tar unreadable: the file is cut off or damaged after 2 samples: unexpected EOF"},
		},
		{
			"cut off in a header", "x.tar", whole[:4*512+100],
			[]string{"tar:x.tar#a.jpg: [one] tar:x.tar#a.jpg "},
			[]string{"tar:x.tar unreadable: the file is cut off or damaged after 1 samples: unexpected EOF"},
		},
		{
			"without its end", "x.tar", whole[:8*512],
			[]string{"tar:x.tar#a.jpg: [one] tar:x.tar#a.jpg ", "tar:x.tar#b.jpg: [two] tar:x.tar#b.jpg "}, nil,
		},
		{"no tar file", "x.tar", "words", nil, []string{"tar:x.tar unreadable: the file is cut off or damaged after 0 samples: unexpected EOF"}},
		{"empty", "x.tar", "", nil, nil},
		{"no gzip", "x.tar.gz", whole, nil, []string{"tar:x.tar.gz unreadable: gzip: invalid header"}},
		{"empty gzip", "x.tgz", "", nil, []string{"tar:x.tgz unreadable: EOF"}},
		{
			"cut off gzip", "x.tar.gz", gzipped(t, whole)[:40], nil,
			[]string{"tar:x.tar.gz unreadable: the file is cut off or damaged after 0 samples: unexpected EOF"},
		},
		{
			"gzip without its checksum", "x.tar.gz", gzipped(t, whole)[:len(gzipped(t, whole))-8],
			[]string{"tar:x.tar.gz#a.jpg: [one] tar:x.tar.gz#a.jpg ", "tar:x.tar.gz#b.jpg: [two] tar:x.tar.gz#b.jpg "},
			[]string{"tar:x.tar.gz unreadable: the file is cut off or damaged after 2 samples: unexpected EOF"},
		},
		{
			"gzip with another checksum", "x.tar.gz", gzipped(t, whole)[:len(gzipped(t, whole))-8] + "01234567",
			[]string{"tar:x.tar.gz#a.jpg: [one] tar:x.tar.gz#a.jpg ", "tar:x.tar.gz#b.jpg: [two] tar:x.tar.gz#b.jpg "},
			[]string{"tar:x.tar.gz unreadable: the file is cut off or damaged after 2 samples: gzip: invalid checksum"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// With another shard beside it, since a data set must have something.
			set, err := Load(folder(t, map[string]string{tt.file: tt.data, "y.tar": good}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			sources := set.Roots.Sources()
			var got, dead []string
			for _, ref := range set.Refs {
				if ref.URI == "tar:y.tar#good.jpg" {
					continue
				}
				if content := string(read(t, sources, &ref)); content != jpg && content != "x" {
					t.Errorf("%s holds %q", ref.URI, content)
				}
				got = append(got, fmt.Sprintf("%s: %v %s %s", ref.URI, ref.Captions, ref.ImageID, ref.Split))
			}
			if err := sources.Close(); err != nil {
				t.Error(err)
			}
			for _, l := range set.Rejected {
				dead = append(dead, fmt.Sprintf("%s %s: %s", l.Image, l.Code, l.Error))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pictures (-want +got):\n%s", diff)
			}
			if !slices.EqualFunc(dead, tt.dead, strings.HasPrefix) {
				t.Errorf("dead letters %q, want %q", dead, tt.dead)
			}
		})
	}
}

func TestParquetRows(t *testing.T) {
	none, name := "", "x.jpg"
	rows := make([]embedded, 6)
	rows[0].Image.Bytes, rows[0].Captions = []byte("0"), []string{"a", "b"}
	rows[1].Captions = []string{"a row without a picture"}
	rows[2].Image.Bytes, rows[2].Image.Path, rows[2].Captions = []byte{}, &none, []string{"a row with an empty one"}
	rows[3].Image.Path, rows[3].Captions = &name, []string{"a picture beside the file"}
	rows[4].Image.Bytes = []byte("4") // no caption
	rows[5].Image.Bytes, rows[5].Captions = []byte("0"), []string{"c\xff\n"}
	dir := folder(t, map[string]string{"data/a.parquet": parquetOf(t, rows), "x.jpg": "beside"})
	set, err := Load(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sources := set.Roots.Sources()
	defer sources.Close() // only read
	var got []string
	for _, ref := range set.Refs {
		got = append(got, fmt.Sprintf("%s %q %q", ref.URI, ref.Captions, read(t, sources, &ref)))
	}
	want := []string{
		`parquet:data/a.parquet#0 ["a" "b" "c"] "0"`, `x.jpg ["a picture beside the file"] "beside"`, `parquet:data/a.parquet#4 [] "4"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
	dead := []records.DeadLetter{
		{Image: "parquet:data/a.parquet#1", Stage: Stage, Code: records.CodeMissing, Error: "the row has no picture"},
		{Image: "parquet:data/a.parquet#2", Stage: Stage, Code: records.CodeMissing, Error: "the row has no picture"},
	}
	if diff := cmp.Diff(dead, set.Rejected); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// TestFilesThatChanged has Parquet and tar files replaced after they were listed.
func TestFilesThatChanged(t *testing.T) {
	rows := make([]embedded, 3)
	for i := range rows {
		rows[i].Image.Bytes, rows[i].Captions = []byte{byte(i)}, []string{"x"}
	}
	table := parquetOf(t, rows)
	zipped := tarOf(t, ".gz", []member{{"a.jpg", "1"}, {"a.txt", "x"}, {"b.jpg", "2"}, {"b.txt", "y"}})
	for _, tt := range []struct{ file, before, after string }{
		{"a.parquet", table, table[:len(table)/2]},
		{"a.parquet", table, ""},
		{"a.parquet", table, parquetOf(t, rows[:1])},
		{"a.parquet", table, parquetOf(t, []struct {
			Other string `parquet:"other"`
		}{{"x"}, {"y"}, {"z"}})},
		{"a.tar.gz", zipped, zipped[:len(zipped)/2]},
		{"a.tar.gz", zipped, ""},
	} {
		dir := folder(t, map[string]string{tt.file: tt.before})
		set, err := Load(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.after), 0o600); err != nil {
			t.Fatal(err)
		}
		sources := set.Roots.Sources()
		for range 2 { // the second try finds no half-open file
			if f, err := sources.Open(t.Context(), &set.Refs[len(set.Refs)-1]); err == nil {
				t.Errorf("%s of %d bytes instead of %d: %v", tt.file, len(tt.after), len(tt.before), f)
			}
		}
		if err := sources.Close(); err != nil {
			t.Error(err)
		}
	}
}

// seeds adds the small fixtures with some ending to a fuzz target; the fuzzer takes
// minutes to cut a large one down.
func seeds(f *testing.F, ends ...string) {
	f.Helper()
	err := filepath.WalkDir(fixtures, func(file string, e os.DirEntry, err error) error {
		if err != nil || !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(file, end) }) || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if len(data) < 2<<10 {
			f.Add(data)
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// fuzzFile loads a file of the given name and content, and opens all of its
// pictures. Errors are as good as pictures; panics are not, nor names that are not
// UTF-8, nor captions of several lines.
func fuzzFile(t *testing.T, name string, data []byte) {
	dir := folder(t, map[string]string{name: string(data), "a.jpg": "a"})
	set, err := Load(filepath.Join(dir, name), Options{})
	if err != nil {
		return
	}
	sources := set.Roots.Sources()
	for _, ref := range set.Refs {
		for _, s := range append(ref.Captions, ref.ImageID, ref.URI) {
			if strings.ToValidUTF8(s, "") != s {
				t.Errorf("%q is not UTF-8", s)
			}
		}
		for _, c := range ref.Captions {
			if strings.ContainsAny(c, "\r\n\v\f\u2028\u2029") {
				t.Errorf("a caption of several lines: %q", c)
			}
		}
		if Fetched(&ref) {
			continue
		}
		f, err := sources.Open(t.Context(), &ref)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, f)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := sources.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzParquet(f *testing.F) {
	seeds(f, ".parquet")
	rows := make([]embedded, 3)
	for i := range rows {
		rows[i].Image.Bytes, rows[i].Captions = []byte{byte(i)}, []string{"x", "y"}
	}
	f.Add([]byte(parquetOf(f, rows)))
	f.Add([]byte(parquetOf(f, rows, parquet.Compression(&parquet.Snappy), parquet.DataPageVersion(1))))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "x.parquet", data) })
}

func FuzzTar(f *testing.F) {
	seeds(f, ".tar.gz")
	members := []member{{"a.jpg", "1"}, {"a.txt", "x"}, {"b.json", `{"text":"y"}`}, {"b.png", "2"}}
	f.Add([]byte(tarOf(f, ".tar", members)))
	f.Add([]byte(tarOf(f, ".tar.gz", members)))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzFile(t, "x.tar", data)
		fuzzFile(t, "x.tar.gz", data)
	})
}

func FuzzJSON(f *testing.F) {
	seeds(f, ".jsonl")
	f.Add([]byte(`{"file_name":"a.jpg","text":"x","image_id":1e9,"split":"dev"}`))
	f.Add([]byte(`[{"image":"a.jpg","captions":["x",null]}]`))
	f.Add([]byte(`{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":"1","caption":"x"}]}`))
	f.Add([]byte(`{"dataset":"x","images":[{"filename":"a.jpg","sentences":["y",{"raw":"x"}],"split":"restval"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzFile(t, "dataset_x.json", data)
		fuzzFile(t, "captions_val2014.json", data)
		fuzzFile(t, "x.jsonl", data)
	})
}

func FuzzTokens(f *testing.F) {
	seeds(f, ".token.txt")
	f.Add([]byte("a.jpg#0\tx\r\na.jpg#\ty\n#1\tz"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "Flickr8k.token.txt", data) })
}
