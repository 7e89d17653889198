package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/libtorch"
	"github.com/blipflow/blipflow/model/setup/internal/wrapper"
)

// stampName is the record of a set-up, in the copy of gotch.
const stampName = "stamp.json"

// stamp records what a set-up made and of what, so that the next can tell
// whether anything changed.
type stamp struct {
	Program  string          `json:"program"` // hash of this program's sources
	Gotch    string          `json:"gotch"`   // version
	Module   string          `json:"module"`  // hash of the adapted copy
	Source   string          `json:"source"`  // how libtorch was come by
	Libtorch string          `json:"libtorch"`
	Version  string          `json:"version"` // libtorch's
	Files    []libtorch.File `json:"files"`   // libtorch's, as they were
	Archive  wrapper.Archive `json:"wrapper"`
}

func readStamp(root string) (stamp, error) {
	text, err := os.ReadFile(filepath.Join(root, gotchFolder, stampName))
	if err != nil {
		return stamp{}, err
	}
	var s stamp
	if err := json.Unmarshal(text, &s); err != nil {
		return stamp{}, fmt.Errorf("read %s: %w", stampName, err)
	}
	return s, nil
}

// nothingToDo is what a set-up says that finds everything there.
func (s stamp) nothingToDo() string {
	return fmt.Sprintf("nothing to do, gotch %s works with libtorch %s in %s", s.Gotch, s.Version, s.Libtorch)
}

// current tells whether all that the set-up would make is there already.
func (s stamp) current(ctx context.Context, root string, want request) bool {
	if s.Program != programHash() || s.Gotch != gotchVersion(root) || !libtorch.Unchanged(s.Files) {
		return false
	}
	if _, err := os.Stat(s.Archive.Path); err != nil {
		return false
	}
	if !s.wanted(ctx, want) {
		return false
	}
	goVersion, err := goLine(root)
	if err != nil {
		return false
	}
	work, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil || !bytes.Equal(work, workText(goVersion)) {
		return false
	}
	sum, err := hashCopy(filepath.Join(root, gotchFolder))
	return err == nil && sum == s.Module
}

// wanted tells whether the stamp's libtorch is the one that is asked for.
func (s stamp) wanted(ctx context.Context, want request) bool {
	switch {
	case want.fetch:
		return s.Source == fromWheel
	case want.libtorch != "":
		dir, err := filepath.Abs(want.libtorch)
		return err == nil && dir == s.Libtorch
	case want.usePyTorch:
		dir, err := libtorch.InPython(ctx)
		return err == nil && dir == s.Libtorch
	}
	return true
}

var gotchLine = regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(gotchModule) + `\s+(\S+)`)

// gotchVersion is the version that go.mod asks for, or empty.
func gotchVersion(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return ""
	}
	if m := gotchLine.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

//go:embed *.go all:internal
var ownSources embed.FS

// programHash is a hash over this program's own sources: a changed set-up makes
// its copy anew, and leaves the place alone where the copy comes out the same.
func programHash() string {
	h := sha256.New()
	// The file system is in memory: reading it does not fail.
	_ = fs.WalkDir(ownSources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return err
		}
		text, err := fs.ReadFile(ownSources, path)
		fmt.Fprintf(h, "%s %d\n%s\n", path, len(text), text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16]
}
