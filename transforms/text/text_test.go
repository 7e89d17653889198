package text

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// smallVocab has the usual special tokens and a few words.
var smallVocab = []string{
	"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
	"a", "dog", "##s", "run", "##ning", "café", "cafe", ".", "İ", "i", "i̇", "漢", "字", "漢字", "'", "s",
}

func newSmall(t testing.TB, o Options) *Tokenizer {
	t.Helper()
	tok, err := New(smallVocab, o)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func tokensOf(tok *Tokenizer, ids []int32) string {
	var words []string
	for _, id := range ids {
		token, ok := tok.Token(id)
		if !ok {
			token = "?"
		}
		words = append(words, token)
	}
	return strings.Join(words, " ")
}

func TestEncodeSettings(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		text string
		want string
	}{
		{"pieces", Options{}, "A dogs running.", "a dog ##s run ##ning ."},
		{"accents follow case", Options{}, "CAFÉ café", "cafe cafe"},
		{"accents kept", Options{Accents: AccentsKept}, "CAFÉ İ", "café i̇"},
		{"cased keeps accents", Options{KeepCase: true}, "café Café İ", "café [UNK] İ"},
		{"cased without accents", Options{KeepCase: true, Accents: AccentsDropped}, "café İ", "cafe [UNK]"},
		{"ideographs apart", Options{}, "漢字dog", "漢 字 dog"},
		{"ideographs joined", Options{JoinCJK: true}, "漢字", "漢字"},
		{"controls go", Options{}, "do\u200bg\x00s", "dog ##s"},
		{"controls stay", Options{KeepControls: true}, "do\u200bgs", "[UNK]"},
		{"white space splits even uncleaned", Options{KeepControls: true}, "dog\x0ba\u0085dog", "dog a dog"},
		{"invalid bytes go", Options{}, "do\xffg\xe3\x81 a\xed\xa0\x80", "dog a"},
		{"special in text", Options{}, "dog[SEP]dog", "dog [SEP] dog"},
		{"special broken by case", Options{MaxWordChars: 2}, "[sep]", "[UNK] [UNK] [UNK]"},
		{"special split", Options{SplitSpecials: true}, "[SEP]", "[UNK] [UNK] [UNK]"},
		{"word limit", Options{MaxWordChars: 3}, "dog dogs", "dog [UNK]"},
		{"added eats space", Options{Added: []AddedToken{{Content: "<x>", EatLeft: true, EatRight: true}}}, "dog  <x>\u00a0s", "dog <x> s"},
		{"added single word", Options{Added: []AddedToken{{Content: "do", SingleWord: true}}}, "dog do do. xdo", "dog do do . [UNK]"},
		{"longest added wins", Options{Added: []AddedToken{{Content: "<x>"}, {Content: "<x><y>"}, {Content: "<"}}}, "<x><y><x><", "<x><y> <x> <"},
		{"added in folded text", Options{Added: []AddedToken{{Content: "Éclair", Normalized: true}}}, "a ECLAIR dog", "a Éclair dog"},
		{"empty", Options{}, "", ""},
		{"blank", Options{}, " \t\u3000", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tok := newSmall(t, tt.o)
			if got := tokensOf(tok, tok.Encode(tt.text)); got != tt.want {
				t.Errorf("Encode(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestEncodeWithSpecialsLimits(t *testing.T) {
	const text = "a dog run ."
	tests := []struct {
		limit int
		left  bool
		want  string
	}{
		{0, false, "[CLS] a dog run . [SEP]"},
		{-1, false, "[CLS] a dog run . [SEP]"},
		{6, false, "[CLS] a dog run . [SEP]"},
		{5, false, "[CLS] a dog run [SEP]"},
		{5, true, "[CLS] dog run . [SEP]"},
		{3, true, "[CLS] . [SEP]"},
		{2, false, "[CLS] [SEP]"},
		{2, true, "[CLS] [SEP]"},
		{1, false, "[CLS] [SEP]"},
	}
	for _, tt := range tests {
		tok := newSmall(t, Options{CutLeft: tt.left})
		if got := tokensOf(tok, tok.EncodeWithSpecials(text, tt.limit)); got != tt.want {
			t.Errorf("limit %d, cut left %v: %q, want %q", tt.limit, tt.left, got, tt.want)
		}
	}
}

func TestDecode(t *testing.T) {
	tok := newSmall(t, Options{Added: []AddedToken{{Content: "[DEC]", Special: true}}})
	encode := func(tokens string) []int32 {
		var ids []int32
		for token := range strings.FieldsSeq(tokens) {
			id, ok := tok.ID(token)
			if !ok {
				t.Fatalf("no token %q", token)
			}
			ids = append(ids, id)
		}
		return ids
	}
	tests := []struct {
		ids  []int32
		o    DecodeOptions
		want string
	}{
		{encode("[CLS] [DEC] a dog ##s run ##ning . [SEP] [PAD]"), DecodeOptions{}, "a dogs running."},
		{encode("[DEC] a . [SEP]"), DecodeOptions{KeepSpecial: true}, "[DEC] a. [SEP]"},
		{encode("dog ' s"), DecodeOptions{}, "dog ' s"},
		{encode("dog ' s"), DecodeOptions{Tidy: TidyOn}, "dog's"},
		{encode("##s ##s"), DecodeOptions{}, "##ss"}, // nothing to join to
		{[]int32{-1, 5, 999, 6}, DecodeOptions{}, "a dog"},
		{nil, DecodeOptions{}, ""},
	}
	for _, tt := range tests {
		if got := tok.Decode(tt.ids, tt.o); got != tt.want {
			t.Errorf("Decode(%s, %+v) = %q, want %q", tokensOf(tok, tt.ids), tt.o, got, tt.want)
		}
	}
	tidy := newSmall(t, Options{Tidy: true})
	if got := tidy.Decode(encode("dog ' s"), DecodeOptions{}); got != "dog's" {
		t.Errorf("a tokenizer that tidies gave %q", got)
	}
	if got := tidy.Decode(encode("dog ' s"), DecodeOptions{Tidy: TidyOff}); got != "dog ' s" {
		t.Errorf("told not to tidy it gave %q", got)
	}
	raw := newSmall(t, Options{RawDecoder: true})
	if got := raw.Decode(encode("dog ."), DecodeOptions{}); got != "dog ." {
		t.Errorf("a raw decoder gave %q", got)
	}
}

func TestNewErrors(t *testing.T) {
	tests := []struct {
		name  string
		vocab []string
		o     Options
		is    error
		says  string
	}{
		{"twice", []string{"[UNK]", "a", "a"}, Options{}, ErrVocabulary, `"a" has the ids 1 and 2`},
		{"no unknown", []string{"a"}, Options{}, ErrVocabulary, `"[UNK]" is not in it`},
		{"other unknown", []string{"[UNK]"}, Options{Names: Names{Unknown: "<unk>"}}, ErrVocabulary, `"<unk>"`},
		{"empty vocabulary", nil, Options{}, ErrVocabulary, "[UNK]"},
		{"invalid bytes", []string{"[UNK]", "\xff"}, Options{}, ErrVocabulary, "token 1"},
		{"invalid added", []string{"[UNK]"}, Options{Added: []AddedToken{{Content: "\xff"}}}, ErrVocabulary, "UTF-8"},
		{"empty added", []string{"[UNK]"}, Options{Added: []AddedToken{{}}}, ErrVocabulary, "empty"},
		{"wrong id", []string{"[UNK]"}, Options{Added: []AddedToken{{Content: "x", ID: 7}}}, ErrVocabulary, "wants the id 7"},
		{"same when folded", []string{"[UNK]"}, Options{Added: []AddedToken{{Content: "X", Normalized: true}, {Content: "x", Normalized: true}}}, ErrVocabulary, "look the same"},
		{"nothing when folded", []string{"[UNK]"}, Options{Added: []AddedToken{{Content: "\u0301", Normalized: true}}}, ErrVocabulary, "nothing is left"},
		{"negative limit", []string{"[UNK]"}, Options{MaxWordChars: -1}, nil, "must not be negative"},
		{"unknown accents", []string{"[UNK]"}, Options{Accents: 9}, nil, "Accents 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.vocab, tt.o)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v saying %q", err, tt.is, tt.says)
			}
		})
	}
}

// TestMissingSpecials: the reference gives ids to named tokens that the
// vocabulary lacks, in this order, before those of further special tokens.
func TestMissingSpecials(t *testing.T) {
	tok, err := New([]string{"[UNK]", "a"}, Options{Names: Names{Start: "[DEC]"}})
	if err != nil {
		t.Fatal(err)
	}
	want := IDs{Unknown: 0, Start: 2, Separator: 3, Padding: 4, Class: 5, Mask: 6, End: -1}
	if got := tok.IDs(); got != want {
		t.Errorf("ids %+v, want %+v", got, want)
	}
	if tok.Size() != 7 {
		t.Errorf("size %d, want 7", tok.Size())
	}
	for id := range int32(8) {
		if want := id == 0 || id >= 2 && id < 7; tok.Special(id) != want {
			t.Errorf("Special(%d) = %v", id, !want)
		}
	}
}

func TestHash(t *testing.T) {
	base := newSmall(t, Options{})
	same := newSmall(t, Options{Accents: AccentsDropped, MaxWordChars: 100, Prefix: "##", MaxLength: 512, Tidy: true, RawDecoder: true})
	if base.Hash() != same.Hash() {
		t.Error("settings that don't change ids changed the hash")
	}
	other := slices.Clone(smallVocab)
	other[5], other[6] = other[6], other[5]
	swapped, err := New(other, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{base.Hash(): "base", swapped.Hash(): "swapped"}
	if len(seen) != 2 {
		t.Error("two tokens in each other's place have the same hash")
	}
	for name, o := range map[string]Options{
		"case": {KeepCase: true}, "accents": {Accents: AccentsKept}, "cjk": {JoinCJK: true}, "controls": {KeepControls: true},
		"word": {MaxWordChars: 99}, "prefix": {Prefix: "@@"}, "split": {SplitSpecials: true}, "left": {CutLeft: true},
		"added": {Added: []AddedToken{{Content: "x"}}}, "class": {Names: Names{Class: "a"}},
	} {
		h := newSmall(t, o).Hash()
		if twin, twice := seen[h]; twice {
			t.Errorf("%s has the hash of %s", name, twin)
		}
		seen[h] = name
	}
}

func TestOptionsAreSettled(t *testing.T) {
	tok := newSmall(t, Options{Added: []AddedToken{{Content: "[DEC]", Special: true}}})
	o := tok.Options()
	if o.MaxWordChars != 100 || o.Prefix != "##" || o.Names.Mask != "[MASK]" {
		t.Errorf("settings %+v", o)
	}
	if n := len(o.Added); n != 6 || o.Added[5] != (AddedToken{Content: "[DEC]", ID: int32(len(smallVocab)), Special: true}) {
		t.Errorf("added tokens %+v", o.Added)
	}
	o.Added[0].Content = "changed"
	again, err := New(smallVocab, tok.Options())
	if err != nil || again.Hash() != tok.Hash() {
		t.Errorf("made of its own options: %v", err)
	}
}

func TestOneLine(t *testing.T) {
	tests := map[string]string{
		"":                            "",
		"  a  dog \t on\r\na log ":    "a dog on a log",
		"a\u2028b\u2029c\u0085d\x0be": "a b c d e",
		"a\x00b\x7fc\u200dd":          "abc\u200dd",
		"caf\xc3\xa9 \xffx \ufffd":    "café x \ufffd",
		"\u3000x\u00a0":               "x",
	}
	for in, want := range tests {
		if got := OneLine(in); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
