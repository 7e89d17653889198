package train

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/model/blip"
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

func writeExamples(t testing.TB, path string, count int, example func(i int) records.Example) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := records.NewWriter(f, records.Meta{Split: "train"}, records.WriterOptions{})
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
	for _, policy := range []CaptionPolicy{AllCaptions, RandomCaption} {
		s := testShards(t)
		s.policy, s.augment = policy, augment.BLIP
		if policy == RandomCaption {
			s.items = pictures
		}
		all := collect(t, s, 3, 0)
		for skip := range len(all) + 1 {
			if diff := cmp.Diff(all[skip:], collect(t, s, 3, skip)); diff != "" {
				t.Errorf("%s: without the first %d, other batches", policy, skip)
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

// A shard that goes while it is needed is named.
func TestShardThatIsGone(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 100) },
	} {
		s := testShards(t)
		gone := s.files[1]
		if err := harm(gone); err != nil {
			t.Fatal(err)
		}
		var last error
		for _, err := range s.Batches(0, 0) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), gone) || errors.Is(last, ErrShardGone) != (name == "removed") {
			t.Errorf("%s: %v", name, last)
		}
	}
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

// An epoch of pictures of 384×384, as fast as it can be taken.
func BenchmarkBatches(b *testing.B) {
	const count = 64
	path := filepath.Join(b.TempDir(), "shard")
	writeExamples(b, path, count, func(i int) records.Example {
		e := example(i)
		m := imaging.Resize(&imaging.RGB{W: side, H: side, Pix: e.Pixels}, 384, 384, imaging.Bicubic)
		e.Pixels, e.PixelWidth, e.PixelHeight = m.Pix, m.W, m.H
		return e
	})
	for _, recipe := range []augment.Recipe{{}, augment.BLIP} {
		b.Run(recipe.String(), func(b *testing.B) {
			s := &shards{
				files: []string{path}, items: count, batch: 8, buffer: 32, policy: FirstCaption,
				augment: recipe, processor: imaging.DefaultProcessor(384),
			}
			for epoch := 0; b.Loop(); epoch++ {
				for _, err := range s.Batches(epoch, 0) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "pairs/s")
		})
	}
}
