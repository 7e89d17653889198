package hubtest

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// account is who has a token.
type account struct {
	name   string
	spaces []string // the namespaces that it may write to
}

// AddUser lets a user in with a token that may write to the user's namespace and
// to those of organizations.
func (s *Server) AddUser(name, token string, organizations ...string) {
	s.addAccount(token, account{name, append([]string{name}, organizations...)})
}

// AddReader lets a user in with a token that may only read.
func (s *Server) AddReader(name, token string) {
	s.addAccount(token, account{name: name})
}

func (s *Server) addAccount(token string, a account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[token] = a
}

func (s *Server) accountOf(r *http.Request) (account, bool) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[token]
	return a, ok
}

// isMember tells whether a request comes from one who may write to a repository.
func (s *Server) isMember(r *http.Request, repository string) bool {
	a, _ := s.accountOf(r)
	return slices.Contains(a.spaces, strings.Split(repository, "/")[1])
}

// isUser refuses a request without a token that the hub knows.
func (s *Server) isUser(w http.ResponseWriter, r *http.Request) (account, bool) {
	a, ok := s.accountOf(r)
	switch {
	case r.Header.Get("Authorization") == "":
		refuse(w, http.StatusUnauthorized, "", "Invalid username or password.")
	case !ok:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	}
	return a, ok
}

// mayWrite refuses a request from one who may not write to a repository.
func (s *Server) mayWrite(w http.ResponseWriter, r *http.Request, repository string) bool {
	a, ok := s.isUser(w, r)
	if !ok {
		return false
	}
	if len(a.spaces) == 0 {
		refuse(w, http.StatusForbidden, "", "Forbidden: you must use a write token to upload to a repository.")
		return false
	}
	if !s.isMember(r, repository) {
		refuse(w, http.StatusForbidden, "", "Forbidden: you don't have the required permissions to perform this action on "+repository)
		return false
	}
	return true
}

// general finds what serves an address that is no repository's own; nil if it is
// one.
func (s *Server) general(r *http.Request) http.HandlerFunc {
	repository, lfs, isLFS := strings.Cut(r.URL.Path, lfsPath)
	switch {
	case r.URL.Path == "/api/whoami-v2" && r.Method == http.MethodGet:
		return s.serveWhoami
	case r.Method != http.MethodPost:
	case r.URL.Path == "/api/repos/create":
		return s.serveCreate
	case r.URL.Path == "/api/validate-yaml":
		return serveCard
	case r.URL.Path == completePath:
		return s.serveComplete
	case isLFS:
		return func(w http.ResponseWriter, r *http.Request) { s.serveLFS(w, r, repository, lfs) }
	}
	return nil
}

// page is a repository's, below the hub's address.
func page(repository string) string {
	return "/" + strings.TrimPrefix(repository, "models/")
}

func (s *Server) serveLFS(w http.ResponseWriter, r *http.Request, at, what string) {
	name := strings.TrimPrefix(at, "/")
	if !strings.HasPrefix(name, "datasets/") {
		name = "models/" + name
	}
	s.mu.Lock()
	known := s.repos[name] != nil
	s.mu.Unlock()
	if !known {
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return
	}
	if _, ok := s.isUser(w, r); !ok {
		return
	}
	switch what {
	case "batch":
		s.serveBatch(w, r, name)
	case "verify":
		s.serveVerify(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) serveWhoami(w http.ResponseWriter, r *http.Request) {
	a, ok := s.isUser(w, r)
	if !ok {
		return
	}
	role := "read"
	orgs := []map[string]string{}
	for _, space := range a.spaces {
		role = "write"
		if space != a.name {
			orgs = append(orgs, map[string]string{"type": "org", "name": space})
		}
	}
	json.NewEncoder(w).Encode(map[string]any{
		"type": "user", "name": a.name, "orgs": orgs,
		"auth": map[string]any{"type": "access_token", "accessToken": map[string]string{"displayName": "test", "role": role}},
	})
}

// gitattributes is what the hub puts into a new repository.
const gitattributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n*.zip filter=lfs diff=lfs merge=lfs -text\n*.tar filter=lfs diff=lfs merge=lfs -text\n"

func (s *Server) serveCreate(w http.ResponseWriter, r *http.Request) {
	a, ok := s.isUser(w, r)
	if !ok {
		return
	}
	var asked struct {
		Name, Organization, Type, Visibility string
		Private                              bool // what versions before 2 say
	}
	if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Name == "" || strings.ContainsAny(asked.Name, "/ ") ||
		asked.Type != "" && asked.Type != "model" && asked.Type != "dataset" {
		refuse(w, http.StatusBadRequest, "", "Invalid repository")
		return
	}
	space := asked.Organization
	if space == "" {
		space = a.name
	}
	name := "models/" + space + "/" + asked.Name
	if asked.Type == "dataset" {
		name = "datasets/" + space + "/" + asked.Name
	}
	if !slices.Contains(a.spaces, space) {
		refuse(w, http.StatusForbidden, "", fmt.Sprintf("You don't have the rights to create a %s under the namespace %q", asked.Type, space))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := map[string]string{"url": s.URL + page(name), "name": space + "/" + asked.Name}
	if s.repos[name] != nil {
		answer["error"] = "You already created this " + asked.Type + " repo"
		w.Header().Set("X-Error-Message", answer["error"])
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(answer)
		return
	}
	repo := newRepo()
	repo.private = asked.Private || asked.Visibility == "private"
	if repo.private {
		repo.gate = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	repo.commit("main", map[string]file{".gitattributes": {content: []byte(gitattributes)}}, Entry{Summary: "initial commit", Author: a.name})
	s.repos[name] = repo
	json.NewEncoder(w).Encode(answer)
}

// commit makes a commit of files the newest of a revision. The caller holds the
// server's lock.
func (r *repo) commit(revision string, files map[string]file, e Entry) Entry {
	e.Parent = r.revisions[revision]
	sum := sha1.New()
	fmt.Fprintf(sum, "commit %d %q\n", len(r.log), e)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%q %s\n", name, files[name].etag())
	}
	e.OID = hex.EncodeToString(sum.Sum(nil))
	r.commits[e.OID], r.log[e.OID], r.revisions[revision] = files, e, e.OID
	return e
}

// serveCard looks at the metadata of a card.
func serveCard(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Content, RepoType string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "", "Invalid JSON")
		return
	}
	type remark struct {
		Message string `json:"message"`
	}
	answer := map[string][]remark{"errors": {}, "warnings": {}}
	metadata, ok := strings.CutPrefix(asked.Content, "---\n")
	metadata, _, ended := strings.Cut(metadata, "\n---")
	var values map[string]any
	if !ok || !ended {
		answer["warnings"] = append(answer["warnings"], remark{"empty or missing yaml metadata in repo card"})
	} else if err := yaml.Unmarshal([]byte(metadata), &values); err != nil {
		answer["errors"] = append(answer["errors"], remark{"YAML Metadata Error: " + strings.SplitN(err.Error(), "\n", 2)[0]})
		w.WriteHeader(http.StatusBadRequest)
	}
	json.NewEncoder(w).Encode(answer)
}

// write serves what changes a repository, which is there and may be seen.
func (s *Server) write(w http.ResponseWriter, r *http.Request, on asked) {
	pull := r.URL.Query().Get("create_pr") == "1"
	a, ok := s.isUser(w, r)
	if !ok || !pull && !s.mayWrite(w, r, on.repo) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[on.repo]
	if on.what == "branch" {
		repo.serveBranch(w, r, on.revision)
		return
	}
	head, ok := repo.revisions[on.revision]
	if !ok {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+on.revision)
		return
	}
	switch on.what {
	case "preupload":
		servePreupload(w, r, repo.commits[head])
	case "commit":
		s.serveCommit(w, r, on, a, pull)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (r *repo) serveBranch(w http.ResponseWriter, req *http.Request, name string) {
	var asked struct{ StartingPoint string }
	if json.NewDecoder(req.Body).Decode(&asked) != nil || strings.HasPrefix(name, "refs/") {
		refuse(w, http.StatusBadRequest, "", "Invalid reference for a branch: "+name)
		return
	}
	if asked.StartingPoint == "" {
		asked.StartingPoint = "main"
	}
	from, ok := r.revisions[asked.StartingPoint]
	if _, isCommit := r.commits[asked.StartingPoint]; isCommit {
		from, ok = asked.StartingPoint, true
	}
	_, exists := r.revisions[name]
	switch {
	case exists:
		refuse(w, http.StatusConflict, "", "Reference already exists")
	case !ok:
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+asked.StartingPoint)
	default:
		r.revisions[name] = from
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte("{}"))
	}
}

// servePreupload tells what becomes of files, and what the revision has of them.
func servePreupload(w http.ResponseWriter, r *http.Request, held map[string]file) {
	var asked struct {
		Files []struct {
			Path   string
			Sample []byte
			Size   int64
		}
		GitIgnore *string
	}
	if json.NewDecoder(r.Body).Decode(&asked) != nil || len(asked.Files) > 256 {
		refuse(w, http.StatusBadRequest, "", "Invalid preupload request")
		return
	}
	ignore := string(held[".gitignore"].content)
	if asked.GitIgnore != nil {
		ignore = *asked.GitIgnore
	}
	answer := []map[string]any{}
	for _, f := range asked.Files {
		if !fs.ValidPath(f.Path) {
			refuse(w, http.StatusBadRequest, "", "Invalid path: "+f.Path)
			return
		}
		mode := "regular"
		if isLarge(f.Path) || f.Size > maxRegular || !isText(f.Sample) {
			mode = "lfs"
		}
		told := map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": isIgnored(ignore, f.Path)}
		if have, ok := held[f.Path]; ok {
			told["oid"] = have.etag()
		}
		answer = append(answer, told)
	}
	json.NewEncoder(w).Encode(map[string]any{"files": answer})
}

// isText tells the start of a text, which may end in the middle of a letter.
func isText(sample []byte) bool {
	for len(sample) > 0 {
		r, n := utf8.DecodeRune(sample)
		if r == 0 || r == utf8.RuneError && n == 1 && utf8.FullRune(sample) {
			return false
		}
		sample = sample[n:]
	}
	return true
}

// isIgnored reads a .gitignore: its comments, '!', '*' within a name, "/" in
// front and behind, but no "**".
func isIgnored(rules, name string) bool {
	ignored := false
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rule, not := strings.CutPrefix(line, "!")
		rule, folder := strings.CutSuffix(rule, "/")
		// The rule may fit the file, or a folder that it is in.
		for part := name; part != "."; part = path.Dir(part) {
			if part == name && folder {
				continue
			}
			to := part
			if !strings.Contains(rule, "/") {
				to = path.Base(part)
			}
			if fits, _ := path.Match(strings.TrimPrefix(rule, "/"), to); fits {
				ignored = !not
			}
		}
	}
	return ignored
}

// serveCommit makes a commit, or opens a pull request with one.
func (s *Server) serveCommit(w http.ResponseWriter, r *http.Request, on asked, a account, pull bool) {
	repo := s.repos[on.repo]
	if r.Header.Get("Content-Type") != "application/x-ndjson" {
		refuse(w, http.StatusBadRequest, "", "Want application/x-ndjson")
		return
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return // the connection is gone
	}
	head := repo.revisions[on.revision]
	header, files, err := repo.read(text, repo.commits[head])
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "", err.Error())
		return
	case header.ParentCommit != "" && header.ParentCommit != head && !pull:
		refuse(w, http.StatusPreconditionFailed, "", "A commit has happened since. Please refresh and try again.")
		return
	}
	answer := map[string]any{"success": true, "hookOutput": ""}
	revision := on.revision
	if pull {
		repo.pulls++
		revision = "refs/pr/" + strconv.Itoa(repo.pulls)
		repo.revisions[revision] = head
		answer["pullRequestUrl"] = s.URL + page(on.repo) + "/discussions/" + strconv.Itoa(repo.pulls)
	}
	e := repo.commit(revision, files, Entry{Summary: header.Summary, Description: header.Description, Author: a.name})
	answer["commitOid"], answer["commitUrl"] = e.OID, s.URL+page(on.repo)+"/commit/"+e.OID
	json.NewEncoder(w).Encode(answer)
}

type commitHeader struct{ Summary, Description, ParentCommit string }

// read applies a commit to files.
func (r *repo) read(text []byte, files map[string]file) (header commitHeader, _ map[string]file, err error) {
	files = maps.Clone(files)
	decoder := json.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var line struct {
			Key   string
			Value struct {
				commitHeader
				Path, Content, Encoding, Algo, OID string
				Size                               int64
			}
		}
		if err := decoder.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			return header, nil, err
		}
		v := line.Value
		if n == 0 {
			if header = v.commitHeader; line.Key != "header" || header.Summary == "" {
				return header, nil, errors.New("the first line is no header with a summary")
			}
			continue
		}
		if err := r.apply(files, line.Key, v.Path, v.Content, v.Encoding, v.Algo, v.OID, v.Size); err != nil {
			return header, nil, fmt.Errorf("%s: %w", v.Path, err)
		}
	}
	if header.Summary == "" {
		return header, nil, errors.New("an empty commit")
	}
	return header, files, nil
}

// apply does what a line of a commit says.
func (r *repo) apply(files map[string]file, key, name, content, encoding, algo, oid string, size int64) error {
	name = strings.TrimSuffix(name, "/")
	if !fs.ValidPath(name) || name == "." {
		return errors.New("invalid path")
	}
	switch key {
	case "file":
		text := []byte(content)
		if encoding == "base64" {
			var err error
			if text, err = base64.StdEncoding.DecodeString(content); err != nil {
				return err
			}
		}
		if len(text) > maxRegular {
			return errors.New("the file is too large for git: use large file storage")
		}
		files[name] = file{content: text}
	case "lfsFile":
		o, ok := r.objects[oid]
		if !ok || algo != "sha256" || size != 0 && size != o.size {
			return errors.New("large file storage has no such object")
		}
		files[name] = file{object: &o}
	case "deletedFile":
		if _, ok := files[name]; !ok {
			return errors.New("a file with this name doesn't exist")
		}
		delete(files, name)
	case "deletedFolder":
		maps.DeleteFunc(files, func(f string, _ file) bool { return strings.HasPrefix(f, name+"/") })
	default:
		return fmt.Errorf("unknown operation %q", key)
	}
	return nil
}
