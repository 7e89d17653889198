package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
)

// errThere is why a commit is not sent again.
var errThere = errors.New("the commit is there")

// commit makes the commit of files whose large ones are in storage.
func (u *uploading) commit(ctx context.Context, files []*localFile) (CommitInfo, error) {
	to, err := u.at(u.repo.api("commit", u.repo.Revision))
	if err != nil {
		return CommitInfo{}, err
	}
	to.RawQuery = u.query()
	var answer commitAnswer
	err = u.post(ctx, request{
		url: to, prepare: setType("application/x-ndjson"), body: u.lines(files),
		// The pull request that another attempt would open again isn't found.
		once:  u.PullRequest,
		again: func() error { return u.stillMissing(ctx, files) },
	}, &answer)
	var info CommitInfo
	switch {
	case errors.Is(err, errThere):
		info, err = u.head(ctx)
	case err == nil:
		info, err = answer.info()
	}
	if err != nil {
		return CommitInfo{}, err
	}
	for _, f := range files {
		if !f.large {
			u.meter.add(f.size)
		}
	}
	info.Repo, info.Files = u.repo, len(files)
	return info, nil
}

// stillMissing fails where the branch has all files: the last attempt did it,
// and its answer was lost.
func (u *uploading) stillMissing(ctx context.Context, files []*localFile) error {
	if u.PullRequest {
		return nil // it is compared with main
	}
	if err := u.preupload(ctx, files); err != nil {
		return err
	}
	for _, f := range files {
		if f.sum == "" && f.known != "" {
			var err error
			if f.sum, err = f.digest(ctx); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		if !f.isThere() {
			return nil
		}
	}
	return errThere
}

// commitLine is a line of a commit.
type commitLine struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type commitHeader struct {
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parent      string `json:"parentCommit,omitempty"`
}

type commitLarge struct {
	Path string `json:"path"`
	Algo string `json:"algo"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

// segment is a piece of a commit: a text, and then a file's content if there is
// one.
type segment struct {
	text string
	file *localFile
}

// lines is the commit as it is sent: a header, and a line for each file. The
// small ones, of which there may be many, are read while it is sent.
func (u *uploading) lines(files []*localFile) *payload {
	segments := []segment{{text: line(commitLine{"header", commitHeader{u.Message, u.Description, u.Parent}})}}
	for _, f := range files {
		if f.large {
			segments = append(segments, segment{text: line(commitLine{"lfsFile", commitLarge{f.name, "sha256", f.sum, f.size}})})
			continue
		}
		name, _ := json.Marshal(f.name) // any string can be
		segments = append(segments,
			segment{`{"key":"file","value":{"path":` + string(name) + `,"encoding":"base64","content":"`, f},
			segment{text: "\"}}\n"})
	}
	p := &payload{}
	for _, s := range segments {
		p.length += int64(len(s.text))
		if s.file != nil {
			p.length += (s.file.size + 2) / 3 * 4
		}
	}
	p.open = func() io.ReadCloser {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeSegments(w, segments)) }()
		return r
	}
	return p
}

func line(l commitLine) string {
	text, _ := json.Marshal(l) // of strings and numbers
	return string(text) + "\n"
}

func writeSegments(w io.Writer, segments []segment) error {
	for _, s := range segments {
		if _, err := io.WriteString(w, s.text); err != nil {
			return err
		}
		if s.file == nil {
			continue
		}
		if err := s.file.encode(w); err != nil {
			return final{fmt.Errorf("%s: %w", s.file.name, err)}
		}
	}
	return nil
}

// encode writes the file in base64.
func (f *localFile) encode(w io.Writer) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	to := base64.NewEncoder(base64.StdEncoding, w)
	if _, err := io.CopyN(to, file, f.size); err != nil {
		if err == io.EOF {
			err = errChanged
		}
		return err
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	return to.Close()
}

type commitAnswer struct {
	CommitOID      string `json:"commitOid"`
	CommitURL      string `json:"commitUrl"`
	PullRequestURL string `json:"pullRequestUrl"`
}

// info checks what the hub says of a commit that it made.
func (a commitAnswer) info() (CommitInfo, error) {
	if !isCommit(a.CommitOID) {
		return CommitInfo{}, fmt.Errorf("%w: it gives %.60q for a commit", ErrAnswer, a.CommitOID)
	}
	info := CommitInfo{OID: a.CommitOID}
	if isPage(a.CommitURL) {
		info.URL = a.CommitURL
	}
	if isPage(a.PullRequestURL) {
		info.PullRequest = a.PullRequestURL
	}
	return info, nil
}

// isPage tells whether a person can be sent to the address.
func isPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
