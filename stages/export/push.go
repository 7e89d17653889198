package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/stages/progress"
)

// Push says where on the hub the model goes. The token is the worker's own, see
// hub.FromEnv.
type Push struct {
	// Repo is "namespace/name", or "name" in the token's own account. It is made if
	// there is none. Empty means not to push.
	Repo string
	// Private makes a new repository private; a public one is then refused.
	Private bool
	// Revision is the branch; empty means main.
	Revision string
	// Message is the commit's.
	Message string
	// Also are files and folders of the output that go with the export where they
	// are there, as coco_metrics.json and runs.
	Also []string
}

// repo is where a push goes.
func (p Push) repo() (hub.Repo, error) {
	r, err := hub.ParseRepo(hub.Model, p.Repo)
	if err == nil && p.Revision != "" {
		r.Revision = p.Revision
	}
	return r, err
}

// Metrics, under the namespace "export".
var (
	pushedFiles = beam.NewCounter("export", "pushed_files")
	pushedBytes = beam.NewCounter("export", "pushed_bytes")
)

// owned is a push with the namespace of its repository, which is that of the
// token's account if none is named. Where the hub does not tell, it stays open: the
// push will say why.
func (p Push) owned(ctx context.Context) Push {
	if p.Repo == "" || strings.Contains(p.Repo, "/") {
		return p
	}
	client, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return p
	}
	if name, err := client.Whoami(ctx); err == nil {
		p.Repo = name + "/" + p.Repo
	}
	return p
}

// push uploads what is in the output under the names.
func (c Config) push(ctx context.Context, names []string) (err error) {
	if c.Push.Repo == "" {
		return nil
	}
	repo, err := c.Push.repo()
	if err != nil {
		return err
	}
	client, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return fmt.Errorf("the hub's settings: %w", err)
	}
	folder, err := os.MkdirTemp(c.Output, asidePrefix+"*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := link(folder, c.Output, slices.Concat(names, c.Push.Also)); err != nil {
		return err
	}
	client.Warn = func(message string) { log.Warn(ctx, message) }
	const unit = 1 << 20
	task := progress.Start("push", 0, "MiB")
	defer task.Done()
	var sent int64
	client.Progress = func(done, total int64) {
		sent = done
		// The total is known once the hub has said what it lacks.
		progress.Start("push", (total+unit-1)/unit, "MiB").Set((done + unit - 1) / unit)
	}
	info, err := client.Upload(ctx, hub.Upload{Repo: repo, Folder: folder, Private: c.Push.Private, Message: c.Push.Message})
	if err != nil {
		return err
	}
	pushedFiles.Inc(ctx, int64(info.Files))
	pushedBytes.Inc(ctx, sent)
	task.Note(info.URL)
	return nil
}

// link makes a folder of links to what is in the output under the names, so that
// nothing else of it is pushed.
func link(folder, output string, names []string) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	for _, top := range slices.Compact(slices.Sorted(slices.Values(names))) {
		root := filepath.Join(output, top)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if path == root && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(output, path)
			if err != nil {
				return err
			}
			at := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return err
			}
			return os.Symlink(path, at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
