package preprocess

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/progress"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	register.DoFn4x2[context.Context, int, func(*shardResult) bool, func(*summary) bool, string, error](&commitFn{})
	register.Iter1[shardResult]()
	register.Iter1[summary]()
}

// ErrNothingWritten is the failure of a run in which no picture could be used.
var ErrNothingWritten = errors.New("no picture could be used")

// commitFn puts finished shards into their places. It runs once, after all of
// them are finished, and can be run again if it was cut off.
type commitFn struct {
	// Work and Output are the run's folders.
	Work, Output string
	// Total is the number of pictures in the listing.
	Total int
	// Rejected are the pictures that were not even listed.
	Rejected []records.DeadLetter
	// NearDistance is the setting of that name.
	NearDistance int
	// Manifest has the fields filled in that are known beforehand.
	Manifest Manifest
}

// ProcessElement commits, and returns the manifest's folder.
func (fn *commitFn) ProcessElement(_ context.Context, _ int, results func(*shardResult) bool, summaries func(*summary) bool) (string, error) {
	var all []shardResult
	for r := (shardResult{}); results(&r); r = (shardResult{}) {
		all = append(all, r)
	}
	var sum summary
	if !summaries(&sum) {
		return "", errors.New("commit: the plan is lost")
	}
	if err := fn.commit(all, &sum); err != nil {
		return "", fmt.Errorf("commit %s: %w", fn.Output, err)
	}
	progress.Start("preprocess", 0, "pictures").Done()
	return fn.Output, nil
}

func (fn *commitFn) commit(results []shardResult, sum *summary) error {
	slices.SortFunc(results, func(a, b shardResult) int {
		return cmp.Or(
			cmp.Compare(slices.Index(dataset.Splits, a.Split), slices.Index(dataset.Splits, b.Split)),
			cmp.Compare(a.Name, b.Name))
	})
	m, letters := fn.settle(results, sum)
	if err := check(m, len(results), sum); err != nil {
		return err
	}
	if m.PicturesWritten == 0 {
		err := fmt.Errorf("%w: all %d failed (%s: %s), see %s", ErrNothingWritten, m.PicturesSeen, letters[0].Image, letters[0].Error, ErrorsName)
		return errors.Join(err, records.WriteDeadLetters(filepath.Join(fn.Output, ErrorsName), letters))
	}
	if err := fn.clearFormer(m); err != nil {
		return err
	}
	for _, s := range m.Shards {
		if err := fn.place(s); err != nil {
			return err
		}
	}
	if err := records.WriteDeadLetters(filepath.Join(fn.Output, ErrorsName), letters); err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	return os.RemoveAll(fn.Work)
}

// settle makes the manifest and the dead letters, in the order of the pictures'
// names.
func (fn *commitFn) settle(results []shardResult, sum *summary) (*Manifest, []records.DeadLetter) {
	m := fn.Manifest
	m.dir = fn.Output
	m.Shards, m.JPEGDecoders = nil, nil
	letters := slices.Clone(fn.Rejected)
	add := func(list []letter) {
		for _, l := range list {
			letters = append(letters, l.deadLetter())
		}
	}
	add(sum.Failed)
	for _, r := range results {
		m.Shards = append(m.Shards, Shard{r.Name, r.Split, r.Rows, r.Captions, r.Bytes, r.SHA256})
		m.JPEGDecoders = append(m.JPEGDecoders, r.Decoder)
		m.PicturesWritten += r.Rows
		add(r.Failed)
	}
	m.PicturesFailed = len(letters)
	for _, r := range results {
		add(r.Dropped)
		m.CaptionsDropped += len(r.Dropped)
	}
	m.JPEGDecoders = slices.Compact(slices.Sorted(slices.Values(m.JPEGDecoders)))
	m.PicturesSeen = fn.Total + len(fn.Rejected)
	m.Duplicates, m.Leaks = sum.Duplicates, sum.Leaks
	m.NearDuplicates, m.NearDuplicatesDropped = countLookalikes(results, fn.NearDistance), sum.Dropped
	slices.SortStableFunc(letters, func(a, b records.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Error, b.Error))
	})
	return &m, letters
}

// countLookalikes counts the rows that look like one in another split.
func countLookalikes(results []shardResult, distance int) int {
	var sights []sight
	for _, r := range results {
		for _, look := range r.Looks {
			sights = append(sights, sight{look, r.Split})
		}
	}
	n := 0
	for _, twin := range lookalikes(sights, distance) {
		if twin >= 0 {
			n++
		}
	}
	return n
}

// check holds the counts against each other.
func check(m *Manifest, shards int, sum *summary) error {
	if shards != sum.Shards {
		return fmt.Errorf("%d shards were planned and %d written", sum.Shards, shards)
	}
	if m.PicturesSeen != m.PicturesWritten+m.PicturesFailed {
		return fmt.Errorf("%d pictures were seen, %d written and %d failed: that does not add up", m.PicturesSeen, m.PicturesWritten, m.PicturesFailed)
	}
	return nil
}

var shardName = regexp.MustCompile(`^(?:train|validation|test)-\d{5,}-of-\d{5,}\.parquet$`)

// clearFormer takes away what an earlier run left in the output: first its
// manifest, so that the folder does not look complete, then shards of its own.
func (fn *commitFn) clearFormer(m *Manifest) error {
	if err := os.Remove(filepath.Join(fn.Output, ManifestName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(fn.Output)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ours := slices.ContainsFunc(m.Shards, func(s Shard) bool { return s.Name == e.Name() })
		if shardName.MatchString(e.Name()) && !ours {
			if err := os.Remove(filepath.Join(fn.Output, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// place moves a shard out of the work folder. If it is not there, an earlier
// commit was cut off after moving it.
func (fn *commitFn) place(s Shard) error {
	to := filepath.Join(fn.Output, s.Name)
	err := os.Rename(filepath.Join(fn.Work, s.Name), to)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	sum, err := fileHash(to)
	if err == nil && sum != s.SHA256 {
		err = fmt.Errorf("%s is not the shard that was written", s.Name)
	}
	return err
}
