// Package hubtest is a small Hugging Face hub on this machine, for tests: it
// serves models and data sets, and takes them, over the protocol that clients of
// the hub speak, and can be told to fail in the ways that networks and servers
// do.
//
//	server := hubtest.New(t)
//	server.AddModel("org/name", map[string][]byte{"config.json": config})
//	client, err := hub.FromEnv(server.Env(t.TempDir()))
//
// As on the hub, a file in large file storage is served by another host, behind
// a signed address that refuses any token; every other file is behind a
// redirect on the hub itself. [Server.Inject] adds faults, [Server.Requests]
// tells what was asked.
//
// Those whom [Server.AddUser] lets in may upload, as on the hub: repositories,
// branches and pull requests are made, large files go to the storage host by
// signed addresses, in parts if [Server.PartSize] says so, and are checked by
// their hash, and a commit is refused that names one that is not there. What was
// committed is served, and [Server.History] tells of it. There is no Xet, which
// a hub cannot tell huggingface_hub 2: it uses Xet wherever hf_xet is installed,
// unless HF_HUB_DISABLE_XET is set.
//
// huggingface_hub 2.4.0 downloads from it and uploads to it with HF_ENDPOINT set
// to the server's URL; testdata/check_hub_cache.py and check_hub_upload.py do
// that.
package hubtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// signature stands in the addresses of large files. It is a secret that errors
// may not show.
const signature = "c2lnbmVkLWFkZHJlc3M"

// Server is a hub and its storage host. Its methods may be called at any time.
type Server struct {
	// URL is the hub's address, for HF_ENDPOINT, and CDN the storage host's.
	URL, CDN string

	hub, cdn *httptest.Server
	mu       sync.Mutex
	repos    map[string]*repo // by "models/org/name"
	faults   []*Fault
	requests []Request
	pageSize int
	moved    map[string]string
	accounts map[string]account // by token
	uploads  map[string]*upload
	partSize int64
	dir      string // of large files
}

// repo is a repository with its history.
type repo struct {
	revisions map[string]string // name to commit
	commits   map[string]map[string]file
	gate      string // the token that the gate opens to; empty: open
	private   bool
	objects   map[string]object // in large file storage, by hash
	log       map[string]Entry  // of all commits
	pulls     int               // how many pull requests there are
}

// file is one of a commit. What is in large file storage has an object.
type file struct {
	content []byte
	object  *object
}

// Entry is a commit of a history.
type Entry struct {
	// OID is the commit, and Parent the one before it; empty: none.
	OID, Parent string
	// Summary, Description and Author are what it says of itself.
	Summary, Description, Author string
}

// Request is what a client asked.
type Request struct {
	Method, Host, Path string
	Query              string
	Header             http.Header
	// Body is what was sent with a POST. Bytes of large files, which come with
	// PUT, are not kept.
	Body []byte
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	return s
}

// Start starts a server for a program that is no test.
func Start() *Server {
	dir, err := os.MkdirTemp("", "hubtest")
	if err != nil {
		panic(err) // as httptest does where it cannot listen
	}
	s := &Server{
		repos: map[string]*repo{}, pageSize: 1000, moved: map[string]string{},
		accounts: map[string]account{}, uploads: map[string]*upload{}, dir: dir,
	}
	s.hub = httptest.NewServer(s.recorded(s.serveHub))
	s.cdn = httptest.NewServer(s.recorded(s.serveCDN))
	s.URL, s.CDN = s.hub.URL, s.cdn.URL
	return s
}

// Close ends the server and what it still serves.
func (s *Server) Close() {
	for _, server := range []*httptest.Server{s.hub, s.cdn} {
		server.CloseClientConnections()
		server.Close()
	}
	os.RemoveAll(s.dir) // a temporary folder that stays is worth no error
}

// Env is an environment, for hub.FromEnv, with this server and a cache below
// home. Each of more is "NAME=value".
func (s *Server) Env(home string, more ...string) func(name string) string {
	env := map[string]string{"HF_ENDPOINT": s.URL, "HF_HOME": home}
	for _, variable := range more {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

// AddModel commits files to the main branch of a model and returns the commit.
func (s *Server) AddModel(id string, files map[string][]byte) (commit string) {
	return s.Commit("models/"+id, "main", files)
}

// AddDataset commits files to the main branch of a data set.
func (s *Server) AddDataset(id string, files map[string][]byte) (commit string) {
	return s.Commit("datasets/"+id, "main", files)
}

// Commit makes files the whole content of a revision: a branch, a tag or
// "refs/pr/1". The repository is "models/ID" or "datasets/ID".
func (s *Server) Commit(repository, revision string, files map[string][]byte) (commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repository]
	if r == nil {
		r = newRepo()
		s.repos[repository] = r
	}
	sum := sha1.New()
	held := map[string]file{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		held[name] = file{content: slices.Clone(files[name])}
		if isLarge(name) {
			o := s.putInto(r, files[name])
			held[name] = file{object: &o}
		}
		fmt.Fprintf(sum, "%q %s\n", name, held[name].etag())
	}
	commit = hex.EncodeToString(sum.Sum(nil))
	if _, known := r.log[commit]; !known {
		r.log[commit] = Entry{OID: commit, Parent: r.revisions[revision]}
	}
	r.commits[commit] = held
	r.revisions[revision] = commit
	return commit
}

func newRepo() *repo {
	return &repo{
		revisions: map[string]string{}, commits: map[string]map[string]file{},
		objects: map[string]object{}, log: map[string]Entry{},
	}
}

// History is how a revision came about, the newest commit first; nil if there is
// no such repository or revision.
func (s *Server) History(repository, revision string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repository]
	if r == nil {
		return nil
	}
	var entries []Entry
	for oid := r.revisions[revision]; oid != ""; oid = entries[len(entries)-1].Parent {
		entries = append(entries, r.log[oid])
	}
	return entries
}

// Private tells whether a repository is.
func (s *Server) Private(repository string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[repository].private
}

// ReadFolder reads the files below a folder, for [Server.AddModel].
func ReadFolder(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(root, name)
		return err
	})
	return files, err
}

// Gate closes a repository's files to all but the holder of the token.
func (s *Server) Gate(repository, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[repository].gate = token
}

// Hide makes a repository private: without the token of its gate it is as if it
// were not there.
func (s *Server) Hide(repository, token string) {
	s.Gate(repository, token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[repository].private = true
}

// Move makes the hub answer for an old name with a redirect to another.
func (s *Server) Move(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[from] = to
}

// PageSize sets how many entries a page of a list has, 1000 at first.
func (s *Server) PageSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

// Requests are those so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Contents are the requests for files' bytes so far: those that a redirect did
// not answer.
func (s *Server) Contents() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return r.Method != http.MethodGet || !isContent(r.Path) })
}

// isContent tells the addresses that files' bytes come from.
func isContent(path string) bool {
	return strings.HasPrefix(path, cachePath) || strings.HasPrefix(path, blobPath)
}

// isLarge tells the files that the hub puts into large file storage by the
// .gitattributes of a new repository.
func isLarge(name string) bool {
	return slices.Contains([]string{".bin", ".safetensors", ".parquet", ".zip", ".tar", ".jpg", ".png"}, path.Ext(name))
}

// etag is the hash that a file is known by.
func (f file) etag() string {
	if f.object != nil {
		return f.object.oid
	}
	return gitHash(f.content)
}

func (f file) size() int64 {
	if f.object != nil {
		return f.object.size
	}
	return int64(len(f.content))
}

// pointer is what git holds in place of a large file.
func (o *object) pointer() []byte {
	return fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", o.oid, o.size)
}

func gitHash(content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
