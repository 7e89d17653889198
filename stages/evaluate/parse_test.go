package evaluate

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/blipflow/blipflow/stages/caption"
)

const cocoFile = `{"info": {"year": 2014, "x": [1, {"y": null}]},
 "images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg"}, {"id": "b", "file_name": "b.jpg"}, {"id": 3}],
 "licenses": [],
 "annotations": [{"image_id": 391895, "id": 1, "caption": "A man."}, {"image_id": "b", "caption": "Two dogs"},
  {"image_id": 391895.0, "id": 2, "caption": "A person\n on a bike."}]}`

const karpathyFile = `{"images": [
 {"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "imgid": 0, "cocoid": 391895, "split": "test",
  "sentids": [1, 2], "sentences": [{"tokens": ["a"], "raw": "A man.", "imgid": 0, "sentid": 1}, {"raw": "A bike."}]},
 {"filename": "1000.jpg", "imgid": 7, "split": "test", "sentences": [{"raw": "A dog."}]},
 {"filename": "1001.jpg", "imgid": 8, "split": "val", "sentences": [{"raw": "A cat."}]}], "dataset": "coco"}`

func TestParseReferences(t *testing.T) {
	tests := []struct {
		name, file, split string
		want              []Reference
		err               error
		says              string
	}{
		{name: "COCO", file: cocoFile, want: []Reference{
			{ID: "391895", Names: []string{"COCO_val2014_000000391895.jpg"}, Captions: []string{"A man.", "A person\n on a bike."}},
			{ID: "b", Names: []string{"b.jpg"}, Captions: []string{"Two dogs"}},
		}},
		{name: "byte order mark", file: "\ufeff" + `{"annotations":[{"image_id":1,"caption":""}]}`, want: []Reference{{ID: "1", Captions: []string{""}}}},
		{name: "Karpathy", file: karpathyFile, want: []Reference{
			{ID: "391895", Names: []string{"COCO_val2014_000000391895.jpg", "0", "val2014/COCO_val2014_000000391895.jpg"}, Captions: []string{"A man.", "A bike."}},
			{ID: "1000.jpg", Names: []string{"1000.jpg", "7"}, Captions: []string{"A dog."}},
		}},
		{name: "Karpathy's val", file: karpathyFile, split: "validation", want: []Reference{
			{ID: "1001.jpg", Names: []string{"1001.jpg", "8"}, Captions: []string{"A cat."}},
		}},
		{name: "no such split", file: karpathyFile, split: "train", err: ErrSplit, says: "test, val"},
		{name: "COCO has no splits", file: cocoFile, split: "test", err: ErrSplit},
		{name: "empty", file: "", err: ErrFormat, says: "EOF"},
		{name: "a list", file: "[]", err: ErrFormat},
		{name: "an object of another kind", file: `{"a": 1}`, err: ErrFormat},
		{name: "cut off", file: cocoFile[:len(cocoFile)-20], err: ErrFormat},
		{name: "two objects", file: cocoFile + cocoFile, err: ErrFormat, says: "follows"},
		{name: "no caption", file: `{"annotations":[{"image_id":1}]}`, err: ErrFormat, says: "annotation 0"},
		{name: "no id", file: `{"annotations":[{"caption":"x"}]}`, err: ErrFormat},
		{name: "broken id", file: `{"annotations":[{"image_id":1.5,"caption":"x"}]}`, err: ErrFormat, says: "1.5"},
		{name: "endless id", file: `{"annotations":[{"image_id":1e999999999,"caption":"x"}]}`, err: ErrFormat},
		{name: "annotations of another kind", file: `{"annotations":{"a":1}}`, err: ErrFormat, says: "annotations"},
		{name: "no sentences", file: `{"images":[{"filename":"a","split":"test","sentences":[]}]}`, err: ErrFormat, says: "no sentences"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReferences(strings.NewReader(tt.file), tt.split)
			if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want %v with %q", err, tt.err, tt.says)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParsePredictions(t *testing.T) {
	tests := []struct {
		name, file string
		want       []caption.Prediction
		bad        bool
	}{
		{name: "COCO's results", file: ` [{"image_id": 42, "caption": "a dog"}, {"image_id": "x", "caption": ""}]` + "\n", want: []caption.Prediction{
			{ImageID: "42", Caption: "a dog"}, {ImageID: "x"},
		}},
		{name: "lines", file: `{"image":"a #%.jpg","caption":"c","score":-1.5,"model":"m"}` + "\n" + `{"image":"b","image_id":"7","caption":"d","score":0}`, want: []caption.Prediction{
			{URI: "a #%.jpg", Caption: "c", Score: -1.5}, {ImageID: "7", URI: "b", Caption: "d"},
		}},
		{name: "nothing", file: ""},
		{name: "empty list", file: "[]"},
		{name: "no caption", file: `[{"image_id": 42}]`, bad: true},
		{name: "caption of null", file: `[{"image_id": 42, "caption": null}]`, bad: true},
		{name: "no picture", file: `{"caption":"x"}`, bad: true},
		{name: "cut off", file: `[{"image_id": 42, "caption": "x"}`, bad: true},
		{name: "half a line", file: `{"image":"a","caption":"c"}` + "\n" + `{"image":"b","cap`, bad: true},
		{name: "text", file: "a dog\n", bad: true},
		{name: "two lists", file: "[] []", bad: true},
		{name: "a number", file: "7", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePredictions(strings.NewReader(tt.file))
			if tt.bad != errors.Is(err, ErrFormat) || !tt.bad && err != nil {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseReferences(f *testing.F) {
	f.Add(cocoFile, "")
	f.Add(karpathyFile, "test")
	f.Add(`{"annotations":[{"image_id":1e300,"caption":"x"}]}`, "")
	f.Fuzz(func(t *testing.T, file, split string) {
		refs, err := ParseReferences(strings.NewReader(file), split)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, r := range refs {
			if r.ID == "" || len(r.Captions) == 0 || seen[r.ID] {
				t.Errorf("reference %+v", r)
			}
			seen[r.ID] = true
		}
	})
}

func FuzzParsePredictions(f *testing.F) {
	f.Add(`[{"image_id": 42, "caption": "a dog"}]`)
	f.Add(`{"image":"a","caption":"c","score":null}`)
	f.Fuzz(func(t *testing.T, file string) {
		found, err := ParsePredictions(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, p := range found {
			if p.ImageID == "" && p.URI == "" {
				t.Errorf("prediction %+v", p)
			}
		}
	})
}
