package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example makes the i-th row of a test shard, 3 pixels wide and 2 high.
func example(i int, format PixelFormat) Example {
	e := Example{
		ImageID: fmt.Sprintf("picture %d.jpg", i), URI: fmt.Sprintf("a b/%d#?%%.jpg", i), Split: "train",
		Width: 640 + i, Height: 480, ContentHash: fmt.Sprintf("%064x", i),
		PixelWidth: 3, PixelHeight: 2,
		Captions: []string{"a red circle", fmt.Sprintf("número %d 🎈", i)},
		TokenIDs: [][]int32{{30522, 1037, 102}, {30522, int32(i), 7, 102}},
	}
	for j := range 18 {
		if format == Float32 {
			e.Floats = append(e.Floats, float32(i)/3+float32(j))
		} else {
			e.Pixels = append(e.Pixels, byte(i*7+j*13))
		}
	}
	return e
}

func testMeta(format PixelFormat) Meta {
	return Meta{
		Dataset: "demo", Split: "train", SplitSeed: -42, PixelFormat: format,
		Processor: `{"size":2}`, ProcessorHash: "p1", TokenizerHash: "t1",
		Program: "blipflow v0", JPEGDecoder: "image/jpeg",
	}
}

// shard writes n rows and returns the file's bytes and the rows.
func shard(t testing.TB, n int, format PixelFormat, opt WriterOptions) ([]byte, []Example) {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, testMeta(format), opt)
	if err != nil {
		t.Fatal(err)
	}
	var rows []Example
	for i := range n {
		e := example(i, format)
		if err := w.Write(&e); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), rows
}

func openBytes(t testing.TB, data []byte, opt ReaderOptions) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data), int64(len(data)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(t testing.TB, r *Reader) []Example {
	t.Helper()
	var rows []Example
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, e)
	}
	return rows
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []PixelFormat{Uint8, Float32} {
		t.Run(string(format), func(t *testing.T) {
			data, want := shard(t, 50, format, WriterOptions{RowGroupBytes: 2000})
			r := openBytes(t, data, ReaderOptions{})
			if diff := cmp.Diff(testMeta(format), r.Meta()); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			if r.Rows() != 50 || r.RowGroups() < 3 {
				t.Errorf("%d rows in %d row groups, want 50 in several", r.Rows(), r.RowGroups())
			}
			if diff := cmp.Diff(want, readAll(t, r)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoRows(t *testing.T) {
	data, _ := shard(t, 0, Uint8, WriterOptions{})
	r := openBytes(t, data, ReaderOptions{})
	if _, err := r.Next(); !errors.Is(err, io.EOF) || r.Rows() != 0 {
		t.Errorf("Next of an empty shard: %v, %d rows", err, r.Rows())
	}
}

func TestWithoutPixels(t *testing.T) {
	data, want := shard(t, 20, Uint8, WriterOptions{RowGroupBytes: 2000})
	for i := range want {
		want[i].Pixels = nil
	}
	if diff := cmp.Diff(want, readAll(t, openBytes(t, data, ReaderOptions{WithoutPixels: true}))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestSameRowsSameBytes(t *testing.T) {
	first, _ := shard(t, 30, Uint8, WriterOptions{})
	second, _ := shard(t, 30, Uint8, WriterOptions{})
	if !bytes.Equal(first, second) {
		t.Error("two writes of the same rows differ")
	}
}

func TestSkipTo(t *testing.T) {
	data, want := shard(t, 50, Uint8, WriterOptions{RowGroupBytes: 2000})
	r := openBytes(t, data, ReaderOptions{})
	for _, row := range []int64{49, 0, 7, 8, 3, 30, 12, 49, 0} {
		if err := r.SkipTo(row); err != nil {
			t.Fatal(err)
		}
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[row], got); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", row, diff)
		}
	}
	if err := r.SkipTo(50); err != nil {
		t.Errorf("skip to the end: %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end: %v, want io.EOF", err)
	}
	for _, row := range []int64{-1, 51} {
		if err := r.SkipTo(row); err == nil {
			t.Errorf("SkipTo(%d) of 50 rows gave no error", row)
		}
	}
}

func TestRowsAreTheCallersOwn(t *testing.T) {
	data, want := shard(t, 10, Uint8, WriterOptions{})
	r := openBytes(t, data, ReaderOptions{})
	got := readAll(t, r)
	for i := range got[1:] {
		clear(got[i+1].Pixels)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[0].Pixels, want[0].Pixels) {
		t.Error("changing one row's pixels changed another's")
	}
}

func TestWriteRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Example)
	}{
		{"no id", func(e *Example) { e.ImageID = "" }},
		{"no size", func(e *Example) { e.PixelWidth = 0 }},
		{"too few pixels", func(e *Example) { e.Pixels = e.Pixels[1:] }},
		{"ids for one caption of two", func(e *Example) { e.TokenIDs = e.TokenIDs[:1] }},
		{"caption not UTF-8", func(e *Example) { e.Captions[1] = "caf\xe9" }},
		{"uri not UTF-8", func(e *Example) { e.URI = "\xff.jpg" }},
	}
	var buf bytes.Buffer
	w, err := NewWriter(&buf, testMeta(Uint8), WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range tests {
		e := example(i, Uint8)
		tt.spoil(&e)
		if err := w.Write(&e); !errors.Is(err, ErrInvalidExample) {
			t.Errorf("%s: error %v, want ErrInvalidExample", tt.name, err)
		}
	}
	good := example(1, Uint8)
	if err := errors.Join(w.Write(&good), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, openBytes(t, buf.Bytes(), ReaderOptions{})); len(got) != 1 {
		t.Errorf("%d rows after refusals and one good row", len(got))
	}
	if _, err := NewWriter(&buf, Meta{PixelFormat: "float16"}, WriterOptions{}); err == nil {
		t.Error("an unknown pixel format gave no error")
	}
}

func TestCompatible(t *testing.T) {
	m := testMeta(Uint8)
	tests := []struct {
		processor, tokenizer string
		want                 error
	}{
		{"p1", "t1", nil},
		{"p2", "t1", ErrOtherProcessor},
		{"p1", "t2", ErrOtherTokenizer},
		{"p1", "", ErrOtherTokenizer},
	}
	for _, tt := range tests {
		if err := m.Compatible(tt.processor, tt.tokenizer); !errors.Is(err, tt.want) {
			t.Errorf("Compatible(%q, %q) = %v, want %v", tt.processor, tt.tokenizer, err, tt.want)
		}
	}
}

// A shard that was cut off anywhere, or had a byte changed, is an error or reads
// as rows: it never panics, and a cut is never taken for a whole file.
func TestDamagedShards(t *testing.T) {
	data, want := shard(t, 3, Uint8, WriterOptions{RowGroupBytes: 200})
	for n := range len(data) {
		if _, err := drain(data[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut to %d of %d bytes: %v, want ErrMalformed", n, len(data), err)
		}
	}
	for i := range data {
		spoilt := bytes.Clone(data)
		spoilt[i] ^= []byte{0xff, 0x01, 0x80}[i%3]
		if rows, err := drain(spoilt); err == nil && rows != len(want) {
			t.Fatalf("byte %d changed to %#x: %d rows and no error, want %d", i, spoilt[i], rows, len(want))
		}
	}
}

// drain reads everything in a shard.
func drain(data []byte) (rows int, err error) {
	r, err := NewReader(bytes.NewReader(data), int64(len(data)), ReaderOptions{})
	if err != nil {
		return 0, err
	}
	for _, err := range r.All() {
		if err != nil {
			return rows, err
		}
		rows++
	}
	return rows, r.Close()
}

func TestOpenSaysWhichFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train.parquet")
	if err := os.WriteFile(path, []byte("this is no Parquet file at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, ReaderOptions{})
	if !errors.Is(err, ErrMalformed) || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("error %v does not name %s", err, path)
	}
	if _, err := Open(path+".absent", ReaderOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v, want os.ErrNotExist", err)
	}
}

func TestDeadLetters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "errors.jsonl")
	want := []DeadLetter{
		{Image: "a <b>&\n#.jpg", Stage: "preprocess", Code: CodeUnreadable, Error: "unexpected end: \"x\""},
		{Image: "", Stage: "preprocess", Code: "unknown_format", Error: "text"},
	}
	if err := WriteDeadLetters(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadDeadLetters(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

func TestWriteFileLeavesTheOldOnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("disk full")
	err := WriteFile(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("error %v, want %v", err, boom)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the file holds %q", got)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files left in the folder, want 1", len(entries))
	}
}

func FuzzReader(f *testing.F) {
	for _, format := range []PixelFormat{Uint8, Float32} {
		data, _ := shard(f, 3, format, WriterOptions{RowGroupBytes: 200})
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte("PAR1PAR1"))
	f.Add([]byte("PAR1\xff\xff\xff\xffPAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if rows, err := drain(data); err == nil && rows > len(data) {
			t.Errorf("%d rows out of %d bytes", rows, len(data))
		}
	})
}

func ExampleWriter() {
	var file bytes.Buffer
	w, err := NewWriter(&file, Meta{Dataset: "demo", Split: "train"}, WriterOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Write(&Example{
		ImageID: "1.jpg", Split: "train", PixelWidth: 1, PixelHeight: 1,
		Pixels: []byte{255, 0, 0}, Captions: []string{"a red dot"},
	})
	if err = errors.Join(err, w.Close()); err != nil {
		fmt.Println(err)
		return
	}

	r, err := NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()), ReaderOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range r.All() {
		fmt.Println(e.ImageID, e.Captions, e.Pixels, err)
	}
	// Output: 1.jpg [a red dot] [255 0 0] <nil>
}

func BenchmarkWrite(b *testing.B) {
	e := example(1, Uint8)
	e.PixelWidth, e.PixelHeight = 384, 384
	e.Pixels = make([]byte, 3*384*384)
	for i := range e.Pixels {
		e.Pixels[i] = byte(i * i >> 7)
	}
	w, err := NewWriter(io.Discard, testMeta(Uint8), WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(e.Pixels)))
	for b.Loop() {
		if err := w.Write(&e); err != nil {
			b.Fatal(err)
		}
	}
}
