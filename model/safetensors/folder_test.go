package safetensors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpenFolderSharded(t *testing.T) {
	d, err := OpenFolder(filepath.Join(goldens, "sharded"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for path, rows := range readListing(t) {
		if !strings.HasPrefix(path, "sharded/") {
			continue
		}
		for _, r := range rows {
			want = append(want, r.name)
			if v, ok := d.Tensor(r.name); !ok || !slices.Equal(v.Shape, r.shape) {
				t.Errorf("%s: %v, %v", r.name, v.Shape, ok)
			}
		}
	}
	if slices.Sort(want); len(want) != 5 || !slices.Equal(d.Names(), want) {
		t.Errorf("names %v, want %v", d.Names(), want)
	}
	if d.Metadata()["format"] != "pt" {
		t.Errorf("metadata %v", d.Metadata())
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A file that is there wins over an index, as in transformers.
func TestOpenFolderSingle(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, IndexName, `{"weight_map":{"a":"missing.safetensors"}}`)
	if err := Write(filepath.Join(dir, SingleName), []Source{{Name: "w", DType: U8, Shape: []int64{1}, Data: []byte{7}}}, nil); err != nil {
		t.Fatal(err)
	}
	d, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := d.Tensor("w"); !ok || v.Data[0] != 7 {
		t.Errorf("got %v, %v", v, ok)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	shard := string(file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))
	index := func(name, path string) string {
		return fmt.Sprintf(`{"metadata":{"total_size":1},"weight_map":{%q:%q}}`, name, path)
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  error
		says  string
	}{
		{"empty", nil, ErrNoWeights, SingleName},
		{"pickle", map[string]string{"pytorch_model.bin": "x"}, ErrPickle, "save_pretrained"},
		{"sharded pickle", map[string]string{"pytorch_model.bin.index.json": "{}"}, ErrPickle, "save_pretrained"},
		{"broken file", map[string]string{SingleName: "x"}, ErrFormat, SingleName},
		{"missing shard", map[string]string{IndexName: index("a", "s.safetensors")}, ErrFormat, "s.safetensors"},
		{"missing tensor", map[string]string{IndexName: index("b", "s"), "s": shard}, ErrFormat, `"b"`},
		{"broken shard", map[string]string{IndexName: index("a", "s"), "s": "x"}, ErrFormat, "s"},
		{"parent folder", map[string]string{IndexName: index("a", "../s")}, ErrFormat, "../s"},
		{"absolute path", map[string]string{IndexName: index("a", "/etc/passwd")}, ErrFormat, "passwd"},
		{"folder inside", map[string]string{IndexName: index("a", "x/s")}, ErrFormat, "x/s"},
		{"dot", map[string]string{IndexName: index("a", ".")}, ErrFormat, "."},
		{"no name", map[string]string{IndexName: index("a", "")}, ErrFormat, ""},
		{"no map", map[string]string{IndexName: `{"metadata":{}}`}, ErrFormat, "weight_map"},
		{"empty map", map[string]string{IndexName: `{"weight_map":{}}`}, ErrFormat, "weight_map"},
		{"tensor twice", map[string]string{IndexName: `{"weight_map":{"a":"s","a":"t"}}`}, ErrFormat, "twice"},
		{"not JSON", map[string]string{IndexName: `weights`}, ErrFormat, ""},
		{"deep", map[string]string{IndexName: `{"x":` + strings.Repeat("[", 1000)}, ErrFormat, "deeper"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				put(t, dir, name, text)
			}
			d, err := OpenFolder(dir)
			if !errors.Is(err, tt.want) || d != nil || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.says)
			}
		})
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1200},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"x"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x","a":"C:\\x"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		shards, err := parseIndex(text)
		if err != nil {
			return
		}
		for shard := range shards {
			if strings.ContainsAny(shard, `/`) || shard == ".." || shard == "." || shard == "" {
				t.Fatalf("%q leaves the folder", shard)
			}
		}
	})
}
