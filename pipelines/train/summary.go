package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/evaluate"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
)

// shown is how many captions of the test split the summary shows.
const shown = 5

// summary says what came out, and where it is.
func (j *job) summary(w io.Writer, took time.Duration) error {
	m, err := preprocess.ReadManifest(j.data)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d pictures to train on, %d to validate, %d to test", j.set.Name,
		m.Rows(dataset.Train), m.Rows(dataset.Validation), m.Rows(dataset.Test))
	if m.PicturesFailed+m.CaptionsDropped > 0 {
		fmt.Fprintf(w, "; %d pictures and %d captions could not be used (%s)", m.PicturesFailed, m.CaptionsDropped,
			j.data+"/"+preprocess.ErrorsName)
	}
	fmt.Fprintln(w)
	if m.Rows(dataset.Test) > 0 {
		if err := j.testSummary(w, m); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w, "There is no test split, so nothing was scored.")
		if err := evaluate.Nothing(j.cfg.in(metricsFile)); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nModel, captions, metrics and log are in %s (%s).\n", j.cfg.Output, took.Round(time.Second))
	return nil
}

// testSummary shows captions beside a reference each, and the scores.
func (j *job) testSummary(w io.Writer, m *preprocess.Manifest) error {
	rows, err := readCaptions(j.cfg.in(captionsFile))
	if err != nil {
		return err
	}
	references, err := references(m)
	if err != nil {
		return err
	}
	for _, r := range rows[:min(shown, len(rows))] {
		fmt.Fprintf(w, "  %s\n    caption:   %s\n    reference: %s\n", r.URI, r.Caption, references[r.ImageID][0])
	}
	if err := j.scores(w); err != nil {
		return err
	}
	if j.cfg.Dataset != settings.DemoDataset {
		return nil
	}
	a, err := accuracy(rows, references)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nCaptions whose shape, colour and count are those of the picture: %s\n", a)
	return nil
}

func readCaptions(path string) (rows []caption.Prediction, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if rows, err = evaluate.ParsePredictions(f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return rows, nil
}

// references are the captions of the test split by picture.
func references(m *preprocess.Manifest) (map[string][]string, error) {
	out := map[string][]string{}
	for _, path := range m.Files(dataset.Test) {
		r, err := records.Open(path, records.ReaderOptions{WithoutPixels: true})
		if err != nil {
			return nil, err
		}
		for e, err := range r.All() {
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			out[e.ImageID] = e.Captions
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scores prints the corpus scores on a line, and doubts about them. The demo's
// uniform captions would raise some.
func (j *job) scores(w io.Writer) error {
	path := j.cfg.in(metricsFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var r evaluate.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var parts []string
	for name, score := range r.ByKey() {
		if score.Known && name != "CIDEr_plain" {
			parts = append(parts, fmt.Sprintf("%s %s", name, score))
		}
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(parts, "  "))
	if j.cfg.Dataset == settings.DemoDataset {
		return nil
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return nil
}

// accuracy compares the demo's captions with what its pictures show.
func accuracy(rows []caption.Prediction, references map[string][]string) (demo.Accuracy, error) {
	var said []string
	var truths []demo.Facts
	for _, r := range rows {
		truth, ok := demo.ParseAll(references[r.ImageID])
		if !ok {
			return demo.Accuracy{}, fmt.Errorf("the captions of %s do not say what it shows", r.ImageID)
		}
		said = append(said, r.Caption)
		truths = append(truths, truth)
	}
	return demo.Score(said, truths)
}
