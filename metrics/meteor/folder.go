package meteor

import (
	"fmt"
	"os"
	"path/filepath"
)

// FolderVariable names a variable with the folder of the tables.
const FolderVariable = "BLIPFLOW_METEOR"

// Folder is where the tables are: where the variable says, or else where make setup
// puts them, in the user's cache.
func Folder() (string, error) {
	if folder := os.Getenv(FolderVariable); folder != "" {
		return folder, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoTables, err)
	}
	return filepath.Join(cache, "blipflow", "pycocoevalcap-1.2", "meteor"), nil
}

// Check says without reading them whether the tables are there. The error wraps
// ErrNoTables and says what to do.
func Check(folder string) error {
	for _, name := range []string{jarName, paraphraseName} {
		if _, err := os.Stat(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
			return fmt.Errorf("%w: run make setup, or set %s to a folder with them (%w)", ErrNoTables, FolderVariable, err)
		}
	}
	return nil
}
