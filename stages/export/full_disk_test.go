//go:build linux || darwin

package export

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func init() { acts["fill"] = fillUp }

// fillUp exports where no file may grow past a number of bytes.
func fillUp(output, checkpoint, number string) {
	limit := syscall.Rlimit{}
	bytes, err := strconv.ParseUint(number, 10, 64)
	if err == nil {
		err = syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
	if err != nil {
		panic(err)
	}
	// Without this the system ends the process.
	signal.Ignore(syscall.SIGXFSZ)
	limit.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	c := Config{Output: output, Name: "second", Dataset: "pictures"}
	if _, err := c.export(checkpoint, report); err != nil {
		fmt.Println(err)
		if errors.Is(err, ErrNoRoom) && errors.Is(err, syscall.EFBIG) {
			os.Exit(noRoom)
		}
		os.Exit(1)
	}
}

// noRoom is the exit code of a process that found no room.
const noRoom = 28

// Where the weights find no room, the earlier export stays, and the error says so.
func TestNoRoom(t *testing.T) {
	output, next := exported(t)
	was := content(t, output)
	info, err := os.Stat(filepath.Join(next, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	said, code := start(t, "fill", output, next, info.Size()-1)
	if code != noRoom || !strings.Contains(said, "no room for the model in "+output+", which is as it was") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if diff := cmp.Diff(was, content(t, output)); diff != "" {
		t.Errorf("the output changed (-was +is):\n%s", diff)
	}
	if said, code := start(t, "fill", output, next, info.Size()); code != 0 {
		t.Errorf("with room: exit code %d: %s", code, said)
	}
}
