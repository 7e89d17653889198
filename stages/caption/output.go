package caption

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/stages/records"
)

// Output is where captions go: a file, or a folder of shards.
type Output struct {
	// Path is the file. One that ends in a slash, or is a folder, takes shards.
	Path string
	// Format is that of the captions. Empty means JSONL.
	Format Format
}

func (o Output) format() Format {
	if o.Format == "" {
		return JSONL
	}
	return o.Format
}

// Folder reports whether the output is a folder of shards.
func (o Output) Folder() bool {
	if strings.HasSuffix(o.Path, "/") || strings.HasSuffix(o.Path, string(filepath.Separator)) {
		return true
	}
	info, err := os.Stat(o.Path)
	return err == nil && info.IsDir()
}

// stem is the file's path without its extension.
func (o Output) stem() string { return strings.TrimSuffix(o.Path, filepath.Ext(o.Path)) }

// Errors is the file of dead letters, or what shards of them are called.
func (o Output) Errors() string {
	if o.Folder() {
		return filepath.Join(o.Path, "errors-*.jsonl")
	}
	return o.stem() + ".errors.jsonl"
}

// ManifestPath is the file that says what is complete.
func (o Output) ManifestPath() string {
	if o.Folder() {
		return filepath.Join(o.Path, "manifest.json")
	}
	return o.Path + ".manifest.json"
}

// Work is the hidden folder in which parts wait for the commit. It is on the
// output's file system.
func (o Output) Work() string {
	if o.Folder() {
		return filepath.Join(o.Path, ".captions.parts")
	}
	return filepath.Join(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+".parts")
}

// shard is the i-th of n files of a kind ("captions", "errors").
func (o Output) shard(kind string, i, n int) string {
	ext := "jsonl"
	if kind == "captions" {
		ext = o.format().extension()
	}
	return filepath.Join(o.Path, fmt.Sprintf("%s-%05d-of-%05d.%s", kind, i, n, ext))
}

// shards are the files that a folder holds of an earlier output, in any format.
func (o Output) shards() ([]string, error) {
	entries, err := os.ReadDir(o.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		for _, kind := range []string{"captions", "errors"} {
			if ok, _ := filepath.Match(kind+"-[0-9]*-of-[0-9]*.*", e.Name()); ok {
				found = append(found, filepath.Join(o.Path, e.Name()))
			}
		}
	}
	return found, nil
}

// Manifest says how a complete output was made.
type Manifest struct {
	// Identity names the input, the settings and the model.
	Identity string `json:"identity"`
	// Format is that of the captions.
	Format Format `json:"format"`
	// Program is the name and version of the program.
	Program string `json:"program"`
	// Input is what was captioned, as it was given.
	Input string `json:"input,omitempty"`
	// Model names the model, and ModelIdentity its content.
	Model         string `json:"model"`
	ModelIdentity string `json:"model_identity"`
	// Settings is the hash in each row, SettingsText what it stands for.
	Settings     string          `json:"settings"`
	SettingsText json.RawMessage `json:"settings_text,omitempty"`
	// Seen = Captioned + Failed count the pictures.
	Seen      int `json:"seen"`
	Captioned int `json:"captioned"`
	Failed    int `json:"failed"`
	// Files are the output's files, relative to the manifest.
	Files []string `json:"files"`
}

// ReadManifest reads the manifest of a complete output. Where there is none the
// error wraps os.ErrNotExist.
func ReadManifest(o Output) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(o.ManifestPath())
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read manifest %s: %w", o.ManifestPath(), err)
	}
	return m, nil
}

// ErrExists is returned for an output that is there and was made otherwise.
var ErrExists = errors.New("the output is there already")

// Existing says what to do with a finished output.
type Existing int

const (
	// Keep leaves a finished output alone: there is nothing to do if it is the
	// same, and an error if it is another.
	Keep Existing = iota
	// Overwrite captions everything again.
	Overwrite
)

// Begin looks at what is there, and makes ready for a run of that identity. It
// reports done if the run's output is complete already. ErrExists means that
// another output is there, which would have to be overwritten.
func (o Output) Begin(identity string, existing Existing) (done bool, err error) {
	if existing == Keep {
		complete, err := o.complete(identity)
		if err != nil {
			return false, err
		}
		if complete {
			return true, os.RemoveAll(o.Work())
		}
		occupied, err := o.occupied()
		if err != nil {
			return false, err
		}
		if occupied && !o.committing(identity) {
			return false, fmt.Errorf("%w: %s", ErrExists, o.Path)
		}
	}
	if err := os.MkdirAll(o.Work(), 0o755); err != nil {
		return false, fmt.Errorf("output %s: %w", o.Path, err)
	}
	return false, o.probe()
}

// probe writes a file and removes it, so that a folder that cannot be written is
// found before a model is loaded.
func (o Output) probe() error {
	f, err := os.CreateTemp(o.Work(), records.PartPrefix+"*")
	if err != nil {
		return fmt.Errorf("output %s: %w", o.Path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// complete reports whether the output of that identity is all there.
func (o Output) complete(identity string) (bool, error) {
	m, err := ReadManifest(o)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w (remove it to start afresh)", err)
	}
	for _, name := range m.Files {
		if _, err := os.Stat(filepath.Join(filepath.Dir(o.ManifestPath()), name)); err != nil {
			return false, nil
		}
	}
	return m.Identity == identity && m.Format == o.format(), nil
}

// occupied reports whether there are captions.
func (o Output) occupied() (bool, error) {
	if o.Folder() {
		found, err := o.shards()
		return len(found) > 0, err
	}
	_, err := os.Lstat(o.Path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// marker stands in the work folder from the moment when a commit begins to
// replace what is there.
func (o Output) marker() string { return filepath.Join(o.Work(), "committing") }

func (o Output) committing(identity string) bool {
	data, err := os.ReadFile(o.marker())
	return err == nil && string(data) == identity
}

func (o Output) mark(identity string) error {
	return records.WriteFile(o.marker(), func(w io.Writer) error {
		_, err := io.WriteString(w, identity)
		return err
	})
}
