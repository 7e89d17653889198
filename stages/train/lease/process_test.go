package lease

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVariable makes this program a child of a test, in the folder it names.
const childVariable = "BLIPFLOW_LEASE_CHILD"

func TestMain(m *testing.M) {
	dir, args := os.Getenv(childVariable), os.Args[1:]
	var err error
	switch {
	case dir == "":
		os.Exit(m.Run())
	case args[0] == "hold":
		err = hold(dir, args[1])
	case args[0] == "count":
		err = count(dir, args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hold takes a lease and does what it is told, line by line.
func hold(dir, ttl string) error {
	o := Options{}
	var err error
	if o.TTL, err = time.ParseDuration(ttl); err != nil {
		return err
	}
	l, err := Acquire(context.Background(), dir, o)
	if err != nil {
		return err
	}
	fmt.Println("token", l.Token())
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		order, name, _ := strings.Cut(orders.Text(), " ")
		switch order {
		case "check":
			err = l.Check()
		case "do":
			err = l.Do(touch(filepath.Join(dir, name)))
		case "pause": // in the middle of a change
			err = l.Do(func() error {
				fmt.Println("paused")
				orders.Scan()
				return touch(filepath.Join(dir, name))()
			})
		case "release":
			err = l.Release()
		}
		switch {
		case err == nil:
			fmt.Println("done")
		case errors.Is(err, ErrLost):
			fmt.Println("lost")
		default:
			return err
		}
	}
	return orders.Err()
}

// child is another process that holds a lease.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func start(t *testing.T, dir, mode, arg string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], mode, arg)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+dir)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.cmd.Process.Kill(), c.cmd.Wait() })
	return c
}

func (c *child) expect(line string) {
	c.t.Helper()
	if got, err := c.out.ReadString('\n'); err != nil || got != line+"\n" {
		c.t.Fatalf("the child said %q (%v), want %q", got, err, line)
	}
}

func (c *child) order(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.t.Fatal(err)
	}
}

// stop returns when all threads of the child stand still.
func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(c.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		c.t.Fatalf("wait for the stop: %v, %v", status, err)
	}
}

func (c *child) goOn() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err == nil {
		c.t.Fatal("the child ended by itself")
	}
}

// needsLocks skips where a process that has ended shows by its lease alone.
func needsLocks(t *testing.T) {
	t.Helper()
	if machine(t.TempDir()) == "" {
		t.Skip("no way to tell a machine from others on this system")
	}
}

func TestKilledHolderIsReplacedAtOnce(t *testing.T) {
	needsLocks(t)
	dir := t.TempDir()
	for token := 1; token < 6; token += 2 {
		c := start(t, dir, "hold", "1h")
		c.expect("token " + strconv.Itoa(token))
		c.kill()
		l := acquire(t, dir, Options{TTL: time.Hour})
		if l.Token() != int64(token+1) {
			t.Errorf("token %d after %d", l.Token(), token)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
}

func TestStoppedHolderLoses(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir, "hold", "500ms")
	c.expect("token 1")
	c.order("do early")
	c.expect("done")
	c.stop()
	l := acquire(t, dir, Options{TTL: time.Hour})
	if l.Token() != 2 {
		t.Errorf("token %d, want 2", l.Token())
	}
	c.goOn()
	for _, order := range []string{"do late", "check", "do late"} {
		c.order(order)
		c.expect("lost")
	}
	if !exists(filepath.Join(dir, "early")) || exists(filepath.Join(dir, "late")) {
		t.Errorf("the folder has %s", names(t, dir))
	}
	c.order("release")
	c.expect("done")
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// A stopped holder of which nobody took over has lost nothing.
func TestStoppedHolderGoesOn(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir, "hold", "50ms")
	c.expect("token 1")
	c.stop()
	time.Sleep(200 * time.Millisecond)
	c.goOn()
	c.order("do late")
	c.expect("done")
}

// Nobody takes over in the middle of a change.
func TestStoppedWithinAChange(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir, "hold", "200ms")
	c.expect("token 1")
	c.order("pause it")
	c.expect("paused")
	c.stop()
	if _, err := Acquire(soon(t), dir, Options{TTL: time.Hour}); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), lockName) ||
		!strings.Contains(err.Error(), fmt.Sprintf("process %d on", c.cmd.Process.Pid)) {
		t.Errorf("a second attempt: %v", err)
	}
	c.goOn()
	c.order("go on")
	c.expect("done")
	c.order("check")
	c.expect("done")
	if !exists(filepath.Join(dir, "it")) {
		t.Error("the change did not come to pass")
	}
}

// A process that is killed in the middle of a change keeps nobody out.
func TestKilledWithinAChange(t *testing.T) {
	needsLocks(t)
	dir := t.TempDir()
	c := start(t, dir, "hold", "1h")
	c.expect("token 1")
	c.order("pause it")
	c.expect("paused")
	c.kill()
	l := acquire(t, dir, Options{TTL: time.Hour})
	if err := l.Do(touch(filepath.Join(dir, "other"))); err != nil {
		t.Error(err)
	}
	if exists(filepath.Join(dir, "it")) {
		t.Error("the dead process changed something")
	}
}

// rounds is how often each of those that count does so.
const rounds = 8

// count adds to the number in a file, which is no atomic thing, as some at once.
func count(dir, workers string) error {
	n, err := strconv.Atoi(workers)
	if err != nil {
		return err
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for done := 0; done < rounds && errs[i] == nil; {
				switch err := add(dir); {
				case err == nil:
					done++
				case !errors.Is(err, ErrLost): // as a slow machine may
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func add(dir string) (err error) {
	l, err := Acquire(context.Background(), dir, Options{TTL: time.Second, Wait: time.Hour})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release()) }()
	return l.Do(func() error {
		name := filepath.Join(dir, "count")
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		text = append(text, fmt.Sprintln(l.Token())...)
		if err := os.Truncate(name, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.WriteFile(name, text, 0o644)
	})
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	const processes, workers = 3, 4
	var all [processes]*child
	for i := range all {
		all[i] = start(t, dir, "count", strconv.Itoa(workers))
	}
	for _, c := range all {
		if err := c.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "count"))
	if err != nil {
		t.Fatal(err)
	}
	last, lines := 0, bytes.Fields(text)
	for _, line := range lines {
		token, err := strconv.Atoi(string(line))
		if err != nil || token <= last {
			t.Fatalf("token %s after %d", line, last)
		}
		last = token
	}
	if len(lines) != processes*workers*rounds {
		t.Errorf("%d changes are left of %d", len(lines), processes*workers*rounds)
	}
}
