package wheel

import (
	"errors"
	"os/exec"
)

// ErrNoPython is returned where there is no Python to ask.
var ErrNoPython = errors.New("python3 was not found: install it (Debian, Ubuntu: apt install python3 python3-pip; Fedora: dnf install python3 python3-pip; macOS: brew install python)")

// Python is the command of a Python 3.
func Python() (string, error) {
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoPython
}
