package adapt

import (
	"bytes"
	"fmt"
	"regexp"
)

// source is one file of gotch on its way to its adapted form. The first edit
// that does not find what it expects ends the adaptation: a silently unpatched
// gotch would leak or crash much later.
type source struct {
	path string
	text []byte
	err  error
}

func (s *source) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%s: %s", s.path, fmt.Sprintf(format, args...))
	}
}

// replace puts new in old's place, which must stand there exactly times times.
func (s *source) replace(old, new string, times int) {
	if n := bytes.Count(s.text, []byte(old)); n != times {
		s.fail("%q stands there %d times, not %d", old, n, times)
		return
	}
	s.text = bytes.ReplaceAll(s.text, []byte(old), []byte(new))
}

// replaceMatches rewrites every match of the pattern, of which there must be
// exactly times.
func (s *source) replaceMatches(pattern *regexp.Regexp, template string, times int) {
	if n := len(pattern.FindAllIndex(s.text, -1)); n != times {
		s.fail("%s matches %d times, not %d", pattern, n, times)
		return
	}
	s.text = pattern.ReplaceAll(s.text, []byte(template))
}

// replaceFunc replaces a whole top-level function, from the line that starts
// with the given head to its closing brace.
func (s *source) replaceFunc(head, body string) {
	start := bytes.Index(s.text, []byte("\n"+head))
	if start < 0 {
		s.fail("%q is not there", head)
		return
	}
	start++
	end := bytes.Index(s.text[start:], []byte("\n}\n"))
	if end < 0 {
		s.fail("%q has no end", head)
		return
	}
	end += start + len("\n}\n")
	s.text = bytes.Join([][]byte{s.text[:start], []byte(body), s.text[end:]}, nil)
}
