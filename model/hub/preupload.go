package hub

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"
)

// maxAsked is how many files one question to the hub is about (its limit, as in
// huggingface_hub's _commit_api.py).
const maxAsked = 256

// preuploadFile is a file that the hub is asked about.
type preuploadFile struct {
	Path   string `json:"path"`
	Sample []byte `json:"sample"` // base64
	Size   int64  `json:"size"`
}

// preupload asks of each file what the hub does with it and what it has of it.
func (u *uploading) preupload(ctx context.Context, files []*localFile) error {
	to, err := u.at(u.repo.api("preupload", u.repo.Revision))
	if err != nil {
		return err
	}
	to.RawQuery = u.query()
	var ignore *string // what .gitignore will say once it is there
	for _, f := range u.files {
		if f.name == ".gitignore" {
			text, err := os.ReadFile(f.path)
			if err != nil {
				return err
			}
			s := string(text)
			ignore = &s
		}
	}
	for chunk := range slices.Chunk(files, maxAsked) {
		ask := struct {
			Files     []preuploadFile `json:"files"`
			GitIgnore *string         `json:"gitIgnore,omitempty"`
		}{GitIgnore: ignore}
		for _, f := range chunk {
			sample, err := f.sample()
			if err != nil {
				return err
			}
			ask.Files = append(ask.Files, preuploadFile{f.name, sample, f.size})
		}
		var answer preuploadAnswer
		if err := u.post(ctx, request{url: to, prepare: isJSON, body: jsonPayload(ask)}, &answer); err != nil {
			return err
		}
		if err := answer.apply(chunk); err != nil {
			return err
		}
	}
	return nil
}

// query is of the addresses that say whether there will be a pull request.
func (u *uploading) query() string {
	if u.PullRequest {
		return "create_pr=1"
	}
	return ""
}

type preuploadAnswer struct {
	Files []struct {
		Path         string `json:"path"`
		UploadMode   string `json:"uploadMode"`
		ShouldIgnore bool   `json:"shouldIgnore"`
		OID          string `json:"oid"`
	} `json:"files"`
}

// apply tells the files that were asked about what the answer says of them.
func (a preuploadAnswer) apply(files []*localFile) error {
	byName := map[string]*localFile{}
	for _, f := range files {
		byName[f.name] = f
	}
	for _, said := range a.Files {
		f := byName[said.Path]
		delete(byName, said.Path)
		switch {
		case f == nil:
			return fmt.Errorf("%w: it tells of %.200q, which was not asked, or twice", ErrAnswer, said.Path)
		case said.UploadMode != "lfs" && said.UploadMode != "regular":
			return fmt.Errorf("%w: it has the mode %.40q for %.200q", ErrAnswer, said.UploadMode, said.Path)
		}
		// Large file storage takes no empty object.
		f.large = said.UploadMode == "lfs" && f.size > 0
		f.ignored, f.known = said.ShouldIgnore, said.OID
	}
	for name := range byName {
		return fmt.Errorf("%w: it does not tell of %q", ErrAnswer, name)
	}
	return nil
}

// changed are the files that the branch does not have as they are here.
func (u *uploading) changed(ctx context.Context) ([]*localFile, error) {
	var files []*localFile
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(u.workers())
	for _, f := range u.files {
		if f.ignored {
			u.warn("%s is not uploaded: .gitignore names it", f.name)
			continue
		}
		files = append(files, f)
		if !f.large && f.known == "" {
			continue // a hash would be compared with nothing
		}
		group.Go(func() (err error) {
			if f.sum, err = f.digest(ctx); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, (*localFile).isThere), nil
}

// isThere tells whether the branch has the file as it is here.
func (f *localFile) isThere() bool { return f.known != "" && f.known == f.sum }
