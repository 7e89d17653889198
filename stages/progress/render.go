package progress

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// RendererOptions are the settings of a Renderer. The zero value is ready to
// use.
type RendererOptions struct {
	// Every is the time between two plain lines. 0 means 5 seconds.
	Every time.Duration
	// Style overrides the choice between bars and lines.
	Style Style
}

// Style is how progress is shown.
type Style int

const (
	// Auto draws bars on a terminal and writes lines elsewhere.
	Auto Style = iota
	// Bars redraws one line in place.
	Bars
	// Lines writes a line now and then.
	Lines
)

// frame is the time between two looks at the tasks in Bars style.
const frame = 100 * time.Millisecond

// Renderer shows the process's tasks until it is stopped.
type Renderer struct {
	board  *board
	show   display
	stop   chan struct{}
	gone   chan struct{}
	once   sync.Once
	closed map[int]bool // tasks whose last line is out, by index
}

// display draws tasks.
type display interface {
	running(s Snapshot)
	ended(s Snapshot)
}

// Render starts showing the tasks of this process on out, usually os.Stderr.
func Render(out io.Writer, opt RendererOptions) *Renderer {
	every := opt.Every
	if every <= 0 {
		every = 5 * time.Second
	}
	style := opt.Style
	if style == Auto {
		style = styleFor(out)
	}
	if style == Bars {
		return newRenderer(process, &bars{out: out}, frame)
	}
	return newRenderer(process, &lines{out: out, latest: map[string]Snapshot{}}, every)
}

func styleFor(out io.Writer) Style {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return Bars
	}
	return Lines
}

func newRenderer(b *board, show display, every time.Duration) *Renderer {
	r := &Renderer{board: b, show: show, stop: make(chan struct{}), gone: make(chan struct{}), closed: map[int]bool{}}
	// Tasks that ended before are not this renderer's to tell.
	for i, s := range b.snapshots() {
		r.closed[i] = s.Ended
	}
	go r.loop(every)
	return r
}

func (r *Renderer) loop(every time.Duration) {
	defer close(r.gone)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.draw()
		case <-r.stop:
			r.draw()
			return
		}
	}
}

// draw writes the last line of the tasks that ended since, then shows the task
// that started last of those that run.
func (r *Renderer) draw() {
	var current *Snapshot
	for i, s := range r.board.snapshots() {
		switch {
		case !s.Ended:
			current = &s
		case !r.closed[i]:
			r.closed[i] = true
			r.show.ended(s)
		}
	}
	if current != nil {
		r.show.running(*current)
	}
}

// Stop ends every task that still runs, writes the last lines and returns when
// they are out.
func (r *Renderer) Stop() {
	r.once.Do(func() {
		r.board.mu.Lock()
		for _, t := range r.board.tasks {
			t.end(r.board.now())
		}
		r.board.mu.Unlock()
		close(r.stop)
	})
	<-r.gone
}

// lines writes a line for each look at a task that moved.
type lines struct {
	out    io.Writer
	latest map[string]Snapshot
}

func (l *lines) running(s Snapshot) {
	last, seen := l.latest[s.Name]
	if seen && last.Done == s.Done && last.Note == s.Note {
		return
	}
	l.latest[s.Name] = s
	fmt.Fprintln(l.out, s.Line())
}

func (l *lines) ended(s Snapshot) {
	delete(l.latest, s.Name)
	fmt.Fprintln(l.out, s.Line())
}

// Line tells a task in words, for a log:
//
//	preprocess: 1,200 of 8,091 pictures (14 %), 85.2/s, 1m21s left, 3 failed
//	preprocess: 8,091 pictures in 1m35s, 85.2/s
func (s Snapshot) Line() string {
	parts := []string{s.count()}
	if rate := s.rate(); rate > 0 {
		parts = append(parts, formatRate(rate)+"/s")
		if left := s.Total - s.Done; !s.Ended && left > 0 {
			parts = append(parts, formatTime(time.Duration(float64(left)/rate*float64(time.Second)))+" left")
		}
	}
	if s.Note != "" {
		parts = append(parts, s.Note)
	}
	return s.Name + ": " + strings.Join(parts, ", ")
}

func (s Snapshot) count() string {
	switch {
	case s.Ended && (s.Total == 0 || s.Done >= s.Total):
		return fmt.Sprintf("%s %s in %s", thousands(s.Done), s.Unit, formatTime(s.Elapsed))
	case s.Ended:
		return fmt.Sprintf("stopped at %s of %s %s after %s", thousands(s.Done), thousands(s.Total), s.Unit, formatTime(s.Elapsed))
	case s.Total > 0:
		return fmt.Sprintf("%s of %s %s (%d %%)", thousands(s.Done), thousands(s.Total), s.Unit, 100*s.Done/s.Total)
	default:
		return fmt.Sprintf("%s %s", thousands(s.Done), s.Unit)
	}
}

// rate is in units per second, 0 where there is nothing to tell yet.
func (s Snapshot) rate() float64 {
	if s.Elapsed < 100*time.Millisecond {
		return 0
	}
	return float64(s.Done) / s.Elapsed.Seconds()
}

func formatRate(r float64) string {
	if r >= 100 {
		return thousands(int64(r + 0.5))
	}
	return strconv.FormatFloat(r, 'f', 1, 64)
}

func formatTime(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bars redraws the running task's bar in place, and turns it into a line when
// the task ends.
type bars struct {
	out  io.Writer
	bar  *progressbar.ProgressBar
	name string
	max  int64
}

func (b *bars) running(s Snapshot) {
	total := s.Total
	if total == 0 {
		total = -1 // the library's word for "unknown": a spinner
	}
	if b.bar == nil || b.name != s.Name || b.max != total {
		b.clear()
		b.bar, b.name, b.max = newBar(b.out, s, total), s.Name, total
	}
	text := s.Name
	if s.Note != "" {
		text += " (" + s.Note + ")"
	}
	b.bar.Describe(text)
	// The library's only errors are those of writing to the terminal, where
	// there is then nobody to tell.
	_ = b.bar.Set64(s.Done)
}

func (b *bars) ended(s Snapshot) {
	b.clear()
	fmt.Fprintln(b.out, s.Line())
}

func (b *bars) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
		b.bar = nil
	}
}

func newBar(out io.Writer, s Snapshot, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(s.Unit),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(false),
		// Without this the library's own goroutine redraws a bar of unknown
		// length for ever, over the next one.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "·", BarStart: "▕", BarEnd: "▏"}),
	)
}
