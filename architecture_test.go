package blipflow_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/blipflow/blipflow"
	gotch  = "github.com/sugarme/gotch"
	beam   = "github.com/apache/beam/sdks/v2"
)

// rooms are the top-level folders that hold Go code, and the rooms whose
// packages each may import besides its own. Arrows go from the top of a
// pipeline down; nothing points back up.
var rooms = map[string][]string{
	"pipelines":  {"runners", "stages", "model", "metrics", "transforms"},
	"stages":     {"model", "metrics", "transforms"},
	"runners":    {},
	"model":      {"transforms"}, // text for its tokenizer, imaging for its processor
	"metrics":    {},
	"transforms": {},
}

// testsMay are the rooms that the tests of a room may import besides.
var testsMay = map[string][]string{
	"stages": {"runners"}, // a stage is tested by running it
}

// otherFolders are the top-level folders without packages.
var otherFolders = []string{".ci", "docs", "testdata"}

// doors are modules that only some packages may import. The key covers what is
// below it, and so do the folders.
var doors = map[string]struct {
	folders []string
	why     string
}{
	gotch: {[]string{"model/torch"}, "tensors have one owner, which locks the thread and frees what was made"},
	beam:  {[]string{"pipelines", "stages", "runners"}, "the work is done in functions that run without a pipeline"},
}

// closed are folders that promise more than their room does: the key may import
// none of these packages. Of a folder of ours that holds for all below it, but
// for what is below the key.
var closed = map[string][]string{
	"transforms":        {"net", "net/http", "net/rpc", "net/smtp", "crypto/tls", "os/exec"},
	"metrics":           {"net", "net/http", "net/rpc", "net/smtp", "crypto/tls"},
	"model/generate":    {module + "/model"},
	"model/hub":         {module + "/model"},
	"model/safetensors": {module + "/model"},
	"model/setup":       {module + "/model"},
}

// vague are names that tell nothing about what a folder holds.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc"}

// unit is the Go code of one folder: either its tests or the rest.
type unit struct {
	folder string // slash-separated, from the root
	tests  bool
}

// violations tells what is wrong with a unit that imports these paths.
func violations(u unit, imports []string) []string {
	var found []string
	folder := u.folder
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for name := range strings.SplitSeq(folder, "/") {
		if slices.Contains(vague, name) {
			say("a folder is named for what it holds, not %q", name)
		}
	}
	room, _, _ := strings.Cut(folder, "/")
	mayImport, ok := rooms[room]
	if !ok && folder != "." {
		say("%s is none of the rooms", room)
		return found
	}
	if u.tests {
		mayImport = slices.Concat(mayImport, testsMay[room])
	}
	for _, imported := range imports {
		if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
			other, _, _ := strings.Cut(inside, "/")
			if other != room && !slices.Contains(mayImport, other) {
				say("%s may not import %s: arrows go from %s to %v", folder, inside, room, mayImport)
			}
		}
		for what, door := range doors {
			if below(imported, what) && !slices.ContainsFunc(door.folders, func(f string) bool { return below(folder, f) }) {
				say("%s may not import %s, only %v may: %s", folder, imported, door.folders, door.why)
			}
		}
		for where, not := range closed {
			if below(folder, where) && !below(imported, module+"/"+where) && slices.ContainsFunc(not, func(n string) bool {
				return imported == n || below(n, module) && below(imported, n)
			}) {
				say("%s may not import %s", where, imported)
			}
		}
	}
	return found
}

// below reports whether name is what or stands below it.
func below(name, what string) bool {
	return name == what || strings.HasPrefix(name, what+"/")
}

func TestPackagesKeepToTheirRooms(t *testing.T) {
	found := units(t)
	if !slices.Contains(found[unit{folder: "model/torch"}], gotch+"/ts") {
		t.Error("model/torch was not seen to import gotch: the walk misses packages")
	}
	for u, imports := range found {
		for _, v := range violations(u, imports) {
			t.Error(v)
		}
	}
}

// units reads the imports of every Go file in the tree, tests and files for
// other systems included, which go list would leave out. As with the go
// command, folders that begin with a dot or an underscore, and testdata, hold
// no packages.
func units(t *testing.T) map[unit][]string {
	t.Helper()
	found := map[unit][]string{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.ContainsRune("._", rune(entry.Name()[0])) || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		u := unit{folder: path.Dir(filepath.ToSlash(name)), tests: strings.HasSuffix(name, "_test.go")}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(found[u], imported) {
				found[u] = append(found[u], imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The tree keeps the rules, so whether a breach would show is seen here.
func TestViolationsAreFound(t *testing.T) {
	for _, c := range []struct {
		folder   string
		imported string
		want     string // part of what is said; empty where the import is fine
	}{
		{"pipelines/train", "stages/caption", ""},
		{"pipelines/train", "model/blip", ""},
		{"stages/train", "model/trainer", ""},
		{"stages/train", "stages/records", ""},
		{"model/blip", "transforms/text", ""},
		{"model/blip", "model/torch", ""},
		{"transforms/imaging", "net/url", ""},
		{"model/torch", gotch + "/ts", ""},
		{"runners", beam + "/go/pkg/beam", ""},
		{"stages/train (tests)", "runners", ""},
		{"model/setup", "model/setup/internal/adapt", ""},

		{"stages/train", "pipelines/settings", "may not import pipelines/settings"},
		{"stages/train", "runners", "may not import runners"},
		{"metrics (tests)", "runners", "may not import runners"},
		{"runners", "stages/train", "may not import stages/train"},
		{"model/trainer", "stages/records", "may not import stages/records"},
		{"model/trainer", "metrics/cider", "may not import metrics/cider"},
		{"metrics", "transforms/text", "may not import transforms/text"},
		{"transforms/text", "model/blip", "may not import model/blip"},
		{"model/blip", gotch, "only [model/torch] may"},
		{"stages/train", gotch + "/nn", "only [model/torch] may"},
		{"metrics", beam + "/go/pkg/beam", "only [pipelines stages runners] may"},
		{"model/blip", beam, "only [pipelines stages runners] may"},
		{"transforms/imaging", "net/http", "transforms may not import net/http"},
		{"model/generate", "model/torch", "model/generate may not import"},
		{"model/hub", "model/checkpoint", "model/hub may not import"},
		{"model/setup/internal/adapt", "model/torch", "model/setup may not import"},
		{"model/helpers", "fmt", "named for what it holds"},
		{"internal/x", "fmt", "none of the rooms"},
	} {
		imported := c.imported
		if room, _, _ := strings.Cut(imported, "/"); rooms[room] != nil {
			imported = module + "/" + imported
		}
		u := unit{}
		u.folder, u.tests = strings.CutSuffix(c.folder, " (tests)")
		got := strings.Join(violations(u, []string{imported}), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: said %q, want %q", c.folder, c.imported, got, c.want)
		}
	}
}

func TestTopLevelFoldersAreTheRooms(t *testing.T) {
	var entries []string
	for _, name := range tracked(t) {
		if folder, _, inFolder := strings.Cut(name, "/"); inFolder {
			entries = append(entries, folder)
		}
	}
	slices.Sort(entries)
	for _, folder := range slices.Compact(entries) {
		if rooms[folder] == nil && !slices.Contains(otherFolders, folder) {
			t.Errorf("%s is none of the rooms of ARCHITECTURE.md: its content has a place in one of them, or is not to be committed", folder)
		}
	}
}

// tracked lists the committed files, so that folders of a user's own do not
// count.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(".git"); err != nil {
		t.Skip("not a clone")
	}
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// The set-up's replace stands in the ignored go.work alone: go.mod has to build
// as a module that others require, where a replace would be lost.
func TestGoModNamesGotchAsPublished(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json", "go.mod").Output()
	if err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path, Version string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module {
		t.Errorf("the module is %s, want %s", mod.Module.Path, module)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
	version := ""
	for _, r := range mod.Require {
		if r.Path == gotch {
			version = r.Version
		}
	}
	// v1.2.3, not the v0.0.0-date-hash of a commit that was never released.
	if !strings.HasPrefix(version, "v") || strings.Contains(version, "-") {
		t.Errorf("go.mod requires gotch %q, want a released version", version)
	}
}
