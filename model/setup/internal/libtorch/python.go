package libtorch

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ErrNoPython is returned where there is no Python to ask.
var ErrNoPython = errors.New("python3 was not found: install it (Debian, Ubuntu: apt install python3 python3-pip; Fedora: dnf install python3 python3-pip; macOS: brew install python), or set LIBTORCH to a folder with libtorch")

// python is the command of a Python 3.
func python() (string, error) {
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoPython
}

// where prints the folder of torch without importing it, which takes seconds.
const where = `import importlib.util
spec = importlib.util.find_spec("torch")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")`

// InPython returns the folder of the torch that python3 on PATH would import.
func InPython(ctx context.Context) (string, error) {
	command, err := python()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, command, "-c", where).Output()
	if err != nil {
		return "", fmt.Errorf("ask %s where torch is: %w", command, err)
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return "", fmt.Errorf("LIBTORCH_USE_PYTORCH is set, but %s has no torch: activate the environment that has it, or unset the variable", command)
	}
	return dir, nil
}
