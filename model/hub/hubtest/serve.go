package hubtest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	cachePath = "/api/resolve-cache/" // where the hub redirects to for files of its own
	blobPath  = "/blobs/"             // where the storage host has large files
)

// recorded notes a request and applies the first fault that it meets.
func (s *Server) recorded(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		if r.Method == http.MethodPost {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				return // the connection is gone
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		s.mu.Lock()
		s.requests = append(s.requests, Request{r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
		fault := s.fault(r)
		s.mu.Unlock()
		if fault == nil {
			serve(w, r)
			return
		}
		fault.serve(w, r, serve)
	})
}

// refuse answers as the hub does, with the reason in headers and body.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": message})
}

// serveHub takes an address apart. It works on the escaped path, since the
// slashes of a revision are escaped.
func (s *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	if serve := s.general(r); serve != nil {
		serve(w, r)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i := range parts {
		if plain, err := url.PathUnescape(parts[i]); err == nil {
			parts[i] = plain
		}
	}
	cached := strings.HasPrefix(r.URL.Path, cachePath)
	api := !cached && parts[0] == "api"
	switch {
	case cached:
		parts = parts[2:]
	case api:
		parts = parts[1:]
	case parts[0] != "datasets": // a model's page has no "models" in front
		parts = append([]string{"models"}, parts...)
	}
	// The name has one part or two: what comes after it tells.
	what := []string{"resolve"}
	if api {
		what = []string{"revision", "tree", "preupload", "commit", "branch"}
	}
	at := slices.IndexFunc(parts, func(p string) bool {
		return cached && isCommit(p) || !cached && slices.Contains(what, p)
	})
	if api && at < 0 { // it is about the repository as a whole
		at = len(parts)
		parts = append(parts, "revision", "main")
	}
	if cached && at > 0 {
		parts = slices.Insert(parts, at, "cached")
	}
	if at < 2 || at+1 >= len(parts) {
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
		return
	}
	on := asked{strings.Join(parts[:at], "/"), parts[at], parts[at+1], strings.Join(parts[at+2:], "/")}
	s.answer(w, r, on)
}

func isCommit(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 40
}

// asked is what an address asks for: what of a repository at a revision, and a
// file's name if it is one.
type asked struct{ repo, what, revision, name string }

func (s *Server) answer(w http.ResponseWriter, r *http.Request, on asked) {
	s.mu.Lock()
	to, moved := s.moved[on.repo]
	var repo repo
	known := s.repos[on.repo]
	if known != nil {
		repo = *known
	}
	commit, named := repo.revisions[on.revision]
	s.mu.Unlock()
	if moved {
		_, from, _ := strings.Cut(on.repo, "/")
		_, to, _ := strings.Cut(to, "/")
		u := url.URL{Path: strings.Replace(r.URL.Path, from, to, 1), RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
		return
	}
	open := repo.opens(r) || known != nil && s.isMember(r, on.repo)
	if known == nil || repo.private && !open {
		// Without a token the hub does not tell what is there.
		status := http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			status = http.StatusNotFound
		}
		refuse(w, status, "RepoNotFound", "Repository not found")
		return
	}
	if r.Method == http.MethodPost {
		s.write(w, r, on)
		return
	}
	if named {
		on.revision = commit
	}
	files, ok := s.files(known, on.revision)
	if !ok {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+on.revision)
		return
	}
	switch on.what {
	case "revision":
		serveRevision(w, on.repo, on.revision, files, repo.private)
	case "tree":
		s.serveTree(w, r, files)
	default:
		s.resolve(w, r, open, on, files)
	}
}

// files are those of a commit, which never change.
func (s *Server) files(r *repo, commit string) (map[string]file, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, ok := r.commits[commit]
	return files, ok
}

// opens tells whether a request has the key to the gate.
func (r repo) opens(req *http.Request) bool {
	return r.gate == "" || req.Header.Get("Authorization") == "Bearer "+r.gate
}

func serveRevision(w http.ResponseWriter, name, commit string, files map[string]file, private bool) {
	kind, id, _ := strings.Cut(name, "/")
	type sibling struct {
		Name string `json:"rfilename"`
	}
	var siblings []sibling
	for _, name := range slices.Sorted(maps.Keys(files)) {
		siblings = append(siblings, sibling{name})
	}
	answer := map[string]any{"_id": "0", "id": id, "sha": commit, "private": private, "disabled": false, "downloads": 0, "likes": 0, "tags": []string{}, "siblings": siblings}
	if kind == "models" {
		answer["modelId"] = id
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(answer)
}

// serveTree lists folders and files, a page at a time.
func (s *Server) serveTree(w http.ResponseWriter, r *http.Request, files map[string]file) {
	recursive := strings.EqualFold(r.URL.Query().Get("recursive"), "true")
	var items []map[string]any
	folders := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for dir := path.Dir(name); dir != "." && dir != "/" && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
			items = append(items, map[string]any{"type": "directory", "oid": gitHash([]byte(dir)), "size": 0, "path": dir})
		}
		if !recursive && strings.Contains(name, "/") {
			continue
		}
		items = append(items, files[name].listed(name))
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	s.mu.Lock()
	size := s.pageSize
	s.mu.Unlock()
	from = min(max(from, 0), len(items))
	to := min(from+size, len(items))
	if to < len(items) {
		query := r.URL.Query()
		query.Set("cursor", strconv.Itoa(to))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.URL, r.URL.EscapedPath(), query.Encode()))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(append([]map[string]any{}, items[from:to]...))
}

func (f file) listed(name string) map[string]any {
	item := map[string]any{"type": "file", "oid": f.etag(), "size": f.size(), "path": name}
	if f.object != nil {
		item["oid"] = gitHash(f.object.pointer())
		item["lfs"] = map[string]any{"oid": f.object.oid, "size": f.size(), "pointerSize": len(f.object.pointer())}
	}
	return item
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request, open bool, on asked, files map[string]file) {
	w.Header().Set("X-Repo-Commit", on.revision)
	if !open {
		if r.Header.Get("Authorization") == "" {
			refuse(w, http.StatusUnauthorized, "GatedRepo", "Access to "+on.repo+" is restricted. You must have access to it and be authenticated.")
		} else {
			refuse(w, http.StatusForbidden, "GatedRepo", "Access to "+on.repo+" is restricted and you are not in the authorized list.")
		}
		return
	}
	f, ok := files[on.name]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	etag := `"` + f.etag() + `"`
	switch {
	case f.object != nil:
		w.Header().Set("X-Linked-Etag", etag)
		w.Header().Set("X-Linked-Size", strconv.FormatInt(f.size(), 10))
		w.Header().Set("ETag", `W/"`+gitHash(f.object.pointer())+`"`)
		w.Header().Set("Location", s.CDN+blobPath+f.object.oid+"?Expires=9999999999&X-Signature="+signature)
		w.WriteHeader(http.StatusFound)
	case on.what == "cached":
		w.Header().Set("ETag", etag)
		serveBytes(w, r, bytes.NewReader(f.content))
	default:
		parts := strings.Split(on.name, "/")
		for i := range parts {
			parts[i] = strings.ReplaceAll(url.QueryEscape(parts[i]), "+", "%20")
		}
		w.Header().Set("X-Linked-Etag", etag)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(f.content)))
		w.Header().Set("Location", cachePath+on.repo+"/"+on.revision+"/"+strings.Join(parts, "/")+"?etag="+url.QueryEscape(etag))
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// serveCDN serves large files to whoever has a signed address. As S3 does, it
// refuses one who comes with a token besides.
func (s *Server) serveCDN(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		http.Error(w, "Only one auth mechanism allowed", http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("X-Signature") != signature {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	if IsUpload(r) {
		s.serveUpload(w, r)
		return
	}
	o, ok := s.large(strings.TrimPrefix(r.URL.Path, blobPath))
	if !ok {
		http.NotFound(w, r)
		return
	}
	f, err := os.Open(o.path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+strings.Repeat("0", 32)+`"`) // of the storage's own, not the file's hash
	serveBytes(w, r, f)
}

func (s *Server) large(hash string) (object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, repo := range s.repos {
		if o, ok := repo.objects[hash]; ok {
			return o, true
		}
	}
	return object{}, false
}

// serveBytes does ranges and HEAD.
func serveBytes(w http.ResponseWriter, r *http.Request, content io.ReadSeeker) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, content)
}
