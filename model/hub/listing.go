package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// File is a file of a repository.
type File struct {
	// Name is its path in the repository, with slashes.
	Name string
	// Size is its length in bytes.
	Size int64
	// ETag is its hash in hexadecimal and its name among the blobs: SHA-256 for
	// a file in large file storage, git's SHA-1 for any other.
	ETag string

	entry treeEntry
}

// maxAnswer bounds what is read of one answer. A page of the hub has 1000 files.
const maxAnswer = 64 << 20

// maxPages bounds the list of a server that never ends it.
const maxPages = 10_000

// list asks for the commit of the revision, and for the files of the commit
// unless the cache knows them.
func (c *Client) list(ctx context.Context, s *store, retries int) (commit string, files []File, err error) {
	if commit, err = c.resolve(ctx, s.repo, retries); err != nil {
		return "", nil, err
	}
	if files, err = s.readTree(commit); err == nil {
		return commit, files, nil
	}
	if files, err = c.tree(ctx, s, commit, retries); err != nil {
		return "", nil, err
	}
	if err := s.writeTree(commit, files); err != nil {
		c.warn("the list of the files of %s was not kept: %v", s.repo, err)
	}
	return commit, files, nil
}

// resolve asks which commit the revision is.
func (c *Client) resolve(ctx context.Context, repo Repo, retries int) (commit string, err error) {
	var answer struct{ SHA string }
	u, err := c.at(repo.api("revision", repo.Revision))
	if err == nil {
		_, err = c.ask(ctx, u, repo, retries, &answer)
	}
	if err == nil && !isCommit(answer.SHA) {
		err = fmt.Errorf("%w: it gives %.60q for a commit", ErrAnswer, answer.SHA)
	}
	return answer.SHA, err
}

// tree asks for all pages of the list of files.
func (c *Client) tree(ctx context.Context, s *store, commit string, retries int) ([]File, error) {
	u, err := c.at(s.repo.api("tree", commit))
	if err != nil {
		return nil, err
	}
	u.RawQuery = "recursive=true&expand=false"
	var files []File
	for seen := map[string]bool{}; u != nil; {
		if seen[u.String()] || len(seen) == maxPages {
			return nil, fmt.Errorf("%w: the list of files does not end", ErrAnswer)
		}
		seen[u.String()] = true
		var page []treeItem
		if u, err = c.ask(ctx, u, s.repo, retries, &page); err != nil {
			return nil, err
		}
		for _, item := range page {
			if item.Type != "file" {
				continue // a folder, whose files are listed too
			}
			f, err := item.entry().file(item.Path)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return inOrder(files)
}

// at is an address below the endpoint. The path is escaped already.
func (c *Client) at(path string) (*url.URL, error) {
	endpoint, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	return url.Parse(endpoint.String() + path)
}

// ask reads a JSON answer into v, and returns the address of the next page.
func (c *Client) ask(ctx context.Context, u *url.URL, repo Repo, retries int, v any) (next *url.URL, err error) {
	err = c.do(ctx, request{
		url: u, repo: repo, timeout: cmp.Or(c.ListTimeout, defaultTimeout), retries: retries,
		use: func(resp *http.Response) error {
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return final{c.statusError(resp, repo, reading)}
			}
			if err := readAnswer(resp, v); err != nil {
				return err
			}
			next, err = nextPage(resp)
			return err
		},
	})
	return next, err
}

// readAnswer reads JSON into v.
func readAnswer(resp *http.Response, v any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(text) > maxAnswer {
		return final{fmt.Errorf("%w: it is longer than %d MB", ErrAnswer, maxAnswer>>20)}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return final{fmt.Errorf("%w: check HF_ENDPOINT and the proxy: %s", ErrAnswer, clean(err.Error()))}
	}
	return nil
}

func nextPage(resp *http.Response) (*url.URL, error) {
	for _, header := range resp.Header.Values("Link") {
		link, ok := nextLink(header)
		if !ok {
			continue
		}
		u, err := resp.Request.URL.Parse(link)
		if err != nil || u.Scheme != "https" && u.Scheme != resp.Request.URL.Scheme {
			return nil, final{fmt.Errorf("%w: the next page of its list has no sound address", ErrAnswer)}
		}
		return u, nil
	}
	return nil, nil
}

// linkPattern is one link of the header (RFC 8288): an address, and parameters
// whose values may be in quotes and then hold any separator.
var linkPattern = regexp.MustCompile(`<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";,]*))?)*)`)

var relPattern = regexp.MustCompile(`(?i)(?:^|;)\s*rel\s*=\s*(?:"([^"]*)"|([^\s";,]+))`)

// nextLink finds the address of relation "next" in a Link header.
func nextLink(header string) (string, bool) {
	for _, link := range linkPattern.FindAllStringSubmatch(header, -1) {
		rel := relPattern.FindStringSubmatch(link[2])
		if rel != nil && slices.Contains(strings.Fields(strings.ToLower(rel[1]+rel[2])), "next") {
			return link[1], true
		}
	}
	return "", false
}

// treeItem is a file or folder as the hub lists it.
type treeItem struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
	XetHash string `json:"xetHash"`
}

func (t treeItem) entry() treeEntry {
	e := treeEntry{Size: t.Size, BlobID: t.OID, XetHash: t.XetHash}
	if t.LFS != nil {
		e.LFSSHA256, e.LFSSize = t.LFS.OID, &t.LFS.Size
	}
	return e
}

// treeEntry is a file as huggingface_hub keeps it in trees/COMMIT.json.
type treeEntry struct {
	Size      int64  `json:"size"`
	BlobID    string `json:"blob_id"`
	LFSSHA256 string `json:"lfs_sha256,omitempty"`
	LFSSize   *int64 `json:"lfs_size,omitempty"`
	XetHash   string `json:"xet_hash,omitempty"`
}

var sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// file checks what the hub, or who wrote the cache, says of a file.
func (e treeEntry) file(name string) (File, error) {
	f := File{Name: name, Size: e.Size, ETag: e.BlobID, entry: e}
	sound := commitPattern.MatchString(f.ETag)
	if e.LFSSHA256 != "" {
		f.ETag = e.LFSSHA256
		sound = sha256Pattern.MatchString(f.ETag) && e.LFSSize != nil
	}
	if e.LFSSize != nil {
		f.Size = *e.LFSSize
	}
	switch {
	case !validName(name):
		return File{}, fmt.Errorf("%w: a file is called %.200q, which leads out of the folder or cannot be stored", ErrAnswer, name)
	case !sound:
		return File{}, fmt.Errorf("%w: %.200q has the hash %.80q", ErrAnswer, name, f.ETag)
	case f.Size < 0:
		return File{}, fmt.Errorf("%w: %.200q has %d bytes", ErrAnswer, name, f.Size)
	}
	return f, nil
}

// inOrder sorts by name and refuses a name that is there twice.
func inOrder(files []File) ([]File, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(files); i++ {
		if files[i].Name == files[i-1].Name {
			return nil, fmt.Errorf("%w: it lists %.200q twice", ErrAnswer, files[i].Name)
		}
	}
	return files, nil
}
