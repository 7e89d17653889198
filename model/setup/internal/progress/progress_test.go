package progress

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// text is a writer that two goroutines may use.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func TestWhile(t *testing.T) {
	failed := errors.New("failed")
	work := func() error { time.Sleep(1100 * time.Millisecond); return failed }
	tests := []struct {
		name     string
		terminal bool
		want     []string
		never    string
	}{
		{"log", false, []string{"compiling\n", "  1s, half\n"}, "\r"},
		{"terminal", true, []string{"\r\x1b[Kcompiling: 0s, half", "\r\x1b[Kcompiling: 1s, half", "compiling: 1s\n"}, "\n\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out text
			p := Printer{Out: &out, Terminal: test.terminal, Every: 1050 * time.Millisecond}
			if err := p.While("compiling", func() string { return "half" }, work); !errors.Is(err, failed) {
				t.Errorf("the work's error became %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q lacks %q", out.String(), want)
				}
			}
			if strings.Contains(out.String(), test.never) {
				t.Errorf("%q has %q", out.String(), test.never)
			}
		})
	}
}

func TestZeroPrinterIsSilent(t *testing.T) {
	var p Printer
	p.Say("nothing")
	ran := false
	if err := p.While("nothing", nil, func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("the work did not run (%t, %v)", ran, err)
	}
}
