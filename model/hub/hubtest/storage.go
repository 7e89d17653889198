package hubtest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// object is a content in large file storage. It lies on the disk, so that a
// test of large files says something of the client's memory.
type object struct {
	oid  string // SHA-256
	size int64
	path string
}

// upload is an object on its way into the storage, by one answer of the hub.
type upload struct {
	repo  string // "models/org/name"
	oid   string
	size  int64
	chunk int64          // of a part; 0 for one piece
	parts map[int]object // those that are there, by number; the oid is the ETag
}

const (
	uploadPath   = "/uploads/"               // where the storage host takes large files
	completePath = "/api/complete_multipart" // where the hub is told that all parts are there
	lfsPath      = ".git/info/lfs/objects/"  // what is asked of large file storage, behind a repository's page
	lfsType      = "application/vnd.git-lfs+json"
	maxRegular   = 10 << 20 // of a file that git itself may hold
)

// Expired is what the storage host answers to a signed address that is too old,
// with status 403, for [Fault.Body].
const Expired = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`

// IsUpload chooses requests that bring bytes of large files, for [Fault.On].
func IsUpload(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, uploadPath)
}

// PartSize makes files that are longer than n bytes come in parts of n bytes; 0,
// at first, in one piece.
func (s *Server) PartSize(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partSize = n
}

// Objects are the hashes of what a repository has in large file storage.
func (s *Server) Objects(repository string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oids []string
	for oid := range s.repos[repository].objects {
		oids = append(oids, oid)
	}
	slices.Sort(oids)
	return oids
}

// serveBatch tells where objects go that the repository lacks.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request, name string) {
	var asked struct {
		Operation string
		Transfers []string
		Objects   []struct {
			OID  string
			Size int64
		}
		HashAlgo string `json:"hash_algo"`
		Ref      *struct{ Name string }
	}
	switch err := json.NewDecoder(r.Body).Decode(&asked); {
	case err != nil || asked.Operation != "upload" || asked.HashAlgo != "sha256" || len(asked.Objects) > 1000:
		refuse(w, http.StatusUnprocessableEntity, "", "Invalid batch request")
		return
	case r.Header.Get("Accept") != lfsType || r.Header.Get("Content-Type") != lfsType:
		refuse(w, http.StatusNotAcceptable, "", "Want "+lfsType)
		return
	case asked.Ref != nil && !s.mayWrite(w, r, name):
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var objects []any
	transfer := "basic"
	for _, o := range asked.Objects {
		told := map[string]any{"oid": o.OID, "size": o.Size}
		objects = append(objects, told)
		if !isSHA256(o.OID) || o.Size <= 0 {
			told["error"] = map[string]any{"code": http.StatusUnprocessableEntity, "message": "Invalid object"}
			continue
		}
		if _, ok := s.repos[name].objects[o.OID]; ok {
			continue
		}
		if s.partSize > 0 && o.Size > s.partSize {
			transfer = "multipart"
		}
		told["authenticated"] = true
		told["actions"] = map[string]any{
			"upload": s.newUpload(name, o.OID, o.Size),
			"verify": map[string]any{"href": s.URL + page(name) + lfsPath + "verify"},
		}
	}
	w.Header().Set("Content-Type", lfsType)
	json.NewEncoder(w).Encode(map[string]any{"transfer": transfer, "objects": objects})
}

// newUpload begins an upload and returns the action that goes on with it. The
// caller holds the lock.
func (s *Server) newUpload(name, oid string, size int64) map[string]any {
	id := strconv.Itoa(len(s.uploads) + 1)
	u := &upload{repo: name, oid: oid, size: size, parts: map[int]object{}}
	s.uploads[id] = u
	query := "?uploadId=" + id + "&X-Expires=900&X-Signature=" + signature
	if s.partSize <= 0 || size <= s.partSize {
		return map[string]any{"href": s.CDN + uploadPath + oid + query}
	}
	u.chunk = s.partSize
	header := map[string]string{"chunk_size": strconv.FormatInt(u.chunk, 10)}
	for number := int64(1); number <= (size-1)/u.chunk+1; number++ {
		text := fmt.Sprintf("%05d", number)
		header[text] = s.CDN + uploadPath + oid + "/" + text + query + "&partNumber=" + strconv.FormatInt(number, 10)
	}
	return map[string]any{"href": s.URL + completePath + query, "header": header}
}

func isSHA256(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == hex.EncodedLen(sha256.Size)
}

// ofSigned is the upload that a signed address is for.
func (s *Server) ofSigned(query url.Values) *upload {
	if query.Get("X-Signature") != signature {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploads[query.Get("uploadId")]
}

// storageError answers as S3 does.
func storageError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// serveUpload takes an object or a part of one.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	u := s.ofSigned(r.URL.Query())
	number, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if u == nil || (u.chunk == 0) != (number == 0) {
		storageError(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature does not match")
		return
	}
	want := u.size
	if u.chunk > 0 {
		want = min(u.chunk, u.size-int64(number-1)*u.chunk)
	}
	switch {
	case r.ContentLength < 0:
		storageError(w, http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header")
		return
	case r.ContentLength != want:
		storageError(w, http.StatusBadRequest, "EntityTooSmall", "The length is not the one that was signed")
		return
	}
	sum, tag := sha256.New(), md5.New()
	got, err := s.store(r.Body, sum, tag)
	if err != nil {
		return // the connection is gone
	}
	etag := hex.EncodeToString(tag.Sum(nil))
	if u.chunk > 0 {
		got.oid = etag
		s.mu.Lock()
		u.parts[number] = got
		s.mu.Unlock()
	} else {
		got.oid = hex.EncodeToString(sum.Sum(nil))
		if got.oid != u.oid {
			storageError(w, http.StatusBadRequest, "BadDigest", "The SHA-256 is not the one that was promised")
			return
		}
		s.keep(u.repo, got)
	}
	w.Header().Set("ETag", `"`+etag+`"`)
}

// store writes what comes to the disk.
func (s *Server) store(from io.Reader, hashes ...hash.Hash) (object, error) {
	f, err := os.CreateTemp(s.dir, "object")
	if err != nil {
		return object{}, err
	}
	to := []io.Writer{f}
	for _, h := range hashes {
		to = append(to, h)
	}
	n, err := io.Copy(io.MultiWriter(to...), from)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return object{size: n, path: f.Name()}, err
}

// keep gives a repository an object.
func (s *Server) keep(name string, o object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[name].objects[o.oid] = o
}

// serveComplete puts an object together.
func (s *Server) serveComplete(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		OID   string
		Parts []struct {
			PartNumber int
			ETag       string
		}
	}
	u := s.ofSigned(r.URL.Query())
	if u == nil || json.NewDecoder(r.Body).Decode(&asked) != nil || asked.OID != u.oid {
		refuse(w, http.StatusForbidden, "", "Invalid signature")
		return
	}
	s.mu.Lock()
	parts := u.parts
	u.parts = map[int]object{} // there is nothing to complete a second time
	s.mu.Unlock()
	var files []io.Reader
	for i, part := range asked.Parts {
		got, ok := parts[part.PartNumber]
		if !ok || part.PartNumber != i+1 || strings.Trim(part.ETag, `"`) != got.oid {
			refuse(w, http.StatusBadRequest, "", "One or more of the specified parts could not be found")
			return
		}
		f, err := os.Open(got.path)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "", err.Error())
			return
		}
		defer f.Close()
		files = append(files, f)
	}
	sum := sha256.New()
	got, err := s.store(io.MultiReader(files...), sum)
	got.oid = hex.EncodeToString(sum.Sum(nil))
	switch {
	case err != nil:
		refuse(w, http.StatusInternalServerError, "", err.Error())
	case got.oid != u.oid || got.size != u.size:
		refuse(w, http.StatusBadRequest, "", "The parts are not the object that was promised")
	default:
		s.keep(u.repo, got)
		w.Write([]byte("{}"))
	}
}

// serveVerify tells whether an object is there.
func (s *Server) serveVerify(w http.ResponseWriter, r *http.Request, name string) {
	var asked struct {
		OID  string
		Size int64
	}
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		refuse(w, http.StatusUnprocessableEntity, "", "Invalid verify request")
		return
	}
	s.mu.Lock()
	o, ok := s.repos[name].objects[asked.OID]
	s.mu.Unlock()
	if !ok || o.size != asked.Size {
		w.Header().Set("Content-Type", lfsType)
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(map[string]string{"message": "Object does not exist"})
		return
	}
	w.Write([]byte("{}"))
}

// putInto is the storage's copy of a content that a test gives.
func (s *Server) putInto(r *repo, content []byte) object {
	sum := sha256.Sum256(content)
	o := object{oid: hex.EncodeToString(sum[:]), size: int64(len(content))}
	if have, ok := r.objects[o.oid]; ok {
		return have
	}
	o.path = filepath.Join(s.dir, o.oid)
	if err := os.WriteFile(o.path, content, 0o600); err != nil {
		panic(err) // of a temporary folder of its own, in a test
	}
	r.objects[o.oid] = o
	return o
}
