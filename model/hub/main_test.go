package hub

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

// childVariable makes the test binary fetch a model, for tests that need other
// processes.
const childVariable = "BLIPFLOW_HUB_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child() error {
	c, err := FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	repo, err := ParseRepo(Model, os.Getenv(childVariable))
	if err != nil {
		return err
	}
	dir, err := c.Snapshot(context.Background(), repo, nil)
	fmt.Println(dir)
	return err
}

// said gathers what a client warns of.
type said struct {
	mu   sync.Mutex
	text []string
}

func (s *said) add(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, message)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.text, "\n")
}

// newClient makes a client of the server that never waits.
func newClient(t *testing.T, s *hubtest.Server, home string, env ...string) (*Client, *said) {
	t.Helper()
	c, err := FromEnv(s.Env(home, env...))
	if err != nil {
		t.Fatal(err)
	}
	warned := &said{}
	c.Warn = warned.add
	c.pause = func(time.Duration) time.Duration { return 0 }
	return c, warned
}

func repoOf(t *testing.T, kind Kind, text string) Repo {
	t.Helper()
	repo, err := ParseRepo(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// content is as long as is asked for and has no period that a mistake of
// offsets could hide behind.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// modelFiles has what a real repository has, and names that break careless
// clients.
func modelFiles() map[string][]byte {
	return map[string][]byte{
		"config.json":                  []byte(`{"model_type": "blip"}`),
		"model.safetensors":            content(1, 200_000),
		"sub/deep/weights.bin":         content(2, 30_000),
		"sub/vocab.txt":                []byte("[PAD]\n"),
		"copy of vocab.txt":            []byte("[PAD]\n"), // the same content
		"empty":                        {},
		"a#b?c%41&d=e+f;g.txt":         []byte("odd"),
		"größe 🙂/résumé.json":          []byte("{}"),
		"dots..in...name/.hidden.json": []byte("[]"),
	}
}

// sameFiles compares a folder with what it should hold.
func sameFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	got := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		got[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("%s holds %q, want %q", dir, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name, text := range want {
		if !bytes.Equal(got[name], text) {
			t.Errorf("%s: %d bytes that are not the %d wanted", name, len(got[name]), len(text))
		}
	}
}

// below lists the files in a folder, links too, with slashes.
func below(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func count(requests []hubtest.Request, path string) int {
	n := 0
	for _, r := range requests {
		if strings.Contains(r.Path, path) {
			n++
		}
	}
	return n
}

func without(files map[string][]byte, names ...string) map[string][]byte {
	files = maps.Clone(files)
	for _, name := range names {
		delete(files, name)
	}
	return files
}
