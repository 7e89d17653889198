package text_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/blipflow/blipflow/transforms/text"
)

func ExampleNew() {
	vocab := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "run", "##ning", "."}
	t, err := text.New(vocab, text.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Encode("Dogs running."))
	fmt.Println(t.EncodeWithSpecials("A dog, running.", 5))
	fmt.Println(t.Decode([]int32{2, 6, 7, 8, 9, 10, 3, 0, 0}, text.DecodeOptions{}))
	// Output:
	// [6 7 8 9 10]
	// [2 5 6 1 3]
	// dogs running.
}

func ExampleBuildVocab() {
	captions := []string{"two dogs on a beach", "a dog runs on the beach", "two dogs run"}
	t, err := text.BuildVocab(slices.Values(captions), text.VocabOptions{Size: 70})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := t.Encode("the dogs")
	for _, id := range ids {
		token, _ := t.Token(id)
		fmt.Print(token, " ")
	}
	start, _ := t.Token(t.IDs().Start)
	fmt.Println(start)
	// Output: t ##h ##e dogs [DEC]
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	vocab := []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncat\n")
	if err := os.WriteFile(filepath.Join(dir, text.VocabFile), vocab, 0o600); err != nil {
		fmt.Println(err)
		return
	}
	t, err := text.Load(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Size(), t.EncodeWithSpecials("A CAT", 0))
	// Output: 7 [2 5 6 3]
}

func ExampleOneLine() {
	fmt.Println(text.OneLine("  two dogs\r\n on the\u2028beach "))
	// Output: two dogs on the beach
}
