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
				"":                 nil,
			} {
				if got := there.encode(again, caption); !slices.Equal(got, want) {
					t.Errorf("%q: %v, want %v", caption, got, want)
				}
			}
		})
	}
}

func TestTextOptions(t *testing.T) {
	plain := tokens(t)
	plain.MaxLength = 40
	tok, err := plain.tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	ids := func(words string) []int32 {
		return append(append([]int32{plain.First}, tok.Encode(words)...), tok.EncodeWithSpecials("", 0)[1])
	}
	tests := []struct {
		name          string
		set           func(*Text)
		caption, want string
		prompt        int
	}{
		{"nothing", func(*Text) {}, "A red circle.", "a red circle.", 0},
		{"cleaned", func(x *Text) { x.Clean = true }, "A red: circle.", "a red circle", 0},
		{"cleaned to nothing", func(x *Text) { x.Clean = true }, "(...)", "", 0},
		{"words", func(x *Text) { x.MaxWords = 2 }, "a red circle", "a red", 0},
		{"cleaned before words are counted", func(x *Text) { x.Clean, x.MaxWords = true, 2 }, "a ... red circle", "a red", 0},
		{"prompt", func(x *Text) { x.Prompt = " a picture of " }, "a red circle", "a picture of a red circle", len(tok.Encode("a picture of"))},
		{"prompt alone", func(x *Text) { x.Prompt = "a picture of" }, "", "", len(tok.Encode("a picture of"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := *plain
			tt.set(&x)
			var want []int32
			if tt.want != "" {
				want = ids(tt.want)
			}
			if got := x.encode(tok, tt.caption); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if n, err := x.PromptTokens(); err != nil || n != tt.prompt {
				t.Errorf("%d tokens of the prompt, want %d; %v", n, tt.prompt, err)
			}
			if x.Hash() != plain.Hash() {
				t.Error("what is done to captions is in the vocabulary's hash")
			}
		})
	}
	x := *plain
	x.MaxLength, x.Prompt = 5, "a picture of a"
	if err := x.validate(); err == nil {
		t.Error("a prompt that leaves no room was let pass")
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
