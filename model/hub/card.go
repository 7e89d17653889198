package hub

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
)

// cardName is the file with the metadata that the hub shows and searches.
const cardName = "README.md"

// maxCard is the longest card that the hub is asked about.
const maxCard = 10 << 20

// checkCard asks whether the hub can read the metadata of the card, before
// anything else is sent.
func (u *uploading) checkCard(ctx context.Context) error {
	at := slices.IndexFunc(u.files, func(f *localFile) bool { return f.name == cardName })
	if at < 0 || u.files[at].size > maxCard {
		return nil
	}
	card, err := os.ReadFile(u.files[at].path)
	if err != nil {
		return err
	}
	to, err := u.at("/api/validate-yaml")
	if err != nil {
		return err
	}
	var found cardAnswer
	err = u.post(ctx, request{
		url: to, prepare: isJSON,
		body: jsonPayload(struct {
			Content  string `json:"content"`
			RepoType Kind   `json:"repoType"`
		}{string(card), u.repo.Kind}),
		use: func(resp *http.Response) error {
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
				return final{u.statusError(resp, u.repo, writing)}
			}
			return readAnswer(resp, &found)
		},
	}, nil)
	if err != nil {
		return err
	}
	if len(found.Errors) > 0 {
		return fmt.Errorf("%w: %s", ErrRefused, found.Errors.text())
	}
	if len(found.Warnings) > 0 {
		u.warn("the hub says of %s: %s", cardName, found.Warnings.text())
	}
	return nil
}

// cardAnswer is what the hub thinks of a card.
type cardAnswer struct {
	Errors   cardRemarks `json:"errors"`
	Warnings cardRemarks `json:"warnings"`
}

type cardRemarks []struct {
	Message string `json:"message"`
}

func (r cardRemarks) text() string {
	var parts []string
	for _, remark := range r {
		parts = append(parts, fmt.Sprintf("%.300q", clean(remark.Message)))
	}
	return strings.Join(parts, ", ")
}
