package settings

import (
	"flag"
	"io"
	"testing"
)

func TestBareArgument(t *testing.T) {
	type config struct {
		Model string `flag:"model" usage:"folder"`
		Input string `flag:"input" usage:"picture"`
		Fast  bool   `flag:"fast" usage:"hurry"`
	}
	tests := []struct {
		args []string
		want config
		bad  bool
	}{
		{args: []string{"a b.jpg"}, want: config{Input: "a b.jpg"}},
		{args: []string{"--model=m", "x.jpg"}, want: config{Model: "m", Input: "x.jpg"}},
		{args: []string{"--model", "m", "x.jpg", "--fast"}, want: config{Model: "m", Input: "x.jpg", Fast: true}},
		{args: []string{"--fast", "x.jpg"}, want: config{Input: "x.jpg", Fast: true}},
		{args: []string{"x.jpg", "y.jpg"}, bad: true},
	}
	for _, tt := range tests {
		set := flag.NewFlagSet("test", flag.ContinueOnError)
		got, err := Program[config]{Name: "test", Argument: "input"}.Parse(set, tt.args, io.Discard)
		if (err != nil) != tt.bad || !tt.bad && got != tt.want {
			t.Errorf("%q: %+v, error %v", tt.args, got, err)
		}
	}
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	if _, err := (Program[config]{Name: "test"}).Parse(set, []string{"x.jpg"}, io.Discard); err == nil {
		t.Error("a bare argument is no error where there is none to give")
	}
}
