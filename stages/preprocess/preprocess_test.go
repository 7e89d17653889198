package preprocess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

func TestMain(m *testing.M) {
	beam.Init()
	// Prism tells of the failures that the tests provoke.
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

// picture encodes a small picture that differs with i.
func picture(t testing.TB, i int, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40+i%7, 30))
	for y := range 30 {
		for x := range 40 + i%7 {
			img.Set(x, y, color.RGBA{uint8(x * i), uint8(y * 8), uint8(i * 37), 255})
		}
	}
	var buf bytes.Buffer
	if err := encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func jpegOf(t testing.TB, i int) []byte {
	return picture(t, i, func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) })
}

// messy writes a data set with everything that goes wrong in one, and returns
// its folder.
func messy(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	var meta strings.Builder
	put := func(name string, data []byte, captions string) {
		t.Helper()
		if data != nil {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&meta, "{\"file_name\":%q,\"captions\":%s}\n", name, captions)
	}
	for i := range 60 {
		put(fmt.Sprintf("%02d good.jpg", i), jpegOf(t, i), fmt.Sprintf(`["picture %d","a red circle"]`, i))
	}
	put("copy of 07.jpg", jpegOf(t, 7), `["a copy"]`)
	put("photo.jpg", picture(t, 70, png.Encode), `["a png that is called jpg"]`)
	put("cut.jpg", jpegOf(t, 80)[:400], `["cut off"]`)
	put("text.jpg", []byte("this is no picture"), `["text"]`)
	put("empty.jpg", []byte{}, `["nothing"]`)
	put("gone.jpg", nil, `["gone"]`)
	put("silent.jpg", jpegOf(t, 81), `[]`)
	put("mute.jpg", jpegOf(t, 82), `["","\u200b "]`)
	put("half.jpg", jpegOf(t, 83), `["", "a word"]`)
	put("../outside.jpg", nil, `["outside"]`)
	if err := os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(meta.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tokens builds a small tokenizer.
func tokens(t testing.TB) *Text {
	t.Helper()
	corpus := []string{"a red circle", "a picture of a blue square", "a word", "0 1 2 3 4 5 6 7 8 9"}
	tok, err := text.BuildVocab(slices.Values(corpus), text.VocabOptions{Size: 120, MinFrequency: 1})
	if err != nil {
		t.Fatal(err)
	}
	x, err := NewText(tok, tok.IDs().Start, 6)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func config(t testing.TB) Config {
	return Config{
		Output: filepath.Join(t.TempDir(), "shards"), Processor: *imaging.DefaultProcessor(16),
		Text: tokens(t), SplitSeed: 5, ShardBytes: 20 * 2000,
	}
}

// preprocess runs a job to its end.
func preprocess(t testing.TB, dir string, cfg Config) (*Manifest, runners.Result) {
	t.Helper()
	m, res, err := tryPreprocess(t, dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, res
}

func tryPreprocess(t testing.TB, dir string, cfg Config) (_ *Manifest, _ runners.Result, err error) {
	t.Helper()
	set, err := dataset.Load(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	job, err := Prepare(set, cfg)
	if err != nil {
		return nil, runners.Result{}, err
	}
	defer func() { err = errors.Join(err, job.Close()) }()
	p, s := beam.NewPipelineWithRoot()
	Run(s, job)
	res, err := runners.Run(context.Background(), p)
	if err != nil {
		return nil, res, err
	}
	m, err := ReadManifest(cfg.Output)
	return m, res, err
}

// files returns the names and the contents' hashes of a folder, hidden files
// left out.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && e.Name() != ".lock" {
			t.Errorf("%s was left in the output", e.Name())
		}
		if !strings.HasPrefix(e.Name(), ".") {
			if all[e.Name()], err = fileHash(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// rows reads all shards of a manifest, by image.
func rows(t testing.TB, m *Manifest) map[string]records.Example {
	t.Helper()
	all := map[string]records.Example{}
	for _, split := range dataset.Splits {
		for _, file := range m.Files(split) {
			r, err := records.Open(file, records.ReaderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range r.All() {
				if err != nil {
					t.Fatal(err)
				}
				if e.Split != split || r.Meta().Split != split {
					t.Errorf("%s is marked %s in a shard of %s", e.ImageID, e.Split, split)
				}
				if _, twice := all[e.ImageID]; twice {
					t.Errorf("%s is there twice", e.ImageID)
				}
				all[e.ImageID] = e
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func TestMessyDataSet(t *testing.T) {
	dir, cfg := messy(t), config(t)
	m, res := preprocess(t, dir, cfg)

	if m.PicturesSeen != 70 || m.PicturesWritten != 63 || m.PicturesFailed != 7 || m.CaptionsDropped != 1 || m.Duplicates != 1 {
		t.Errorf("counts: %+v", m)
	}
	// 2 of the 70 never came as far as the pipeline.
	if s, w, f := res.Counter(Metrics, PicturesSeen), res.Counter(Metrics, PicturesWritten), res.Counter(Metrics, PicturesFailed); s != 68 || w != 63 || f != 5 {
		t.Errorf("metrics: %d seen, %d written, %d failed", s, w, f)
	}
	if d := res.Distribution(Metrics, ShardMilliseconds); d.Count != int64(len(m.Shards)) {
		t.Errorf("%d shards measured, %d written", d.Count, len(m.Shards))
	}
	letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range letters {
		got = append(got, fmt.Sprintf("%s %s %s", l.Image, l.Stage, l.Code))
	}
	want := []string{
		"../outside.jpg dataset refused_path",
		"cut.jpg preprocess truncated_picture",
		"empty.jpg preprocess empty_file",
		"gone.jpg dataset missing",
		"half.jpg preprocess empty_caption",
		"mute.jpg preprocess empty_caption",
		"silent.jpg preprocess no_caption",
		"text.jpg preprocess unknown_format",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	all := rows(t, m)
	if all["07 good.jpg"].Split != all["copy of 07.jpg"].Split {
		t.Error("two copies of one picture are in two splits")
	}
	checkRow(t, dir, cfg, all["photo.jpg"], []string{"a png that is called jpg"})
	checkRow(t, dir, cfg, all["half.jpg"], []string{"a word"})
	checkRow(t, dir, cfg, all["33 good.jpg"], []string{"picture 33", "a red circle"})
	// 62 distinct contents were to be divided, 3 of them to each of the small
	// splits; what failed and the copy can take from them or add to them.
	for split, n := range map[string]int{dataset.Validation: 3, dataset.Test: 3} {
		if got := m.Rows(split); got < n-2 || got > n+1 {
			t.Errorf("%d pictures in %s, want about %d", got, split, n)
		}
	}
}

// checkRow compares a row with what its parts give when they are called one by
// one.
func checkRow(t *testing.T, dir string, cfg Config, e records.Example, captions []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, e.URI))
	if err != nil {
		t.Fatal(err)
	}
	rgb, _, err := imaging.Decode(data, imaging.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	tok, err := cfg.Text.tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	want := records.Example{
		ImageID: e.ImageID, URI: e.ImageID, Split: e.Split, Width: rgb.W, Height: rgb.H,
		ContentHash: hex.EncodeToString(sum[:]), PixelWidth: 16, PixelHeight: 16,
		Pixels: imaging.Resize(rgb, 16, 16, imaging.Bicubic).Pix, Captions: captions,
	}
	for _, c := range captions {
		ids := slices.Concat([]int32{tok.IDs().Start}, tok.Encode(c), []int32{tok.IDs().Separator})
		if len(ids) > 6 {
			ids = append(ids[:5], tok.IDs().Separator)
		}
		want.TokenIDs = append(want.TokenIDs, ids)
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestSameBytesHoweverItIsRun(t *testing.T) {
	dir := messy(t)
	cfg := config(t)
	preprocess(t, dir, cfg)
	want := files(t, cfg.Output)
	if len(want) < 6 { // 4 shards of train at least, errors, manifest
		t.Fatalf("only %d files: %v", len(want), want)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.ChunkSize = 1 },
		func(c *Config) { c.ChunkSize = 7; c.Workers = 1 },
		func(c *Config) { c.Workers = 16 },
	} {
		other := cfg
		other.Output = filepath.Join(t.TempDir(), "other")
		change(&other)
		preprocess(t, dir, other)
		if diff := cmp.Diff(want, files(t, other.Output)); diff != "" {
			t.Errorf("chunks of %d, %d workers (-want +got):\n%s", other.ChunkSize, other.Workers, diff)
		}
	}
}

func TestRerunReusesWhatIsComplete(t *testing.T) {
	dir, cfg := messy(t), config(t)
	preprocess(t, dir, cfg)
	want := files(t, cfg.Output)
	before, err := os.Stat(filepath.Join(cfg.Output, ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	_, res := preprocess(t, dir, cfg)
	after, err := os.Stat(filepath.Join(cfg.Output, ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	if res.Counter(Metrics, PicturesSeen) != 0 || !after.ModTime().Equal(before.ModTime()) {
		t.Error("a complete output was made again")
	}
	if diff := cmp.Diff(want, files(t, cfg.Output)); diff != "" {
		t.Errorf("files (-first +second):\n%s", diff)
	}

	// A shard that went missing is noticed, and everything is as it was again.
	if err := os.Remove(filepath.Join(cfg.Output, "train-00001-of-00003.parquet")); err != nil {
		t.Fatal(err)
	}
	preprocess(t, dir, cfg)
	if diff := cmp.Diff(want, files(t, cfg.Output)); diff != "" {
		t.Errorf("files after mending (-first +last):\n%s", diff)
	}
}

func TestOtherSettingsStartAfresh(t *testing.T) {
	dir, cfg := messy(t), config(t)
	preprocess(t, dir, cfg)
	for name, change := range map[string]func(*Config){
		"seed":      func(c *Config) { c.SplitSeed++ },
		"size":      func(c *Config) { c.Processor = *imaging.DefaultProcessor(8) },
		"shards":    func(c *Config) { c.ShardBytes *= 10 },
		"shares":    func(c *Config) { c.Shares = Shares{1, 1, 1} },
		"text":      func(c *Config) { x := *c.Text; x.MaxLength++; c.Text = &x },
		"no text":   func(c *Config) { c.Text = nil },
		"pixels":    func(c *Config) { c.PixelFormat = records.Float32 },
		"orientate": func(c *Config) { c.Decode.IgnoreEXIF = true },
	} {
		t.Run(name, func(t *testing.T) {
			fresh := cfg
			change(&fresh)
			again := fresh
			again.Output = filepath.Join(t.TempDir(), "elsewhere")
			_, res := preprocess(t, dir, fresh)
			if res.Counter(Metrics, PicturesSeen) == 0 {
				t.Error("the former output was taken for this one")
			}
			preprocess(t, dir, again)
			if diff := cmp.Diff(files(t, again.Output), files(t, fresh.Output)); diff != "" {
				t.Errorf("over a former output it differs from elsewhere (-elsewhere +over):\n%s", diff)
			}
		})
	}
	if err := os.WriteFile(filepath.Join(dir, "08 good.jpg"), jpegOf(t, 500), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, res := preprocess(t, dir, cfg); res.Counter(Metrics, PicturesSeen) == 0 {
		t.Error("a changed picture went unnoticed")
	}
}

func TestFloatPixels(t *testing.T) {
	dir, cfg := messy(t), config(t)
	cfg.PixelFormat = records.Float32
	m, _ := preprocess(t, dir, cfg)
	floats := rows(t, m)["12 good.jpg"].Floats
	cfg.PixelFormat, cfg.Output = records.Uint8, filepath.Join(t.TempDir(), "bytes")
	m, _ = preprocess(t, dir, cfg)
	e := rows(t, m)["12 good.jpg"]
	want := make([]float32, 3*16*16)
	if err := cfg.Processor.Normalize(want, &imaging.RGB{W: 16, H: 16, Pix: e.Pixels}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, floats); diff != "" {
		t.Errorf("float32 pixels are not the processor's (-want +got):\n%s", diff)
	}
}

func TestAllPicturesBad(t *testing.T) {
	dir := t.TempDir()
	meta := ""
	for i := range 4 {
		name := fmt.Sprintf("%d.jpg", i)
		meta += fmt.Sprintf("{\"file_name\":%q,\"text\":\"x\"}\n", name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no picture "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	_, _, err := tryPreprocess(t, dir, cfg)
	if err == nil || !strings.Contains(err.Error(), ErrNothingWritten.Error()+": all 4 failed (0.jpg: ") {
		t.Fatalf("error %v, want %v and a first reason", err, ErrNothingWritten)
	}
	if !strings.HasSuffix(err.Error(), "see errors.jsonl") {
		t.Errorf("error %v does not end with where to look", err)
	}
	if _, err := ReadManifest(cfg.Output); !errors.Is(err, ErrIncomplete) {
		t.Errorf("manifest: %v, want ErrIncomplete", err)
	}
	if letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName)); err != nil || len(letters) != 4 {
		t.Errorf("%d dead letters, %v", len(letters), err)
	}
}

func TestNamedSplitsAreRespected(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	if err := demo.Write(dir, demo.Options{Seed: 3, Pictures: 200, Validation: 10, Test: 20}); err != nil {
		t.Fatal(err)
	}
	m, _ := preprocess(t, dir, config(t))
	got := map[string]int{}
	for _, split := range dataset.Splits {
		got[split] = m.Rows(split)
	}
	want := map[string]int{dataset.Train: 140, dataset.Validation: 20, dataset.Test: 40}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	dir := messy(t)
	set, err := dataset.Load(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	job, err := Prepare(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(set, cfg); !errors.Is(err, ErrBusy) {
		t.Errorf("a second run into one folder: %v, want ErrBusy", err)
	}
	if err := job.Close(); err != nil {
		t.Fatal(err)
	}
	if job, err = Prepare(set, cfg); err != nil {
		t.Errorf("after the first let go: %v", err)
	} else if err := job.Close(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"output is a file": func(c *Config) { c.Output = filepath.Join(dir, "00 good.jpg") },
		"no output":        func(c *Config) { c.Output = "" },
		"no processor":     func(c *Config) { c.Processor = imaging.Processor{} },
		"pixel format":     func(c *Config) { c.PixelFormat = "int4" },
		"shares":           func(c *Config) { c.Shares = Shares{Test: 1} },
	} {
		bad := cfg
		spoil(&bad)
		if _, err := Prepare(set, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFilesOfASplit(t *testing.T) {
	dir, cfg := messy(t), config(t)
	m, _ := preprocess(t, dir, cfg)
	p, s := beam.NewPipelineWithRoot()
	var want []string
	for _, split := range dataset.Splits {
		want = append(want, m.Files(split)...)
		passert.Equals(s, Files(s, split, beam.Create(s, cfg.Output)), beam.CreateList(s, m.Files(split)))
	}
	if _, err := runners.Run(context.Background(), p); err != nil {
		t.Error(err)
	}
	if len(want) != len(m.Shards) {
		t.Errorf("%d files in the splits, %d shards", len(want), len(m.Shards))
	}
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "preprocess")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	set, err := dataset.Demo(filepath.Join(dir, "pictures"), demo.Options{Pictures: 20}, dataset.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := Prepare(set, Config{Output: filepath.Join(dir, "shards"), Processor: *imaging.DefaultProcessor(32)})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, s := beam.NewPipelineWithRoot()
	Run(s, job)
	if _, err := runners.Run(context.Background(), p); err != nil {
		fmt.Println(err)
		return
	}
	m, err := ReadManifest(filepath.Join(dir, "shards"))
	if err := errors.Join(err, job.Close()); err != nil {
		fmt.Println(err)
		return
	}
	for _, shard := range m.Shards {
		fmt.Println(shard.Name, shard.Rows)
	}
	// Output:
	// train-00000-of-00001.parquet 18
	// validation-00000-of-00001.parquet 1
	// test-00000-of-00001.parquet 1
}

func BenchmarkCook(b *testing.B) {
	img := image.NewRGBA(image.Rect(0, 0, 500, 375))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*i>>9 ^ i>>3)
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: 88}); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	path := filepath.Join(dir, listingName)
	sum := sha256.Sum256(buf.Bytes())
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "1.jpg"), buf.Bytes(), 0o600),
		writeListing(path, []dataset.Ref{{ImageID: "1", URI: "1.jpg", Captions: []string{"a red circle", "a word", "a blue square", "a circle", "a picture"}}}))
	if err != nil {
		b.Fatal(err)
	}
	words := tokens(b)
	tok, err := words.tokenizer()
	if err != nil {
		b.Fatal(err)
	}
	lines, err := openListing(path)
	if err != nil {
		b.Fatal(err)
	}
	defer lines.Close()
	r := &recipe{listing: lines, sources: dataset.Roots{Pictures: dir}.Sources(), processor: imaging.DefaultProcessor(384), text: words, tokenizer: tok}
	p := planned{Hash: sum[:]}
	for b.Loop() {
		if o := r.cook(b.Context(), p, dataset.Train); o.row == nil {
			b.Fatal(o.failed, o.broken)
		}
	}
}
