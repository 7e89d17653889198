package wrapper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// checkProgram runs one op through the wrapper, so that a library that libtorch
// needs and the system lacks is told now, and by name.
const checkProgram = `#include <cstdint>
#include <cstdio>
extern "C" {
const char *bf_torch_version(void);
char *get_and_reset_last_err();
void atg_ones(void **, int64_t *, int, int, int);
void at_free(void *);
}
int main() {
  void *made = nullptr;
  int64_t size = 2;
  atg_ones(&made, &size, 1, 6, -1);
  const char *error = get_and_reset_last_err();
  if (error || !made)
    return std::fprintf(stderr, "%s\n", error ? error : "no tensor"), 1;
  at_free(made);
  std::puts(bf_torch_version());
}
`

// loadProgram does nothing but be linked with libtorch.
const loadProgram = "int main() { return 0; }\n"

// loads makes sure that libtorch and all it is linked with are there, before
// minutes go into compiling.
func (b Build) loads(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.Cache, asidePrefix)
	if err != nil {
		return fmt.Errorf("try libtorch: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var whole []string
	if runtime.GOOS != "darwin" {
		whole = []string{"-Wl,--no-as-needed"} // or the linker drops what is not called
	}
	_, err = b.try(ctx, dir, "load", loadProgram, whole)
	return err
}

// check links a program with the archive in dir and runs it.
func (b Build) check(ctx context.Context, dir string) error {
	said, err := b.try(ctx, dir, "check", checkProgram, []string{archiveName})
	if err != nil {
		return err
	}
	if !strings.HasPrefix(said, b.Library.Version) {
		return fmt.Errorf("the headers in %s are of libtorch %s, a program compiled with them says %s", b.Library.Dir, b.Library.Version, said)
	}
	return nil
}

// try compiles, links and runs a program in dir and returns what it said.
func (b Build) try(ctx context.Context, dir, name, text string, with []string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, name+".cpp"), []byte(text), 0o666); err != nil {
		return "", err
	}
	arguments := append([]string{"-w", name + ".cpp", "-o", name}, with...)
	arguments = append(arguments, "-L"+b.Library.Lib(), "-Wl,-rpath,"+b.Library.Lib())
	messages, ok, err := b.Compiler.run(ctx, dir, append(arguments, Libraries()...))
	if err != nil {
		return "", fmt.Errorf("run the compiler: %w", err)
	}
	if !ok {
		return "", fmt.Errorf("link with libtorch in %s: %s", b.Library.Dir, linkError(messages))
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, name)).CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		if said == "" {
			said = err.Error()
		}
		return "", fmt.Errorf("a program linked with libtorch in %s does not run: %s", b.Library.Dir, said)
	}
	return said, nil
}

// Libraries are what a program with the wrapper is linked with.
func Libraries() []string {
	if runtime.GOOS == "darwin" {
		return []string{"-ltorch_cpu", "-lc10", "-lc++"}
	}
	return []string{"-ltorch_cpu", "-lc10", "-lstdc++", "-lm", "-ldl"}
}

// neededBy is the linker's complaint of a library that another one needs.
var neededBy = regexp.MustCompile(`([^\s:]+), needed by (\S+), not found`)

// linkError is the linker's line that tells most: a library that is not there,
// else its last word.
func linkError(messages string) string {
	last := "the linker failed"
	for line := range strings.Lines(messages) {
		line = strings.TrimSpace(line)
		if m := neededBy.FindStringSubmatch(line); m != nil {
			return fmt.Sprintf("%s needs %s, which was not found: put it into the same folder, or take a libtorch for the CPU", filepath.Base(m[2]), m[1])
		}
		if strings.Contains(line, "cannot find") {
			return line
		}
		if line != "" && !strings.Contains(line, "ld returned") {
			last = line
		}
	}
	return last
}
