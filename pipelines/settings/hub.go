package settings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/stages/progress"
)

// isHubID reports whether a value is a repository on the hub, "namespace/name" with
// "@revision" after it or not, rather than a path. What is there as a file or folder
// is that.
func isHubID(value string) bool {
	if _, err := os.Stat(value); err == nil {
		return false
	}
	id, _, _ := strings.Cut(value, "@")
	return strings.Count(id, "/") == 1 && !strings.HasPrefix(id, "/") && !strings.HasPrefix(id, ".") && !strings.HasPrefix(id, "~") && !strings.HasSuffix(id, "/")
}

// FetchModel returns the folder of a model, which it fetches into Hugging Face's
// cache if value names a repository on the hub. Where only its settings and its
// vocabulary are wanted, the weights stay there.
func FetchModel(ctx context.Context, value string, weights bool) (dir string, err error) {
	if !isHubID(value) {
		return value, nil
	}
	patterns := []string{"*.json", "*.txt"}
	if weights {
		patterns = append(patterns, "*.safetensors")
	}
	var pickles, tensors bool
	wanted := hub.Match(patterns...)
	dir, err = fetch(ctx, hub.Model, "model", value, func(name string) bool {
		pickles = pickles || strings.HasSuffix(name, ".bin")
		tensors = tensors || strings.HasSuffix(name, ".safetensors")
		return wanted(name) && !strings.Contains(name, "/")
	})
	if err == nil && weights && pickles && !tensors {
		err = Bad("model", "%s has its weights as a pickle only, which can run code when it is loaded; open it with transformers and call save_pretrained(FOLDER, safe_serialization=True), then name that folder", value)
	}
	return dir, err
}

// fetchDataset is the same for a data set: all but hidden files, programs and
// cards.
func fetchDataset(ctx context.Context, value string) (string, error) {
	return fetch(ctx, hub.Dataset, "dataset", value, func(name string) bool {
		return !strings.HasPrefix(path.Base(name), ".") && !strings.HasSuffix(name, ".py") && !strings.HasSuffix(name, ".md")
	})
}

func fetch(ctx context.Context, kind hub.Kind, flag, value string, keep func(string) bool) (string, error) {
	repo, err := hub.ParseRepo(kind, value)
	if err != nil {
		return "", Bad(flag, "there is no folder %s, and it is no repository on the hub either: %v", value, err)
	}
	client, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return "", Bad("", "the hub's settings: %v", err)
	}
	client.Warn = func(message string) { fmt.Fprintln(os.Stderr, message) }
	const unit = 1 << 20
	var task *progress.Task
	client.Progress = func(done, total int64) {
		if task == nil || done == 0 {
			task = progress.Start("fetch", (total+unit-1)/unit, "MiB")
		}
		task.Set((done + unit - 1) / unit)
	}
	dir, err := client.Snapshot(ctx, repo, keep)
	if task != nil {
		task.Done()
	}
	if errors.Is(err, hub.ErrNotFound) || errors.Is(err, hub.ErrRepo) || errors.Is(err, hub.ErrOffline) {
		return "", Bad(flag, "there is no folder %s, and %v", value, err)
	}
	if err != nil {
		return "", fmt.Errorf("there is no folder %s, and %w", value, err)
	}
	return dir, nil
}
