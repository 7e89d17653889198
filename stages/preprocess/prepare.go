package preprocess

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

const (
	workPrefix  = ".work-"
	listingName = "listing.jsonl"
	lockName    = ".lock"
)

// Job is a data set that is ready to be preprocessed.
type Job struct {
	cfg      Config
	name     string // of the data set
	roots    dataset.Roots
	total    int // pictures in the listing
	rejected []records.DeadLetter

	promptTokens int
	settings     string // their hash
	output       string // absolute
	work         string
	rows         int // most rows of a shard
	complete     *Manifest
	lock         *flock.Flock
}

// ErrBusy is returned by Prepare while another run writes to the same folder.
var ErrBusy = errors.New("another run is writing there")

// Prepare checks the settings, makes the output folder, takes hold of it until
// Close, and clears what dead runs left there. The data set's listing goes into
// the work folder for the pipeline to read.
func Prepare(set *dataset.Set, cfg Config) (*Job, error) {
	cfg, err := cfg.settled()
	if err != nil {
		return nil, fmt.Errorf("preprocess: %w", err)
	}
	j := &Job{
		cfg: cfg, name: set.Name, roots: set.Roots, total: len(set.Refs), rejected: set.Rejected,
		settings: cfg.settingsHash(set),
	}
	if j.promptTokens, err = cfg.Text.PromptTokens(); err != nil {
		return nil, fmt.Errorf("preprocess: %w", err)
	}
	j.rows = int(max(1, cfg.ShardBytes/cfg.rowBytes()))
	if j.output, err = filepath.Abs(cfg.Output); err != nil {
		return nil, fmt.Errorf("preprocess: %w", err)
	}
	j.work = filepath.Join(j.output, workPrefix+j.settings[:16])
	if err := os.MkdirAll(j.output, 0o755); err != nil {
		return nil, fmt.Errorf("preprocess: output folder: %w", err)
	}
	if j.lock, err = takeLock(filepath.Join(j.output, lockName)); err != nil {
		return nil, fmt.Errorf("preprocess: %s: %w", cfg.Output, err)
	}
	if err := j.setUp(set.Refs); err != nil {
		return nil, errors.Join(fmt.Errorf("preprocess: %w", err), j.Close())
	}
	return j, nil
}

func (j *Job) setUp(refs []dataset.Ref) error {
	if err := j.sweep(); err != nil {
		return err
	}
	m, err := ReadManifest(j.output)
	switch {
	case err == nil && m.Settings == j.settings && m.whole():
		j.complete = m
		return os.RemoveAll(j.work) // of a run that died at the very end
	case err != nil && !errors.Is(err, ErrIncomplete):
		// A manifest that cannot be read says nothing: make the shards anew.
		if err := os.Remove(filepath.Join(j.output, ManifestName)); err != nil {
			return err
		}
	}
	return writeListing(j.listing(), refs)
}

// sweep removes what dead runs left: work folders of other settings, and files
// that were being written.
func (j *Job) sweep() error {
	entries, err := os.ReadDir(j.output)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(j.output, e.Name())
		stale := strings.HasPrefix(e.Name(), workPrefix) && path != j.work
		if stale || strings.HasPrefix(e.Name(), records.PartPrefix) {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	parts, err := filepath.Glob(filepath.Join(escape(j.work), records.PartPrefix+"*"))
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := os.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// escape makes a path match itself in a glob.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// listing is the file that the pipeline reads the references from.
func (j *Job) listing() string { return filepath.Join(j.work, listingName) }

// Complete returns the manifest of an earlier run with the same settings and
// data, or nil if there is work to do.
func (j *Job) Complete() *Manifest { return j.complete }

// Close lets go of the output folder. It keeps what is finished.
func (j *Job) Close() error { return j.lock.Close() }

// meta is what all shards of the job have in their metadata.
func (j *Job) meta() (records.Meta, error) {
	processor, err := j.cfg.Processor.MarshalPreprocessor()
	if err != nil {
		return records.Meta{}, err
	}
	return records.Meta{
		Dataset: j.name, SplitSeed: j.cfg.SplitSeed, PixelFormat: j.cfg.PixelFormat,
		Processor: string(processor), ProcessorHash: j.cfg.Processor.Hash(),
		TokenizerHash: j.cfg.Text.Hash(), Program: records.Program(),
	}, nil
}

func (j *Job) manifest() Manifest {
	return Manifest{
		Settings: j.settings, Dataset: j.name, Program: records.Program(),
		SplitSeed: j.cfg.SplitSeed, Shares: j.cfg.Shares, PixelFormat: j.cfg.PixelFormat,
		ProcessorHash: j.cfg.Processor.Hash(), TokenizerHash: j.cfg.Text.Hash(),
		Prompt: j.cfg.Text.prompt(), PromptTokens: j.promptTokens,
	}
}
