// Package captiontest makes small model folders and pictures for the tests of
// stages and pipelines that caption. The models are real ones, with random
// weights: they say nothing sensible, but different things of different pictures.
package captiontest

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// Side is the pixel length of the sides of the pictures that the model takes.
const Side = 32

var corpus = []string{
	"a red circle on the left", "two blue squares at the top", "three green stars",
	"a big black ring in the centre", "four small pink crosses",
}

// Model writes a model folder called name into a temporary folder and returns its
// path. Equal seeds give equal models.
func Model(t testing.TB, name string, seed int64) string {
	t.Helper()
	tokenizer, err := text.BuildVocab(slices.Values(corpus), text.VocabOptions{Size: 120, MinFrequency: 1})
	if err != nil {
		t.Fatal(err)
	}
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	config := tiny(tokenizer)
	m, err := blip.New(d, config, seed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	folder := checkpoint.Folder{Config: config, Processor: imaging.DefaultProcessor(Side), Tokenizer: tokenizer}
	path := filepath.Join(t.TempDir(), name)
	if err := folder.Save(path, m, ""); err != nil {
		t.Fatal(err)
	}
	return path
}

// tiny is a network of two layers each. Its weights are spread widely, since with
// BERT's usual spread an untrained model says the same of every picture.
func tiny(tokenizer *text.Tokenizer) blip.Config {
	c := blip.Base()
	ids := tokenizer.IDs()
	c.Text.VocabSize = int64(tokenizer.Size())
	c.Text.HiddenSize, c.Text.EncoderHiddenSize, c.Text.IntermediateSize = 32, 32, 64
	c.Text.NumHiddenLayers, c.Text.NumAttentionHeads, c.Text.MaxPositionEmbeddings = 2, 2, 64
	c.Text.BOSTokenID, c.Text.SepTokenID, c.Text.PadTokenID = int64(ids.Start), int64(ids.Separator), int64(ids.Padding)
	c.Text.InitializerRange = 0.4
	c.Vision.HiddenSize, c.Vision.IntermediateSize = 32, 64
	c.Vision.NumHiddenLayers, c.Vision.NumAttentionHeads = 2, 2
	c.Vision.ImageSize, c.Vision.PatchSize = Side, 8
	c.Vision.InitializerRange = 0.4
	return c
}

// Picture draws the i-th of many pictures, no two alike.
func Picture(i int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 40+i%7, 30+i%5))
	for y := range m.Rect.Max.Y {
		for x := range m.Rect.Max.X {
			m.Set(x, y, color.RGBA{R: uint8(x*5 + i*37), G: uint8(y * (3 + i%11)), B: uint8((x ^ y) * (1 + i)), A: 255})
		}
	}
	return m
}

// JPEG writes the i-th picture to a file.
func JPEG(t testing.TB, path string, i int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(f, Picture(i), nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Names are file names that trip up programs which take names for URLs, globs or
// plain ASCII.
var Names = []string{
	"plain.jpg", "with space.jpg", "hash#1.jpg", "100%.jpg", "a%20b.jpg", "[1]*?.jpg",
	"snow☃ man 🎈.jpg", "deep/er/x.jpg", "quote\"'.jpg", "comma,semi;.jpg", "line\nbreak.jpg", "latin\xe9.jpg",
}

// Album writes a folder of n good JPEG files, called by Names first, a truncated
// one and a text called .jpg, and returns its path.
func Album(t testing.TB, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "album")
	for i := range n {
		name := fmt.Sprintf("p%05d.jpg", i)
		if i < len(Names) {
			name = Names[i]
		}
		JPEG(t, filepath.Join(dir, filepath.FromSlash(name)), i)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "plain.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cut off.jpg": whole[:len(whole)/2], "text.jpg": []byte("no picture\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
