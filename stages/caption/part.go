package caption

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/stages/records"
)

// Part is a finished part of the output, waiting in a file for the commit.
type Part struct {
	// Order places the part in the output: parts are joined by it.
	Order string
	// Path is the part's file.
	Path string
	// Captioned and Failed count its pictures.
	Captioned, Failed int
}

// partHead is the first line of a part's file; an Entry a line follows it.
type partHead struct {
	Part      string `json:"part"`
	Captioned int    `json:"captioned"`
	Failed    int    `json:"failed"`
}

// errNotPart is returned for a file that is no whole part.
var errNotPart = errors.New("not a whole part")

// partPath is where the part of that identity is.
func partPath(work, identity string) string {
	return filepath.Join(work, "captions-"+identity[:min(32, len(identity))]+".part")
}

// writePart stores the entries of a part, whole or not at all.
func writePart(work, identity string, entries []Entry) (Part, error) {
	head := partHead{Part: identity}
	for i := range entries {
		if entries[i].Row != nil {
			head.Captioned++
		} else {
			head.Failed++
		}
	}
	p := Part{Path: partPath(work, identity), Captioned: head.Captioned, Failed: head.Failed}
	return p, records.WriteFile(p.Path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(head); err != nil {
			return err
		}
		for i := range entries {
			if err := enc.Encode(&entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// findPart returns the part of that identity if it is there and whole.
func findPart(work, identity string) (Part, []Entry, bool) {
	p := Part{Path: partPath(work, identity)}
	var entries []Entry
	for e, err := range p.entries() {
		if err != nil {
			return Part{}, nil, false
		}
		entries = append(entries, e)
		p.count(e)
	}
	return p, entries, true
}

func (p *Part) count(e Entry) {
	if e.Row != nil {
		p.Captioned++
	} else {
		p.Failed++
	}
}

// entries reads the part's file. The last pair carries the error of a file that is
// not whole.
func (p Part) entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := p.read(func(e Entry) bool { return yield(e, nil) }); err != nil {
			yield(Entry{}, fmt.Errorf("read part %s: %w", p.Path, err))
		}
	}
}

func (p Part) read(yield func(Entry) bool) error {
	f, err := os.Open(p.Path)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	var head partHead
	if err := dec.Decode(&head); err != nil {
		return fmt.Errorf("%w: %w", errNotPart, err)
	}
	var seen Part
	for {
		var e Entry
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			if seen.Captioned != head.Captioned || seen.Failed != head.Failed {
				return fmt.Errorf("%w: %d and %d of %d captions and %d failures", errNotPart, seen.Captioned, seen.Failed, head.Captioned, head.Failed)
			}
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", errNotPart, err)
		case (e.Row == nil) == (e.Failure == nil):
			return fmt.Errorf("%w: a line is neither a caption nor a failure", errNotPart)
		}
		seen.count(e)
		if !yield(e) {
			return nil
		}
	}
}
