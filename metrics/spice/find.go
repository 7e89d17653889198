package spice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Errors of Find. Their text says what to do.
var (
	ErrNoJava = errors.New("SPICE needs Java 8 or later: install it (Debian, Ubuntu: apt install default-jre-headless; Fedora: dnf install java-latest-openjdk-headless; macOS: brew install openjdk), or set JAVA_HOME")
	ErrNoJars = errors.New("SPICE's jars are not there: run make setup-spice, or set " + JarsVariable + " to a folder with them")
)

// JarsVariable names a variable with the folder of the jars.
const JarsVariable = "BLIPFLOW_SPICE"

// Config says how to run SPICE. The zero value finds everything and fits the
// machine.
type Config struct {
	// Java is the command; empty for that of JAVA_HOME, or else of PATH.
	Java string
	// Jars is the folder with spice-1.0.jar, and lib beside it; empty for that of
	// BLIPFLOW_SPICE, or else the one that make setup-spice makes in the user's
	// cache.
	Jars string
	// Cache is a folder in which parses of captions are kept for the next time;
	// empty for none. Processes that run at once each take a part of it, so what
	// one process kept is found again by one process. Unix only.
	Cache string
	// Temp is where a process has its files while it runs; empty for the
	// system's.
	Temp string

	// Processes is how many Java processes run at once; 0 for 1, which with
	// threads uses the cores and saves memory.
	Processes int
	// Threads is how many threads a process parses with; 0 shares the processors
	// among the processes.
	Threads int
	// Heap is the most memory that one process's objects may take, in MB; 0 for
	// 2000 and another 1000 for each thread, as far as half the machine's memory
	// goes.
	Heap int
	// Chunk is how many pictures a process is given; 0 for 5000, which is all of
	// COCO's test split: see the package comment.
	Chunk int
	// MaxWords is where captions are cut; 0 for 80.
	MaxWords int
	// Patience multiplies the time that a process may take, which is two minutes
	// and seven times what its captions take of a usual core; 0 for 1.
	Patience float64
}

// Scorer runs SPICE. It is plain data, good on machines that have the same
// files, and may be used by several goroutines, each of which then starts
// processes of its own.
type Scorer struct {
	Config    Config
	Java      string   // the command
	Version   int      // Java's: 8, 11, 17, 21
	ClassPath []string // the jars
}

// Find finds Java and the jars. The error is ErrNoJava or ErrNoJars, wrapped.
func Find(ctx context.Context, c Config) (Scorer, error) {
	s := Scorer{Config: c}
	var err error
	if s.Java, s.Version, err = findJava(ctx, c.Java); err != nil {
		return Scorer{}, err
	}
	s.ClassPath, err = findJars(c.Jars, s.Version)
	return s, err
}

// findJava finds a Java that is new enough.
func findJava(ctx context.Context, command string) (string, int, error) {
	commands := []string{command}
	if command == "" {
		commands = []string{"java"}
		if home := os.Getenv("JAVA_HOME"); home != "" {
			commands = []string{filepath.Join(home, "bin", "java"), "java"}
		}
	}
	var failures []string
	for _, command := range commands {
		path, err := exec.LookPath(command)
		if err != nil {
			failures = append(failures, err.Error())
			continue
		}
		version, err := javaVersion(ctx, path)
		if err == nil && version >= 8 {
			return path, version, nil
		}
		if err == nil {
			err = fmt.Errorf("%s is Java %d", path, version)
		}
		failures = append(failures, err.Error())
	}
	return "", 0, fmt.Errorf("%w (%s)", ErrNoJava, strings.Join(failures, "; "))
}

// versionText is what java -version begins with: 1.8.0_412, 17.0.15, 21.
var versionText = regexp.MustCompile(`version "(\d+)(?:\.(\d+))?`)

func javaVersion(ctx context.Context, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, path, "-version")
	command.WaitDelay = time.Second
	text, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s -version: %w", path, err)
	}
	m := versionText.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s -version says nothing of a version", path)
	}
	number := m[1]
	if string(number) == "1" { // until 8, which is 1.8
		number = m[2]
	}
	return strconv.Atoi(string(number))
}

// nashornSince is the first Java that has no JavaScript engine of its own. The
// jar needs one to write its output. The one that is fetched runs on Java 11 and
// later.
const nashornSince = 15

// findJars lists the jars for the class path.
func findJars(dir string, java int) ([]string, error) {
	dir, err := jarsFolder(dir)
	if err != nil {
		return nil, err
	}
	paths := []string{filepath.Join(dir, "spice-1.0.jar")}
	libraries, err := filepath.Glob(filepath.Join(escape(dir), "lib", "*.jar"))
	if err != nil {
		return nil, fmt.Errorf("look for jars in %s: %w", dir, err)
	}
	for _, path := range libraries {
		name := filepath.Base(path)
		if java < nashornSince && (strings.HasPrefix(name, "nashorn") || strings.HasPrefix(name, "asm")) {
			continue
		}
		paths = append(paths, path)
	}
	wanted := []string{"stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar", "Meteor-1.5.jar"}
	if java >= nashornSince {
		wanted = append(wanted, "nashorn-core-15.4.jar")
	}
	if err := present(dir, wanted); err != nil {
		return nil, err
	}
	return paths, nil
}

// present tells whether the jars are there without which nothing goes.
func present(dir string, libraries []string) error {
	paths := []string{"spice-1.0.jar"}
	for _, name := range libraries {
		paths = append(paths, filepath.Join("lib", name))
	}
	for _, path := range paths {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("%w (%s has no %s)", ErrNoJars, dir, path)
		}
	}
	return nil
}

// jarsFolder is the folder of the jars, absolute, whether it is there or not.
func jarsFolder(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv(JarsVariable)
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w (%w)", ErrNoJars, err)
		}
		dir = filepath.Join(cache, "blipflow", "spice")
	}
	return filepath.Abs(dir)
}

// escape quotes what Glob would take for a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
