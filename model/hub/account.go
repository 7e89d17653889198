package hub

import (
	"context"
	"fmt"
	"net/http"
)

// Whoami asks the hub whose token the client has: the namespace of the account's
// own repositories. Errors wrap the sentinels of this package. The hub answers
// this question a few times a minute only.
func (c *Client) Whoami(ctx context.Context) (name string, err error) {
	if name, err = c.whoami(ctx); err != nil {
		return "", c.safe(fmt.Errorf("ask the hub whose token it is: %w", err))
	}
	return name, nil
}

func (c *Client) whoami(ctx context.Context) (string, error) {
	if c.Token == "" {
		return "", fmt.Errorf("%w: there is no token: set HF_TOKEN", ErrUnauthorized)
	}
	u, err := c.at("/api/whoami-v2")
	if err != nil {
		return "", err
	}
	var answer whoamiAnswer
	err = c.do(ctx, request{
		url: u, timeout: c.uploadTimeout(), retries: c.retries(),
		use: func(resp *http.Response) error {
			defer resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusOK:
				return readAnswer(resp, &answer)
			case http.StatusUnauthorized, http.StatusForbidden:
				return final{fmt.Errorf("%w (status %d): the hub does not take the token in %s%s", ErrUnauthorized, resp.StatusCode, c.tokenPlace(), remark(resp))}
			}
			return final{c.statusError(resp, Repo{}, reading)}
		},
	})
	if err != nil {
		return "", err
	}
	return answer.namespace()
}

type whoamiAnswer struct {
	Name string `json:"name"`
}

// namespace checks the name, which becomes a part of addresses.
func (a whoamiAnswer) namespace() (string, error) {
	if _, err := (Repo{Kind: Model, ID: a.Name + "/x"}).checked(); err != nil {
		return "", fmt.Errorf("%w: it calls the account %.100q", ErrAnswer, a.Name)
	}
	return a.Name, nil
}
