package evaluate_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/meteor"
	"github.com/blipflow/blipflow/metrics/spice"
	"github.com/blipflow/blipflow/stages/evaluate"
)

// METEOR of parts is that of the whole.
func TestMeteorInParts(t *testing.T) {
	folder, err := evaluate.FindMeteor()
	if err != nil {
		t.Skip(err)
	}
	tables, err := meteor.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	items, domains := inventedItems(1200)
	references, predictions := files(t, items, domains)
	want, err := metrics.Score(items, metrics.Options{Meteor: tables})
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(t, evaluate.Config{Meteor: folder, Bootstrap: metrics.Bootstrap{Resamples: 20}}, "", references, predictions, "")
	if err != nil {
		t.Fatal(err)
	}
	if i := got.Confidence.Intervals["METEOR"]; got.METEOR != want.METEOR || got.METEOR.Score <= 0 || i.Low > got.METEOR.Score || i.High < got.METEOR.Score {
		t.Errorf("METEOR %v in %+v, want %v", got.METEOR, i, want.METEOR)
	}
}

// Without its tables METEOR is null with a warning that says what to do, and the
// rest is scored.
func TestWithoutTables(t *testing.T) {
	t.Setenv(meteor.FolderVariable, t.TempDir())
	if folder, err := evaluate.FindMeteor(); folder != "" || !errors.Is(err, meteor.ErrNoTables) || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("found %q, %v", folder, err)
	}
	references, predictions := files(t, items, make([]string, len(items)))
	got, err := run(t, evaluate.Config{Meteor: t.TempDir()}, "", references, predictions, "")
	if err != nil || got.METEOR.Known || !got.CIDEr.Known || !strings.Contains(strings.Join(got.Warnings, ""), "METEOR is null") {
		t.Errorf("%v, METEOR %v, CIDEr %v, %q", err, got.METEOR, got.CIDEr, got.Warnings)
	}
}

// SPICE of a sample is the mean over some of the pictures, the same again, and no
// other metric's affair.
func TestSpiceOfASample(t *testing.T) {
	found, err := evaluate.FindSpice(t.Context(), t.TempDir())
	if err != nil {
		t.Skip(err)
	}
	references, predictions := files(t, items, make([]string, len(items)))
	var all []spice.Item
	for i, tokens := range (metrics.Options{}).Tokenize(items, nil) {
		all = append(all, spice.Item{ID: items[i].ImageID, Prediction: tokens.Prediction, References: tokens.References})
	}
	each, err := found.Scorer.Score(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	found.Sample, found.Seed = 2, 1
	got, err := run(t, evaluate.Config{Spice: found}, "", references, predictions, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.SpiceImages != 2 || got.Images != len(items) || !got.SPICE.Known {
		t.Fatalf("SPICE %v of %d pictures, %d scored", got.SPICE, got.SpiceImages, got.Images)
	}
	pairs := 0
	for i := range each {
		for j := range i {
			if math.Abs((each[i].All.F.Score+each[j].All.F.Score)/2-got.SPICE.Score) < 1e-12 {
				pairs++
			}
		}
	}
	if pairs == 0 {
		t.Errorf("SPICE %v is no mean of two of %+v", got.SPICE, each)
	}
}
