package text

import (
	"slices"
	"strings"
	"testing"
)

// benchCaptions are captions as they come: lower case with a full stop, some
// with capitals, accents and marks.
var benchCaptions = []string{
	"a man riding a horse on the beach.",
	"two small dogs are playing with a red ball near the water",
	"A woman in a black dress, holding an umbrella.",
	"Three children sitting at a café table eating ice-cream",
	"an old blue train that is standing by the platform of a station",
}

func BenchmarkEncode(b *testing.B) {
	tok := goldenTokenizer(b, "uncased")
	benchEncode(b, tok, benchCaptions)
}

// BenchmarkEncodeHard is the golden corpus: all scripts, long words, nonsense.
func BenchmarkEncodeHard(b *testing.B) {
	tok := goldenTokenizer(b, "uncased")
	var texts []string
	for _, row := range goldenRows(b, "uncased") {
		texts = append(texts, row.Text)
	}
	benchEncode(b, tok, texts)
}

func benchEncode(b *testing.B, tok *Tokenizer, texts []string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(strings.Join(texts, ""))))
	for b.Loop() {
		for _, s := range texts {
			tok.EncodeWithSpecials(s, 40)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(texts))/b.Elapsed().Seconds(), "captions/s")
}

func BenchmarkDecode(b *testing.B) {
	tok := goldenTokenizer(b, "uncased")
	var all [][]int32
	for _, s := range benchCaptions {
		all = append(all, tok.EncodeWithSpecials(s, 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, ids := range all {
			tok.Decode(ids, DecodeOptions{})
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(all))/b.Elapsed().Seconds(), "captions/s")
}

func BenchmarkLoad(b *testing.B) {
	files := goldenFS(b, "uncased")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadFS(files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildVocab(b *testing.B) {
	corpus := strings.Fields(strings.Join(benchCaptions, " "))
	for b.Loop() {
		if _, err := BuildVocab(slices.Values(corpus), VocabOptions{MinFrequency: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
