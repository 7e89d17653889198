// Package checkpoint reads and writes Hugging Face model folders: config.json,
// generation_config.json, the image processor, the tokenizer and
// model.safetensors. What it writes, transformers 4 and 5 read, and what they
// wrote it reads.
//
// The parts are checked against each other: a vocabulary that does not fit the
// model is an error here rather than nonsense later. The weights are not read
// until [Folder.Load].
package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// Names of the files that this package itself reads and writes.
const (
	ConfigFile     = "config.json"
	GenerationFile = "generation_config.json"
	CardFile       = "README.md"
)

var (
	// ErrNoFolder is wrapped where a model folder, or its config.json, is not
	// there.
	ErrNoFolder = errors.New("no model folder")
	// ErrMismatch is wrapped where parts of a folder contradict each other.
	ErrMismatch = errors.New("parts of the model folder do not fit")
)

// Folder is what a model folder holds, weights aside.
type Folder struct {
	// Path is where it was read from.
	Path      string
	Config    blip.Config
	Processor *imaging.Processor
	Tokenizer *text.Tokenizer
	// Generation are the folder's own settings, completed by what BLIP's
	// generate puts in: captions end at sep_token_id.
	Generation generate.Config
}

// Open reads a folder and checks that its parts fit.
func Open(path string) (*Folder, error) {
	f := &Folder{Path: path}
	data, err := os.ReadFile(filepath.Join(path, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoFolder, path, ConfigFile)
	}
	if err != nil {
		return nil, fmt.Errorf("open model folder: %w", err)
	}
	if f.Config, err = blip.ParseConfig(data); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(path, ConfigFile), err)
	}
	if f.Processor, err = imaging.LoadProcessor(path); err != nil {
		return nil, fmt.Errorf("open model folder %s: %w", path, err)
	}
	if f.Tokenizer, err = text.Load(path); err != nil {
		return nil, fmt.Errorf("open model folder %s: %w", path, err)
	}
	if f.Generation, err = generate.ReadConfig(filepath.Join(path, GenerationFile)); err != nil {
		return nil, fmt.Errorf("open model folder %s: %w", path, err)
	}
	f.complete()
	return f, f.check()
}

// complete puts in what BLIP's generate adds to a generation config.
func (f *Folder) complete() {
	t := f.Config.Text
	bos, pad := int32(t.BOSTokenID), int32(t.PadTokenID)
	f.Generation.EOSTokenID = generate.TokenIDs{int32(t.SepTokenID)}
	f.Generation.BOSTokenID, f.Generation.PadTokenID = &bos, &pad
	f.Generation.MaxPositions = int(t.MaxPositionEmbeddings)
}

// check compares the parts.
func (f *Folder) check() error {
	side := int(f.Config.Vision.ImageSize)
	if f.Processor.Height != side || f.Processor.Width != side {
		return fmt.Errorf("%w: %s: the processor makes %d×%d pixels, the model takes %d×%d", ErrMismatch, f.Path,
			f.Processor.Height, f.Processor.Width, side, side)
	}
	if n := int64(f.Tokenizer.Size()); n > f.Config.Text.VocabSize {
		return fmt.Errorf("%w: %s: the vocabulary has %d tokens, the model %d", ErrMismatch, f.Path, n, f.Config.Text.VocabSize)
	}
	if sep := f.Tokenizer.IDs().Separator; int64(sep) != f.Config.Text.SepTokenID {
		return fmt.Errorf("%w: %s: the vocabulary's separator is %d, the model's sep_token_id %d", ErrMismatch, f.Path, sep, f.Config.Text.SepTokenID)
	}
	return nil
}

// BOS is the id that every caption starts with.
func (f *Folder) BOS() int32 { return int32(f.Config.Text.BOSTokenID) }

// Load reads the weights onto a device.
func (f *Folder) Load(d *torch.Device) (*blip.Model, error) {
	return blip.Load(d, f.Config, f.Path)
}

// Save writes the parts and a model's weights into a folder that is not there
// yet: aside first, so that the folder appears whole or not at all. A model
// card is written where it is not empty.
func (f *Folder) Save(path string, m *blip.Model, card string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(aside))
		}
	}()
	if err := f.Fill(aside, m, card); err != nil {
		return err
	}
	if err := os.Chmod(aside, 0o755); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

// Fill writes the parts and the weights into a folder that is there.
func (f *Folder) Fill(dir string, m *blip.Model, card string) error {
	if err := f.Tokenizer.Save(dir); err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	config, err := m.Config.JSON()
	if err != nil {
		return fmt.Errorf("encode %s: %w", ConfigFile, err)
	}
	generation, err := json.MarshalIndent(f.Generation, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", GenerationFile, err)
	}
	processor, err := f.Processor.MarshalPreprocessor()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		ConfigFile: config, GenerationFile: generation, imaging.PreprocessorFile: processor,
	}
	if card != "" {
		files[CardFile] = []byte(card)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o644); err != nil {
			return fmt.Errorf("save model: %w", err)
		}
	}
	return m.Save(dir, nil)
}
