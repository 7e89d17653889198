package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/stages/train/lease"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	held, err := lease.Acquire(context.Background(), dir, lease.Options{})
	if errors.Is(err, lease.ErrHeld) {
		log.Fatal(err) // it names the process
	}
	if err != nil {
		log.Fatal(err)
	}
	aside, place := filepath.Join(dir, ".result"), filepath.Join(dir, "result")
	if err := os.WriteFile(aside, []byte("done"), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := held.Do(func() error { return os.Rename(aside, place) }); err != nil {
		log.Fatal(err) // lease.ErrLost: another goes on with the work
	}
	fmt.Println("token", held.Token())
	if err := held.Release(); err != nil {
		log.Fatal(err)
	}
	// Output: token 1
}
