package text

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var checkDir = flag.String("check_dir", "", "write tokenizer folders here for `testdata/text.py check`")

// TestWriteCheckFolders writes what [Tokenizer.Save] makes of several
// tokenizers, and what ids they give, for the reference to read:
//
//	go test ./transforms/text -run TestWriteCheckFolders -check_dir=DIR
//	.venv/bin/python testdata/text.py check DIR
func TestWriteCheckFolders(t *testing.T) {
	if *checkDir == "" {
		t.Skip("no -check_dir")
	}
	corpus := goldenRows(t, "uncased")
	built, err := BuildVocab(func(yield func(string) bool) {
		for _, row := range corpus {
			if !yield(row.Text) {
				return
			}
		}
	}, VocabOptions{Size: 3000, MinFrequency: 2, Tokenizer: Options{MaxLength: 512, Tidy: true}})
	if err != nil {
		t.Fatal(err)
	}
	tokenizers := map[string]*Tokenizer{"built": built}
	for _, name := range goldenFolders {
		tokenizers[name] = goldenTokenizer(t, name)
	}
	for name, tok := range tokenizers {
		dir := filepath.Join(*checkDir, name)
		if err := tok.Save(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "expected.jsonl"), expected(t, tok, corpus), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func expected(t *testing.T, tok *Tokenizer, corpus []goldenRow) []byte {
	var out bytes.Buffer
	for _, row := range corpus {
		ids := tok.EncodeWithSpecials(row.Text, 0)
		line, err := marshal(object{
			{"text", row.Text},
			{"ids", ids},
			{"decoded", tok.Decode(ids, DecodeOptions{})},
			{"loose", slices.Concat([]int32{0}, row.Loose)},
			{"spoken", tok.Decode(slices.Concat([]int32{0}, row.Loose), DecodeOptions{})},
			{"size", tok.Size()},
		})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(line)
	}
	return out.Bytes()
}
