package text

import "strings"

// Tidying says whether decoding ends with the second clean-up of spaces.
type Tidying int

// The choices for [DecodeOptions.Tidy].
const (
	// TidyAsSet follows [Options.Tidy].
	TidyAsSet Tidying = iota
	// TidyOn does it (clean_up_tokenization_spaces=True).
	TidyOn
	// TidyOff does not.
	TidyOff
)

// DecodeOptions say how ids become text. The zero value is what captions want:
// no special tokens, spaces as the tokenizer's settings have them.
type DecodeOptions struct {
	// KeepSpecial keeps special tokens in the text.
	KeepSpecial bool
	// Tidy overrides the tokenizer's own setting.
	Tidy Tidying
}

// Decode returns the text of a sequence of ids: pieces joined to words, words
// by spaces, spaces before marks and in contractions taken out. Ids that the
// vocabulary lacks are passed over, as in the reference; so are special tokens
// unless the options keep them.
//
// There are two clean-ups. The first, per token, always runs and takes the
// space from before . ? ! , and some endings ('m, 's, n't, …) that are one
// token. The second runs over the whole text and so also closes "a dog ' s" to
// "a dog's" by way of the lone apostrophe. Whether it runs by default differs
// between versions of transformers (5: no, 4: yes); a folder that says so
// (clean_up_tokenization_spaces) gives the same text in both.
func (t *Tokenizer) Decode(ids []int32, o DecodeOptions) string {
	var b strings.Builder
	any := false
	for _, id := range ids {
		token, ok := t.Token(id)
		if !ok || !o.KeepSpecial && t.hidden[id] {
			continue
		}
		if form, other := t.shown[id]; other {
			token = form
		}
		if any {
			if rest, continues := strings.CutPrefix(token, t.opts.Prefix); continues {
				token = rest
			} else {
				token = " " + token
			}
		}
		any = true
		if !t.opts.RawDecoder {
			token = tokenCleaner.clean(token)
		}
		b.WriteString(token)
	}
	if o.Tidy == TidyOn || o.Tidy == TidyAsSet && t.opts.Tidy {
		return textCleaner.clean(b.String())
	}
	return b.String()
}

// cleaner is a list of replacements that are made one after the other, each in
// the whole of what the one before left.
type cleaner []struct{ old, new string }

func (c cleaner) clean(s string) string {
	if !mayApply(s) {
		return s
	}
	for _, r := range c {
		s = strings.ReplaceAll(s, r.old, r.new)
	}
	return s
}

// mayApply reports whether a space in s is followed by a character that follows
// it in one of the replacements. In most words it is not.
func mayApply(s string) bool {
	for i := range len(s) - 1 {
		if s[i] == ' ' && strings.IndexByte(".?!,'nd", s[i+1]) >= 0 {
			return true
		}
	}
	return false
}

// The replacements of tokenizers (decoders/wordpiece.rs) and of transformers
// (tokenization_utils_base.py). The former has one more.
var (
	tokenCleaner = cleaner{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
		{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	}
	textCleaner = cleaner{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
		{" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	}
)
