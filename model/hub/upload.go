package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Upload is what [Client.Upload] makes a commit of.
type Upload struct {
	// Repo is where it goes: a repository, which is made if there is none, and
	// in its Revision a branch, likewise, or "refs/pr/1" to go on with a pull
	// request. An ID without a namespace is one of the token's own account.
	Repo Repo
	// Folder has the files, which keep their paths. Links to files are files;
	// links to folders are left out, with a warning. Files of the repository
	// that the folder lacks stay there.
	Folder string
	// Ignore has patterns of names that are left out, as [Match] reads them. The
	// folders .git and .cache/huggingface always are.
	Ignore []string
	// Private makes a new repository private. Where there is a public one, the
	// upload fails.
	Private bool
	// Message is the first line of the commit, "Upload folder using blipflow" if
	// empty, and Description what follows it.
	Message, Description string
	// Parent is the commit that the branch has to stand at; empty for any. The
	// error of another wraps [ErrConflict].
	Parent string
	// PullRequest opens a pull request with the commit instead of changing the
	// branch, which has to be main.
	PullRequest bool
}

// CommitInfo is what became of an upload.
type CommitInfo struct {
	// Repo is where it went, with its namespace and branch.
	Repo Repo
	// OID is the commit, and URL its page.
	OID, URL string
	// PullRequest is the page of the pull request, if one was asked for.
	PullRequest string
	// Files is how many the commit adds or changes. If 0 the repository had them
	// all, no commit was made, and OID is the one that was there.
	Files int
}

// pullRequestPrefix begins the revision of a pull request, which is no branch
// that could be made.
const pullRequestPrefix = "refs/pr/"

// Upload makes one commit of the files in a folder that the repository does not
// have as they are. Files that the repository's .gitignore, or one that is
// uploaded, tells to ignore are left out with a warning.
//
// What cannot be uploaded is told before any connection is made: a name that the
// hub would not accept, a folder without files, a client without a token or one
// that is offline. Other errors wrap the sentinels of this package too; after
// one, also after ctx ended, there is no commit, unless ctx ended while the hub
// made it.
func (c *Client) Upload(ctx context.Context, u Upload) (CommitInfo, error) {
	p, err := c.prepare(u)
	if err != nil {
		return CommitInfo{}, fmt.Errorf("upload %s: %w", u.Folder, err)
	}
	info, err := p.run(ctx)
	if err != nil {
		return CommitInfo{}, c.safe(fmt.Errorf("upload %s to %s: %w", u.Folder, p.repo, err))
	}
	return info, nil
}

// uploading is an upload on its way.
type uploading struct {
	*Client
	Upload
	repo  Repo // checked, and with its namespace once that is known
	files []*localFile
	meter *meter
}

// prepare finds out what there is to upload, and all that is wrong with it.
func (c *Client) prepare(u Upload) (*uploading, error) {
	repo, err := u.Repo.checked()
	switch {
	case err != nil:
		return nil, err
	case isCommit(repo.Revision):
		return nil, fmt.Errorf("%w: revision %s is a commit, want a branch", ErrRepo, repo.Revision)
	case strings.HasPrefix(repo.Revision, "refs/") && !strings.HasPrefix(repo.Revision, pullRequestPrefix):
		return nil, fmt.Errorf("%w: revision %.200q, want a branch or %sNUMBER", ErrRepo, repo.Revision, pullRequestPrefix)
	case u.PullRequest && repo.Revision != defaultRevision:
		return nil, fmt.Errorf("%w: revision %.200q, but a pull request is opened for %s", ErrRepo, repo.Revision, defaultRevision)
	case u.Parent != "" && !isCommit(u.Parent):
		return nil, fmt.Errorf("%w: parent %.200q, want the 40 digits of a commit", ErrRepo, u.Parent)
	case c.Offline:
		return nil, errors.New("the hub may not be asked: unset HF_HUB_OFFLINE")
	case c.Token == "":
		return nil, fmt.Errorf("%w: there is no token: %s", ErrUnauthorized, c.permission(repo, writing))
	}
	if _, err := c.endpoint(); err != nil {
		return nil, err
	}
	files, err := c.filesOf(u.Folder, u.Ignore)
	if err != nil {
		return nil, err
	}
	u.Message = cmp.Or(u.Message, "Upload folder using blipflow")
	return &uploading{Client: c, Upload: u, repo: repo, files: files}, nil
}

func (u *uploading) run(ctx context.Context) (CommitInfo, error) {
	if !u.repo.hasNamespace() {
		name, err := u.whoami(ctx)
		if err != nil {
			return CommitInfo{}, fmt.Errorf("find its namespace: %w", err)
		}
		u.repo.ID = name + "/" + u.repo.ID
		if u.repo, err = u.repo.checked(); err != nil {
			return CommitInfo{}, err
		}
	}
	if err := u.checkCard(ctx); err != nil {
		return CommitInfo{}, fmt.Errorf("check %s: %w", cardName, err)
	}
	if err := u.makeRepo(ctx); err != nil {
		return CommitInfo{}, fmt.Errorf("make the repository: %w", err)
	}
	if err := u.makeBranch(ctx); err != nil {
		return CommitInfo{}, fmt.Errorf("make the branch: %w", err)
	}
	if err := u.preupload(ctx, u.files); err != nil {
		return CommitInfo{}, fmt.Errorf("ask what the hub lacks: %w", err)
	}
	changed, err := u.changed(ctx)
	if err != nil {
		return CommitInfo{}, err
	}
	if len(changed) == 0 {
		return u.head(ctx)
	}
	if err := u.sendLarge(ctx, changed); err != nil {
		return CommitInfo{}, err
	}
	info, err := u.commit(ctx, changed)
	if err != nil {
		return CommitInfo{}, fmt.Errorf("commit: %w", err)
	}
	return info, nil
}

// hasNamespace tells whether the ID is "namespace/name".
func (r Repo) hasNamespace() bool { return strings.Contains(r.ID, "/") }

func (c *Client) uploadTimeout() time.Duration {
	return cmp.Or(c.UploadTimeout, defaultUploadTimeout)
}

func (c *Client) tokenPlace() string { return cmp.Or(c.tokenSource, "HF_TOKEN") }

// post sends a request that changes the repository, and reads the answer into v
// unless that is nil.
func (u *uploading) post(ctx context.Context, r request, v any) error {
	r.method, r.repo, r.access, r.timeout, r.retries = http.MethodPost, u.repo, writing, u.uploadTimeout(), u.retries()
	if r.use == nil {
		r.use = func(resp *http.Response) error {
			defer resp.Body.Close()
			if resp.StatusCode < 200 || resp.StatusCode > 299 {
				return final{u.statusError(resp, u.repo, writing)}
			}
			if v == nil {
				return nil
			}
			return readAnswer(resp, v)
		}
	}
	return u.do(ctx, r)
}

// head is where the branch stands.
func (u *uploading) head(ctx context.Context) (CommitInfo, error) {
	commit, err := u.resolve(ctx, u.repo, u.retries())
	if err != nil {
		return CommitInfo{}, fmt.Errorf("ask where the branch stands: %w", err)
	}
	return CommitInfo{Repo: u.repo, OID: commit, URL: u.page(u.repo) + "/commit/" + commit}, nil
}
