package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// newRepo is what a repository is made from.
type newRepo struct {
	Name         string `json:"name"`
	Organization string `json:"organization"`
	Visibility   string `json:"visibility,omitempty"`
	Type         Kind   `json:"type"`
}

// errBusy is why the hub did not make a repository yet.
var errBusy = errors.New("it is busy with another repository of the account")

// makeRepo makes the repository unless it is there.
func (u *uploading) makeRepo(ctx context.Context) error {
	to, err := u.at("/api/repos/create")
	if err != nil {
		return err
	}
	ask := newRepo{Type: u.repo.Kind}
	ask.Organization, ask.Name, _ = strings.Cut(u.repo.ID, "/")
	if u.Private {
		ask.Visibility = "private"
	}
	made := false
	err = u.post(ctx, request{
		url: to, prepare: isJSON, body: jsonPayload(ask),
		use: func(resp *http.Response) error {
			switch {
			case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated:
				made = true
				return resp.Body.Close()
			case resp.StatusCode != http.StatusConflict:
				return final{u.statusError(resp, u.repo, writing)}
			}
			defer resp.Body.Close()
			if strings.Contains(remark(resp), "conflicting operation is in progress") {
				return errBusy
			}
			return nil
		},
	}, nil)
	switch {
	case made:
		return nil
	case err == nil && !u.Private:
		return nil
	case err != nil && !errors.Is(err, ErrUnauthorized) && !errors.Is(err, ErrRefused):
		return err
	}
	// A token that may not make repositories may still write to this one.
	private, lookErr := u.isPrivate(ctx)
	switch {
	case lookErr != nil && err != nil:
		return err
	case lookErr != nil:
		return lookErr
	case u.Private && !private:
		return fmt.Errorf("%w: there is one that is public, and a private one is asked for: make it private at %s/settings, or take another name", ErrRefused, u.page(u.repo))
	}
	return nil
}

// isPrivate asks of a repository that should be there.
func (u *uploading) isPrivate(ctx context.Context) (bool, error) {
	var answer struct {
		Private bool `json:"private"`
	}
	from, err := u.at(u.repo.about())
	if err == nil {
		_, err = u.ask(ctx, from, u.repo, u.retries(), &answer)
	}
	return answer.Private, err
}

// makeBranch makes the branch, from where main stands, unless it is there.
func (u *uploading) makeBranch(ctx context.Context) error {
	if u.repo.Revision == defaultRevision || strings.HasPrefix(u.repo.Revision, pullRequestPrefix) {
		return nil
	}
	to, err := u.at(u.repo.api("branch", u.repo.Revision))
	if err != nil {
		return err
	}
	err = u.post(ctx, request{
		url: to, prepare: isJSON, body: jsonPayload(struct{}{}),
		use: func(resp *http.Response) error {
			switch resp.StatusCode {
			case http.StatusOK, http.StatusCreated, http.StatusConflict:
				return resp.Body.Close()
			}
			return final{u.statusError(resp, u.repo, writing)}
		},
	}, nil)
	if errors.Is(err, ErrUnauthorized) {
		// A token that may not make branches may still write to one.
		if _, resolveErr := u.resolve(ctx, u.repo, u.retries()); resolveErr == nil {
			return nil
		}
	}
	return err
}
