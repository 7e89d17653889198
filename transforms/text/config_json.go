package text

import (
	"encoding/json"
	"fmt"
)

// configFile is tokenizer_config.json, as far as it matters here.
type configFile struct {
	Class        string                `json:"tokenizer_class"`
	LowerCase    *bool                 `json:"do_lower_case"`
	StripAccents *bool                 `json:"strip_accents"`
	ApartCJK     *bool                 `json:"tokenize_chinese_chars"`
	MaxLength    *float64              `json:"model_max_length"`
	Tidy         *bool                 `json:"clean_up_tokenization_spaces"`
	Truncation   string                `json:"truncation_side"`
	SplitSpecial bool                  `json:"split_special_tokens"`
	AddedTokens  map[string]addedToken `json:"added_tokens_decoder"`
	namedTokens
}

// namedTokens is special_tokens_map.json, and a part of tokenizer_config.json.
type namedTokens struct {
	Unknown    *addedToken `json:"unk_token"`
	Separator  *addedToken `json:"sep_token"`
	Padding    *addedToken `json:"pad_token"`
	Class      *addedToken `json:"cls_token"`
	Mask       *addedToken `json:"mask_token"`
	Start      *addedToken `json:"bos_token"`
	End        *addedToken `json:"eos_token"`
	Additional tokenList   `json:"additional_special_tokens"`
	Extra      tokenList   `json:"extra_special_tokens"`
}

// classes are the tokenizer classes that are a BERT WordPiece, and whether they
// have their own switches (true) or take all from tokenizer.json.
var classes = map[string]bool{
	"":              true, // a folder without a word about it is read as BlipProcessor would
	"BertTokenizer": true, "BertTokenizerFast": true,
	"DistilBertTokenizer": true, "DistilBertTokenizerFast": true,
	"ElectraTokenizer": true, "ElectraTokenizerFast": true,
	"PreTrainedTokenizerFast": false, "TokenizersBackend": false,
}

// set carries the file's settings over into o, which has tokenizer.json's.
func (c *configFile) set(o *Options) error {
	switches, known := classes[c.Class]
	if !known {
		return fmt.Errorf("%w: tokenizer_class %q is not a BERT WordPiece tokenizer", ErrUnsupported, c.Class)
	}
	if switches {
		o.KeepCase = c.LowerCase != nil && !*c.LowerCase
		o.JoinCJK = c.ApartCJK != nil && !*c.ApartCJK
		o.Accents = accentsOf(c.StripAccents)
		o.KeepControls, o.RawDecoder = false, false
	}
	switch c.Truncation {
	case "", "right":
	case "left":
		o.CutLeft = true
	default:
		return fmt.Errorf("%w: truncation_side %q", ErrMalformed, c.Truncation)
	}
	// Where no length is known the reference writes 1e30.
	if n := c.MaxLength; n != nil && *n >= 1 && *n <= 1e9 {
		o.MaxLength = int(*n)
	}
	o.Tidy = c.Tidy != nil && *c.Tidy
	o.SplitSpecials = c.SplitSpecial
	c.namedTokens.set(&o.Names)
	return nil
}

func accentsOf(strip *bool) Accents {
	switch {
	case strip == nil:
		return AccentsFollowCase
	case *strip:
		return AccentsDropped
	}
	return AccentsKept
}

func (n *namedTokens) set(to *Names) {
	for _, f := range []struct {
		from *addedToken
		to   *string
	}{
		{n.Unknown, &to.Unknown},
		{n.Separator, &to.Separator},
		{n.Padding, &to.Padding},
		{n.Class, &to.Class},
		{n.Mask, &to.Mask},
		{n.Start, &to.Start},
		{n.End, &to.End},
	} {
		if f.from != nil {
			*f.to = f.from.Content
		}
	}
}

// override puts what other has in the place of what n has.
func (n *namedTokens) override(other namedTokens) {
	for _, f := range []struct{ to, from **addedToken }{
		{&n.Unknown, &other.Unknown},
		{&n.Separator, &other.Separator},
		{&n.Padding, &other.Padding},
		{&n.Class, &other.Class},
		{&n.Mask, &other.Mask},
		{&n.Start, &other.Start},
		{&n.End, &other.End},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	if other.Additional != nil {
		n.Additional = other.Additional
	}
	if other.Extra != nil {
		n.Extra = other.Extra
	}
}

// addedToken is a token in a JSON file: an object, or its content alone.
type addedToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	EatLeft    bool   `json:"lstrip"`
	EatRight   bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// UnmarshalJSON takes both forms.
func (a *addedToken) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*a = addedToken{}
		return json.Unmarshal(data, &a.Content)
	}
	type object addedToken
	return json.Unmarshal(data, (*object)(a))
}

func (a addedToken) token(id int32) AddedToken {
	return AddedToken{
		Content: a.Content, ID: id, Special: a.Special, Normalized: a.Normalized,
		SingleWord: a.SingleWord, EatLeft: a.EatLeft, EatRight: a.EatRight,
	}
}

func (a AddedToken) file() addedToken {
	return addedToken{
		Content: a.Content, Special: a.Special, Normalized: a.Normalized,
		SingleWord: a.SingleWord, EatLeft: a.EatLeft, EatRight: a.EatRight,
	}
}

// tokenList is a list of tokens; transformers also writes a map from a
// model's own names to tokens.
type tokenList []addedToken

// UnmarshalJSON takes both forms. A map's tokens are in the order of the file.
func (l *tokenList) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return json.Unmarshal(data, (*[]addedToken)(l))
	}
	return eachMember(data, func(_ string, d *json.Decoder) error {
		var a addedToken
		err := d.Decode(&a)
		*l = append(*l, a)
		return err
	})
}
