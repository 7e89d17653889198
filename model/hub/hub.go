// Package hub fetches models and data sets from the Hugging Face hub, and uploads
// them to it. What is fetched goes into the cache that Hugging Face's own
// libraries use, so that a folder fetched by one is found by the other, and both
// may fetch at once.
//
// [FromEnv] makes a [Client] from the variables that huggingface_hub knows, and
// [Client.Snapshot] returns a folder with the files of a repository at a
// revision:
//
//	client, err := hub.FromEnv(os.Getenv)
//	repo, err := hub.ParseRepo(hub.Model, "Salesforce/blip-image-captioning-base")
//	dir, err := client.Snapshot(ctx, repo, hub.Match("*.json", "*.txt", "*.safetensors"))
//
// [Client.Upload] makes a commit of what is in a folder:
//
//	repo, err := hub.ParseRepo(hub.Model, "org/name")
//	commit, err := client.Upload(ctx, hub.Upload{Repo: repo, Folder: dir})
//
// # Cache
//
// The layout is that of huggingface_hub 2.4.0:
//
//	HF_HUB_CACHE/
//	  models--org--name/                  datasets--org--name for a data set
//	    refs/main                         the commit that a branch or tag stood at
//	    trees/COMMIT.json                 what the commit holds, with sizes and hashes
//	    blobs/ETAG                        a file's bytes; ETAG is its hash
//	    blobs/ETAG.incomplete             the part of it that is there
//	    snapshots/COMMIT/PATH             a link to ../../blobs/ETAG
//	  .locks/models--org--name/ETAG.lock  held (flock) while ETAG is fetched
//
// A file gets its name among the blobs only after its size and hash (SHA-256 of
// a file in large file storage, git's SHA-1 of any other) were found right, and
// the ref is written after the last file, so what is found is whole. Where
// links cannot be made, snapshots hold hard links or copies.
//
// # Upload
//
// The requests are those of huggingface_hub 2.4.0 where it does not use Xet
// (_commit_api.py, lfs.py): the hub says which files go into large file storage
// and which hash it has of each; of those that are others, the large ones are
// sent to the storage host, in parts where it asks for parts; then one commit
// names them and holds the small ones. Either the commit is there with all files
// or there is none, and what large file storage has got already is not sent to
// it again by the next try.
//
// # Differences from huggingface_hub
//
//   - An interrupted download goes on where it stopped, also in another process.
//     huggingface_hub 2 leaves no partial file to go on from.
//   - Every file's hash is checked, not only its size.
//   - The token goes to the endpoint's scheme, host and port and nowhere else. A
//     mirror that redirects to huggingface.co does not get it there.
//   - Files come and go over plain HTTP, never by the Xet protocol. The hub serves
//     and takes files up to 50 GB this way.
//   - What does not exist is not recorded (.no_exist), and nothing is written
//     outside the cache.
//   - An upload is one commit, however large the folder is. An upload that asks
//     for a private repository fails where there is a public one. A signed
//     address that expired is replaced by a new one. A commit whose answer was
//     lost is sent again only if its files are not there; huggingface_hub does
//     not try again.
//   - Where the file system has no locks, the error says so; huggingface_hub
//     falls back to lock files that a killed process leaves behind.
//
// The hub package of gomlx/go-huggingface was weighed and not taken: version
// 0.4.0 requires gomlx, a terminal styling library and klog, does not resume,
// checks no hash and does not retry.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var (
	// ErrRepo is wrapped where a repository id or revision is none that the
	// hub would accept.
	ErrRepo = errors.New("not a repository id")
	// ErrNotFound is wrapped where the hub has no such repository, revision or
	// file, or none that it shows to this token, or where a repository has none
	// of the files asked for.
	ErrNotFound = errors.New("not found on the hub")
	// ErrGated is wrapped where the repository's conditions have to be accepted.
	ErrGated = errors.New("access is gated")
	// ErrUnauthorized is wrapped where the hub refuses the token, or wants one.
	ErrUnauthorized = errors.New("access denied")
	// ErrUnreachable is wrapped where there is no connection to the hub, or it
	// went on failing after all retries.
	ErrUnreachable = errors.New("the hub cannot be reached")
	// ErrOffline is wrapped where something is not in the cache and the client
	// may not go and fetch it.
	ErrOffline = errors.New("not in the cache")
	// ErrHash is wrapped where a file arrived twice with a wrong size or hash.
	ErrHash = errors.New("not the file that the hub promised")
	// ErrRefused is wrapped where the hub does not take what is uploaded: a file
	// too large, an account without room, metadata that it cannot read.
	ErrRefused = errors.New("the hub refuses the upload")
	// ErrConflict is wrapped where the branch does not stand at the commit that
	// an upload is to follow.
	ErrConflict = errors.New("the branch has moved on")
	// ErrAnswer is wrapped where the server answers what the hub would not: it
	// is no hub, or it means harm.
	ErrAnswer = errors.New("not an answer of the hub")
)

// DefaultEndpoint is the hub's own address.
const DefaultEndpoint = "https://huggingface.co"

// What a client does unless told otherwise. The times and the number of retries
// are huggingface_hub's (constants.py, utils/_http.py).
const (
	defaultTimeout = 10 * time.Second
	defaultRetries = 5
	defaultWaitMin = time.Second
	defaultWaitMax = 8 * time.Second
	defaultWorkers = 4
	// huggingface_hub waits for ever for an upload to go on.
	defaultUploadTimeout = 2 * time.Minute
)

// Client fetches from one hub into one cache, and uploads to that hub. Its methods may be called at the
// same time; its fields may not be changed meanwhile. The zero value of every
// field but Cache is of use, and an upload needs no cache but a token.
type Client struct {
	// Endpoint is the address of the hub or a mirror, [DefaultEndpoint] if
	// empty.
	Endpoint string
	// Cache is the folder with the repositories: HF_HOME/hub, usually.
	Cache string
	// Token is sent to Endpoint. Empty means to ask without one.
	Token Token
	// Offline forbids any connection: only what the cache has is found.
	Offline bool
	// NoSymlinks makes snapshots of hard links or copies. That also happens by
	// itself where the file system has no symbolic links.
	NoSymlinks bool
	// ListTimeout and DownloadTimeout are how long the hub may send nothing in
	// answer to a question or in the middle of a file, 10 s if 0.
	ListTimeout, DownloadTimeout time.Duration
	// UploadTimeout is how long the hub may take nothing of what is sent to it,
	// or leave it unanswered when it has it all, 2 min if 0.
	UploadTimeout time.Duration
	// Retries is how often in a row a request may fail without bringing
	// anything, 5 if 0; negative means to try once.
	Retries int
	// WaitMin and WaitMax bound the time before a retry, which doubles from one
	// to the next: 1 s and 8 s if 0. Where the hub asks for a longer time it
	// gets it.
	WaitMin, WaitMax time.Duration
	// Workers is how many files are fetched, or files and parts of files sent, at
	// a time, 4 if 0.
	Workers int
	// Transport makes the connections, [http.DefaultTransport] if nil.
	Transport http.RoundTripper
	// Warn is told what the user should know though nothing failed: that the
	// hub was not reached and the cache served, or that it asks to wait. It may
	// be called from several goroutines at once.
	Warn func(message string)
	// Progress is told how many of the bytes that a Snapshot has to fetch are
	// there, or how many of those that an Upload has to send are on the hub, one
	// call at a time. Bytes that have to be fetched or sent again are taken back.
	Progress func(done, total int64)

	tokenSource string // where the token was found, for errors

	pause func(time.Duration) time.Duration // what is waited instead, in tests
}

// Token is an access token. It prints as stars, however it is printed.
type Token string

func (t Token) String() string {
	if t == "" {
		return ""
	}
	return "***"
}

// GoString is for %#v.
func (t Token) GoString() string { return `"` + t.String() + `"` }

// MarshalText is for JSON and logs.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Files lists what a repository holds at its revision, in the order of the
// names, and returns the commit that the revision stands at. Errors wrap the
// sentinels of this package.
func (c *Client) Files(ctx context.Context, repo Repo) (commit string, files []File, err error) {
	s, err := c.open(repo)
	if err != nil {
		return "", nil, err
	}
	if c.Offline {
		if commit, err = s.commit(); err == nil {
			files, err = s.readTree(commit)
		}
		if err != nil {
			return "", nil, offline(s.repo, err)
		}
		return commit, files, nil
	}
	if commit, files, err = c.list(ctx, s, c.retries()); err != nil {
		return "", nil, c.safe(fmt.Errorf("list the files of %s: %w", s.repo, err))
	}
	return commit, files, nil
}

// Snapshot returns a folder with the files of a repository at its revision that
// keep wants, or all if keep is nil, and fetches those that the cache lacks. The
// folder may hold other files of that commit besides, and is not to be written
// to.
//
// Where the revision is a commit that the cache has whole, no connection is
// made. Where the hub cannot be reached and the cache has the files at the
// revision last seen, Warn is told and the folder returned. Errors wrap the
// sentinels of this package; what was fetched before one stays for the next try.
func (c *Client) Snapshot(ctx context.Context, repo Repo, keep func(name string) bool) (dir string, err error) {
	s, err := c.open(repo)
	if err != nil {
		return "", err
	}
	if keep == nil {
		keep = func(string) bool { return true }
	}
	found, missing := s.find(keep)
	switch {
	case missing == nil && (c.Offline || found.listed && isCommit(s.repo.Revision)):
		if !found.listed {
			c.warn("the cache has no list of the files of %s: whether some are missing in %s is not known", repo, found.dir)
		}
		return found.dir, nil
	case c.Offline:
		return "", offline(s.repo, missing)
	}
	retries := c.retries()
	if missing == nil {
		retries = 0 // the cache can serve: nobody waits for a network that is down
	}
	commit, files, err := c.list(ctx, s, retries)
	if errors.Is(err, ErrUnreachable) && missing == nil {
		c.warn("%s is served from the cache, commit %.12s, and may be out of date: %v", repo, filepath.Base(found.dir), err)
		return found.dir, nil
	}
	if err == nil {
		err = c.complete(ctx, s, commit, files, keep)
	}
	if err != nil {
		return "", c.safe(fmt.Errorf("fetch %s: %w", s.repo, err))
	}
	return s.snapshot(commit), nil
}

// complete fetches what a snapshot lacks, and then records the revision.
func (c *Client) complete(ctx context.Context, s *store, commit string, files []File, keep func(string) bool) error {
	wanted, err := kept(files, keep)
	if err != nil {
		return err
	}
	if err := c.fetch(ctx, s, commit, s.missing(commit, wanted)); err != nil {
		return err
	}
	// A cache that only others may write to serves all the same.
	if err := s.writeRef(commit); err != nil {
		c.warn("%s will not be found offline: %v", s.repo, err)
	}
	return nil
}

// kept returns the files that are wanted: at least one.
func kept(files []File, keep func(string) bool) ([]File, error) {
	var wanted []File
	for _, f := range files {
		if keep(f.Name) {
			wanted = append(wanted, f)
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("%w: the repository has %d files, none of those asked for: %s", ErrNotFound, len(files), examples(files))
	}
	return wanted, nil
}

// examples are some of the names.
func examples(files []File) string {
	const shown = 3
	var names []string
	for _, f := range files[:min(shown, len(files))] {
		names = append(names, f.Name)
	}
	if len(files) > shown {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// offline explains why something was not found while no connection may be made.
func offline(repo Repo, err error) error {
	return fmt.Errorf("%s: %w, and the hub may not be asked: unset HF_HUB_OFFLINE, or fetch it once with a connection: %w", repo, ErrOffline, err)
}

func (c *Client) warn(format string, args ...any) {
	if c.Warn != nil {
		c.Warn(c.withoutToken(fmt.Sprintf(format, args...)))
	}
}

// safe is an error that does not show the token, whatever the server put into
// its answers.
func (c *Client) safe(err error) error {
	text := err.Error()
	if clean := c.withoutToken(text); clean != text {
		return safeError{err, clean}
	}
	return err
}

type safeError struct {
	error
	text string
}

func (e safeError) Error() string { return e.text }
func (e safeError) Unwrap() error { return e.error }

func (c *Client) withoutToken(text string) string {
	if c.Token == "" {
		return text
	}
	return strings.ReplaceAll(text, string(c.Token), c.Token.String())
}

func (c *Client) retries() int {
	if c.Retries == 0 {
		return defaultRetries
	}
	return max(c.Retries, 0)
}

func (c *Client) workers() int {
	if c.Workers <= 0 {
		return defaultWorkers
	}
	return c.Workers
}

// open checks the repository, which may not have come from [ParseRepo].
func (c *Client) open(repo Repo) (*store, error) {
	repo, err := repo.checked()
	if err != nil {
		return nil, err
	}
	if c.Cache == "" {
		return nil, errors.New("the hub client has no cache folder: set HF_HOME or HF_HUB_CACHE")
	}
	root, err := filepath.Abs(c.Cache)
	if err != nil {
		return nil, fmt.Errorf("find the cache: %w", err)
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		return nil, &fs.PathError{Op: "open the cache", Path: root, Err: errors.New("it is not a folder")}
	}
	return &store{root: root, repo: repo, noSymlinks: c.NoSymlinks}, nil
}
