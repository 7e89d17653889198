package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
	"github.com/blipflow/blipflow/model/setup/internal/wrapper"
)

// tools are what the set-up needs of the machine.
type tools struct {
	compiler wrapper.Compiler
	// gotch is the module's folder in the module cache.
	gotch string
	// goVersion is the main module's go line.
	goVersion string
}

// gotchModule is the module that is adapted.
const gotchModule = "github.com/sugarme/gotch"

func findTools(ctx context.Context, root string) (tools, error) {
	env, err := goEnv(ctx, root)
	if err != nil {
		return tools{}, err
	}
	if env["CGO_ENABLED"] == "0" && os.Getenv("CGO_ENABLED") == "0" {
		return tools{}, errors.New("CGO_ENABLED is 0, and libtorch is called through cgo: unset it")
	}
	cc := strings.Fields(env["CC"])
	if len(cc) == 0 {
		cc = []string{"gcc"}
	}
	if _, err := exec.LookPath(cc[0]); err != nil {
		return tools{}, fmt.Errorf("the C compiler %s was not found: install it (Debian, Ubuntu: apt install gcc g++; Fedora: dnf install gcc gcc-c++; macOS: xcode-select --install), or set CC", cc[0])
	}
	var t tools
	if t.compiler, err = wrapper.FindCompiler(ctx, env["CXX"]); err != nil {
		return tools{}, err
	}
	if t.gotch, err = downloadGotch(ctx, root); err != nil {
		return tools{}, err
	}
	t.goVersion, err = goLine(root)
	return t, err
}

// goCommand runs the go command on the main module alone: go.work may name a
// copy of gotch that is not there yet.
func goCommand(ctx context.Context, root string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = root
	command.Env = append(os.Environ(), "GOWORK=off")
	out, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("the go command was not found: put it on PATH")
	}
	return out, err
}

func goEnv(ctx context.Context, root string) (map[string]string, error) {
	out, err := goCommand(ctx, root, "env", "-json", "CC", "CXX", "CGO_ENABLED")
	if err != nil {
		return nil, fmt.Errorf("run go env: %w", err)
	}
	env := map[string]string{}
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fmt.Errorf("run go env: %w", err)
	}
	return env, nil
}

// downloadGotch returns the folder of the gotch that go.mod asks for.
func downloadGotch(ctx context.Context, root string) (string, error) {
	out, err := goCommand(ctx, root, "mod", "download", "-json", gotchModule)
	var module struct{ Version, Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil {
		return "", fmt.Errorf("download %s: %w", gotchModule, errors.Join(err, jsonErr))
	}
	if module.Error != "" {
		return "", fmt.Errorf("download %s: %s (connect to the network, or set GOPROXY to a mirror)", gotchModule, module.Error)
	}
	if err != nil {
		return "", fmt.Errorf("download %s: %w", gotchModule, err)
	}
	if module.Version != adapt.Version {
		return "", fmt.Errorf("go.mod asks for gotch %s, the set-up adapts %s: change one of them", module.Version, adapt.Version)
	}
	return module.Dir, nil
}
