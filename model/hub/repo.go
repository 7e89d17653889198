package hub

import (
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// Kind is what a repository holds.
type Kind string

// The kinds that are fetched and uploaded here; the hub has others.
const (
	Model   Kind = "model"
	Dataset Kind = "dataset"
)

// defaultRevision is the branch that a repository has from the start.
const defaultRevision = "main"

// Repo is a repository at a revision.
type Repo struct {
	Kind Kind
	// ID is "namespace/name", or "name" for the few that have no namespace.
	ID string
	// Revision is a branch, a tag, a commit or a pull request ("refs/pr/1");
	// empty means "main".
	Revision string
}

// ParseRepo reads "namespace/name" or "name", with "@revision" after it or not.
// What the hub would not accept is an error that wraps [ErrRepo].
func ParseRepo(kind Kind, text string) (Repo, error) {
	id, revision, given := strings.Cut(text, "@")
	if given && revision == "" {
		return Repo{}, fmt.Errorf("%w: %.200q has no revision behind its @", ErrRepo, text)
	}
	return Repo{kind, id, revision}.checked()
}

func (r Repo) String() string {
	text := string(r.Kind) + " " + r.ID
	if r.Revision != "" && r.Revision != defaultRevision {
		text += "@" + r.Revision
	}
	return text
}

// validID is the rule of huggingface_hub 2.4.0 (utils/_validators.py): one or
// two parts of 1 to 96 letters, digits, '_', '-' and '.', the last two not at
// the ends of a part. Besides, "--", ".." and a closing ".git" are forbidden.
var validID = regexp.MustCompile(`^(?:\w(?:[\w.-]{0,94}\w)?/)?\w(?:[\w.-]{0,94}\w)?$`)

// checked fills in the default revision. After it neither id nor revision can
// lead out of a folder that they are joined to.
func (r Repo) checked() (Repo, error) {
	if r.Kind != Model && r.Kind != Dataset {
		return Repo{}, fmt.Errorf("%w: there is no kind %q, only %q and %q", ErrRepo, r.Kind, Model, Dataset)
	}
	if !validID.MatchString(r.ID) || strings.Contains(r.ID, "--") || strings.Contains(r.ID, "..") || strings.HasSuffix(r.ID, ".git") {
		return Repo{}, fmt.Errorf("%w: %.200q, want namespace/name, each of at most 96 letters, digits, '-', '_' and '.', without \"--\" and \"..\"", ErrRepo, r.ID)
	}
	if r.Revision == "" {
		r.Revision = defaultRevision
	}
	if !validRevision(r.Revision) {
		return Repo{}, fmt.Errorf("%w: revision %.200q, want a branch, a tag, a commit or refs/pr/NUMBER", ErrRepo, r.Revision)
	}
	return r, nil
}

// validRevision tells whether git would take the name for a branch or tag
// (git-check-ref-format), and a folder for a file.
func validRevision(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }
	return validName(name) && len(name) <= 255 &&
		!strings.ContainsFunc(name, bad) && !strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		name != "@" && name[0] != '-' && !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, ".lock")
}

// validName tells whether a name, which may have come from anyone, stays below
// the folder that it is joined to, here and where a cache may be copied.
func validName(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.ContainsAny(name, "\\\x00") &&
		filepath.IsLocal(filepath.FromSlash(name)) && !drive.MatchString(name)
}

// drive is how a path or a part of one begins that Windows does not take for
// relative.
var drive = regexp.MustCompile(`(^|/)[A-Za-z]:`)

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

func isCommit(s string) bool { return commitPattern.MatchString(s) }

// folder is the repository's in the cache.
func (r Repo) folder() string {
	return string(r.Kind) + "s--" + strings.ReplaceAll(r.ID, "/", "--")
}

// api is the address, below the endpoint, of what the hub knows of the
// repository.
func (r Repo) api(what, revision string) string {
	return r.about() + "/" + what + "/" + escape(revision)
}

// about is the address, below the endpoint, of what the hub knows of the
// repository as a whole.
func (r Repo) about() string { return "/api/" + string(r.Kind) + "s/" + r.ID }

// page is where a person looks at the repository.
func (r Repo) page() string {
	if r.Kind == Model {
		return "/" + r.ID
	}
	return "/" + string(r.Kind) + "s/" + r.ID
}

// file is the address of a file's bytes.
func (r Repo) file(commit, name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	return r.page() + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}

// escape is stricter than url.PathEscape: storage hosts take a plus sign in a
// path for a space.
func escape(part string) string {
	return strings.ReplaceAll(url.QueryEscape(part), "+", "%20")
}
