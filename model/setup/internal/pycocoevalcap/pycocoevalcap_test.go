package pycocoevalcap

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

// fakePip is a python3 that knows `-m pip` and copies $WHEEL.
const fakePip = `#!/bin/sh
[ "$3" = --version ] && exit 0
echo "$*" >> "$ASKED"
while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done
cp "$WHEEL" "$dest/pycocoevalcap-1.2-py3-none-any.whl"
`

var members = map[string]string{
	"pycocoevalcap/meteor/meteor-1.5.jar":        "METEOR",
	"pycocoevalcap/meteor/meteor.py":             "not wanted",
	"pycocoevalcap/meteor/data/paraphrase-en.gz": "paraphrases",
	"pycocoevalcap/spice/spice-1.0.jar":          "SPICE",
	"pycocoevalcap/spice/spice.py":               "not wanted",
	"pycocoevalcap/spice/lib/guava-19.0.jar":     "a library",
	"pycocoevalcap/spice/LICENSE.txt":            "a licence",
	"pycocoevalcap/tokenizer/stanford.jar":       "not wanted",
	"pycocoevalcap/spice/../../../evil.jar":      "out of the folder",
	"pycocoevalcap-1.2.dist-info/METADATA":       "about",
}

// serve makes a wheel, puts a pip that has it on PATH alone, and pins it.
func serve(t *testing.T, files map[string]string) wheel.Wheel {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "wheel")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	for _, member := range slices.Sorted(maps.Keys(files)) {
		out, err := archive.Create(member)
		if err == nil {
			_, err = out.Write([]byte(files[member]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(archive.Close(), f.Close(), os.Mkdir(bin, 0o777), os.WriteFile(filepath.Join(bin, "python3"), []byte(fakePip), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("WHEEL", path)
	t.Setenv("ASKED", filepath.Join(dir, "asked"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	w := pinned
	w.SHA256, w.Size = hex.EncodeToString(sum[:]), int64(len(text))
	return w
}

func asked(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("ASKED"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func TestFetch(t *testing.T) {
	w, cache := serve(t, members), t.TempDir()
	if err := fetch(t.Context(), cache, w, progress.Printer{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(path, cache+"/pycocoevalcap-1.2/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"METADATA", bundle.ManifestName, "meteor/data/paraphrase-en.gz", "meteor/meteor-1.5.jar",
		"spice/LICENSE.txt", "spice/lib/guava-19.0.jar", "spice/spice-1.0.jar",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the cache holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := asked(t); !strings.Contains(text, "--no-deps") || !strings.Contains(text, "--platform any pycocoevalcap==1.2") {
		t.Errorf("pip was asked %q", text)
	}
}

func TestFetchAgain(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, dir string) error
		want   int // how often pip is asked in all
	}{
		{"nothing changed", func(*testing.T, string) error { return nil }, 1},
		{"a jar is gone", func(_ *testing.T, dir string) error {
			return os.Remove(filepath.Join(dir, "spice", "lib", "guava-19.0.jar"))
		}, 2},
		{"a table was cut short", func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "meteor", "data", "paraphrase-en.gz"), nil, 0o666)
		}, 2},
		{"no manifest", func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, bundle.ManifestName)) }, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, cache := serve(t, members), t.TempDir()
			if err := fetch(t.Context(), cache, w, progress.Printer{}); err != nil {
				t.Fatal(err)
			}
			if err := test.change(t, at(cache, w).Dir); err != nil {
				t.Fatal(err)
			}
			if err := fetch(t.Context(), cache, w, progress.Printer{}); err != nil {
				t.Fatal(err)
			}
			if !at(cache, w).Whole() {
				t.Error("the folder is not whole")
			}
			if n := strings.Count(asked(t), "\n"); n != test.want {
				t.Errorf("pip was asked %d times, not %d", n, test.want)
			}
		})
	}
}

func TestFetchFails(t *testing.T) {
	less := maps.Clone(members)
	delete(less, "pycocoevalcap/spice/spice-1.0.jar")
	tests := []struct {
		name   string
		files  map[string]string
		change func(t *testing.T, w *wheel.Wheel)
		want   string
	}{
		{"wrong hash", members, func(_ *testing.T, w *wheel.Wheel) { w.SHA256 = strings.Repeat("0", 64) }, "not the pinned 000"},
		{"no python", members, func(t *testing.T, _ *wheel.Wheel) { t.Setenv("PATH", t.TempDir()) }, "python3 was not found: install it"},
		{"no SPICE in it", less, func(*testing.T, *wheel.Wheel) {}, "it has no spice/spice-1.0.jar"},
		{"little space", members, func(_ *testing.T, w *wheel.Wheel) { w.Size = 1 << 60 }, "too little disk space: pycocoevalcap needs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, cache := serve(t, test.files), t.TempDir()
			test.change(t, &w)
			err := fetch(t.Context(), cache, w, progress.Printer{})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "LIBTORCH") {
				t.Errorf("the error is %v, not a line with %q", err, test.want)
			}
			left, err := filepath.Glob(filepath.Join(cache, "pycocoevalcap*"))
			if err != nil || len(left) > 0 {
				t.Errorf("%v was left behind (%v)", left, err)
			}
		})
	}
}
