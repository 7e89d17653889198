package imaging

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// The golden files are written by testdata/imaging.py.
const golden = "../../testdata/golden/imaging"

func readGolden(t testing.TB, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func goldenFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, "files", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func goldenPixels(t testing.TB) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(golden, "jpeg_pixels.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	pix, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return pix
}

// noise is the picture that the golden script computes as well.
func noise(w, h int, seed uint32) *RGB {
	m := NewRGB(w, h)
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(seed >> 24)
	}
	return m
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
