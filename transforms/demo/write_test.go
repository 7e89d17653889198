package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "demo")
	o := Options{Seed: 4, Pictures: 120, Validation: 5, Test: 10}
	if err := Write(dir, o); err != nil {
		t.Fatal(err)
	}
	rows := readRows(t, dir)
	if len(rows) != o.Pictures {
		t.Fatalf("%d rows, want %d", len(rows), o.Pictures)
	}
	splits := map[string]int{}
	for i, r := range rows {
		s := NewScene(4, uint64(i))
		if r.FileName != fmt.Sprintf("images/%06d.jpg", i) || r.Facts != s.Facts || !slices.Equal(r.Captions, s.Captions()) {
			t.Errorf("row %d is %+v", i, r)
		}
		splits[r.Split]++
		checkPicture(t, filepath.Join(dir, r.FileName), s)
	}
	if splits["train"] != 105 || splits["validation"] != 5 || splits["test"] != 10 {
		t.Errorf("splits %v", splits)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*"))
	if err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func readRows(t *testing.T, dir string) []row {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "metadata.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// checkPicture decodes a file and compares it with the drawing: JPEG at quality
// 90 keeps a picture with noise of up to 4 levels within a few more on average.
func checkPicture(t *testing.T, path string, s Scene) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	want := s.Draw()
	if m.Bounds() != want.Bounds() {
		t.Fatalf("%s is %v, want %v", path, m.Bounds(), want.Bounds())
	}
	sum := 0
	for y := range s.Height {
		for x := range s.Width {
			r, g, b, _ := m.At(x, y).RGBA()
			c := want.RGBAAt(x, y)
			sum += abs(int(r>>8)-int(c.R)) + abs(int(g>>8)-int(c.G)) + abs(int(b>>8)-int(c.B))
		}
	}
	if mean := float64(sum) / float64(3*s.Width*s.Height); mean > 6 {
		t.Errorf("%s is off by %.1f levels on average", path, mean)
	}
}

// TestWriteAgain: a finished data set is left alone, and nothing else is
// overwritten.
func TestWriteAgain(t *testing.T) {
	dir := t.TempDir() // empty folders are fine
	o := Options{Seed: 1, Pictures: 3}
	if err := Write(dir, o); err != nil {
		t.Fatal(err)
	}
	if rows := readRows(t, dir); len(rows) != 3 || rows[0].Split != "" {
		t.Errorf("rows %+v", rows)
	}
	kept := filepath.Join(dir, "images", "000001.jpg")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, o); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if data, err := os.ReadFile(kept); err != nil || string(data) != "kept" {
		t.Errorf("written again: %v", err)
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, o); err == nil {
		t.Error("no error for a data set with a picture missing")
	}
	o.Seed = 2
	if err := Write(dir, o); !errors.Is(err, ErrOccupied) {
		t.Errorf("another data set: %v, want %v", err, ErrOccupied)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(other, o); !errors.Is(err, ErrOccupied) {
		t.Errorf("somebody's folder: %v, want %v", err, ErrOccupied)
	}
}

func TestWriteErrors(t *testing.T) {
	for _, o := range []Options{
		{}, {Pictures: -1}, {Pictures: MaxPictures + 1}, {Pictures: 1, Quality: 101}, {Pictures: 1, Test: 60, Validation: 41}, {Pictures: 1, Test: -1},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if err := Write(dir, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: something was written", o)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, Options{Pictures: 1}); err == nil {
		t.Error("wrote over a file")
	}
	if err := Write(filepath.Join(file, "below"), Options{Pictures: 1}); err == nil {
		t.Error("wrote below a file")
	}
}

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		if err := Write(filepath.Join(b.TempDir(), "d"), Options{Pictures: 100}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "pictures/s")
}
