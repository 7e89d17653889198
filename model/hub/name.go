package hub

import (
	"path/filepath"
	"strings"
)

// NameOf is what to call a model or data set that is in a folder: the repository's
// id if it is a snapshot in the cache, whose folder is named after a commit, else
// the folder's name.
func NameOf(dir string) string {
	snapshots := filepath.Dir(filepath.Clean(dir))
	repo := filepath.Base(filepath.Dir(snapshots))
	for _, kind := range []Kind{Model, Dataset} {
		id, ok := strings.CutPrefix(repo, string(kind)+"s--")
		if ok && filepath.Base(snapshots) == "snapshots" {
			return strings.ReplaceAll(id, "--", "/")
		}
	}
	return filepath.Base(dir)
}
