package hub

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/hub/hubtest"
)

const secret = "hf_S3cretT0ken"

// The storage host is the same machine as the hub under another port, where
// net/http by itself would send the token too.
func TestTokenGoesToTheEndpointAlone(t *testing.T) {
	s := hubtest.New(t)
	s.AddModel("org/name", modelFiles())
	s.Gate("models/org/name", secret)
	c, _ := newClient(t, s, t.TempDir(), "HF_TOKEN="+secret)
	if _, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil); err != nil {
		t.Fatal(err)
	}
	toHub, toCDN := 0, 0
	for _, r := range s.Requests() {
		got := r.Header.Get("Authorization")
		if "http://"+r.Host == s.URL {
			toHub++
			if got != "Bearer "+secret {
				t.Errorf("%s went to the hub with %q", r.Path, got)
			}
			continue
		}
		toCDN++
		if got != "" {
			t.Errorf("%s went to the storage host with a token", r.Path)
		}
		for name, values := range r.Header {
			if strings.Contains(fmt.Sprint(values), secret) || name == "Referer" {
				t.Errorf("%s went to the storage host with %s %q", r.Path, name, values)
			}
		}
	}
	if toHub == 0 || toCDN == 0 {
		t.Errorf("%d requests to the hub, %d to the storage host: nothing was seen", toHub, toCDN)
	}
}

// A way that leads out and back is no excuse, nor is a page of the list that is
// said to be elsewhere.
func TestTokenIsNotTakenElsewhere(t *testing.T) {
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Clone())
		w.Write([]byte("[]"))
	}))
	defer other.Close()
	s := hubtest.New(t)
	s.AddModel("org/name", map[string][]byte{"a": []byte("a")})
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/tree/"), Status: 200, Body: "[]", Header: http.Header{"Link": {"<" + other.URL + `/page>; rel="next"`}}})
	c, _ := newClient(t, s, t.TempDir(), "HF_TOKEN="+secret)
	if _, _, err := c.Files(t.Context(), repoOf(t, Model, "org/name")); err != nil {
		t.Fatal(err)
	}
	s.Inject(hubtest.Fault{On: hubtest.PathHas("/revision/v2"), Status: 307, Header: http.Header{"Location": {other.URL + "/moved"}}})
	if _, _, err := c.Files(t.Context(), repoOf(t, Model, "org/name@v2")); err == nil {
		t.Error("a list was taken for a revision")
	}
	if len(elsewhere) != 2 {
		t.Errorf("%d requests came, want 2", len(elsewhere))
	}
	for _, h := range elsewhere {
		if strings.Contains(fmt.Sprint(h), secret) {
			t.Errorf("the token went along: %v", h)
		}
	}
}

func TestNoErrorShowsASecret(t *testing.T) {
	signed := "https://storage.invalid/x?X-Signature=" + secret
	for name, f := range map[string]hubtest.Fault{
		"the server repeats it in a header": {Status: 403, Header: http.Header{"X-Error-Message": {"bad token " + secret}}},
		"the server repeats it in a body":   {Status: 401, Body: `{"error": "bad token ` + secret + ` see ` + signed + `"}`},
		"not JSON":                          {Status: 200, Body: secret},
		"redirect to nowhere":               {Status: 302, Header: http.Header{"Location": {signed}}},
		"redirect that cannot be":           {Status: 302, Header: http.Header{"Location": {"http://a b/?X-Signature=" + secret}}},
		"redirect with a password":          {Status: 302, Header: http.Header{"Location": {"https://user:" + secret + "@storage.invalid/"}}},
		"commit":                            {Status: 200, Body: `{"sha": "x?sig=` + secret + `"}`},
		"status":                            {Status: 500, Header: http.Header{"X-Error-Message": {secret}}},
	} {
		s := hubtest.New(t)
		s.AddModel("org/name", map[string][]byte{"a": []byte("a")})
		f.On = hubtest.PathHas("/revision/")
		s.Inject(f)
		c, warned := newClient(t, s, t.TempDir(), "HF_TOKEN="+secret)
		c.Retries = -1
		_, err := c.Snapshot(t.Context(), repoOf(t, Model, "org/name"), nil)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", err, err, err, warned); strings.Contains(shown, secret) {
			t.Errorf("%s: %s", name, shown)
		}
	}
}

func TestClientDoesNotPrintItsToken(t *testing.T) {
	c := &Client{Token: secret}
	text, err := json.Marshal(struct{ Token Token }{c.Token})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("client", "token", c.Token)
	shown := fmt.Sprintf("%v %+v %#v %s %q %s %s", c, *c, *c, c.Token, c.Token, text, &log)
	if strings.Contains(shown, secret) || !strings.Contains(shown, "***") {
		t.Error(shown)
	}
}

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "my token")
	for path, text := range map[string]string{file: " hf_file\n", filepath.Join(home, "token"): "hf_home", filepath.Join(home, "broken"): "hf_a\nhf_b"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type want struct {
		cache, endpoint string
		token           Token
		offline         bool
		err             string
	}
	for _, c := range []struct {
		env  map[string]string
		want want
	}{
		{map[string]string{"HOME": "/u"}, want{cache: "/u/.cache/huggingface/hub"}},
		{map[string]string{"HOME": "/u", "XDG_CACHE_HOME": "/x"}, want{cache: "/x/huggingface/hub"}},
		{map[string]string{"HOME": "/u", "XDG_CACHE_HOME": "/x", "HF_HOME": "/h"}, want{cache: "/h/hub"}},
		{map[string]string{"HOME": "/u", "HF_HOME": "~/h"}, want{cache: "/u/h/hub"}},
		{map[string]string{"HOME": "/u", "HF_HOME": "$DISK/h", "DISK": "/d"}, want{cache: "/d/h/hub"}},
		{map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/old"}, want{cache: "/old"}},
		{map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/c"}, want{cache: "/c"}},
		{map[string]string{"HF_HOME": home}, want{cache: home + "/hub", token: "hf_home"}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN_PATH": file}, want{cache: home + "/hub", token: "hf_file"}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN_PATH": file, "HF_TOKEN": " hf_env\n"}, want{cache: home + "/hub", token: "hf_env"}},
		{map[string]string{"HF_HOME": "/h", "HUGGING_FACE_HUB_TOKEN": "hf_old"}, want{cache: "/h/hub", token: "hf_old"}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN": "hf_env", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, want{cache: home + "/hub"}},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN": "hf_a hf_b"}, want{err: "more than a token"}},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN_PATH": filepath.Join(home, "broken")}, want{err: "more than a token"}},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN_PATH": home}, want{err: "read the hub token"}},
		{map[string]string{"HF_HOME": "/h", "HF_HUB_OFFLINE": "True"}, want{cache: "/h/hub", offline: true}},
		{map[string]string{"HF_HOME": "/h", "HF_HUB_OFFLINE": "0"}, want{cache: "/h/hub"}},
		{map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "https://mirror.example/hf/"}, want{cache: "/h/hub", endpoint: "https://mirror.example/hf"}},
		{map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "mirror.example"}, want{err: "HF_ENDPOINT"}},
		{map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "ftp://mirror.example"}, want{err: "HF_ENDPOINT"}},
		{map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "https://me:hf_pass@mirror.example"}, want{err: "HF_TOKEN"}},
		{map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "https://me:hf_pass@mirror example"}, want{err: "HF_ENDPOINT"}},
		{map[string]string{"HF_HOME": "/h", "HF_HUB_DOWNLOAD_TIMEOUT": "soon"}, want{err: "HF_HUB_DOWNLOAD_TIMEOUT"}},
		{map[string]string{"HF_HOME": "/h", "HF_HUB_ETAG_TIMEOUT": "-1"}, want{err: "HF_HUB_ETAG_TIMEOUT"}},
	} {
		client, err := FromEnv(func(name string) string { return c.env[name] })
		if err != nil || c.want.err != "" {
			if err == nil || c.want.err == "" || !strings.Contains(err.Error(), c.want.err) {
				t.Errorf("%q: %v, want an error with %q", c.env, err, c.want.err)
			} else if strings.Contains(err.Error(), "hf_") {
				t.Errorf("%q: the error shows a secret: %v", c.env, err)
			}
			continue
		}
		got := want{filepath.ToSlash(client.Cache), client.Endpoint, client.Token, client.Offline, ""}
		c.want.cache = filepath.ToSlash(c.want.cache)
		if got != c.want {
			t.Errorf("%q: %#v, want %#v", c.env, got, c.want)
		}
	}
}
