package text

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzLoad(f *testing.F) {
	f.Add(wordPieceJSON, `{"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"0": {"content": "[PAD]"}}}`, `{}`, "{}")
	f.Add(strings.Replace(wordPieceJSON, `"a": 5`, `"a": 3999999`, 1), `{"extra_special_tokens": {"a_token": "x"}}`, `{"bos_token": {"content": "y"}}`, `{"z": 7}`)
	f.Add(`{"model": {"vocab": {"a": 0, "a": 1}}}`, `{"model_max_length": 1e30}`, `null`, `null`)
	f.Add(`{"post_processor": {"type": "BertProcessing", "sep": [1, "x"], "cls": []}}`, ``, ``, ``)
	f.Fuzz(func(t *testing.T, tokenizer, config, specials, added string) {
		tok, err := LoadFS(filesOf(TokenizerFile, tokenizer, ConfigFile, config, SpecialTokensFile, specials, AddedTokensFile, added))
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrVocabulary) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		checkTokenizer(t, tok)
	})
}

func FuzzLoadVocab(f *testing.F) {
	f.Add([]byte("[UNK]\na\n##b\n"))
	f.Add([]byte("\xff\r\n\u2028\n[UNK]"))
	f.Fuzz(func(t *testing.T, vocab []byte) {
		tok, err := LoadFS(filesOf(VocabFile, string(vocab)))
		if err != nil {
			if !errors.Is(err, ErrVocabulary) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		checkTokenizer(t, tok)
	})
}

// checkTokenizer holds a tokenizer to what must be true of any.
func checkTokenizer(t *testing.T, tok *Tokenizer) {
	t.Helper()
	for i := range int32(tok.Size()) {
		token, ok := tok.Token(i)
		if id, there := tok.ID(token); !ok || !there || id != i {
			t.Fatalf("token %d is %q, which is token %d", i, token, id)
		}
	}
	checkIDs(t, tok, tok.EncodeWithSpecials("A dog [SEP] déjà [UNK]x", 0))
	files, err := tok.Files()
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{TokenizerFile, string(files[TokenizerFile]), ConfigFile, string(files[ConfigFile])}
	again, err := LoadFS(filesOf(pairs...))
	if err != nil {
		t.Fatalf("its own files: %v", err)
	}
	if again.Hash() != tok.Hash() {
		t.Error("its own files are another tokenizer's")
	}
}

func checkIDs(t *testing.T, tok *Tokenizer, ids []int32) {
	t.Helper()
	for _, id := range ids {
		if id < 0 || int(id) >= tok.Size() {
			t.Fatalf("id %d of %d", id, tok.Size())
		}
	}
}

func FuzzEncodeDecode(f *testing.F) {
	tokenizers := map[string]*Tokenizer{}
	for _, name := range goldenFolders {
		tokenizers[name] = goldenTokenizer(f, name)
	}
	f.Add("A man's café, İ 漢字 [SEP]\u0301\u302e\xff", 7)
	f.Add("[MASK", -1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		for _, tok := range tokenizers {
			whole := tok.EncodeWithSpecials(s, 0)
			checkIDs(t, tok, whole)
			if cut := tok.EncodeWithSpecials(s, limit); limit > 1 && len(cut) > limit || len(cut) > len(whole) {
				t.Errorf("%d ids, limit %d, whole %d", len(cut), limit, len(whole))
			}
			text := tok.Decode(whole, DecodeOptions{})
			if !utf8.ValidString(text) {
				t.Errorf("decoded to invalid UTF-8: %q", text)
			}
			// Invalid bytes count as U+FFFD, in every tokenizer here dropped.
			if valid := strings.ToValidUTF8(s, "\ufffd"); len(tok.Encode(valid)) != len(whole)-2 {
				t.Errorf("%q and %q differ", s, valid)
			}
		}
	})
}
