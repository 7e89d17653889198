package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Files returns the tokenizer's files by name, as the tokenizers of transformers
// 4 and 5, [Load] and the tokenizers library read them: tokenizer.json,
// tokenizer_config.json, special_tokens_map.json and, for older readers,
// vocab.txt. The last is left out if a token can't stand on a line of its own
// (white space at an end).
func (t *Tokenizer) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, content := range map[string]any{
		TokenizerFile:     t.tokenizerContent(),
		ConfigFile:        t.configContent(),
		SpecialTokensFile: t.specialsContent(),
	} {
		data, err := marshal(content)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		files[name] = data
	}
	if vocab, ok := t.vocabContent(); ok {
		files[VocabFile] = vocab
	}
	return files, nil
}

// Save writes [Tokenizer.Files] into a folder, which is made if need be. Each
// file is written aside and renamed, and none is renamed before all are written.
func (t *Tokenizer) Save(dir string) error {
	files, err := t.Files()
	if err != nil {
		return fmt.Errorf("save tokenizer to %s: %w", dir, err)
	}
	if err := writeAll(dir, files); err != nil {
		return fmt.Errorf("save tokenizer to %s: %w", dir, err)
	}
	return nil
}

func writeAll(dir string, files map[string][]byte) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(dir, ".tokenizer-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(aside, name), files[name], 0o644); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(aside, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tokenizer) vocabContent() ([]byte, bool) {
	var b bytes.Buffer
	for _, token := range t.tokens[:t.base] {
		if token != strings.TrimSpace(token) || strings.ContainsAny(token, "\r\n") {
			return nil, false
		}
		b.WriteString(token)
		b.WriteByte('\n')
	}
	return b.Bytes(), true
}

// object is a JSON object that keeps its members in order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []any{m.name, m.value} {
			data, err := marshal(part)
			if err != nil {
				return nil, err
			}
			b.Write(bytes.TrimSuffix(data, []byte{'\n'}))
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1) // the colon after the value
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal leaves < > & as they are, unlike json.Marshal, and ends the line.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// strip is the value of strip_accents.
func (t *Tokenizer) strip() any {
	if t.opts.Accents == AccentsFollowCase {
		return nil
	}
	return t.opts.Accents == AccentsDropped
}

func (t *Tokenizer) tokenizerContent() any {
	vocab := make(object, t.base)
	for i, token := range t.tokens[:t.base] {
		vocab[i] = member{token, i}
	}
	added := make([]any, len(t.added))
	for i, a := range t.added {
		added[i] = struct {
			ID int32 `json:"id"`
			addedToken
		}{a.ID, a.file()}
	}
	return object{
		{"version", "1.0"},
		{"truncation", nil},
		{"padding", nil},
		{"added_tokens", added},
		{"normalizer", object{
			{"type", "BertNormalizer"},
			{"clean_text", !t.opts.KeepControls},
			{"handle_chinese_chars", !t.opts.JoinCJK},
			{"strip_accents", t.strip()},
			{"lowercase", !t.opts.KeepCase},
		}},
		{"pre_tokenizer", object{{"type", "BertPreTokenizer"}}},
		{"post_processor", t.templateContent()},
		{"decoder", object{{"type", "WordPiece"}, {"prefix", t.opts.Prefix}, {"cleanup", !t.opts.RawDecoder}}},
		{"model", object{
			{"type", "WordPiece"},
			{"unk_token", t.opts.Names.Unknown},
			{"continuing_subword_prefix", t.opts.Prefix},
			{"max_input_chars_per_word", t.opts.MaxWordChars},
			{"vocab", vocab},
		}},
	}
}

func (t *Tokenizer) templateContent() any {
	class, separator := t.opts.Names.Class, t.opts.Names.Separator
	special := func(token string, segment int) any {
		return object{{"SpecialToken", object{{"id", token}, {"type_id", segment}}}}
	}
	sequence := func(name string, segment int) any {
		return object{{"Sequence", object{{"id", name}, {"type_id", segment}}}}
	}
	entry := func(token string, id int32) any {
		return object{{"id", token}, {"ids", []int32{id}}, {"tokens", []string{token}}}
	}
	tokens := object{{class, entry(class, t.named.Class)}}
	if separator != class {
		tokens = append(tokens, member{separator, entry(separator, t.named.Separator)})
	}
	single := []any{special(class, 0), sequence("A", 0), special(separator, 0)}
	return object{
		{"type", "TemplateProcessing"},
		{"single", single},
		{"pair", append(slices.Clone(single), sequence("B", 1), special(separator, 1))},
		{"special_tokens", tokens},
	}
}

func (t *Tokenizer) configContent() any {
	o := t.opts
	decoder := make(object, len(t.added))
	for i, a := range t.added {
		decoder[i] = member{strconv.Itoa(int(a.ID)), a.file()}
	}
	side := "right"
	if o.CutLeft {
		side = "left"
	}
	c := object{
		{"tokenizer_class", t.class()},
		{"do_lower_case", !o.KeepCase},
		{"strip_accents", t.strip()},
		{"tokenize_chinese_chars", !o.JoinCJK},
		{"clean_up_tokenization_spaces", o.Tidy},
		{"truncation_side", side},
		{"added_tokens_decoder", decoder},
	}
	if o.MaxLength > 0 {
		c = append(c, member{"model_max_length", o.MaxLength})
	}
	if o.SplitSpecials {
		c = append(c, member{"split_special_tokens", true})
	}
	return append(c, t.specialsContent()...)
}

// class is the class that reads the files back. BertTokenizer has some settings
// built in; a tokenizer with others needs the one that takes all from
// tokenizer.json.
func (t *Tokenizer) class() string {
	o := t.opts
	if o.Prefix == "##" && o.MaxWordChars == 100 && !o.KeepControls && !o.RawDecoder {
		return "BertTokenizer"
	}
	return "PreTrainedTokenizerFast"
}

// specialsContent is special_tokens_map.json.
func (t *Tokenizer) specialsContent() object {
	n := t.opts.Names
	var o object
	named := map[string]bool{}
	for _, m := range []struct{ key, token string }{
		{"bos_token", n.Start},
		{"eos_token", n.End},
		{"unk_token", n.Unknown},
		{"sep_token", n.Separator},
		{"pad_token", n.Padding},
		{"cls_token", n.Class},
		{"mask_token", n.Mask},
	} {
		if m.token != "" {
			o = append(o, member{m.key, m.token})
			named[m.token] = true
		}
	}
	var further []string
	for _, a := range t.added {
		if a.Special && !named[a.Content] {
			further = append(further, a.Content)
		}
	}
	if further != nil {
		// extra_special_tokens, version 5's name for it, is a map in version 4.
		o = append(o, member{"additional_special_tokens", further})
	}
	return o
}
