package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// store is the place of one repository in the cache.
type store struct {
	root       string // absolute
	repo       Repo   // checked
	noSymlinks bool
}

func (s *store) folder() string                { return filepath.Join(s.root, s.repo.folder()) }
func (s *store) ref() string                   { return s.below("refs", s.repo.Revision) }
func (s *store) blob(etag string) string       { return s.below("blobs", etag) }
func (s *store) snapshot(commit string) string { return s.below("snapshots", commit) }
func (s *store) treeFile(commit string) string { return s.below("trees", commit+".json") }

func (s *store) below(folder, name string) string {
	return filepath.Join(s.folder(), folder, filepath.FromSlash(name))
}

func (s *store) pointer(commit, name string) string {
	return filepath.Join(s.snapshot(commit), filepath.FromSlash(name))
}

func (s *store) lockFile(etag string) string {
	return filepath.Join(s.root, ".locks", s.repo.folder(), etag+".lock")
}

// commit is the one that the revision is, or stood at when it was last fetched.
func (s *store) commit() (string, error) {
	if isCommit(s.repo.Revision) {
		return s.repo.Revision, nil
	}
	text, err := os.ReadFile(s.ref())
	commit := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s was never fetched into %s", s.repo, s.root)
	case err != nil:
		return "", fmt.Errorf("read the revision: %w", err)
	case !isCommit(commit):
		return "", fmt.Errorf("%s holds no commit", s.ref())
	}
	return commit, nil
}

// writeRef records where the revision stands. Where that is known already it
// writes nothing, since the cache may be read-only.
func (s *store) writeRef(commit string) error {
	if known, err := s.commit(); err == nil && known == commit {
		return nil
	}
	return writeWhole(s.ref(), []byte(commit))
}

// treeCache is the file of a list, as huggingface_hub writes it (_tree_cache.py).
type treeCache struct {
	FormatVersion int                  `json:"format_version"`
	Files         map[string]treeEntry `json:"files"`
}

const treeVersion = 1

// readTree reads the list of a commit's files that was kept.
func (s *store) readTree(commit string) ([]File, error) {
	text, err := os.ReadFile(s.treeFile(commit))
	if err != nil {
		return nil, err
	}
	files, err := parseTree(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.treeFile(commit), err)
	}
	return files, nil
}

func parseTree(text []byte) ([]File, error) {
	var tree treeCache
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if tree.FormatVersion != treeVersion {
		return nil, fmt.Errorf("format %d, want %d", tree.FormatVersion, treeVersion)
	}
	files := make([]File, 0, len(tree.Files))
	for name, entry := range tree.Files {
		f, err := entry.file(name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return inOrder(files)
}

// writeTree keeps the list of a commit's files, which never changes.
func (s *store) writeTree(commit string, files []File) error {
	tree := treeCache{treeVersion, make(map[string]treeEntry, len(files))}
	for _, f := range files {
		entry := f.entry
		if !sha256Pattern.MatchString(entry.XetHash) {
			entry.XetHash = "" // huggingface_hub would take the list for broken
		}
		tree.Files[f.Name] = entry
	}
	text, err := json.MarshalIndent(tree, "", " ")
	if err != nil {
		return err
	}
	return writeWhole(s.treeFile(commit), text)
}

// found is what the cache has of a revision.
type found struct {
	dir string
	// listed tells that nothing is missing by the list of the commit's files.
	// Versions of huggingface_hub before 2 keep none.
	listed bool
}

// find looks for a snapshot with all the files that are wanted.
func (s *store) find(keep func(string) bool) (found, error) {
	commit, err := s.commit()
	if err != nil {
		return found{}, err
	}
	dir := s.snapshot(commit)
	files, err := s.readTree(commit)
	if err != nil {
		return found{dir: dir}, anyOf(dir, keep)
	}
	wanted, err := kept(files, keep)
	if err != nil {
		return found{}, err
	}
	var missing []File
	for _, f := range wanted {
		if !s.has(commit, f) {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		return found{}, fmt.Errorf("%s lacks %d of %d files: %s", dir, len(missing), len(wanted), examples(missing))
	}
	return found{dir, true}, nil
}

// anyOf fails unless one of the files below dir is wanted.
func anyOf(dir string, keep func(string) bool) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && keep(filepath.ToSlash(name)) {
			return io.EOF
		}
		return nil
	})
	switch {
	case err == io.EOF:
		return nil
	case err == nil:
		return fmt.Errorf("%s has none of the files asked for", dir)
	}
	return err
}

// has tells whether a snapshot has the file. Its hash was checked when it came.
func (s *store) has(commit string, f File) bool {
	return hasSize(s.pointer(commit, f.Name), f.Size)
}

func hasSize(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// missing groups the files that a snapshot lacks by their content, which two of
// them may share.
func (s *store) missing(commit string, files []File) []blob {
	var blobs []blob
	at := map[string]int{}
	for _, f := range files {
		if s.has(commit, f) {
			continue
		}
		i, ok := at[f.ETag]
		if !ok {
			i = len(blobs)
			at[f.ETag] = i
			blobs = append(blobs, blob{etag: f.ETag, size: f.Size})
		}
		blobs[i].names = append(blobs[i].names, f.Name)
	}
	return blobs
}

// link gives a blob its name in a snapshot. The caller holds the blob's lock.
func (s *store) link(commit, name string, b blob) error {
	to, from := s.pointer(commit, name), s.blob(b.etag)
	if hasSize(to, b.size) {
		return nil // by another process, which may be reading it
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // a link that leads nowhere, or a file of another size
	}
	if !s.noSymlinks {
		target, err := filepath.Rel(filepath.Dir(to), from)
		if err == nil {
			err = os.Symlink(target, to)
		}
		if err == nil {
			return nil
		}
	}
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeFrom(to, from, in)
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return writeFrom(path, path, bytes.NewReader(text))
}

// writeFrom writes into a file beside the second path and then gives it its
// name: a snapshot holds no files but its own.
func writeFrom(path, beside string, in io.Reader) error {
	aside := fmt.Sprintf("%s.%08x.tmp", beside, rand.Uint32())
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return nil
}
