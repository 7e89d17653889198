package libtorch

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

// where prints the folder of torch without importing it, which takes seconds.
const where = `import importlib.util
spec = importlib.util.find_spec("torch")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")`

// InPython returns the folder of the torch that python3 on PATH would import.
func InPython(ctx context.Context) (string, error) {
	command, err := wheel.Python()
	if err != nil {
		return "", fmt.Errorf("%w, or %s", err, otherwise)
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
