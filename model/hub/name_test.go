package hub

import "testing"

func TestNameOf(t *testing.T) {
	for dir, want := range map[string]string{
		"/cache/hub/models--org--name/snapshots/0123abc":  "org/name",
		"/cache/hub/datasets--org--na-me/snapshots/0123/": "org/na-me",
		"/cache/hub/models--gpt2/snapshots/0123abc":       "gpt2",
		"/home/me/my-model":                               "my-model",
		"/home/me/my-model/":                              "my-model",
		"/home/me/models--org--name/other/0123":           "0123",
		"snapshots/0123":                                  "0123",
	} {
		if got := NameOf(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}
