package spice

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// fakeMaven is an mvn that copies those of $JARS that the project names, or
// fails as $MVN_SAYS says. What it was asked goes into $JARS/asked.
const fakeMaven = `#!/bin/sh
echo "$*" >> "$JARS/asked"
if [ -n "$MVN_SAYS" ]; then echo "$MVN_SAYS"; exit 1; fi
while [ "$1" != -f ]; do shift; done
work=$(dirname "$2")
mkdir -p "$work/jars" "$work/repository"
touch "$work/repository/half"
for jar in "$JARS"/*.jar; do
	name=$(basename "$jar"); name=${name%%-1*}
	grep -q "<artifactId>$name</artifactId>" "$2" && cp "$jar" "$work/jars/"
done
exit 0
`

// newJars is a repository with two jars, one of them models, served by fakeMaven
// alone on PATH, and a wheel's folder in the cache.
func newJars(t *testing.T, cache string) jars {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "corenlp-1.jar"), "CoreNLP")
	models := map[string]string{}
	for _, name := range kept {
		if strings.HasSuffix(name, "/") {
			name += "model"
		}
		models[name] = strings.Repeat(name, 100)
	}
	models[modelsFolder+"coref/large"] = "not read"
	writeZip(t, filepath.Join(dir, "corenlp-1-models.jar"), models)
	j := jars{wheel: bundle.Bundle{Dir: filepath.Join(cache, "wheel"), Sources: map[string]string{"a.whl": "00"}}}
	write(t, filepath.Join(j.wheel.Dir, "spice", "spice-1.0.jar"), "SPICE")
	write(t, filepath.Join(j.wheel.Dir, "spice", "lib", "guava-19.0.jar"), "a library")
	write(t, filepath.Join(j.wheel.Dir, "spice", "README"), "no jar")
	for _, classifier := range []string{"", "models"} {
		a := artifact{group: "example", name: "corenlp", version: "1", classifier: classifier}
		text, err := os.ReadFile(filepath.Join(dir, a.file()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		a.sha256, a.size = hex.EncodeToString(sum[:]), int64(len(text))
		j.artifacts = append(j.artifacts, a)
	}
	bin := t.TempDir()
	for name, script := range map[string]string{"mvn": fakeMaven, "java": "#!/bin/sh\n"} {
		write(t, filepath.Join(bin, name), script)
		if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("JARS", dir)
	return j
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
}

func writeZip(t *testing.T, path string, files map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range files {
		out, err := z.Create(name)
		if err == nil {
			_, err = out.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func asked(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv("JARS"), "asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func TestFetch(t *testing.T) {
	cache := t.TempDir()
	j := newJars(t, cache)
	if err := j.fetch(t.Context(), cache, progress.Printer{}); err != nil {
		t.Fatal(err)
	}
	dir := j.at(cache).Dir
	for name, want := range map[string]string{"spice-1.0.jar": "SPICE", "lib/guava-19.0.jar": "a library", "lib/corenlp-1.jar": "CoreNLP"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is no jar was taken: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "lib", "corenlp-1-models.jar"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, strings.TrimPrefix(f.Name, modelsFolder))
	}
	if want := []string{"lexparser/englishPCFG.ser.gz", "ner/model", "sutime/model", "dcoref/model"}; !slices.Equal(names, want) {
		t.Errorf("the models are %v, want %v", names, want)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "download", "*")); err != nil || len(left) > 0 {
		t.Errorf("%v was left behind (%v)", left, err)
	}
	if !j.at(cache).Whole() || asked(t) != 1 {
		t.Errorf("whole: %t, mvn was asked %d times", j.at(cache).Whole(), asked(t))
	}
}

// What was fetched whole before an interruption is not fetched again.
func TestFetchGoesOn(t *testing.T) {
	cache := t.TempDir()
	j := newJars(t, cache)
	for _, a := range j.artifacts {
		text, err := os.ReadFile(filepath.Join(os.Getenv("JARS"), a.file()))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(cache, "download", "maven", jarsFolder, a.file()), string(text))
	}
	write(t, filepath.Join(cache, ".unpack-1", "lib", "half"), "left by an interruption")
	if err := j.fetch(t.Context(), cache, progress.Printer{}); err != nil {
		t.Fatal(err)
	}
	if n := asked(t); n != 0 {
		t.Errorf("mvn was asked %d times, though all was there", n)
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".unpack*")); err != nil || len(left) > 0 {
		t.Errorf("%v was left behind (%v)", left, err)
	}
}

func TestFetchFails(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, j *jars)
		want   string
	}{
		{"wrong hash", func(_ *testing.T, j *jars) { j.artifacts[0].sha256 = strings.Repeat("0", 64) }, "not the pinned 000"},
		{"a jar did not come", func(_ *testing.T, j *jars) { j.artifacts[0].name = "other" }, "mvn did not leave other-1.jar"},
		{"no network", func(t *testing.T, _ *jars) {
			t.Setenv("MVN_SAYS", "[ERROR] Plugin x could not be resolved: Unknown host example.com: Name or service not known")
		}, "Maven's repository was not reached: connect to the network"},
		{"full disk", func(t *testing.T, _ *jars) { t.Setenv("MVN_SAYS", "[ERROR] No space left on device") }, "the disk is full"},
		{"no java for mvn", func(t *testing.T, _ *jars) {
			t.Setenv("MVN_SAYS", "The JAVA_HOME environment variable is not defined correctly")
		}, "set JAVA_HOME"},
		{"anything else", func(t *testing.T, _ *jars) { t.Setenv("MVN_SAYS", "[ERROR] the moon is in the way\n[ERROR] more") }, "mvn: the moon is in the way"},
		{"other models", func(t *testing.T, j *jars) {
			path := filepath.Join(os.Getenv("JARS"), "corenlp-1-models.jar")
			writeZip(t, path, map[string]string{"x": "y"})
			sum, err := bundle.HashFile(path)
			if err != nil {
				t.Fatal(err)
			}
			j.artifacts[1].sha256 = sum
		}, "corenlp-1-models.jar has no edu/stanford"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cache := t.TempDir()
			j := newJars(t, cache)
			test.change(t, &j)
			err := j.fetch(t.Context(), cache, progress.Printer{})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %v, not a line with %q", err, test.want)
			}
			left, err := filepath.Glob(filepath.Join(cache, "*spice*"))
			if err != nil || len(left) > 0 {
				t.Errorf("%v was left behind (%v)", left, err)
			}
		})
	}
}

func TestFindTools(t *testing.T) {
	newJars(t, t.TempDir())
	if err := findTools(); err != nil {
		t.Fatal(err)
	}
	bin, _, _ := strings.Cut(os.Getenv("PATH"), ":")
	t.Setenv("PATH", bin)
	t.Setenv("JAVA_HOME", "")
	if err := os.Remove(filepath.Join(bin, "mvn")); err != nil {
		t.Fatal(err)
	}
	if err := findTools(); !errors.Is(err, ErrNoMaven) {
		t.Errorf("without mvn the error is %v", err)
	}
	if err := os.Remove(filepath.Join(bin, "java")); err != nil {
		t.Fatal(err)
	}
	if err := findTools(); !errors.Is(err, ErrNoJava) {
		t.Errorf("without java the error is %v", err)
	}
}

// The pins name what is fetched, each once.
func TestPins(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range artifacts {
		if sum, err := hex.DecodeString(a.sha256); err != nil || len(sum) != sha256.Size || a.size == 0 || seen[a.file()] {
			t.Errorf("%s is not pinned", a.file())
		}
		seen[a.file()] = true
	}
}
