package spice

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// When this process is killed Java goes with it.
func TestKilledParent(t *testing.T) {
	if os.Getenv("SPICE_PARENT") != "" {
		s := fake(t, Config{})
		text := strings.Replace(fakeJava, "{ beat & beat; }", "beat", 1)
		script(t, s.Java, text)
		t.Setenv("BEAT", os.Getenv("SPICE_PARENT"))
		_, _ = s.Score(t.Context(), numbered(1, map[int]string{0: "HANG"}))
		return
	}
	t.Setenv("BEAT", t.TempDir()+"/beat")
	t.Setenv("TMPDIR", t.TempDir())
	parent := exec.Command(os.Args[0], "-test.run=TestKilledParent$")
	parent.Env = append(os.Environ(), "SPICE_PARENT="+os.Getenv("BEAT"))
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); beats(t) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("Java was not started")
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	time.Sleep(200 * time.Millisecond)
	still(t)
}
