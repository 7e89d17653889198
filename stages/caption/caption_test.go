package caption_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/caption"
	"github.com/blipflow/blipflow/stages/caption/captiontest"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

// job is one run over picture files.
type job struct {
	model, input string
	output       caption.Output
	settings     caption.Settings
	batch, chunk int
	existing     caption.Existing
}

// short keeps the search small.
func short() caption.Settings {
	return caption.Settings{Generation: caption.Generation{NumBeams: new(3), MaxNewTokens: new(6)}}
}

// run does what pipelines/caption does. It reports whether there was nothing to do.
func (j job) run(t *testing.T) (runners.Result, bool, error) {
	t.Helper()
	inputs, err := dataset.List(j.input)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := caption.PlanFor(inputs, j.chunk, j.settings, j.model)
	if err != nil {
		t.Fatal(err)
	}
	done, err := j.output.Begin(plan.Identity, j.existing)
	if done || err != nil {
		return runners.Result{}, done, err
	}
	p, s := beam.NewPipelineWithRoot()
	c := caption.Config{Settings: j.settings, Device: "cpu", BatchSize: j.batch, Work: j.output.Work(), Total: plan.Total}
	f := caption.Finish{Output: j.output, Identity: plan.Identity, Input: j.input, Settings: j.settings, Expect: plan.Total}
	if err := caption.Files(s, c, f, j.model, plan); err != nil {
		t.Fatal(err)
	}
	res, err := runners.Run(context.Background(), p)
	return res, false, err
}

func (j job) mustRun(t *testing.T) runners.Result {
	t.Helper()
	res, done, err := j.run(t)
	if err != nil || done {
		t.Fatalf("run: done before %v, error %v", done, err)
	}
	return res
}

func readRows(t *testing.T, paths ...string) []caption.Row {
	t.Helper()
	var rows []caption.Row
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var r caption.Row
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%s: %q: %v", path, line, err)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func images(rows []caption.Row) []string {
	var names []string
	for _, r := range rows {
		names = append(names, r.Image)
	}
	return names
}

// files are all files below dir, hidden ones too.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestEveryPictureIsInOneOfTheTwo(t *testing.T) {
	album := captiontest.Album(t, 20)
	out := filepath.Join(t.TempDir(), "new", "captions.jsonl")
	j := job{model: captiontest.Model(t, "tiny", 1), input: album, output: caption.Output{Path: out}, settings: short(), batch: 4, chunk: 7}
	res := j.mustRun(t)

	rows := readRows(t, out)
	letters, err := records.ReadDeadLetters(strings.TrimSuffix(out, ".jsonl") + ".errors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := dataset.List(album)
	if err != nil {
		t.Fatal(err)
	}
	var good []string
	for _, in := range inputs {
		if in.Key != "cut off.jpg" && in.Key != "text.jpg" {
			good = append(good, in.Key)
		}
	}
	if diff := cmp.Diff(good, images(rows)); diff != "" {
		t.Errorf("captioned, in the order of the input (-want +got):\n%s", diff)
	}
	codes := map[string]records.Code{}
	for _, l := range letters {
		codes[l.Image] = l.Code
		if l.Stage != "caption" || l.Error == "" {
			t.Errorf("dead letter %+v", l)
		}
	}
	want := map[string]records.Code{"cut off.jpg": "truncated_picture", "text.jpg": "unknown_format"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	distinct := map[string]bool{}
	for _, r := range rows {
		distinct[r.Caption] = true
		if r.Model != "tiny" || len(r.Settings) != 16 || r.Caption == "" || !(r.Score < 0) || r.ImageID != "" {
			t.Errorf("row %+v", r)
		}
	}
	if len(distinct) < 3 {
		t.Errorf("20 pictures have only %d captions: the model does not look", len(distinct))
	}
	for name, want := range map[string]int64{
		caption.MetricCaptioned: 20, caption.MetricFailed: 2, caption.MetricInferences: 20, caption.MetricKept: 0,
	} {
		if got := res.Counter(caption.Stage, name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
	if d := res.Distribution(caption.Stage, caption.MetricBatchSize); d.Sum != 20 || d.Max != 4 {
		t.Errorf("batch sizes %+v", d)
	}
	if d := res.Distribution(caption.Stage, caption.MetricBatchMicros); d.Count == 0 || d.Min <= 0 {
		t.Errorf("batch latencies %+v", d)
	}
	m, err := caption.ReadManifest(j.output)
	if err != nil {
		t.Fatal(err)
	}
	if m.Seen != 22 || m.Captioned != 20 || m.Failed != 2 || m.Settings != rows[0].Settings || m.Model != "tiny" {
		t.Errorf("manifest %+v", m)
	}
	if diff := cmp.Diff([]string{"captions.errors.jsonl", "captions.jsonl", "captions.jsonl.manifest.json"}, files(t, filepath.Dir(out))); diff != "" {
		t.Errorf("what the run left (-want +got):\n%s", diff)
	}
}

func TestSameCaptionsInAnyBatch(t *testing.T) {
	album, model, dir := captiontest.Album(t, 13), captiontest.Model(t, "tiny", 2), t.TempDir()
	var first []caption.Row
	for _, size := range [][2]int{{1, 1}, {4, 256}, {16, 5}} {
		out := filepath.Join(dir, fmt.Sprintf("%d.jsonl", size[0]))
		job{model: model, input: album, output: caption.Output{Path: out}, settings: short(), batch: size[0], chunk: size[1]}.mustRun(t)
		rows := readRows(t, out)
		if first == nil {
			first = rows
		}
		// Sums over a batch are taken in another order than over one picture;
		// the words must be the same.
		near := cmp.Comparer(func(a, b caption.Score) bool { return math.Abs(float64(a-b)) < 1e-4 })
		if diff := cmp.Diff(first, rows, near); diff != "" {
			t.Errorf("batches of %d, chunks of %d (-want +got):\n%s", size[0], size[1], diff)
		}
	}
	inputs, err := dataset.List(filepath.Join(album, "plain.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	one, err := caption.One(t.Context(), caption.Config{Settings: short(), Device: "cpu"}, model, inputs[0])
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(images(first), "plain.jpg")
	if one.Caption != first[at].Caption {
		t.Errorf("alone %q, among others %q", one.Caption, first[at].Caption)
	}
}

func TestOneTellsWhatIsWrong(t *testing.T) {
	album, model := captiontest.Album(t, 1), captiontest.Model(t, "tiny", 2)
	in := dataset.Input{Key: "text.jpg", URI: filepath.Join(album, "text.jpg")}
	_, err := caption.One(t.Context(), caption.Config{Settings: short(), Device: "cpu"}, model, in)
	if err == nil || !strings.HasPrefix(err.Error(), "text.jpg: ") {
		t.Errorf("error %v", err)
	}
}

// A run that ended early leaves parts; the next one keeps those that still hold.
func TestResume(t *testing.T) {
	album, model, dir := captiontest.Album(t, 20), captiontest.Model(t, "tiny", 3), t.TempDir()
	j := job{model: model, input: album, settings: short(), batch: 4, chunk: 5}
	j.output = caption.Output{Path: filepath.Join(dir, "whole.jsonl")}
	j.mustRun(t)
	want := readRows(t, j.output.Path)

	j.output = caption.Output{Path: filepath.Join(dir, "resumed.jsonl")}
	j.interrupt(t)
	parts, err := filepath.Glob(filepath.Join(j.output.Work(), "*.part"))
	if err != nil || len(parts) != 5 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	// One part torn, one missing, one of a picture that changed since.
	torn, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(parts[0], torn[:len(torn)-20], 0o644), os.Remove(parts[1])); err != nil {
		t.Fatal(err)
	}
	captiontest.JPEG(t, filepath.Join(album, "p00015.jpg"), 99)
	res := j.mustRun(t)
	if got := res.Counter(caption.Stage, caption.MetricKept); got < 5 || got > 15 {
		t.Errorf("%d pictures kept, want those of two or three parts of five", got)
	}
	got := readRows(t, j.output.Path)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if same := got[i].Caption == want[i].Caption; !same && got[i].Image != "p00015.jpg" {
			t.Errorf("%s: %q after the resume, %q in one go", got[i].Image, got[i].Caption, want[i].Caption)
		}
	}
	if got[slices.Index(images(got), "p00015.jpg")].Score == want[slices.Index(images(want), "p00015.jpg")].Score {
		t.Error("the changed picture kept its caption")
	}
	if _, err := os.Stat(j.output.Work()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work folder is still there: %v", err)
	}
}

// interrupt leaves what a run leaves that is killed before its commit.
func (j job) interrupt(t *testing.T) {
	t.Helper()
	inputs, err := dataset.List(j.input)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := caption.PlanFor(inputs, j.chunk, j.settings, j.model)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.output.Begin(plan.Identity, j.existing); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(j.output.Work(), "plan.jsonl")
	if err := plan.Write(path); err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	c := caption.Config{Settings: j.settings, Device: "cpu", BatchSize: j.batch, Work: j.output.Work()}
	caption.Batch(s, c, j.model, caption.Chunks(s, path))
	if _, err := runners.Run(context.Background(), p); err != nil {
		t.Fatal(err)
	}
}

func TestExistingOutput(t *testing.T) {
	album, model := captiontest.Album(t, 4), captiontest.Model(t, "tiny", 4)
	for _, path := range []string{filepath.Join(t.TempDir(), "c.jsonl"), filepath.Join(t.TempDir(), "out") + "/"} {
		j := job{model: model, input: album, output: caption.Output{Path: path}, settings: short(), chunk: 2}
		j.mustRun(t)
		before := files(t, filepath.Dir(path))
		if _, done, err := j.run(t); !done || err != nil {
			t.Errorf("the same again: done before %v, error %v", done, err)
		}
		other := j
		other.settings.Generation.NumBeams = new(1)
		if _, _, err := other.run(t); !errors.Is(err, caption.ErrExists) {
			t.Errorf("other settings: error %v, want ErrExists", err)
		}
		if diff := cmp.Diff(before, files(t, filepath.Dir(path))); diff != "" {
			t.Errorf("a refusal changed files (-before +after):\n%s", diff)
		}
		other.existing = caption.Overwrite
		other.chunk = 3
		other.mustRun(t)
		m, err := caption.ReadManifest(j.output)
		if err != nil || m.Seen != 6 || !strings.Contains(string(m.SettingsText), `"num_beams":1`) && !strings.Contains(string(m.SettingsText), `"num_beams": 1`) {
			t.Errorf("manifest %+v, %v", m, err)
		}
		if j.output.Folder() {
			if shards, _ := filepath.Glob(filepath.Join(path, "captions-*")); len(shards) != 2 {
				t.Errorf("shards after overwriting three by two: %v", shards)
			}
		}
	}
}

// A commit that was killed half-way is done again by the same command.
func TestCommitAgain(t *testing.T) {
	album, model := captiontest.Album(t, 6), captiontest.Model(t, "tiny", 4)
	j := job{model: model, input: album, output: caption.Output{Path: filepath.Join(t.TempDir(), "c.jsonl")}, settings: short(), chunk: 3}
	j.interrupt(t)
	inputs, _ := dataset.List(album)
	plan, err := caption.PlanFor(inputs, j.chunk, j.settings, model)
	if err != nil {
		t.Fatal(err)
	}
	// What stands there when the captions are in place and the manifest is not.
	if err := errors.Join(
		os.WriteFile(filepath.Join(j.output.Work(), "committing"), []byte(plan.Identity), 0o644),
		os.WriteFile(j.output.Path, []byte("{}\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	if kept := j.mustRun(t).Counter(caption.Stage, caption.MetricKept); kept != 8 {
		t.Errorf("%d pictures kept, want 8", kept)
	}
	if rows := readRows(t, j.output.Path); len(rows) != 6 {
		t.Errorf("%d rows, want 6", len(rows))
	}
}

func TestFolderOfShards(t *testing.T) {
	album, model := captiontest.Album(t, 9), captiontest.Model(t, "tiny", 5)
	dir := filepath.Join(t.TempDir(), "out")
	j := job{model: model, input: album, output: caption.Output{Path: dir + "/"}, settings: short(), chunk: 4}
	j.mustRun(t)
	shards, _ := filepath.Glob(filepath.Join(dir, "captions-*-of-00003.jsonl"))
	letters, _ := filepath.Glob(filepath.Join(dir, "errors-*-of-00003.jsonl"))
	rows := readRows(t, shards...)
	if len(shards) != 3 || len(rows) != 9 {
		t.Errorf("%d rows in %v", len(rows), shards)
	}
	failed := 0
	for _, path := range letters {
		l, err := records.ReadDeadLetters(path)
		if err != nil || len(l) == 0 {
			t.Errorf("%s: %v, %v", path, l, err)
		}
		failed += len(l)
	}
	if failed != 2 {
		t.Errorf("%d dead letters, want 2", failed)
	}
}

func TestFormats(t *testing.T) {
	model, dir := captiontest.Model(t, "tiny", 6), t.TempDir()
	captiontest.JPEG(t, filepath.Join(dir, "in", "COCO_val2014_000000391895.jpg"), 1)
	captiontest.JPEG(t, filepath.Join(dir, "in", "000000000042.jpg"), 2)
	captiontest.JPEG(t, filepath.Join(dir, "in", "a, \"b\".jpg"), 3)
	j := job{model: model, input: filepath.Join(dir, "in"), settings: short()}

	j.output = caption.Output{Path: filepath.Join(dir, "c.json"), Format: caption.COCO}
	j.mustRun(t)
	data, err := os.ReadFile(j.output.Path)
	if err != nil {
		t.Fatal(err)
	}
	var results []map[string]any
	if err := json.Unmarshal(data, &results); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	var ids []any
	for _, r := range results {
		ids = append(ids, r["image_id"])
	}
	if diff := cmp.Diff([]any{42.0, 391895.0, `a, "b".jpg`}, ids); diff != "" {
		t.Errorf("COCO ids (-want +got):\n%s", diff)
	}

	j.output = caption.Output{Path: filepath.Join(dir, "c.csv"), Format: caption.CSV}
	j.mustRun(t)
	f, err := os.Open(j.output.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 4 || lines[0][0] != "image" || lines[3][0] != `a, "b".jpg` || lines[3][2] == "" {
		t.Errorf("CSV %q, %v", lines, err)
	}
}

func TestPrompt(t *testing.T) {
	model, dir := captiontest.Model(t, "tiny", 7), t.TempDir()
	captiontest.JPEG(t, filepath.Join(dir, "in.jpg"), 1)
	in := dataset.Input{Key: "in.jpg", URI: filepath.Join(dir, "in.jpg")}
	say := func(s caption.Settings) string {
		r, err := caption.One(t.Context(), caption.Config{Settings: s, Device: "cpu"}, model, in)
		if err != nil {
			t.Fatal(err)
		}
		return r.Caption
	}
	s := short()
	s.Prompt = "two blue"
	with := say(s)
	s.StripPrompt = true
	without := say(s)
	// The rest may begin inside a word.
	if !strings.HasPrefix(with, "two blue") || strings.TrimSpace(with[len("two blue"):]) != strings.TrimPrefix(without, "##") {
		t.Errorf("with its prompt %q, without %q", with, without)
	}
}

func TestScoreAsJSON(t *testing.T) {
	for score, want := range map[caption.Score]string{
		-1.5: "-1.5", caption.Score(math.Inf(-1)): "null", 0: "0",
	} {
		data, err := json.Marshal(caption.Row{Score: score})
		var back caption.Row
		if err == nil {
			err = json.Unmarshal(data, &back)
		}
		if err != nil || !strings.Contains(string(data), `"score":`+want) || back.Score != score {
			t.Errorf("%v: %s, back %v, %v", score, data, back.Score, err)
		}
	}
}

func TestModelIdentity(t *testing.T) {
	a, b, other := captiontest.Model(t, "a", 1), captiontest.Model(t, "b", 1), captiontest.Model(t, "a", 2)
	id := func(folder string) string {
		s, err := caption.ModelIdentity(folder)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := id(a)
	if first != id(b) {
		t.Error("equal folders have different identities")
	}
	if first == id(other) {
		t.Error("other weights, the same identity")
	}
	if err := os.WriteFile(filepath.Join(a, "coco_metrics.json"), []byte("{}"), 0o644); err != nil || id(a) != first {
		t.Error("a file that decides nothing changed the identity")
	}
	if err := os.WriteFile(filepath.Join(a, "generation_config.json"), []byte(`{"num_beams":2}`), 0o644); err != nil || id(a) == first {
		t.Error("other generation settings, the same identity")
	}
}
