package spice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/metrics"
)

// numbered are n pictures, some of them with a word in the prediction.
func numbered(n int, words map[int]string) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{ID: fmt.Sprint("picture ", i), Prediction: fmt.Sprintf("n%d a dog %s", i, words[i]), References: []string{"a dog", "a cat"}}
	}
	return items
}

// expect checks that all pictures have their own scores, but for those in bad,
// which have that error.
func expect(t *testing.T, scores []Scores, bad map[int]error) {
	t.Helper()
	for i, s := range scores {
		if s.ID != fmt.Sprint("picture ", i) || !errors.Is(s.Err, bad[i]) {
			t.Errorf("picture %d is %q with the error %v, want %v", i, s.ID, s.Err, bad[i])
		}
		if bad[i] == nil && (s.All.TruePositives != i || s.All.F != metrics.Value{Score: 1, Known: true} || s.Size.F.Known) {
			t.Errorf("picture %d has another's scores: %+v", i, s)
		}
		if bad[i] != nil && s.All != (Tuples{}) {
			t.Errorf("picture %d failed and has scores: %+v", i, s)
		}
	}
}

func TestScore(t *testing.T) {
	for _, c := range []Config{{}, {Chunk: 1}, {Chunk: 7, Processes: 3}, {Chunk: 100, Processes: 2}} {
		s := fake(t, c)
		scores, err := s.Score(t.Context(), numbered(20, map[int]string{3: "FLOOD"}))
		if err != nil || len(scores) != 20 {
			t.Fatalf("%+v: %d scores, %v", c, len(scores), err)
		}
		expect(t, scores, nil)
		if got, want := len(processes(t)), (19+s.Config.chunk())/s.Config.chunk(); got != want {
			t.Errorf("%+v: %d processes, want %d", c, got, want)
		}
	}
}

func TestScoreOfNothing(t *testing.T) {
	if scores, err := fake(t, Config{}).Score(t.Context(), nil); err != nil || len(scores) != 0 {
		t.Errorf("%v, %v", scores, err)
	}
}

func TestNoReferences(t *testing.T) {
	_, err := fake(t, Config{}).Score(t.Context(), []Item{{ID: "cat.jpg", Prediction: "a cat"}})
	if !errors.Is(err, metrics.ErrNoReferences) || !strings.Contains(err.Error(), "cat.jpg") {
		t.Errorf("the error is %v", err)
	}
}

// A picture on which Java fails is found, and the rest is scored.
func TestBadPictures(t *testing.T) {
	tests := []struct {
		name  string
		words map[int]string
		says  string // the error of the bad pictures
	}{
		{"crash", map[int]string{5: "CRASH"}, "exit status 1: Exception in thread main java.lang.Exception: CRASH"},
		{"no memory", map[int]string{0: "MEMORY"}, "java had too little memory with a heap of 1600 MB"},
		{"garbage", map[int]string{11: "GARBAGE"}, "SPICE's output is not understood"},
		{"a picture less", map[int]string{4: "LESS"}, "it has 0 pictures of 1"},
		{"no output", map[int]string{6: "MISSING"}, "java ended without scores"},
		{"what it started goes on", map[int]string{6: "CHILD"}, "failed: java"},
		{"three", map[int]string{0: "CRASH", 1: "MISSING", 11: "CRASH"}, "failed: java"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fake(t, Config{Heap: 1600})
			scores, err := s.Score(t.Context(), numbered(12, test.words))
			if err != nil {
				t.Fatal(err)
			}
			bad := map[int]error{}
			for i := range test.words {
				bad[i] = ErrFailed
				if err := scores[i].Err; err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("picture %d: the error is %v, not a line with %q", i, err, test.says)
				}
			}
			expect(t, scores, bad)
			still(t)
		})
	}
}

// Where everything is bad Java is not started for ever.
func TestRetriesEnd(t *testing.T) {
	words := map[int]string{}
	bad := map[int]error{}
	for i := range 200 {
		words[i], bad[i] = "CRASH", ErrFailed
	}
	scores, err := fake(t, Config{}).Score(t.Context(), numbered(200, words))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, scores, bad)
	if n := len(processes(t)); n > 40 {
		t.Errorf("%d processes for 200 bad pictures", n)
	}
}

func TestBroken(t *testing.T) {
	s := fake(t, Config{})
	t.Setenv("BROKEN", "1")
	_, err := s.Score(t.Context(), numbered(100, nil))
	var process *ProcessError
	if !errors.Is(err, ErrBroken) || !errors.As(err, &process) || !strings.Contains(process.Stderr, "at edu.anu.Spice") {
		t.Errorf("the error is %v", err)
	}
	if n := len(processes(t)); n != 2 {
		t.Errorf("%d processes to find that Java works on nothing", n)
	}
}

func TestTimeout(t *testing.T) {
	s := fake(t, Config{Patience: 0.015}) // 1.8 s
	scores, err := s.Score(t.Context(), numbered(2, map[int]string{1: "HANG"}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, scores, map[int]error{1: ErrTimeout})
	still(t)
}

// The end of the context ends Java, and what Java started.
func TestCancel(t *testing.T) {
	s := fake(t, Config{Chunk: 1, Processes: 2})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for beats(t) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(errors.New("enough"))
	}()
	start := time.Now()
	_, err := s.Score(ctx, numbered(3, map[int]string{0: "HANG", 1: "HANG", 2: "HANG"}))
	if !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "enough")) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	still(t)
}

// beats is how much the fake's child has written.
func beats(t *testing.T) int64 {
	info, err := os.Stat(os.Getenv("BEAT"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// still checks that nothing that the fake started is alive.
func still(t *testing.T) {
	t.Helper()
	before := beats(t)
	time.Sleep(200 * time.Millisecond)
	if after := beats(t); after != before {
		t.Error("what Java started goes on after it")
	}
}

func TestStartFails(t *testing.T) {
	s := fake(t, Config{})
	s.Java = filepath.Join(t.TempDir(), "gone")
	if _, err := s.Score(t.Context(), numbered(1, nil)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	s = fake(t, Config{})
	s.Config.Temp = filepath.Join(t.TempDir(), "gone")
	if _, err := s.Score(t.Context(), numbered(1, nil)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

func TestArguments(t *testing.T) {
	s := fake(t, Config{Threads: 2, Heap: 3000, Cache: "cache"})
	t.Chdir(t.TempDir())
	if _, err := s.Score(t.Context(), numbered(1, nil)); err != nil {
		t.Fatal(err)
	}
	got := processes(t)[0]
	for _, want := range []string{
		"-Xmx3000m ", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseSerialGC", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-Duser.language=en",
		"spice-1.0.jar:", "nashorn-core-15.4.jar", " -subset -silent -threads 2 -cache /", "/cache/spice-1.0-corenlp-3.6.0-0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("Java was not started with %s: %s", want, got)
		}
	}
	s.Config.Threads, s.Config.Cache, s.Version = 4, "", 8
	if got := strings.Join(s.arguments("dir", ""), " "); strings.Contains(got, "add-opens") || !strings.Contains(got, "UseParallelGC") {
		t.Errorf("Java 8 is started with %s", got)
	}
}

// A cache that makes Java fail is left out.
func TestBrokenCache(t *testing.T) {
	s := fake(t, Config{Cache: filepath.Join(t.TempDir(), "cache")})
	text := strings.Replace(fakeJava, "has() {", `case "$all" in *-cache*) crash cache;; esac`+"\nhas() {", 1)
	script(t, s.Java, text)
	for _, n := range []int{1, 4} {
		scores, err := s.Score(t.Context(), numbered(n, nil))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, scores, nil)
	}
}

// Processes that run at once have each a part of the cache; one after the other
// they have the same.
func TestCacheParts(t *testing.T) {
	cache := t.TempDir()
	first, release, err := takePart(cache)
	if err != nil {
		t.Fatal(err)
	}
	second, releaseSecond, err := takePart(cache)
	if err != nil || second == first {
		t.Errorf("two parts at once: %s and %s, %v", first, second, err)
	}
	if err := errors.Join(release(), releaseSecond()); err != nil {
		t.Fatal(err)
	}
	again, release, err := takePart(cache)
	if err != nil || again != first {
		t.Errorf("the part is %s, before it was %s (%v)", again, first, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// What a killed program left is removed, and what is in use is not.
func TestSweep(t *testing.T) {
	temp := t.TempDir()
	used, remove, err := makeFolder(temp)
	if err != nil {
		t.Fatal(err)
	}
	left, fresh := filepath.Join(temp, folderPrefix+"left"), filepath.Join(temp, folderPrefix+"fresh")
	write(t, filepath.Join(left, inputName), "captions")
	write(t, filepath.Join(fresh, inputName), "captions")
	before := time.Now().Add(-time.Hour)
	for _, dir := range []string{used, left} {
		if err := os.Chtimes(dir, before, before); err != nil {
			t.Fatal(err)
		}
	}
	sweep(temp)
	for dir, there := range map[string]bool{used: true, left: false, fresh: true} {
		if _, err := os.Stat(dir); (err == nil) != there {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(used); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was not removed: %v", err)
	}
}

func TestTail(t *testing.T) {
	var s tail
	for i := range 5000 {
		fmt.Fprintf(&s, "line %d\n", i)
	}
	if got := s.String(); len(got) != tailLength || !strings.HasSuffix(got, "line 4998\nline 4999\n") || len(s.text) > 2*tailLength {
		t.Errorf("it keeps %d bytes, gives %d, which end in %q", len(s.text), len(got), got[len(got)-20:])
	}
}

func TestHeap(t *testing.T) {
	if got := (Config{Heap: 123}).heap(); got != 123 {
		t.Errorf("a given heap became %d", got)
	}
	if got := (Config{Processes: 1000}).heap(); got != 1500 {
		t.Errorf("the least heap is %d", got)
	}
}
