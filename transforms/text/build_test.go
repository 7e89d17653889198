package text

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestBuildVocab(t *testing.T) {
	// low 5, lower 2, newest 6, widest 3: the example of the paper on byte-pair
	// encoding. By hand, with ## before letters in the order of spelling: e+s 9,
	// es+t 9, o+w 7, l+ow 7, e+w 6, ew+est 6, n+ewest 6, d+est 3, i+dest 3,
	// w+idest 3, e+r 2, low+er 2.
	corpus := strings.Fields(strings.Repeat("low ", 5) + strings.Repeat("lower ", 2) + strings.Repeat("newest ", 6) + strings.Repeat("widest ", 3))
	tok, err := BuildVocab(slices.Values(corpus), VocabOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := "[PAD] [UNK] [CLS] [SEP] [MASK] " +
		"d ##d e ##e i ##i l ##l n ##n o ##o r ##r s ##s t ##t w ##w " +
		"##es ##est ##ow low ##ew ##ewest newest ##dest ##idest widest ##er lower " +
		"[DEC] [ENC]"
	if got := tokensOf(tok, ids(tok.Size())); got != want {
		t.Errorf("tokens\n%s, want\n%s", got, want)
	}
	if got := tok.IDs(); got.Padding != 0 || got.Start != int32(tok.Size()-2) || !tok.Special(got.Start+1) {
		t.Errorf("ids %+v", got)
	}
	if got := tokensOf(tok, tok.Encode("Lowest newer slow")); got != "low ##est n ##ew ##er s ##l ##ow" {
		t.Errorf("encoded as %s", got)
	}
}

func ids(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

func TestBuildVocabOptions(t *testing.T) {
	corpus := []string{"aaab aaab aaab, Éa Éa", "漢字 漢字 rare"}
	tests := []struct {
		name string
		o    VocabOptions
		want string
	}{
		{"room for one piece", VocabOptions{Size: 21, Alphabet: 8, Added: []string{"[DEC]"}, MinFrequency: 1},
			"[PAD] [UNK] [CLS] [SEP] [MASK] , ##, a ##a b ##b e ##e r ##r 字 ##字 漢 ##漢 ##aa [DEC]"},
		{"frequency", VocabOptions{MinFrequency: 3, Alphabet: 2, Added: []string{}},
			"[PAD] [UNK] [CLS] [SEP] [MASK] a ##a b ##b ##aa ##aab aaab"},
		{"cased", VocabOptions{Alphabet: 4, Added: []string{}, Tokenizer: Options{KeepCase: true, Names: Names{Unknown: "?"}}},
			"[PAD] ? [CLS] [SEP] [MASK] a ##a b ##b r ##r É ##É ##aa ##aab aaab Éa"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := BuildVocab(slices.Values(corpus), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := tokensOf(tok, ids(tok.Size())); got != tt.want {
				t.Errorf("tokens\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestBuildVocabErrors(t *testing.T) {
	for name, o := range map[string]VocabOptions{
		"too small":      {Size: 8},
		"negative":       {Size: -1},
		"added twice":    {Tokenizer: Options{Added: []AddedToken{{Content: "x"}}}},
		"bad tokenizer":  {Tokenizer: Options{MaxWordChars: -1}},
		"token repeated": {Tokenizer: Options{Names: Names{Mask: "[PAD]"}}},
	} {
		if _, err := BuildVocab(slices.Values([]string{"some words"}), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	_, err := BuildVocab(slices.Values([]string{"x"}), VocabOptions{Tokenizer: Options{Names: Names{Mask: "[PAD]"}}})
	if !errors.Is(err, ErrVocabulary) {
		t.Errorf("error %v, want %v", err, ErrVocabulary)
	}
}

// TestBuildVocabOrder: the same texts in another order make the same vocabulary,
// and every word of the corpus can be said in it.
func TestBuildVocabOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var corpus []string
	for range 400 {
		word := make([]byte, 1+r.IntN(9))
		for i := range word {
			word[i] = "abcde"[r.IntN(5)]
		}
		corpus = append(corpus, string(word), string(word[:1+r.IntN(len(word))]))
	}
	first, err := BuildVocab(slices.Values(corpus), VocabOptions{Size: 300})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Shuffle(len(corpus), func(i, k int) { corpus[i], corpus[k] = corpus[k], corpus[i] })
		again, err := BuildVocab(slices.Values(corpus), VocabOptions{Size: 300})
		if err != nil || again.Hash() != first.Hash() {
			t.Fatalf("another order, another vocabulary (%v)", err)
		}
	}
	if first.Size() != 300 {
		t.Errorf("size %d, want 300", first.Size())
	}
	for _, word := range corpus {
		if got := first.Decode(first.Encode(word), DecodeOptions{}); got != word {
			t.Errorf("%q came back as %q", word, got)
		}
	}
}

// TestJoinCounts checks the running counts of pairs against counting afresh.
func TestJoinCounts(t *testing.T) {
	words := map[string]int{"aaaa": 3, "aaab": 2, "abab": 5, "baaab": 1, "bbb": 4}
	j := newJoiner(words, []rune("ab"), "##")
	j.join(nil, 12, 1)
	want := map[twoPieces]int{}
	for _, w := range j.words {
		for k := range len(w.pieces) - 1 {
			want[twoPieces{w.pieces[k], w.pieces[k+1]}] += w.count
		}
	}
	for two, p := range j.pairs {
		if p.count != want[two] {
			t.Errorf("%s %s: count %d, want %d", j.tokens[two.left], j.tokens[two.right], p.count, want[two])
		}
	}
}
