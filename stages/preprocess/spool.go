package preprocess

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/stages/records"
)

// spool holds copies of the pictures of one chunk that are dear to read in any
// order but the listing's: rows of a Parquet file, and what comes over the
// network. They are copied when they are hashed and read again when they are
// written. A chunk whose spool is finished is not read a second time, so that a
// rerun does not download again.
type spool struct {
	work  string
	chunk chunk
}

// data is the file of the copies, one after the other.
func (s spool) data() string {
	return filepath.Join(s.work, fmt.Sprintf("spool-%d-%d.bin", s.chunk.Offset, s.chunk.Lines))
}

// note is the file that says what is in it.
func (s spool) note() string {
	return filepath.Join(s.work, fmt.Sprintf("spool-%d-%d.json", s.chunk.Offset, s.chunk.Lines))
}

// finished returns what an earlier run found out about the chunk.
func (s spool) finished() (hashed, bool) {
	var out hashed
	data, err := os.ReadFile(s.note())
	if err != nil || json.Unmarshal(data, &out) != nil {
		return hashed{}, false
	}
	info, err := os.Stat(s.data())
	return out, err == nil && info.Size() == out.spooled()
}

// finish writes the note.
func (s spool) finish(out hashed) error {
	return records.WriteFile(s.note(), func(w io.Writer) error { return json.NewEncoder(w).Encode(out) })
}

// spooled is how many bytes of the chunk's pictures are in its spool.
func (h *hashed) spooled() (n int64) {
	for _, p := range h.Pictures {
		n += p.Copy.Size
	}
	return n
}

// copied says where a picture's copy is; 0 Lines mean that there is none.
type copied struct {
	// Chunk and Lines name the spool.
	Chunk int64
	Lines int
	// At and Size are the place in it.
	At, Size int64
}

// open reads the copy.
func (c copied) open(work string) (io.ReadCloser, error) {
	return records.OpenSection(spool{work, chunk{Offset: c.Chunk, Lines: c.Lines}}.data(), c.At, c.Size)
}
