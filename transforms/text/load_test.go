package text

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// wordPieceJSON is a whole tokenizer.json, small.
const wordPieceJSON = `{
 "version": "1.0", "truncation": {"max_length": 3}, "padding": null,
 "added_tokens": [{"id": 0, "content": "[PAD]", "special": true}, {"id": 6, "content": "[DEC]", "special": true}],
 "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
 "pre_tokenizer": {"type": "BertPreTokenizer"},
 "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
 "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
 "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
  "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5}}
}`

func filesOf(pairs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return files
}

func TestLoadFS(t *testing.T) {
	const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\n"
	tests := []struct {
		name  string
		files fstest.MapFS
		text  string
		want  string
		size  int
	}{
		{"tokenizer.json", filesOf(TokenizerFile, wordPieceJSON), "A [DEC]b", "a [DEC] [UNK]", 7},
		{"vocab.txt", filesOf(VocabFile, vocab), "A [DEC]", "a [UNK] [UNK] [UNK]", 7},
		{"vocab.txt of Windows", filesOf(VocabFile, strings.ReplaceAll(vocab, "\n", "\r\n")), "A", "a", 7},
		{"vocab.txt without a last line end", filesOf(VocabFile, strings.TrimSuffix(vocab, "\n")), "A", "a", 7},
		{"cased", filesOf(VocabFile, vocab, ConfigFile, `{"do_lower_case": false}`), "A", "A", 7},
		{"switches of the class win", filesOf(TokenizerFile, strings.Replace(wordPieceJSON, `"lowercase": true`, `"lowercase": false`, 1),
			ConfigFile, `{"tokenizer_class": "BertTokenizer"}`), "A", "a", 7},
		{"tokenizer.json alone decides", filesOf(TokenizerFile, strings.Replace(wordPieceJSON, `"lowercase": true`, `"lowercase": false`, 1)), "A", "[UNK]", 7},
		{"a class of no switches", filesOf(TokenizerFile, strings.Replace(wordPieceJSON, `"lowercase": true`, `"lowercase": false`, 1),
			ConfigFile, `{"tokenizer_class": "PreTrainedTokenizerFast"}`), "A", "[UNK]", 7},
		{"no type of model", filesOf(TokenizerFile, strings.Replace(wordPieceJSON, `"type": "WordPiece", "unk_token"`, `"unk_token"`, 1)), "a", "a", 7},
		{"added_tokens_decoder", filesOf(VocabFile, vocab, ConfigFile,
			`{"added_tokens_decoder": {"7": {"content": "[DEC]", "special": true, "lstrip": true}}, "additional_special_tokens": ["[DEC]", "[ENC]"]}`,
			AddedTokensFile, `{"[NOT]": 7}`), "a [DEC][ENC]", "a [DEC] [ENC]", 9},
		{"added_tokens.json", filesOf(VocabFile, vocab, AddedTokensFile, `{"[ENC]": 8, "[DEC]": 7}`,
			SpecialTokensFile, `{"additional_special_tokens": [{"content": "[DEC]"}], "mask_token": {"content": "[MASK]", "lstrip": true}}`),
			"a [dec] [enc] [MASK]", "a [UNK] [UNK] [UNK] [ENC] [MASK]", 9},
		{"extra tokens by name", filesOf(VocabFile, vocab, ConfigFile, `{"extra_special_tokens": {"image_token": "<im>", "x": {"content": "<x>"}}, "bos_token": "[DEC]"}`),
			"<im><x>[DEC]", "<im> <x> [DEC]", 10},
		{"left", filesOf(VocabFile, vocab, ConfigFile, `{"truncation_side": "left", "model_max_length": 1000000000000000019884624838656}`), "a", "a", 7},
		{"special tokens split", filesOf(VocabFile, vocab, ConfigFile, `{"split_special_tokens": true, "model_max_length": 512}`), "[SEP]", "[UNK] [UNK] [UNK]", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := LoadFS(tt.files)
			if err != nil {
				t.Fatal(err)
			}
			if got := tokensOf(tok, tok.Encode(tt.text)); got != tt.want || tok.Size() != tt.size {
				t.Errorf("Encode(%q) = %q, want %q; size %d, want %d", tt.text, got, tt.want, tok.Size(), tt.size)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	change := func(old, new string) fstest.MapFS {
		if !strings.Contains(wordPieceJSON, old) {
			t.Fatalf("nothing to change: %s", old)
		}
		return filesOf(TokenizerFile, strings.Replace(wordPieceJSON, old, new, 1))
	}
	const vocab = "[UNK]\na\n"
	tests := []struct {
		name  string
		files fstest.MapFS
		is    error
		says  string
	}{
		{"nothing", filesOf(), fs.ErrNotExist, "vocab.txt"},
		{"cut off", filesOf(TokenizerFile, wordPieceJSON[:300]), ErrMalformed, TokenizerFile},
		{"not JSON", filesOf(TokenizerFile, "x"), ErrMalformed, TokenizerFile},
		{"array", filesOf(TokenizerFile, "[]"), ErrMalformed, TokenizerFile},
		{"empty object", filesOf(TokenizerFile, "{}"), ErrUnsupported, "model is missing"},
		{"BPE", change(`"type": "WordPiece", "unk_token"`, `"type": "BPE", "unk_token"`), ErrUnsupported, "model is BPE"},
		{"merges", change(`"type": "WordPiece", "unk_token"`, `"merges": [], "unk_token"`), ErrUnsupported, "model is missing"},
		{"unigram", change(`{"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5}`, `[["a", 0.5]]`), ErrUnsupported, "model.vocab"},
		{"normalizer", change("BertNormalizer", "NFKC"), ErrUnsupported, "normalizer is NFKC"},
		{"no normalizer", change(`"normalizer"`, `"other"`), ErrUnsupported, "normalizer is missing"},
		{"pre_tokenizer", change("BertPreTokenizer", "ByteLevel"), ErrUnsupported, "pre_tokenizer is ByteLevel"},
		{"decoder", change(`"decoder": {"type": "WordPiece"`, `"decoder": {"type": "ByteLevel"`), ErrUnsupported, "decoder is ByteLevel"},
		{"decoder prefix", change(`"prefix": "##", "cleanup"`, `"prefix": "@@", "cleanup"`), ErrUnsupported, "decoder prefix"},
		{"post_processor", change("BertProcessing", "RobertaProcessing"), ErrUnsupported, "RobertaProcessing"},
		{"post_processor's id", change(`["[SEP]", 3]`, `["[SEP]", 4]`), ErrUnsupported, `"[SEP]" (id 4)`},
		{"template", change(`"BertProcessing"`, `"TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]`), ErrUnsupported, "another template"},
		{"twice", change(`"a": 5`, `"a": 5, "a": 6`), ErrVocabulary, `"a" stands twice`},
		{"same id", change(`"a": 5`, `"a": 5, "b": 4`), ErrVocabulary, `"[MASK]" and "b" have the same id 4`},
		{"hole", change(`"a": 5`, `"a": 6`), ErrVocabulary, "ids go up to 6, but there are 6"},
		{"huge id", change(`"a": 5`, `"a": 3999999`), ErrVocabulary, "ids go up to 3999999"},
		{"id beyond all", change(`"a": 5`, `"a": 4000000`), ErrVocabulary, `"a" has no id from 0`},
		{"negative id", change(`"a": 5`, `"a": -5`), ErrVocabulary, `"a" has no id`},
		{"no id", change(`"a": 5`, `"a": null`), ErrVocabulary, `"a" has no id`},
		{"fraction", change(`"a": 5`, `"a": 5.5`), ErrMalformed, `"a"`},
		{"no unknown", change(`"[UNK]": 1`, `"unk": 1`), ErrVocabulary, `"[UNK]"`},
		{"word limit", change(`"max_input_chars_per_word": 100`, `"max_input_chars_per_word": -1`), ErrMalformed, "max_input_chars_per_word"},
		{"added hole", change(`"id": 6`, `"id": 9`), ErrVocabulary, `"[DEC]" wants the id 9`},
		{"added without id", change(`"id": 6, `, ``), ErrMalformed, "no id"},
		{"added at 0", change(`"id": 6`, `"id": 0`), ErrVocabulary, `"[DEC]" and "[PAD]" have the same id 0`},
		{"added negative", change(`"id": 6`, `"id": -6`), ErrVocabulary, "-6"},
		{"vocab.txt twice", filesOf(VocabFile, vocab+"a\n"), ErrVocabulary, `"a" has the ids 1 and 2`},
		{"vocab.txt empty", filesOf(VocabFile, ""), ErrVocabulary, "[UNK]"},
		{"config cut off", filesOf(VocabFile, vocab, ConfigFile, "{"), ErrMalformed, ConfigFile},
		{"config class", filesOf(VocabFile, vocab, ConfigFile, `{"tokenizer_class": "GPT2Tokenizer"}`), ErrUnsupported, "GPT2Tokenizer"},
		{"config side", filesOf(VocabFile, vocab, ConfigFile, `{"truncation_side": "middle"}`), ErrMalformed, "middle"},
		{"config id", filesOf(VocabFile, vocab, ConfigFile, `{"added_tokens_decoder": {"x": {"content": "y"}}}`), ErrMalformed, `"x"`},
		{"config token", filesOf(VocabFile, vocab, ConfigFile, `{"cls_token": 5}`), ErrMalformed, ConfigFile},
		{"added at another's 0", filesOf(VocabFile, vocab, AddedTokensFile, `{"[DEC]": 0}`), ErrVocabulary, "another token's"},
		{"specials", filesOf(VocabFile, vocab, SpecialTokensFile, `[1]`), ErrMalformed, SpecialTokensFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadFS(tt.files)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v saying %q", err, tt.is, tt.says)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("no folder: %v", err)
	}
}

// TestFilesRoundTrip: what is saved reads back as the same tokenizer, by all
// files, by tokenizer.json alone and without it.
func TestFilesRoundTrip(t *testing.T) {
	added := []AddedToken{
		{Content: "[DEC]", Special: true}, {Content: "<&>", EatLeft: true, EatRight: true, SingleWord: true}, {Content: "Ünd", Normalized: true},
	}
	for name, o := range map[string]Options{
		"plain":    {},
		"start":    {Names: Names{Start: "[DEC]"}, Added: added, MaxLength: 40, Tidy: true},
		"settings": {KeepCase: true, Accents: AccentsDropped, JoinCJK: true, CutLeft: true, SplitSpecials: true, Added: added},
		"kept":     {Accents: AccentsKept},
		"unlike":   {KeepControls: true, MaxWordChars: 7, RawDecoder: true, Prefix: "@@"},
	} {
		t.Run(name, func(t *testing.T) {
			tok := newSmall(t, o)
			dir := filepath.Join(t.TempDir(), "new", "folder")
			if err := tok.Save(dir); err != nil {
				t.Fatal(err)
			}
			all, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !equalOptions(all.Options(), tok.Options()) || all.Hash() != tok.Hash() {
				t.Errorf("read back %+v, want %+v", all.Options(), tok.Options())
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 4 {
				t.Errorf("%d files, %v", len(entries), err)
			}
			if all.class() != "BertTokenizer" {
				return // whose settings only tokenizer.json can hold
			}
			if err := os.Remove(filepath.Join(dir, TokenizerFile)); err != nil {
				t.Fatal(err)
			}
			old, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !equalOptions(old.Options(), tok.Options()) || old.Hash() != tok.Hash() {
				t.Errorf("without tokenizer.json %+v, want %+v", old.Options(), tok.Options())
			}
		})
	}
}

func equalOptions(a, b Options) bool {
	added := slices.Equal(a.Added, b.Added)
	a.Added, b.Added = nil, nil
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return added && errX == nil && errY == nil && string(x) == string(y)
}

// TestVocabFileOmitted: a token that a line can't hold must not shift the ids
// of those after it.
func TestVocabFileOmitted(t *testing.T) {
	for _, token := range []string{"a\nb", " ", "", "x\u3000", "\rx"} {
		tok, err := New([]string{"[UNK]", token, "dog"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		if _, there := files[VocabFile]; there != (token == "") {
			t.Errorf("token %q: vocab.txt is there: %v", token, there)
		}
		again, err := LoadFS(filesOf(TokenizerFile, string(files[TokenizerFile]), ConfigFile, string(files[ConfigFile])))
		if err != nil || again.Hash() != tok.Hash() {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestSaveErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newSmall(t, Options{}).Save(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("saved into a file: %v", err)
	}
}

// TestGoldenRoundTrip: our files of the reference's tokenizers mean the same.
func TestGoldenRoundTrip(t *testing.T) {
	for _, name := range goldenFolders {
		tok := goldenTokenizer(t, name)
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		ours := fstest.MapFS{}
		for name, data := range maps.All(files) {
			ours[name] = &fstest.MapFile{Data: data}
		}
		again, err := LoadFS(ours)
		if err != nil || again.Hash() != tok.Hash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
