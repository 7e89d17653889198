package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Names of a Hugging Face model folder's weights.
const (
	// SingleName is the file of a folder that is not sharded.
	SingleName = "model.safetensors"
	// IndexName is the map from tensors to files of one that is.
	IndexName = "model.safetensors.index.json"

	pickleName      = "pytorch_model.bin"
	pickleIndexName = "pytorch_model.bin.index.json"
)

// Folder is the open weights of a model folder, one file or many.
type Folder struct {
	files []*File
	where map[string]*File
}

// OpenFolder opens dir's model.safetensors or, if there is none, the files
// that its model.safetensors.index.json names. Only tensors that the index
// lists are there, and each must be in the file it is listed for. If the only
// weights are a pytorch_model.bin the error wraps [ErrPickle]; if there are
// none, [ErrNoWeights].
func OpenFolder(dir string) (*Folder, error) {
	f, err := Open(filepath.Join(dir, SingleName))
	if err == nil {
		d := &Folder{files: []*File{f}, where: make(map[string]*File, len(f.tensors))}
		for _, name := range f.Names() {
			d.where[name] = f
		}
		return d, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d, err := openSharded(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, explainMissing(dir)
	}
	return d, err
}

// explainMissing says what a folder without safetensors has instead.
func explainMissing(dir string) error {
	for _, name := range []string{pickleName, pickleIndexName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("open %s: %w: if you trust it, convert it once with Python's transformers: "+
				`python3 -c 'import sys; from transformers import BlipForConditionalGeneration as M; M.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])' %q`,
				filepath.Join(dir, name), ErrPickle, dir)
		}
	}
	return fmt.Errorf("open %s: %w: want %s or %s", dir, ErrNoWeights, SingleName, IndexName)
}

// openSharded opens every file that the index names. Only a missing index is
// an fs.ErrNotExist: a missing shard is a broken folder.
func openSharded(dir string) (*Folder, error) {
	shards, err := readIndex(filepath.Join(dir, IndexName))
	if err != nil {
		return nil, err
	}
	d := &Folder{where: map[string]*File{}}
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		f, err := Open(filepath.Join(dir, shard))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("open %s: %w: the index names %s, which is not there", dir, ErrFormat, shard)
		}
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.files = append(d.files, f)
		for _, name := range shards[shard] {
			if _, ok := f.Tensor(name); !ok {
				err := fmt.Errorf("open %s: %w: the index has tensor %.80q in %s, which has none", dir, ErrFormat, name, shard)
				return nil, errors.Join(err, d.Close())
			}
			d.where[name] = f
		}
	}
	return d, nil
}

// readIndex returns the tensors of each file that an index names.
func readIndex(path string) (map[string][]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read weight index: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxHeader {
		return nil, fmt.Errorf("read %s: %w: want a regular file of at most %d bytes", path, ErrFormat, maxHeader)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read weight index: %w", err)
	}
	shards, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", path, ErrFormat, err)
	}
	return shards, nil
}

// parseIndex reads {"metadata": …, "weight_map": {tensor: file}}. A file is a
// plain name: an index must not reach out of its folder.
func parseIndex(text []byte) (map[string][]string, error) {
	var weights map[string]string
	p := newParser(text)
	err := p.document(func(key string) (err error) {
		if key != "weight_map" {
			return p.skip()
		}
		weights, err = p.stringMap()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(weights) == 0 {
		return nil, errors.New("no weight_map")
	}
	shards := map[string][]string{}
	for name, shard := range weights {
		if !filepath.IsLocal(shard) || filepath.Base(shard) != shard || shard == "." {
			return nil, fmt.Errorf("%.80q is not the name of a file in the folder", shard)
		}
		shards[shard] = append(shards[shard], name)
	}
	return shards, nil
}

// Names lists the tensors by name.
func (d *Folder) Names() []string { return slices.Sorted(maps.Keys(d.where)) }

// Tensor returns the tensor of a name, as [File.Tensor] does.
func (d *Folder) Tensor(name string) (Tensor, bool) {
	f, ok := d.where[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Metadata returns the first file's __metadata__.
func (d *Folder) Metadata() map[string]string {
	if len(d.files) == 0 {
		return nil
	}
	return d.files[0].Metadata()
}

// Close closes every file. See [File.Close].
func (d *Folder) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	d.files, d.where = nil, nil
	return errors.Join(errs...)
}
