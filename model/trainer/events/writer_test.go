package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// record is an event of testdata/events.py, and the bytes that
// torch.utils.tensorboard's summaries and tensorboard's writer make of it.
type record struct {
	Kind, Tag, Text string
	Value           string // a C99 floating-point constant
	Step            int64
	Time            string // seconds, likewise
	Record          []byte
}

func golden(t testing.TB) []record {
	t.Helper()
	data, err := os.ReadFile("../../../testdata/golden/events/events.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// find is the first golden record for which is holds.
func find(t testing.TB, is func(record) bool) []byte {
	t.Helper()
	records := golden(t)
	i := slices.IndexFunc(records, is)
	if i < 0 {
		t.Fatal("the golden file lacks a record")
	}
	return records[i].Record
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func moment(t testing.TB, s string) time.Time {
	t.Helper()
	whole, part := math.Modf(number(t, s))
	return time.Unix(int64(whole), int64(math.Round(part*1e9)))
}

// disk takes what is written as long as there is room.
type disk struct {
	bytes.Buffer
	room   int
	closed bool
}

func (d *disk) Write(p []byte) (int, error) {
	n, _ := d.Buffer.Write(p[:min(len(p), d.room)])
	d.room -= n
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) Close() error { d.closed = true; return nil }

func TestRecordsAreTheReferences(t *testing.T) {
	kinds := map[string]int{}
	for _, r := range golden(t) {
		t.Run(fmt.Sprintf("%s/%s/%d", r.Kind, r.Tag[:min(len(r.Tag), 20)], r.Step), func(t *testing.T) {
			at, to := moment(t, r.Time), &disk{room: math.MaxInt}
			w := &Writer{file: to, now: func() time.Time { return at }}
			var err error
			switch r.Kind {
			case "scalar":
				err = w.Scalar(r.Tag, number(t, r.Value), r.Step, at)
			case "text":
				err = w.Text(r.Tag, r.Text, r.Step)
			case "start":
				err = w.write(event(at, r.Step, eventSessionLog, sessionStart()))
			case "version":
				err = w.write(event(at, r.Step, eventFileVersion, []byte(fileVersion)))
			default:
				t.Fatalf("kind %q", r.Kind)
			}
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			if got := to.Bytes(); !bytes.Equal(got, r.Record) {
				t.Errorf("got\n%x, want\n%x", got, r.Record)
			}
			kinds[r.Kind]++
		})
	}
	if len(kinds) != 4 {
		t.Errorf("the golden file has the kinds %v", kinds)
	}
}

// write opens and closes a writer, and gives the path of its file.
func write(t *testing.T, dir string, step int64, at time.Time) (string, error) {
	t.Helper()
	w, err := open(dir, step, func() time.Time { return at })
	if err != nil {
		return "", err
	}
	return w.file.(*os.File).Name(), w.Close()
}

// A new run drops everything, step 0 included, and one that goes on after step
// 300 what is from step 301 on.
func TestFileBeginsWithVersionAndStart(t *testing.T) {
	at := time.Unix(1700000000, 25e7) // of these golden records
	version := find(t, func(r record) bool { return r.Kind == "version" })
	for _, c := range []struct{ step, from int64 }{{0, 0}, {300, 301}} {
		start := find(t, func(r record) bool { return r.Kind == "start" && r.Step == c.from })
		path, err := write(t, t.TempDir(), c.step, at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := slices.Concat(version, start); !bytes.Equal(got, want) {
			t.Errorf("step %d: the file holds\n%x, want\n%x", c.step, got, want)
		}
	}
}

func TestFilesSortAsOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "a")
	at := time.Unix(1700000000, 0)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	// The clock stands still, then goes back by an hour, then is right again.
	for i, seconds := range []int64{0, 0, -3600, 10} {
		path, err := write(t, dir, 0, at.Add(time.Duration(seconds)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(path))
		want := []string{"1700000000", "1700000001", "1700000002", "1700000010"}[i]
		if !strings.HasPrefix(names[i], "events.out.tfevents."+want+"."+host+"."+strconv.Itoa(os.Getpid())+".") {
			t.Errorf("file %d is %s, want time %s", i, names[i], want)
		}
		// What is no event file counts for nothing.
		for _, other := range []string{"events.out.tfevents.x", "training_log.9999999999.jsonl"} {
			if err := os.WriteFile(filepath.Join(dir, other), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("TensorBoard would read %q in another order", names)
	}
}

func TestFlushHandsOver(t *testing.T) {
	dir := t.TempDir()
	size := func() int {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("files %q, %v", found, err)
		}
		data, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
	w, err := Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	opened := size()
	if opened == 0 {
		t.Error("an open file is empty: TensorBoard cannot see the start")
	}
	want := find(t, func(r record) bool { return r.Kind == "scalar" && r.Step == 1 && r.Tag == "train/loss" })
	if err := w.Scalar("train/loss", 0.1, 1, time.Unix(1700000000, 75e7)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := size() - opened; got != len(want) {
		t.Errorf("after Flush the file has %d bytes more, want %d", got, len(want))
	}
	// Without a Flush not more than enough stays behind.
	if err := w.Text("args", strings.Repeat("a", enough), 1); err != nil {
		t.Fatal(err)
	}
	if got := size(); got < enough {
		t.Errorf("the file has %d bytes after a text of %d", got, enough)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the second Close gives %v, want %v", err, os.ErrClosed)
	}
	if err := w.Scalar("train/loss", 1, 2, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Flush after Close gives %v, want %v", err, os.ErrClosed)
	}
}

// Wherever a full disk cuts a write off, what is written once there is room
// again makes whole records.
func TestFullDiskTearsNoRecordForGood(t *testing.T) {
	at := time.Unix(1700000000, 75e7)
	one := find(t, func(r record) bool { return r.Kind == "scalar" && r.Step == 1 && r.Tag == "train/loss" })
	for room := range 2*len(one) + 1 {
		to := &disk{room: room}
		w := &Writer{file: to, now: time.Now}
		for range 2 {
			if err := w.Scalar("train/loss", 0.1, 1, at); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("room for %d bytes: %v", room, err)
			}
		}
		if full := room < 2*len(one); full != (w.Flush() != nil) {
			t.Errorf("room for %d of %d bytes: full is %v, the error tells otherwise", room, 2*len(one), full)
		}
		to.room = math.MaxInt
		if err := w.Scalar("train/loss", 0.1, 1, at); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat(one, 3); !bytes.Equal(to.Bytes(), want) {
			t.Errorf("room for %d bytes: got\n%x, want\n%x", room, to.Bytes(), want)
		}
	}
}

func TestCloseClosesAndTellsOfBoth(t *testing.T) {
	to := &disk{}
	w := &Writer{file: to, now: time.Now}
	if err := w.Scalar("train/loss", 1, 1, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close on a full disk gives %v, want %v", err, syscall.ENOSPC)
	}
	if !to.closed {
		t.Error("the file stayed open after an error")
	}
}

func TestWhatNoEventHolds(t *testing.T) {
	to := &disk{room: math.MaxInt}
	w := &Writer{file: to, now: time.Now}
	for name, err := range map[string]error{
		"empty tag":         w.Scalar("", 1, 1, time.Now()),
		"tag not UTF-8":     w.Scalar("a\xff", 1, 1, time.Now()),
		"text's empty tag":  w.Text("", "a", 1),
		"text not UTF-8":    w.Text("args", "\xff", 1),
		"text tag no UTF-8": w.Text("\xff", "a", 1),
	} {
		if !errors.Is(err, ErrTag) {
			t.Errorf("%s: got %v, want %v", name, err, ErrTag)
		}
	}
	if err := w.Close(); err != nil || to.Len() > 0 {
		t.Errorf("%d bytes were written, %v", to.Len(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.TempDir(), -1); err == nil {
		t.Error("a negative step is taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file in place of the folder: got %v, want %v", err, syscall.ENOTDIR)
	}
}
