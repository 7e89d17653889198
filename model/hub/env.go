package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FromEnv makes a client from the environment, as huggingface_hub reads it. An
// empty variable counts as unset.
//
//	HF_ENDPOINT                    the hub's address
//	HF_HUB_CACHE                   the cache, else HUGGINGFACE_HUB_CACHE, else hub below HF_HOME
//	HF_HOME                        else XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface
//	HF_TOKEN                       the token, else HUGGING_FACE_HUB_TOKEN, else the token file
//	HF_TOKEN_PATH                  the token file, else token below HF_HOME
//	HF_HUB_DISABLE_IMPLICIT_TOKEN  1: send no token
//	HF_HUB_OFFLINE                 1: make no connection; so does TRANSFORMERS_OFFLINE
//	HF_HUB_DISABLE_SYMLINKS        1: hard links or copies in snapshots
//	HF_HUB_ETAG_TIMEOUT            seconds without an answer, for questions
//	HF_HUB_DOWNLOAD_TIMEOUT        seconds without a byte, for files
func FromEnv(getenv func(string) string) (*Client, error) {
	home, err := homeFolder(getenv)
	if err != nil {
		return nil, err
	}
	c := &Client{
		Endpoint:   strings.TrimRight(first(getenv, "HF_ENDPOINT"), "/"),
		Cache:      expand(getenv, first(getenv, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")),
		Offline:    isTrue(first(getenv, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
		NoSymlinks: isTrue(getenv("HF_HUB_DISABLE_SYMLINKS")),
	}
	if c.Cache == "" {
		c.Cache = filepath.Join(home, "hub")
	}
	if c.ListTimeout, err = seconds(getenv, "HF_HUB_ETAG_TIMEOUT"); err != nil {
		return nil, err
	}
	if c.DownloadTimeout, err = seconds(getenv, "HF_HUB_DOWNLOAD_TIMEOUT"); err != nil {
		return nil, err
	}
	if c.Token, c.tokenSource, err = token(getenv, home); err != nil {
		return nil, err
	}
	if _, err := c.endpoint(); err != nil {
		return nil, fmt.Errorf("HF_ENDPOINT: %w", err)
	}
	return c, nil
}

// endpoint is the parsed address. The errors leave it out, since it may hold a
// password.
func (c *Client) endpoint() (*url.URL, error) {
	text := c.Endpoint
	if text == "" {
		text = DefaultEndpoint
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the hub's address has to be like " + DefaultEndpoint)
	case u.User != nil:
		return nil, errors.New("the hub's address may not hold a user or password: a token goes into HF_TOKEN")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func homeFolder(getenv func(string) string) (string, error) {
	if home := getenv("HF_HOME"); home != "" {
		return expand(getenv, home), nil
	}
	if caches := getenv("XDG_CACHE_HOME"); caches != "" {
		return filepath.Join(expand(getenv, caches), "huggingface"), nil
	}
	user := userFolder(getenv)
	if user == "" {
		return "", errors.New("there is no folder for the hub's cache: set HF_HOME")
	}
	return filepath.Join(user, ".cache", "huggingface"), nil
}

func userFolder(getenv func(string) string) string {
	if home := getenv("HOME"); home != "" {
		return home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}

// expand resolves ~ and variables, which the shell leaves alone in quotes and
// in files of settings. As in Python, an unknown variable stays as it is.
func expand(getenv func(string) string, path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		path = userFolder(getenv) + rest
	}
	return os.Expand(path, func(name string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return "$" + name
	})
}

// token finds the token and says where. It never puts what it read into an
// error.
func token(getenv func(string) string, home string) (found Token, source string, err error) {
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return "", "", nil
	}
	text := ""
	for _, source = range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if text = getenv(source); text != "" {
			break
		}
	}
	if strings.TrimSpace(text) == "" {
		source = expand(getenv, getenv("HF_TOKEN_PATH"))
		if source == "" {
			source = filepath.Join(home, "token")
		}
		read, err := os.ReadFile(source)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("read the hub token: %w", err)
		}
		text = string(read)
	}
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", "", fmt.Errorf("%s holds more than a token: blanks, line breaks or letters that none has", source)
	}
	return Token(text), source, nil
}

func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return value
		}
	}
	return ""
}

func isTrue(value string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(value))
}

func seconds(getenv func(string) string, name string) (time.Duration, error) {
	value := getenv(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is %.40q, want a whole number of seconds", name, value)
	}
	return time.Duration(n) * time.Second, nil
}
