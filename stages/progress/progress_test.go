package progress

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a board's time, moved by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestLine(t *testing.T) {
	tests := []struct {
		s    Snapshot
		want string
	}{
		{Snapshot{Name: "hash", Unit: "pictures"}, "hash: 0 pictures"},
		{
			Snapshot{Name: "preprocess", Unit: "pictures", Done: 1200, Total: 8091, Elapsed: 12 * time.Second, Note: "3 failed"},
			"preprocess: 1,200 of 8,091 pictures (14 %), 100/s, 1m9s left, 3 failed",
		},
		{
			Snapshot{Name: "preprocess", Unit: "pictures", Done: 8091, Total: 8091, Elapsed: 95 * time.Second, Ended: true},
			"preprocess: 8,091 pictures in 1m35s, 85.2/s",
		},
		{
			Snapshot{Name: "train", Unit: "steps", Done: 5, Total: 10, Elapsed: 2500 * time.Millisecond, Ended: true, Note: "loss 1.23"},
			"train: stopped at 5 of 10 steps after 2.5s, 2.0/s, loss 1.23",
		},
		{
			Snapshot{Name: "list", Unit: "files", Done: 1234567, Elapsed: time.Second},
			"list: 1,234,567 files, 1,234,567/s",
		},
	}
	for _, tt := range tests {
		if got := tt.s.Line(); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}

func TestStartSharesARunningTask(t *testing.T) {
	c := &clock{t: time.Unix(0, 0)}
	b := &board{now: c.now}
	first := b.start("preprocess", 0, "pictures")
	second := b.start("preprocess", 10, "pictures")
	if first != second {
		t.Fatal("two tasks of one name")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { b.start("preprocess", 0, "pictures").Add(1) })
	}
	wg.Wait()
	c.pass(2 * time.Second)
	first.Note("fine")
	first.end(c.now())
	c.pass(time.Hour)
	first.end(c.now()) // ending twice keeps the first end
	again := b.start("preprocess", 3, "pictures")
	if again == first {
		t.Error("a task that ended was started again")
	}
	want := []Snapshot{
		{Name: "preprocess", Unit: "pictures", Done: 8, Total: 10, Note: "fine", Elapsed: 2 * time.Second, Ended: true},
		{Name: "preprocess", Unit: "pictures", Total: 3},
	}
	if diff := cmp.Diff(want, b.snapshots()); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

func TestLinesRenderer(t *testing.T) {
	c := &clock{t: time.Unix(0, 0)}
	b := &board{now: c.now}
	b.start("old", 1, "x").end(c.now())
	var out bytes.Buffer
	r := newRenderer(b, &lines{out: &out, latest: map[string]Snapshot{}}, time.Hour)
	hash := b.start("hash", 4, "pictures")
	hash.Add(2)
	c.pass(time.Second)
	r.draw()
	r.draw() // nothing moved: no second line
	hash.Add(2)
	hash.end(c.now())
	b.start("write", 4, "pictures").Add(1)
	r.draw()
	r.Stop()
	r.Stop()
	want := strings.Join([]string{
		"hash: 2 of 4 pictures (50 %), 2.0/s, 1s left",
		"hash: 4 pictures in 1s, 4.0/s",
		"write: 1 of 4 pictures (25 %)",
		"write: stopped at 1 of 4 pictures after 0s",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestBarsRenderer(t *testing.T) {
	c := &clock{t: time.Unix(0, 0)}
	b := &board{now: c.now}
	var out bytes.Buffer
	r := newRenderer(b, &bars{out: &out}, time.Hour)
	task := b.start("preprocess", 4, "pictures")
	task.Add(3)
	task.Note("1 failed")
	r.draw()
	c.pass(2 * time.Second)
	task.Add(1)
	r.Stop()
	got := out.String()
	if !strings.Contains(got, "preprocess (1 failed)") || !strings.Contains(got, "3/4") {
		t.Errorf("no bar with note and count in %q", got)
	}
	if !strings.HasSuffix(got, "\rpreprocess: 4 pictures in 2s, 2.0/s, 1 failed\n") {
		t.Errorf("the bar does not end as a line of its own: %q", got)
	}
}

func ExampleStart() {
	task := Start("preprocess", 3, "pictures")
	task.Add(3)
	task.Done()
	for _, s := range Tasks() {
		fmt.Println(s.Name, s.Done, "of", s.Total, s.Unit)
	}
	// Output: preprocess 3 of 3 pictures
}
