// Package progress tells the person at the terminal how far each stage is.
//
// A DoFn reports to a [Task]: that costs an atomic addition, whoever listens. The
// pipeline's main attaches a [Renderer], which looks at the tasks from time to
// time and draws a bar on a terminal or writes plain lines elsewhere. In a
// process without a renderer, such as a remote worker, reports go nowhere:
// Beam's metrics carry the numbers from there.
//
// Tasks are named, and all DoFn instances of a process that start a task of one
// name share it, so a DoFn may call [Start] in every bundle.
package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

// Task is one stage's count. Its methods may be called from any goroutine.
type Task struct {
	name  string
	unit  string
	begun time.Time
	done  atomic.Int64
	total atomic.Int64
	note  atomic.Pointer[string]
	ended atomic.Int64 // when, in nanoseconds after begun; 0 while it runs
}

// board holds a process's tasks in the order they were started.
type board struct {
	mu    sync.Mutex
	tasks []*Task
	now   func() time.Time
}

var process = &board{now: time.Now}

// Start returns the running task of this name, or starts it. Total is the number
// of units to come, 0 if it is not known (yet); a later Start may set it. Unit is
// a plural, such as "pictures".
func Start(name string, total int64, unit string) *Task {
	return process.start(name, total, unit)
}

func (b *board) start(name string, total int64, unit string) *Task {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		if t.name == name && t.ended.Load() == 0 {
			if total > 0 {
				t.total.Store(total)
			}
			return t
		}
	}
	t := &Task{name: name, unit: unit, begun: b.now()}
	t.total.Store(total)
	b.tasks = append(b.tasks, t)
	return t
}

// Add counts n more units.
func (t *Task) Add(n int64) { t.done.Add(n) }

// Set makes the count n, for a stage that resumes.
func (t *Task) Set(n int64) { t.done.Store(n) }

// Note shows a few words beside the count, such as "loss 1.23".
func (t *Task) Note(words string) { t.note.Store(&words) }

// Done ends the task. A later Start of the same name is a new one.
func (t *Task) Done() { t.end(process.now()) }

func (t *Task) end(now time.Time) {
	t.ended.CompareAndSwap(0, max(1, int64(now.Sub(t.begun))))
}

// Snapshot is what a task says at one moment.
type Snapshot struct {
	// Name and Unit are those the task was started with.
	Name, Unit string
	// Done of Total units are behind us. Total is 0 where it is not known.
	Done, Total int64
	// Note is the task's latest note.
	Note string
	// Elapsed is the time since the start, or from start to end.
	Elapsed time.Duration
	// Ended is set once the task is done.
	Ended bool
}

// Tasks returns a snapshot of every task of the process, in the order they were
// started.
func Tasks() []Snapshot { return process.snapshots() }

func (b *board) snapshots() []Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	all := make([]Snapshot, len(b.tasks))
	for i, t := range b.tasks {
		all[i] = t.snapshot(now)
	}
	return all
}

func (t *Task) snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Name: t.name, Unit: t.unit,
		Done: t.done.Load(), Total: t.total.Load(),
		Elapsed: now.Sub(t.begun),
	}
	if note := t.note.Load(); note != nil {
		s.Note = *note
	}
	if ended := t.ended.Load(); ended != 0 {
		s.Ended, s.Elapsed = true, time.Duration(ended)
	}
	return s
}
