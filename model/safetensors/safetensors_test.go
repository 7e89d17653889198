package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// goldens are written by the reference: testdata/safetensors_files.py.
const goldens = "../../testdata/golden/safetensors"

// row is one tensor as the reference reads it.
type row struct {
	name   string
	dtype  DType
	shape  []int64
	digest string
}

func (r *row) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&r.name, &r.dtype, &r.shape, &r.digest})
}

func readListing(t *testing.T) map[string][]row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldens, "listing.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows map[string][]row
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestOpenReadsReferenceFiles(t *testing.T) {
	for path, rows := range readListing(t) {
		f := open(t, filepath.Join(goldens, path))
		if got := f.Names(); len(got) != len(rows) {
			t.Errorf("%s: %d tensors, want %d", path, len(got), len(rows))
		}
		for _, want := range rows {
			got, ok := f.Tensor(want.name)
			if !ok {
				t.Errorf("%s: no tensor %q", path, want.name)
				continue
			}
			digest := sha256.Sum256(got.Data)
			if got.Name != want.name || got.DType != want.dtype || !slices.Equal(got.Shape, want.shape) || hex.EncodeToString(digest[:]) != want.digest {
				t.Errorf("%s: got %s %s %v, want %+v", path, got.Name, got.DType, got.Shape, want)
			}
		}
	}
	f := open(t, filepath.Join(goldens, "types.safetensors"))
	if want := map[string]string{"format": "pt"}; !reflect.DeepEqual(f.Metadata(), want) {
		t.Errorf("metadata %v, want %v", f.Metadata(), want)
	}
	if _, ok := f.Tensor("nothing"); ok {
		t.Error("a tensor that is not there was found")
	}
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// The same tensors, given in any order, make the reference's bytes.
func TestWriteAsReference(t *testing.T) {
	for path := range readListing(t) {
		if path == "none.safetensors" { // written without metadata, which Write always has
			continue
		}
		f := open(t, filepath.Join(goldens, path))
		var list []Source
		for _, name := range slices.Sorted(slices.Values(f.Names())) {
			v, _ := f.Tensor(name)
			s := Source{Name: v.Name, DType: v.DType, Shape: v.Shape, Data: v.Data}
			if len(list)%2 == 1 {
				s.Data, s.WriteTo = nil, func(w io.Writer) error { _, err := w.Write(v.Data); return err }
			}
			list = append(list, s)
		}
		out := filepath.Join(t.TempDir(), "out.safetensors")
		if err := Write(out, list, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := readFile(t, out), readFile(t, filepath.Join(goldens, path)); !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriteMetadata(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	given := map[string]string{"made by": "blipflow <test>", "ключ": "\u2028\x01"}
	if err := Write(path, nil, given); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(given)
	want["format"] = "pt"
	if got := open(t, path).Metadata(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	given["format"] = "np"
	if err := Write(path, nil, given); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Metadata(); !reflect.DeepEqual(got, given) {
		t.Errorf("got %q, want %q", got, given)
	}
}

// A write that fails leaves what was there, and nothing beside it.
func TestWriteWholeOrNotAtAll(t *testing.T) {
	failing := errors.New("device lost")
	good := Source{Name: "a", DType: F32, Shape: []int64{2}, Data: make([]byte, 8)}
	for _, tt := range []struct {
		name string
		list []Source
		want error
	}{
		{"source fails", []Source{good, {Name: "b", DType: F32, Shape: []int64{1}, WriteTo: func(io.Writer) error { return failing }}}, failing},
		{"too few bytes", []Source{{Name: "b", DType: F32, Shape: []int64{2}, WriteTo: writes(7)}}, ErrTensor},
		{"too many bytes", []Source{{Name: "b", DType: F32, Shape: []int64{2}, WriteTo: writes(9)}}, ErrTensor},
		{"data too short", []Source{{Name: "b", DType: F32, Shape: []int64{2}, Data: make([]byte, 7)}}, ErrTensor},
		{"no data", []Source{{Name: "b", DType: F32, Shape: []int64{2}}}, ErrTensor},
		{"unknown type", []Source{{Name: "b", DType: "F31", Data: []byte{}}}, ErrTensor},
		{"negative size", []Source{{Name: "b", DType: F32, Shape: []int64{-1}}}, ErrTensor},
		{"overflow", []Source{{Name: "b", DType: F32, Shape: []int64{1 << 62, 1 << 62}}}, ErrTensor},
		{"half a byte", []Source{{Name: "b", DType: F4, Shape: []int64{3}, Data: make([]byte, 2)}}, ErrTensor},
		{"name twice", []Source{good, good}, ErrTensor},
		{"the metadata's name", []Source{{Name: "__metadata__", DType: F32, Shape: []int64{0}}}, ErrTensor},
		{"name not UTF-8", []Source{{Name: "\xff", DType: F32, Shape: []int64{0}}}, ErrTensor},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, SingleName)
			if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Write(path, tt.list, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := readFile(t, path); string(got) != "before" {
				t.Errorf("the old file is now %q", got)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	if err := Write(filepath.Join(t.TempDir(), "no", "folder"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func writes(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		for range n {
			if _, err := w.Write([]byte{1}); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestClose(t *testing.T) {
	f, err := Open(filepath.Join(goldens, "types.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, ok := f.Tensor("scalar"); ok || len(f.Names()) != 0 {
		t.Error("a closed file still has tensors")
	}
}

// file joins a header, its length and a body.
func file(header string, body int) []byte {
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(data, header...), make([]byte, body)...)
}

func one(fields string) string { return `{"a":{` + fields + `}}` }

func TestOpenRefuses(t *testing.T) {
	const a = `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for name, data := range map[string][]byte{
		"empty":                    nil,
		"seven bytes":              make([]byte, 7),
		"no header":                make([]byte, 8),
		"header beyond the file":   append([]byte{255, 0, 0, 0, 0, 0, 0, 0}, "{}"...),
		"header length 2⁶⁴−1":      append(bytes.Repeat([]byte{255}, 8), "{}"...),
		"not UTF-8":                file("{\"\xff\":1}", 0),
		"not JSON":                 file("{", 0),
		"an array":                 file("[]", 0),
		"null":                     file("null", 0),
		"text behind":              file("{}x", 0),
		"zeros behind":             file("{}\x00\x00", 0),
		"two objects":              file("{}{}", 0),
		"pickle":                   []byte("\x80\x02}q\x00(X\x05\x00\x00\x00model"),
		"html":                     []byte("<!DOCTYPE html><html>not found</html>"),
		"tensor null":              file(`{"a":null}`, 0),
		"tensor a list":            file(`{"a":["U8",[1],[0,1]]}`, 1),
		"no type":                  file(one(`"shape":[1],"data_offsets":[0,1]`), 1),
		"no shape":                 file(one(`"dtype":"U8","data_offsets":[0,1]`), 1),
		"no offsets":               file(one(`"dtype":"U8","shape":[1]`), 1),
		"type twice":               file(one(`"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]`), 1),
		"name twice":               file("{"+a+","+a+"}", 1),
		"name twice by escape":     file("{"+a+","+strings.Replace(a, "a", `\u0061`, 1)+"}", 1),
		"metadata twice":           file(`{"__metadata__":{},"__metadata__":{}}`, 0),
		"metadata key twice":       file(`{"__metadata__":{"a":"","a":""}}`, 0),
		"metadata a number":        file(`{"__metadata__":{"a":1}}`, 0),
		"metadata a list":          file(`{"__metadata__":[]}`, 0),
		"broken surrogate":         file(`{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"unknown type":             file(one(`"dtype":"Q8","shape":[1],"data_offsets":[0,1]`), 1),
		"type in small letters":    file(one(`"dtype":"u8","shape":[1],"data_offsets":[0,1]`), 1),
		"type a number":            file(one(`"dtype":8,"shape":[1],"data_offsets":[0,1]`), 1),
		"fraction":                 file(one(`"dtype":"U8","shape":[1.0],"data_offsets":[0,1]`), 1),
		"exponent":                 file(one(`"dtype":"U8","shape":[1e0],"data_offsets":[0,1]`), 1),
		"negative":                 file(one(`"dtype":"U8","shape":[-1],"data_offsets":[0,1]`), 1),
		"minus zero":               file(one(`"dtype":"U8","shape":[-0],"data_offsets":[0,0]`), 0),
		"string size":              file(one(`"dtype":"U8","shape":["1"],"data_offsets":[0,1]`), 1),
		"shape a number":           file(one(`"dtype":"U8","shape":1,"data_offsets":[0,1]`), 1),
		"beyond 63 bits":           file(one(`"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]`), 1),
		"product overflows":        file(one(`"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]`), 0),
		"bytes overflow":           file(one(`"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]`), 0),
		"overflow beside a 0":      file(one(`"dtype":"U8","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]`), 0),
		"65 dimensions":            file(one(`"dtype":"U8","shape":[1`+strings.Repeat(",1", 64)+`],"data_offsets":[0,1]`), 1),
		"one offset":               file(one(`"dtype":"U8","shape":[1],"data_offsets":[0]`), 1),
		"three offsets":            file(one(`"dtype":"U8","shape":[1],"data_offsets":[0,1,1]`), 1),
		"offsets turned":           file(one(`"dtype":"U8","shape":[1],"data_offsets":[1,0]`), 1),
		"size differs":             file(one(`"dtype":"U16","shape":[1],"data_offsets":[0,1]`), 1),
		"half a byte":              file(one(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2),
		"beyond the file":          file(one(`"dtype":"U8","shape":[9],"data_offsets":[0,9]`), 1),
		"far beyond the file":      file(one(`"dtype":"U8","shape":[9000000000000000000],"data_offsets":[0,9000000000000000000]`), 1),
		"hole at the start":        file(one(`"dtype":"U8","shape":[1],"data_offsets":[1,2]`), 2),
		"hole in the middle":       file(`{`+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3),
		"overlap":                  file(`{`+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2),
		"file goes on":             file(`{`+a+`}`, 2),
		"body without tensors":     file(`{}`, 1),
		"foreign value too deep":   file(one(`"x":`+deep+`,"dtype":"U8","shape":[1],"data_offsets":[0,1]`), 1),
		"tensor nested too deep":   file(`{"a":`+deep+`}`, 0),
		"metadata nested too deep": file(`{"__metadata__":`+deep+`}`, 0),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.safetensors")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if !errors.Is(err, ErrFormat) || f != nil {
				t.Errorf("got %v", err)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	overCap := binary.LittleEndian.AppendUint64(nil, maxHeader+1)
	if _, err := Parse(overCap); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "at most 100000000") {
		t.Errorf("header over the cap: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("a folder: %v", err)
	}
}

// What the reference reads though it does not write it.
func TestOpenAccepts(t *testing.T) {
	const a = `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`
	for name, data := range map[string][]byte{
		"white space around":  file(" {"+a+"}\n\t ", 1),
		"metadata null":       file(`{"__metadata__" : null,`+a+`}`, 1),
		"foreign field":       file(one(`"x":[{"y":null}],"dtype":"U8","shape":[1],"data_offsets":[0,1]`), 1),
		"any order":           file(`{"b":{"data_offsets":[1,2],"shape":[1],"dtype":"U8"},`+a+`}`, 2),
		"empty in the middle": file(`{`+a+`,"b":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 1),
		"empty name":          file(`{`+strings.Replace(a, `"a"`, `""`, 1)+`}`, 1),
		"surrogate pair":      file(`{"\ud83d\ude00 \uFFFD�":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"64 dimensions":       file(one(`"dtype":"U8","shape":[1`+strings.Repeat(",1", 63)+`],"data_offsets":[0,1]`), 1),
		"two to the byte":     file(one(`"dtype":"F4","shape":[4],"data_offsets":[0,2]`), 2),
		"unaligned":           file(`{`+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}`, 5),
		"nothing in it":       file(`{}`, 0),
	} {
		if _, err := Parse(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpen: whatever the bytes, an error of this package or tensors that lie
// in the body end to end.
func FuzzOpen(f *testing.F) {
	f.Add(file(`{}`, 0))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}`, 9))
	f.Add(file(`{"__metadata__":{"format":"pt"},"x":{"dtype":"BF16","shape":[0,3],"data_offsets":[0,0],"y":[]}}  `, 0))
	f.Add(file(`{"\ud800":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}}`, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		total := 0
		for _, name := range file.Names() {
			v, ok := file.Tensor(name)
			if !ok || v.Name != name {
				t.Fatalf("%q is listed but not there", name)
			}
			total += len(v.Data)
		}
		if length := binary.LittleEndian.Uint64(data); uint64(len(data)) != 8+length+uint64(total) {
			t.Fatalf("%d bytes of tensors, header %d, file %d", total, length, len(data))
		}
	})
}

// FuzzHeader is FuzzOpen without the length before the header.
func FuzzHeader(f *testing.F) {
	f.Add(`{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}`, 9)
	f.Add(`{"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[0],"data_offsets":[0,0],"x":{"y":[1e9,null]}}}`, 0)
	f.Fuzz(func(t *testing.T, text string, body int) {
		if body < 0 || body > 1<<12 {
			return
		}
		h, err := Parse(file(text, body))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		for i, v := range h.tensors {
			n, err := size(v.DType, v.Shape)
			if err != nil || n != int64(len(v.Data)) || h.index[v.Name] != i {
				t.Fatalf("tensor %q: %d bytes, want %d, %v", v.Name, len(v.Data), n, err)
			}
		}
	})
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, SingleName)
	err = Write(path, []Source{
		{Name: "decoder.bias", DType: F32, Shape: []int64{2}, Data: []byte{0, 0, 128, 63, 0, 0, 0, 64}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	weights, err := OpenFolder(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	bias, ok := weights.Tensor("decoder.bias")
	fmt.Println(weights.Names(), bias.DType, bias.Shape, bias.Data, ok)
	if err := weights.Close(); err != nil { // bias.Data is gone from here on
		fmt.Println(err)
	}
	// Output: [decoder.bias] F32 [2] [0 0 128 63 0 0 0 64] true
}
