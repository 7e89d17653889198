package preprocess

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// allLookalikes is lookalikes by comparing all with all.
func allLookalikes(all []sight, d int) []int {
	twins := make([]int, len(all))
	var kept []int
	for _, split := range precedence {
		var more []int
		for i, s := range all {
			if s.split != split {
				continue
			}
			at := slices.IndexFunc(kept, func(j int) bool { return imaging.Distance(all[j].look, s.look) <= d })
			if twins[i] = -1; at >= 0 {
				twins[i] = kept[at]
			} else {
				more = append(more, i)
			}
		}
		kept = append(kept, more...)
	}
	return twins
}

func TestLookalikes(t *testing.T) {
	for _, distance := range []int{0, 1, 4, 7, 20, 63, 64, 100} {
		rng := rand.New(rand.NewPCG(uint64(distance), 1))
		// Neighbours of a few centres, in the order that the plan has them in.
		centres := make([]uint64, 60)
		for i := range centres {
			centres[i] = rng.Uint64()
		}
		var all []sight
		found := map[bool]int{}
		for _, split := range precedence {
			for range 250 {
				look := centres[rng.IntN(len(centres))]
				for range rng.IntN(2*distance + 4) {
					look ^= 1 << rng.IntN(64)
				}
				if rng.IntN(3) == 0 {
					look = rng.Uint64()
				}
				all = append(all, sight{look, split})
			}
		}
		want, got := allLookalikes(all, distance), lookalikes(all, distance)
		for i := range want {
			found[want[i] >= 0]++
		}
		if found[true] < 20 || distance < 20 && found[false] < 300 {
			t.Fatalf("distance %d: %v pictures with and without a twin: this tests nothing", distance, found)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("distance %d (-all with all +got):\n%s", distance, diff)
		}
		// In any other order the same pictures have one.
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		want, got = allLookalikes(all, distance), lookalikes(all, distance)
		for i := range want {
			if (want[i] < 0) != (got[i] < 0) {
				t.Errorf("distance %d, shuffled: picture %d is like %d, want %d", distance, i, got[i], want[i])
			}
			if j := got[i]; j >= 0 && (imaging.Distance(all[i].look, all[j].look) > distance || got[j] >= 0 ||
				slices.Index(precedence, all[j].split) >= slices.Index(precedence, all[i].split)) {
				t.Errorf("distance %d, shuffled: picture %d gives way to %d wrongly", distance, i, j)
			}
		}
	}
}

func TestLookalikesOfNone(t *testing.T) {
	if got := lookalikes(nil, 4); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// Of one split only, however alike.
	if got := lookalikes([]sight{{1, dataset.Train}, {1, dataset.Train}}, 4); !slices.Equal(got, []int{-1, -1}) {
		t.Errorf("%v", got)
	}
	// A picture that gives way takes none with it: 2 is like 1, which is like 0.
	chain := []sight{{0, dataset.Test}, {0b1111, dataset.Validation}, {0b11111111, dataset.Train}}
	if got := lookalikes(chain, 4); !slices.Equal(got, []int{-1, 0, -1}) {
		t.Errorf("a chain: %v", got)
	}
}

// drawing is a picture of the demo, and copies of it.
func drawing(i uint64) *image.RGBA { return demo.NewScene(9, i).Draw() }

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func scaled(t testing.TB, m *image.RGBA, w, h int) *image.RGBA {
	t.Helper()
	rgb, _, err := imaging.Decode(asPNG(t, m), imaging.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rgb = imaging.Resize(rgb, w, h, imaging.Bicubic)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(out.Pix[4*i:], rgb.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 0xff
	}
	return out
}

func plainPicture(c color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 20, 20))
	for i := range 400 {
		m.Set(i%20, i/20, c)
	}
	return m
}

// alikeSet is a data set with named splits that have pictures in common.
func alikeSet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var meta strings.Builder
	put := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&meta, "{\"file_name\":%q,\"text\":\"a red circle\"}\n", name)
	}
	grey, white := plainPicture(color.Gray{100}), plainPicture(color.White)
	for i := range uint64(8) {
		put(fmt.Sprintf("train/%d.png", i), asPNG(t, drawing(i)))
	}
	put("validation/20.png", asPNG(t, drawing(20)))
	put("test/30.png", asPNG(t, drawing(30)))
	// The same, larger, smaller or compressed.
	big, small := drawing(3).Rect.Dx()*2, drawing(3).Rect.Dx()/2
	put("validation/3 larger.png", asPNG(t, scaled(t, drawing(3), big, big)))  // train/3 gives way
	put("test/4 compressed.jpg", asJPEG(t, drawing(4), 90))                    // train/4 gives way
	put("test/20 smaller.png", asPNG(t, scaled(t, drawing(20), small, small))) // validation/20 gives way
	put("train/30 compressed.jpg", asJPEG(t, drawing(30), 95))                 // gives way itself
	put("train/5 again.jpg", asJPEG(t, drawing(5), 95))                        // in one split: stays
	put("test/6 copy.png", asPNG(t, drawing(6)))                               // equal files: train/6 gives way
	put("train/grey.png", asPNG(t, grey))                                      // gives way to the equal file
	put("validation/grey.png", asPNG(t, grey))                                 // stays
	put("test/white.png", asPNG(t, white))                                     // as flat, and another
	put("train/white.jpg", asJPEG(t, white, 90))                               // flat: never alike unless equal
	put("test/broken.png", asPNG(t, drawing(7))[:100])                         // has no looks
	put("train/broken.png", asPNG(t, drawing(7))[:100])                        // equal, broken
	if err := os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(meta.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNearDuplicates(t *testing.T) {
	dir := alikeSet(t)
	cfg := config(t)
	m, _ := preprocess(t, dir, cfg)
	// train/3, train/4, validation/20, train/30 and train/6; grey is too flat to tell.
	if m.NearDuplicates != 5 || m.NearDuplicatesDropped != 0 || m.Leaks != 3 || m.PicturesWritten != m.PicturesSeen-2 {
		t.Errorf("counted only: %d near, %d dropped, %d leaks, %d of %d written",
			m.NearDuplicates, m.NearDuplicatesDropped, m.Leaks, m.PicturesWritten, m.PicturesSeen)
	}

	all := rows(t, m)
	cfg = config(t)
	cfg.Dedupe = true
	m, res := preprocess(t, dir, cfg)
	letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range letters {
		got = append(got, fmt.Sprintf("%s %s: %s", l.Image, l.Code, l.Error))
	}
	alike := func(name, split, other, otherSplit string) string {
		return fmt.Sprintf("%s near_duplicate: the picture is in split %s and looks like %s in split %s", name, split, other, otherSplit)
	}
	want := []string{
		"test/broken.png truncated_picture: decode png: truncated picture",
		alike("train/3.png", "train", "validation/3 larger.png", "validation"),
		alike("train/30 compressed.jpg", "train", "test/30.png", "test"),
		alike("train/4.png", "train", "test/4 compressed.jpg", "test"),
		alike("train/6.png", "train", "test/6 copy.png", "test"),
		alike("train/broken.png", "train", "test/broken.png", "test"),
		alike("train/grey.png", "train", "validation/grey.png", "validation"),
		alike("validation/20.png", "validation", "test/20 smaller.png", "test"),
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("dead letters (-want +got):\n%s", cmp.Diff(want, got))
	}
	if m.NearDuplicates != 0 || m.NearDuplicatesDropped != 7 || m.Leaks != 0 || m.PicturesFailed != 8 {
		t.Errorf("dropped: %d near, %d dropped, %d leaks, %d failed", m.NearDuplicates, m.NearDuplicatesDropped, m.Leaks, m.PicturesFailed)
	}
	if n := res.Counter(Metrics, PicturesFailed); n != 8 {
		t.Errorf("metrics: %d failed, want 8", n)
	}
	for name, e := range rows(t, m) {
		if diff := cmp.Diff(all[name], e); diff != "" {
			t.Errorf("%s differs with dedupe (-without +with):\n%s", name, diff)
		}
		delete(all, name)
	}
	if len(all) != 7-1 { // broken pictures have no row anyway
		t.Errorf("%d rows were dropped, want 6", len(all))
	}

	// However it is run, the bytes are the same.
	other := cfg
	other.Output, other.ChunkSize, other.Workers = filepath.Join(t.TempDir(), "other"), 3, 5
	preprocess(t, dir, other)
	if diff := cmp.Diff(files(t, cfg.Output), files(t, other.Output)); diff != "" {
		t.Errorf("chunks of 3, 5 workers (-want +got):\n%s", diff)
	}
}

// TestNearDistance has the distance that keeps even a recompressed copy.
func TestNearDistance(t *testing.T) {
	dir := alikeSet(t)
	counts := map[int]int{}
	for _, distance := range []int{1, 4, 64} {
		cfg := config(t)
		cfg.NearDistance = distance
		m, _ := preprocess(t, dir, cfg)
		counts[distance] = m.NearDuplicates
	}
	// At 64 bits, all outside the test split are alike: 2 of validation and 10 of
	// train. Flat and broken ones have no looks.
	if counts[1] > counts[4] || counts[4] != 5 || counts[64] != 12 {
		t.Errorf("near-duplicates by distance: %v", counts)
	}
}

// TestDedupeWithoutNamedSplits drops what the split by content put apart.
func TestDedupeWithoutNamedSplits(t *testing.T) {
	dir := t.TempDir()
	meta := "file_name,text\n"
	for i := range uint64(30) {
		for end, data := range map[string][]byte{"png": asPNG(t, drawing(i)), "jpg": asJPEG(t, drawing(i), 95)} {
			name := fmt.Sprintf("%d.%s", i, end)
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		meta += fmt.Sprintf("%d.png,a red circle\n%d.jpg,a word\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata.csv"), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Shares = Shares{1, 1, 1}
	m, _ := preprocess(t, dir, cfg)
	if m.NearDuplicates < 10 { // two thirds of 30 on average
		t.Fatalf("%d near-duplicates in the splits", m.NearDuplicates)
	}
	cfg.Dedupe = true
	deduped, _ := preprocess(t, dir, cfg)
	if deduped.NearDuplicates != 0 || deduped.NearDuplicatesDropped != m.NearDuplicates || deduped.Rows(dataset.Test) != m.Rows(dataset.Test) {
		t.Errorf("%d near, %d dropped of %d; %d in test of %d", deduped.NearDuplicates, deduped.NearDuplicatesDropped, m.NearDuplicates,
			deduped.Rows(dataset.Test), m.Rows(dataset.Test))
	}
}
