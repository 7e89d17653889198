package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/augment"
	"github.com/blipflow/blipflow/transforms/imaging"
)

const (
	side     = 16
	pictures = 21
	captions = 3
)

// example is the i-th of the test's pictures. Each caption's second id tells which
// it is, and the last of each picture names a side.
func example(i int) records.Example {
	e := records.Example{
		ImageID: "picture " + strconv.Itoa(i), Split: "train", Width: 50, Height: 30,
		PixelWidth: side, PixelHeight: side, Pixels: make([]byte, 3*side*side),
	}
	level := uint32(i)
	for k := range e.Pixels {
		level = level*1664525 + 1013904223
		e.Pixels[k] = byte(level >> 24)
	}
	for k := range captions {
		e.Captions = append(e.Captions, []string{"a dog", "a bright day", "a dog on the left"}[k])
		e.TokenIDs = append(e.TokenIDs, []int32{1, key(i, k), 5, 2})
	}
	return e
}

func key(picture, caption int) int32 { return int32(10 + captions*picture + caption) }

// testShards are all examples in files of eight.
func testShards(t *testing.T) *shards {
	t.Helper()
	s := &shards{
		items: pictures * captions, batch: 4, buffer: 10, policy: AllCaptions, seed: 7,
		processor: imaging.DefaultProcessor(side),
	}
	dir := t.TempDir()
	for first := 0; first < pictures; first += 8 {
		path := filepath.Join(dir, strconv.Itoa(first))
		writeShard(t, path, first, min(first+8, pictures))
		s.files = append(s.files, path)
	}
	return s
}

func writeShard(t *testing.T, path string, from, to int) {
	t.Helper()
	writeExamples(t, path, to-from, func(i int) records.Example { return example(from + i) })
}

// writeExamples writes them in row groups of two or three of the test's pictures.
func writeExamples(t testing.TB, path string, count int, example func(i int) records.Example) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta := records.Meta{Split: "train", ProcessorHash: imaging.DefaultProcessor(side).Hash()}
	w, err := records.NewWriter(f, meta, records.WriterOptions{RowGroupBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		e := example(i)
		if err := w.Write(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// epoch gives an epoch's pixels by the caption's key, and the keys in their order.
func (s *shards) epoch(t *testing.T, epoch int) (pixels map[int32][]float32, order []int32) {
	t.Helper()
	pixels = map[int32][]float32{}
	batches := 0
	for b, err := range s.Batches(epoch, 0) {
		if err != nil {
			t.Fatal(err)
		}
		batches++
		if len(b.Pixels) != len(b.Tokens)*3*side*side {
			t.Fatalf("%d values for %d pictures", len(b.Pixels), len(b.Tokens))
		}
		for i, ids := range b.Tokens {
			pixels[ids[1]] = b.Pixels[i*3*side*side:][:3*side*side]
			order = append(order, ids[1])
		}
	}
	if batches != s.Len() {
		t.Errorf("%d batches, %d were promised", batches, s.Len())
	}
	if len(pixels) != s.items || len(order) != s.items {
		t.Errorf("%d captions, %d of them different, want %d", len(order), len(pixels), s.items)
	}
	return pixels, order
}

// want is what a caption's picture should look like.
func (s *shards) want(t *testing.T, picture, caption, epoch int) []float32 {
	t.Helper()
	e := example(picture)
	m := s.augment.Apply(&imaging.RGB{W: side, H: side, Pix: e.Pixels}, augment.Record{
		ID: e.ImageID, Width: e.Width, Height: e.Height, Caption: caption, Text: e.Captions[caption],
	}, s.seed, epoch)
	out := make([]float32, 3*side*side)
	if err := s.processor.Normalize(out, m); err != nil {
		t.Fatal(err)
	}
	return out
}

// Each caption has its own view of its picture in each epoch, whatever it is put
// together with.
func TestBatchesAreAugmented(t *testing.T) {
	for _, recipe := range []augment.Recipe{{}, {Flip: true}, augment.BLIP} {
		s := testShards(t)
		s.augment = recipe
		_, order := s.epoch(t, 1)
		for _, other := range []struct{ batch, buffer int }{{4, 10}, {1, 1}, {100, 1000}} {
			s.batch, s.buffer = other.batch, other.buffer
			for epoch := range 3 {
				got, again := s.epoch(t, epoch)
				for i := range pictures {
					for k := range captions {
						if !slices.Equal(got[key(i, k)], s.want(t, i, k, epoch)) {
							t.Errorf("%v, epoch %d, batches of %d: picture %d with caption %d is another", recipe, epoch, s.batch, i, k)
						}
					}
				}
				if epoch == 1 && s.buffer == 10 && !slices.Equal(order, again) {
					t.Errorf("%v: the order differs from one time to the next", recipe)
				}
			}
		}
	}
}

func TestCaptionThatNamesASideIsNotMirrored(t *testing.T) {
	s := testShards(t)
	plain, _ := s.epoch(t, 1)
	s.augment = augment.Recipe{Flip: true}
	flipped, _ := s.epoch(t, 1)
	changed := [captions]int{}
	for i := range pictures {
		for k := range captions {
			if !slices.Equal(plain[key(i, k)], flipped[key(i, k)]) {
				changed[k]++
			}
		}
	}
	if changed[0] == 0 || changed[1] == 0 || changed[2] != 0 {
		t.Errorf("%v of %d pictures are mirrored, by caption", changed, pictures)
	}
}

func TestCaptionPolicies(t *testing.T) {
	for policy, want := range map[CaptionPolicy]func(caption int32) bool{
		FirstCaption:  func(k int32) bool { return k == 0 },
		RandomCaption: func(k int32) bool { return k >= 0 && k < captions },
	} {
		s := testShards(t)
		s.policy, s.items, s.augment = policy, pictures, augment.BLIP
		got, _ := s.epoch(t, 2)
		for id, pixels := range got {
			picture, caption := (id-10)/captions, (id-10)%captions
			if !want(caption) || !slices.Equal(pixels, s.want(t, int(picture), int(caption), 2)) {
				t.Errorf("%s: caption %d of picture %d, or its view, is wrong", policy, caption, picture)
			}
		}
	}
}

func TestBatchesKnowThePrompt(t *testing.T) {
	s := testShards(t)
	for _, prompt := range []int{0, 1} {
		s.prompt = prompt
		for b, err := range s.Batches(0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Repeat([]int{prompt}, len(b.Tokens))
			if prompt == 0 {
				want = nil
			}
			if !slices.Equal(b.Prompt, want) {
				t.Errorf("%v, want %v", b.Prompt, want)
			}
		}
	}
}

func TestPictureOfAnotherSizeIsNamed(t *testing.T) {
	s := testShards(t)
	s.processor = imaging.DefaultProcessor(side + 1)
	var last error
	var got []blip.Batch
	for b, err := range s.Batches(0, 0) {
		got, last = append(got, b), err
	}
	if last == nil || !strings.Contains(last.Error(), "picture ") || len(got) != 1 {
		t.Errorf("%d batches, %v", len(got), last)
	}
}

// Leaving early does not wait for readers that wait for a taker.
func TestBatchesEndEarly(t *testing.T) {
	s := testShards(t)
	for range s.Batches(0, 0) {
		break
	}
}

// What is left of an epoch is the same, to the bit, whether what comes before it
// was taken or skipped.
func TestBatchesAreSkipped(t *testing.T) {
	for _, policy := range []CaptionPolicy{AllCaptions, FirstCaption, RandomCaption} {
		for _, buffer := range []int{0, 1, 10, 1000} {
			s := testShards(t)
			s.policy, s.augment, s.buffer = policy, augment.BLIP, buffer
			if policy != AllCaptions {
				s.items = pictures
			}
			all := collect(t, s, 3, 0)
			if len(all) != s.Len() {
				t.Errorf("%s: %d batches, %d were promised", policy, len(all), s.Len())
			}
			for skip := range len(all) + 2 {
				if !reflect.DeepEqual(all[min(skip, len(all)):], collect(t, s, 3, skip)) {
					t.Errorf("%s, buffer of %d: without the first %d, other batches", policy, buffer, skip)
				}
			}
		}
	}
}

func collect(t *testing.T, s *shards, epoch, skip int) []blip.Batch {
	t.Helper()
	out := []blip.Batch{}
	for b, err := range s.Batches(epoch, skip) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// What is skipped is read without its pixels, and of a file whose pairs have all
// been skipped not even the names are read again.
func TestSkippedPicturesAreNotRead(t *testing.T) {
	s := testShards(t)
	s.skip, s.buffer = 50, 5
	c := s.course(3)
	for p, err := range c.mixed() {
		if err != nil {
			t.Fatal(err)
		}
		if c.skip == 0 {
			if err := os.Remove(c.split.files[0]); err != nil {
				t.Fatal(err)
			}
			if err := c.fetch(p); err != nil || p.Pixels == nil {
				t.Errorf("the first pair after those that are skipped has %d pixels: %v", len(p.Pixels), err)
			}
			return
		}
		if p.Pixels != nil {
			t.Fatalf("the pixels of %s were read, with %d pairs to skip", p.ImageID, c.skip)
		}
		c.skip--
	}
	t.Error("everything was skipped")
}

// Without a buffer the pairs stand as in the files, which is how validation reads
// them.
func TestNoBufferKeepsTheOrder(t *testing.T) {
	s := testShards(t)
	s.buffer = 0
	_, order := s.epoch(t, 1)
	if !slices.IsSorted(order) {
		t.Errorf("%v", order)
	}
}

// However large row groups are and however many are decoded at a time, rows come
// in their order, each once, and only where they are wanted.
func TestRowsInParts(t *testing.T) {
	s := testShards(t)
	for _, picture := range []int{1, partBytes / 2, 2 * partBytes} { // as many as there are, two, one a part
		sp := split{files: s.files, picture: picture}
		for from := range int64(10) {
			want := int(from)
			start := place{0, from}
			if from > 7 {
				start = place{1, from - 8}
			}
			for r, err := range sp.rows(t.Context(), start, nil, records.ReaderOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if id := example(want).ImageID; r.ImageID != id || r.at != (place{want / 8, int64(want % 8)}) || len(r.Pixels) == 0 {
					t.Fatalf("from %d on: %s at %v, want %s", from, r.ImageID, r.at, id)
				}
				want++
			}
			if want != pictures {
				t.Errorf("from %d on: up to %d of %d", from, want, pictures)
			}
		}
		came, wanted := map[place]bool{}, map[place]bool{{0, 3}: true, {0, 7}: true, {2, 4}: true}
		sp.files = []string{s.files[0], "not there", s.files[2]}
		for r, err := range sp.rows(t.Context(), place{}, wanted, records.ReaderOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			came[r.at] = true
		}
		for at := range wanted {
			if !came[at] {
				t.Errorf("%v did not come", at)
			}
		}
	}
}

// A shard that goes, or changes, while it is needed is named, and so is the cure.
func TestShardThatChanges(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(path string) error
		want error
	}{
		"removed":             {os.Remove, ErrShardGone},
		"cut off":             {func(path string) error { return os.Truncate(path, 100) }, ErrShardChanged},
		"empty":               {func(path string) error { return os.Truncate(path, 0) }, ErrShardChanged},
		"replaced":            {func(path string) error { writeShard(t, path, 0, 7); return nil }, ErrShardChanged},
		"not even a database": {func(path string) error { return os.WriteFile(path, make([]byte, 5000), 0o644) }, ErrShardChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s := testShards(t)
			var m preprocess.Manifest
			for i, path := range s.files {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				m.Shards = append(m.Shards, preprocess.Shard{Name: filepath.Base(path), Rows: min(8, pictures-8*i), Bytes: int(info.Size())})
			}
			s = s.within(t.Context(), &m)
			collect(t, s, 0, 0)
			changed := s.files[1]
			if err := c.harm(changed); err != nil {
				t.Fatal(err)
			}
			for _, skip := range []int{0, s.Len() - 1} {
				var last error
				for _, err := range s.Batches(0, skip) {
					last = err
				}
				if !errors.Is(last, c.want) || !strings.Contains(last.Error(), changed) || !strings.Contains(last.Error(), "preprocess again") {
					t.Errorf("%v, want %v", last, c.want)
				}
			}
		})
	}
}

func TestShardWithAnotherNumberOfRows(t *testing.T) {
	s := testShards(t)
	info, err := os.Stat(s.files[0])
	if err != nil {
		t.Fatal(err)
	}
	for rows, want := range map[int]error{8: nil, 9: ErrShardChanged} {
		m := preprocess.Manifest{Shards: []preprocess.Shard{{Name: filepath.Base(s.files[0]), Bytes: int(info.Size()), Rows: rows}}}
		var last error
		for _, err := range s.within(t.Context(), &m).Batches(0, 0) {
			last = err
		}
		if !errors.Is(last, want) {
			t.Errorf("%d rows in the manifest: %v", rows, last)
		}
	}
}

// A shard that is deleted while it is open is read to its end; one that is cut off
// is an error.
func TestShardThatChangesWhileItIsOpen(t *testing.T) {
	for name, harm := range map[string]func(string) error{
		"deleted": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "shard")
			const rows = 500
			writeShard(t, path, 0, rows)
			got := 0
			var last error
			for _, err := range (split{files: []string{path}}).rows(t.Context(), place{}, nil, records.ReaderOptions{}) {
				if last = err; err != nil {
					break
				}
				if got++; got == 1 {
					if err := harm(path); err != nil {
						t.Fatal(err)
					}
				}
			}
			if name == "deleted" && (last != nil || got != rows) {
				t.Errorf("%d of %d rows, %v", got, rows, last)
			}
			if name == "cut off" && (!errors.Is(last, ErrShardChanged) || !strings.Contains(last.Error(), path)) {
				t.Errorf("%d rows, then %v", got, last)
			}
		})
	}
}

// Whoever leaves early, or is called off, leaves no goroutine behind. (A bubble of
// package synctest would tell, but the decompressor pools its channels.)
func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	s := testShards(t)
	for taken := range 4 {
		for range s.Batches(0, 0) {
			if taken--; taken < 0 {
				break
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s = s.within(ctx, &preprocess.Manifest{})
	s.buffer = 1
	var last error
	for _, err := range s.Batches(0, 0) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("called off: %v", last)
	}
	for range 1000 { // they are done, but may not have ended yet
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// A run without augmentation goes on from checkpoints whose settings know nothing
// of it.
func TestSettingsWithoutAugmentation(t *testing.T) {
	for recipe, want := range map[augment.Recipe]bool{{}: false, augment.BLIP: true} {
		text, err := json.Marshal(Config{Augment: recipe})
		if err != nil || strings.Contains(string(text), `"Augment":"blip"`) != want || strings.Contains(string(text), "Augment") != want {
			t.Errorf("%v: %s, %v", recipe, text, err)
		}
		var back Config
		if err := json.Unmarshal(text, &back); err != nil || back.Augment != recipe {
			t.Errorf("%v comes back as %v, %v", recipe, back.Augment, err)
		}
	}
}

// An epoch of pictures of 384×384, as fast as it can be taken, and its start in the
// middle.
func BenchmarkBatches(b *testing.B) {
	const count = 256
	path := filepath.Join(b.TempDir(), "shard")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w, err := records.NewWriter(f, records.Meta{Split: "train"}, records.WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range count {
		e := example(i)
		m := imaging.Resize(&imaging.RGB{W: side, H: side, Pix: e.Pixels}, 384, 384, imaging.Bicubic)
		e.Pixels, e.PixelWidth, e.PixelHeight = m.Pix, m.W, m.H
		if err := w.Write(&e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for _, recipe := range []augment.Recipe{{}, augment.BLIP} {
		s := &shards{
			files: []string{path}, items: count, batch: 8, buffer: 64, policy: FirstCaption,
			augment: recipe, processor: imaging.DefaultProcessor(384),
		}
		for _, skip := range []int{0, s.Len() - 1} {
			b.Run(fmt.Sprintf("%s/skip=%d", recipe, skip), func(b *testing.B) {
				for epoch := 0; b.Loop(); epoch++ {
					for _, err := range s.Batches(epoch, skip) {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.N*(count-skip*s.batch))/b.Elapsed().Seconds(), "pairs/s")
			})
		}
	}
}
