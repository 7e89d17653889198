package records

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestEarlySync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	e := &earlySync{file: f, step: 1000}
	var want []byte
	for i := range 200 {
		part := bytes.Repeat([]byte{byte(i)}, 3*i)
		want = append(want, part...)
		if n, err := e.Write(part); n != len(part) || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, len(part), err)
		}
	}
	if err := errors.Join(e.finish(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// What could not be stored early is told at the end.
func TestEarlySyncFails(t *testing.T) {
	r, w, err := os.Pipe() // there is nothing to store a pipe on
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() // nobody reads
	defer w.Close() // as above
	e := &earlySync{file: w, step: 10}
	if _, err := e.Write(make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	stored := <-e.result
	e.result <- stored
	if _, err := e.Write([]byte{1}); stored == nil || err != nil {
		t.Fatalf("storing gave %v, writing %v", stored, err)
	}
	if err := e.finish(); !errors.Is(err, stored) {
		t.Errorf("finish returned %v, not %v", err, stored)
	}
}
