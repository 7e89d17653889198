package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// tokenizerFile is tokenizer.json.
type tokenizerFile struct {
	AddedTokens   []numberedToken `json:"added_tokens"`
	Normalizer    *normalizerPart `json:"normalizer"`
	PreTokenizer  *typedPart      `json:"pre_tokenizer"`
	PostProcessor *postProcessor  `json:"post_processor"`
	Decoder       *decoderPart    `json:"decoder"`
	Model         *modelPart      `json:"model"`
}

type typedPart struct {
	Type string `json:"type"`
}

type normalizerPart struct {
	Type         string `json:"type"`
	Clean        *bool  `json:"clean_text"`
	ApartCJK     *bool  `json:"handle_chinese_chars"`
	StripAccents *bool  `json:"strip_accents"`
	Lower        *bool  `json:"lowercase"`
}

type decoderPart struct {
	Type    string  `json:"type"`
	Prefix  *string `json:"prefix"`
	Cleanup *bool   `json:"cleanup"`
}

type modelPart struct {
	Type         string      `json:"type"`
	Unknown      string      `json:"unk_token"`
	Prefix       string      `json:"continuing_subword_prefix"`
	MaxWordChars int         `json:"max_input_chars_per_word"`
	Vocab        vocabulary  `json:"vocab"`
	Merges       *typedMerge `json:"merges"`
}

// typedMerge only notes that a model has merges, which makes it a BPE.
type typedMerge struct{}

// UnmarshalJSON takes anything.
func (*typedMerge) UnmarshalJSON([]byte) error { return nil }

// numberedToken is an added token with its id.
type numberedToken struct {
	addedToken
	ID int64
}

// UnmarshalJSON reads both parts, as the one of the embedded token would be
// called for the whole otherwise.
func (n *numberedToken) UnmarshalJSON(data []byte) error {
	var id struct {
		ID *int64 `json:"id"`
	}
	if err := json.Unmarshal(data, &id); err != nil {
		return err
	}
	if id.ID == nil {
		return errors.New("an added token has no id")
	}
	n.ID = *id.ID
	return n.addedToken.UnmarshalJSON(data)
}

// check says which part, if any, is not that of a BERT WordPiece tokenizer.
func (f *tokenizerFile) check() error {
	unsupported := func(part, have, want string) error {
		if have == "" {
			have = "missing"
		}
		return fmt.Errorf("%w: %s is %s, want %s", ErrUnsupported, part, have, want)
	}
	switch {
	case f.Model == nil:
		return unsupported("model", "", "WordPiece")
	case f.Model.Type != "WordPiece" && (f.Model.Type != "" || f.Model.Merges != nil):
		return unsupported("model", f.Model.Type, "WordPiece")
	case f.Normalizer == nil:
		return unsupported("normalizer", "", "BertNormalizer")
	case f.Normalizer.Type != "BertNormalizer":
		return unsupported("normalizer", f.Normalizer.Type, "BertNormalizer")
	case f.PreTokenizer == nil:
		return unsupported("pre_tokenizer", "", "BertPreTokenizer")
	case f.PreTokenizer.Type != "BertPreTokenizer":
		return unsupported("pre_tokenizer", f.PreTokenizer.Type, "BertPreTokenizer")
	case f.Decoder != nil && f.Decoder.Type != "WordPiece":
		return unsupported("decoder", f.Decoder.Type, "WordPiece")
	case f.Decoder != nil && f.Decoder.Prefix != nil && *f.Decoder.Prefix != f.Model.prefix():
		return unsupported("decoder prefix", fmt.Sprintf("%q", *f.Decoder.Prefix), fmt.Sprintf("the model's %q", f.Model.prefix()))
	case f.Model.MaxWordChars < 0:
		return fmt.Errorf("%w: max_input_chars_per_word is %d", ErrMalformed, f.Model.MaxWordChars)
	case len(f.Model.Vocab) == 0:
		return fmt.Errorf("%w: model.vocab is empty", ErrVocabulary)
	}
	return nil
}

func (m *modelPart) prefix() string {
	if m.Prefix == "" {
		return "##"
	}
	return m.Prefix
}

// set carries the file's settings over into o.
func (f *tokenizerFile) set(o *Options) {
	is := func(b *bool, otherwise bool) bool {
		if b == nil {
			return otherwise
		}
		return *b
	}
	o.KeepCase = !is(f.Normalizer.Lower, true)
	o.Accents = accentsOf(f.Normalizer.StripAccents)
	o.JoinCJK = !is(f.Normalizer.ApartCJK, true)
	o.KeepControls = !is(f.Normalizer.Clean, true)
	o.RawDecoder = f.Decoder != nil && !is(f.Decoder.Cleanup, true)
	o.MaxWordChars, o.Prefix = f.Model.MaxWordChars, f.Model.Prefix
	o.Names.Unknown = f.Model.Unknown
}

// vocabulary is model.vocab: an object of tokens and ids, here in order of ids.
type vocabulary []string

// UnmarshalJSON wants every id from 0 up exactly once and no token twice.
func (v *vocabulary) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return fmt.Errorf("%w: model.vocab is not an object of tokens and ids", ErrUnsupported)
	}
	ids := map[string]int{}
	highest := -1
	err := eachMember(data, func(token string, d *json.Decoder) error {
		var id *int
		if err := d.Decode(&id); err != nil {
			return fmt.Errorf("model.vocab: token %q: %w", token, err)
		}
		if id == nil || *id < 0 || *id >= MaxVocabulary {
			return fmt.Errorf("%w: token %q has no id from 0 to %d", ErrVocabulary, token, MaxVocabulary-1)
		}
		if _, twice := ids[token]; twice {
			return fmt.Errorf("%w: token %q stands twice in model.vocab", ErrVocabulary, token)
		}
		ids[token] = *id
		highest = max(highest, *id)
		return nil
	})
	if err != nil {
		return err
	}
	return v.fill(ids, highest)
}

func (v *vocabulary) fill(ids map[string]int, highest int) error {
	if highest >= len(ids) { // checked first: nothing is made in the size that a file claims
		return fmt.Errorf("%w: ids go up to %d, but there are %d tokens", ErrVocabulary, highest, len(ids))
	}
	list := make([]string, len(ids))
	taken := make([]bool, len(ids))
	for token, id := range ids {
		if taken[id] {
			return fmt.Errorf("%w: tokens %q and %q have the same id %d", ErrVocabulary, min(token, list[id]), max(token, list[id]), id)
		}
		list[id], taken[id] = token, true
	}
	*v = list
	return nil
}

// eachMember calls f for the members of a JSON object, in their order, with the
// decoder before the value. Go's maps would hide that a name stands twice.
func eachMember(data []byte, f func(name string, d *json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := f(name.(string), d); err != nil {
			return err
		}
	}
	return nil
}

// postProcessor puts [CLS] and [SEP] around a text, in one of two notations.
type postProcessor struct {
	Type   string         `json:"type"`
	Single []templatePart `json:"single"`
	Tokens map[string]struct {
		IDs []int64 `json:"ids"`
	} `json:"special_tokens"`
	Class     pair `json:"cls"`
	Separator pair `json:"sep"`
}

type templatePart struct {
	Special  *namedPart `json:"SpecialToken"`
	Sequence *namedPart `json:"Sequence"`
}

type namedPart struct {
	ID string `json:"id"`
}

// pair is a token and its id, which the file has as an array of two.
type pair struct {
	token string
	id    int64
}

// UnmarshalJSON reads the array.
func (p *pair) UnmarshalJSON(data []byte) error {
	both := [2]any{&p.token, &p.id}
	return json.Unmarshal(data, &both)
}

// check wants class, text, separator, with the tokenizer's own ids. No post-
// processor at all is as good: BertTokenizer then makes this one.
func (p *postProcessor) check(t *Tokenizer) error {
	if p == nil {
		return nil
	}
	var class, separator pair
	switch p.Type {
	case "BertProcessing":
		class, separator = p.Class, p.Separator
	case "TemplateProcessing":
		s := p.Single
		if len(s) != 3 || s[0].Special == nil || s[1].Sequence == nil || s[2].Special == nil {
			return fmt.Errorf("%w: post_processor has another template than class, text, separator", ErrUnsupported)
		}
		class, separator = p.pair(s[0].Special.ID), p.pair(s[2].Special.ID)
	default:
		return fmt.Errorf("%w: post_processor is %s, want TemplateProcessing or BertProcessing", ErrUnsupported, p.Type)
	}
	for _, want := range []struct {
		have pair
		name string
		id   int32
	}{
		{class, t.opts.Names.Class, t.named.Class},
		{separator, t.opts.Names.Separator, t.named.Separator},
	} {
		if want.have.token != want.name || want.have.id != int64(want.id) {
			return fmt.Errorf("%w: post_processor puts %q (id %d) where %q (id %d) belongs",
				ErrUnsupported, want.have.token, want.have.id, want.name, want.id)
		}
	}
	return nil
}

func (p *postProcessor) pair(token string) pair {
	if ids := p.Tokens[token].IDs; len(ids) == 1 {
		return pair{token, ids[0]}
	}
	return pair{token, -1}
}
