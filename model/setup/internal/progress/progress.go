// Package progress tells a person what takes time: a line that renews itself on
// a terminal, a plain line now and then anywhere else (a log, CI).
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Printer writes progress to one writer. The zero Printer writes nothing.
type Printer struct {
	// Out receives the lines.
	Out io.Writer
	// Terminal says that Out understands a carriage return.
	Terminal bool
	// Every is the time between plain lines; 0 means 30 seconds. A terminal's
	// line is renewed once a second.
	Every time.Duration
}

// To returns a Printer on f.
func To(f *os.File) Printer {
	return Printer{Out: f, Terminal: term.IsTerminal(int(f.Fd()))}
}

// Say writes one line.
func (p Printer) Say(format string, args ...any) {
	if p.Out != nil {
		fmt.Fprintf(p.Out, format+"\n", args...)
	}
}

// While writes title, runs work, and shows the time that it takes meanwhile,
// with what status adds (nil adds nothing). status is called from another
// goroutine than work.
func (p Printer) While(title string, status func() string, work func() error) error {
	if p.Out == nil {
		return work()
	}
	start := time.Now()
	done := make(chan struct{})
	var ended sync.WaitGroup
	if !p.Terminal {
		p.Say("%s", title)
	}
	ended.Go(func() { p.tick(title, start, status, done) })
	err := work()
	close(done)
	ended.Wait()
	if p.Terminal {
		fmt.Fprintf(p.Out, "\r\x1b[K%s: %s\n", title, elapsed(start))
	}
	return err
}

func (p Printer) tick(title string, start time.Time, status func() string, done <-chan struct{}) {
	every := p.Every
	switch {
	case p.Terminal:
		every = time.Second
	case every == 0:
		every = 30 * time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		p.show(title, start, status)
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

func (p Printer) show(title string, start time.Time, status func() string) {
	text := elapsed(start)
	if status != nil {
		if more := status(); more != "" {
			text += ", " + more
		}
	}
	switch {
	case p.Terminal:
		fmt.Fprintf(p.Out, "\r\x1b[K%s: %s", title, text)
	case time.Since(start) >= time.Second: // the title has just been written
		fmt.Fprintf(p.Out, "  %s\n", text)
	}
}

func elapsed(start time.Time) string {
	return time.Since(start).Round(time.Second).String()
}
