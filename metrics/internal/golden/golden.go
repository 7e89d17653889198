// Package golden reads the golden files of the caption metrics, which
// testdata/metrics.py makes. Only tests use it.
package golden

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Load reads testdata/golden/metrics/<name>.json.gz into v.
func Load(tb testing.TB, name string, v any) {
	tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	LoadFile(tb, filepath.Join(filepath.Dir(here), "..", "..", "..", "testdata", "golden", "metrics", name+".json.gz"), v)
}

// LoadFile reads a packed JSON file into v.
func LoadFile(tb testing.TB, path string, v any) {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatalf("read %s: %v", path, err)
	}
	if err := json.NewDecoder(z).Decode(v); err != nil {
		tb.Fatalf("read %s: %v", path, err)
	}
}
