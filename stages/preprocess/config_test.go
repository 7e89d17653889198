package preprocess

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/transforms/text"
)

// A tokenizer arrives at a worker as it was, wherever its special tokens stand.
func TestTextTravels(t *testing.T) {
	base := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s"}
	tests := []struct {
		name  string
		vocab []string
		added []text.AddedToken
	}{
		{"nothing added", base, nil},
		{"added to the vocabulary", base, []text.AddedToken{{Content: "[DEC]", Special: true}, {Content: "[ENC]", Special: true}}},
		{"in the vocabulary", slices.Concat(base, []string{"[DEC]", "[ENC]"}), []text.AddedToken{{Content: "[DEC]", Special: true}, {Content: "[ENC]", Special: true}}},
		{"one in, one added", slices.Concat(base, []string{"[DEC]"}), []text.AddedToken{{Content: "[DEC]", Special: true}, {Content: "[ENC]", Special: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := text.New(tt.vocab, text.Options{Added: tt.added})
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewText(tok, 30522, 5) // as in the hub's folders, an id that the tokenizer lacks
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			var there Text
			if err := json.Unmarshal(data, &there); err != nil {
				t.Fatal(err)
			}
			again, err := there.tokenizer()
			if err != nil || again.Hash() != tok.Hash() || there.Hash() != x.Hash() {
				t.Fatalf("another tokenizer arrived: %v", err)
			}
			for caption, want := range map[string][]int32{
				"a dog":            {30522, 5, 6, 3},
				"a dogs dog dog a": {30522, 5, 6, 7, 3},
				"":                 {30522, 3},
			} {
				if got := there.encode(again, caption); !slices.Equal(got, want) {
					t.Errorf("%q: %v, want %v", caption, got, want)
				}
			}
		})
	}
}

func TestTextHash(t *testing.T) {
	x := Text{Tokens: []string{"[UNK]"}, First: 1, MaxLength: 40}
	seen := map[string]string{"": "", (*Text)(nil).Hash(): "nil", x.Hash(): "x"}
	for name, change := range map[string]func(*Text){
		"token": func(x *Text) { x.Tokens = []string{"[unk]"} }, "first": func(x *Text) { x.First = 2 },
		"length": func(x *Text) { x.MaxLength = 0 }, "options": func(x *Text) { x.Options.KeepCase = true },
	} {
		y := x
		change(&y)
		if other, taken := seen[y.Hash()]; taken {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[y.Hash()] = name
	}
}
