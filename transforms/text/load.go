package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The names of a tokenizer's files in a model folder.
const (
	VocabFile         = "vocab.txt"
	TokenizerFile     = "tokenizer.json"
	ConfigFile        = "tokenizer_config.json"
	SpecialTokensFile = "special_tokens_map.json"
	AddedTokensFile   = "added_tokens.json"
)

// Load reads the tokenizer of a Hugging Face folder; [LoadFS] says how.
func Load(dir string) (*Tokenizer, error) {
	t, err := LoadFS(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("load tokenizer from %s: %w", dir, err)
	}
	return t, nil
}

// LoadFS reads the tokenizer in the root of fsys, from tokenizer.json or, where
// that is missing, from vocab.txt. With neither the error is [fs.ErrNotExist].
//
// As in transformers, the switches in tokenizer_config.json (do_lower_case,
// strip_accents, tokenize_chinese_chars), where it is a BERT class's, win over
// the normaliser in tokenizer.json, and mean BERT's defaults where they are
// missing. Without a tokenizer_config.json, or with a class that stands for any
// tokenizer (PreTrainedTokenizerFast), tokenizer.json alone decides.
// special_tokens_map.json and added_tokens.json are read where
// tokenizer_config.json has no added_tokens_decoder.
//
// Errors wrap [ErrMalformed], [ErrUnsupported] or [ErrVocabulary] and name the
// file and the part of it.
func LoadFS(fsys fs.FS) (*Tokenizer, error) {
	var f folder
	if err := f.read(fsys); err != nil {
		return nil, err
	}
	o, vocab, err := f.options()
	if err != nil {
		return nil, err
	}
	t, err := New(vocab, o)
	if err != nil {
		return nil, err
	}
	if f.tokenizer != nil {
		if err := f.tokenizer.PostProcessor.check(t); err != nil {
			return nil, fmt.Errorf("%s: %w", TokenizerFile, err)
		}
	}
	return t, nil
}

// folder is what a tokenizer's files say, each nil if it is not there.
type folder struct {
	vocab     []string
	tokenizer *tokenizerFile
	config    *configFile
	specials  *namedTokens
	added     map[string]int64
}

func (f *folder) read(fsys fs.FS) error {
	if err := readJSON(fsys, TokenizerFile, &f.tokenizer); err != nil {
		return err
	}
	if f.tokenizer == nil {
		if err := f.readVocab(fsys); err != nil {
			return err
		}
	}
	if err := readJSON(fsys, ConfigFile, &f.config); err != nil {
		return err
	}
	if f.config != nil && f.config.AddedTokens != nil {
		return nil // which replaces the older files
	}
	if err := readJSON(fsys, SpecialTokensFile, &f.specials); err != nil {
		return err
	}
	return readJSON(fsys, AddedTokensFile, &f.added)
}

func (f *folder) readVocab(fsys fs.FS) error {
	data, err := readFile(fsys, VocabFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("neither %s nor %s: %w", TokenizerFile, VocabFile, err)
	}
	if err != nil {
		return err
	}
	f.vocab = ParseVocab(data)
	return nil
}

// ParseVocab splits the content of a vocab.txt into its tokens, one a line, the
// line's number from 0 being the id. White space at the ends of lines, and so a
// carriage return, is not part of a token.
func ParseVocab(data []byte) []string {
	var vocab []string
	for line := range bytes.Lines(data) {
		vocab = append(vocab, strings.TrimRightFunc(string(line), unicode.IsSpace))
	}
	return vocab
}

// readFile reads a whole file within [MaxFileSize].
func readFile(fsys fs.FS, name string) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrMalformed, name, MaxFileSize)
	}
	return data, nil
}

// readJSON fills *to, unless there is no such file.
func readJSON(fsys fs.FS, name string, to any) error {
	data, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = json.Unmarshal(data, to)
	if err == nil || errors.Is(err, ErrVocabulary) || errors.Is(err, ErrUnsupported) {
		return wrap(name, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// options puts together what the files say, in the reference's order.
func (f *folder) options() (Options, []string, error) {
	var o Options
	vocab := f.vocab
	if f.tokenizer != nil {
		if err := f.tokenizer.check(); err != nil {
			return o, nil, wrap(TokenizerFile, err)
		}
		f.tokenizer.set(&o)
		vocab = f.tokenizer.Model.Vocab
	}
	if f.config != nil {
		if err := f.config.set(&o); err != nil {
			return o, nil, wrap(ConfigFile, err)
		}
	}
	if f.specials != nil {
		f.specials.set(&o.Names)
	}
	named := f.named(o.Names.withDefaults())
	added, err := f.declared(vocab, named)
	o.Added = append(added, named...)
	return o, vocab, err
}

// declared lists the added tokens that the files give ids to, by id.
func (f *folder) declared(vocab []string, named []AddedToken) ([]AddedToken, error) {
	byID := map[int64]addedToken{}
	var clash error
	declare := func(id int64, a addedToken) {
		if first, twice := byID[id]; twice && first.Content != a.Content {
			clash = fmt.Errorf("%w: the added tokens %q and %q have the same id %d", ErrVocabulary,
				min(first.Content, a.Content), max(first.Content, a.Content), id)
		} else if !twice {
			byID[id] = a
		}
	}
	if f.config != nil {
		for key, token := range f.config.AddedTokens {
			id, err := strconv.ParseInt(key, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: added_tokens_decoder: id %q: %w", ErrMalformed, ConfigFile, key, err)
			}
			declare(id, token)
		}
	}
	for content, id := range f.added {
		special := slices.ContainsFunc(named, func(a AddedToken) bool { return a.Content == content })
		declare(id, addedToken{Content: content, Special: special, Normalized: !special})
	}
	if f.tokenizer != nil {
		for _, token := range f.tokenizer.AddedTokens {
			declare(token.ID, token.addedToken)
		}
	}
	if clash != nil {
		return nil, clash
	}
	return inOrder(byID, vocab)
}

// inOrder lists added tokens by id.
func inOrder(byID map[int64]addedToken, vocab []string) ([]AddedToken, error) {
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		if id < 0 || id >= MaxVocabulary {
			return nil, fmt.Errorf("%w: added token %q has the id %d", ErrVocabulary, byID[id].Content, id)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	list := make([]AddedToken, 0, len(ids))
	for _, id := range ids {
		if token := byID[id]; id == 0 && (len(vocab) == 0 || vocab[0] != token.Content) {
			return nil, fmt.Errorf("%w: added token %q has the id 0, which is another token's", ErrVocabulary, token.Content)
		}
		list = append(list, byID[id].token(int32(id)))
	}
	return list, nil
}

// named lists the tokens of the names and after them the further special ones.
func (f *folder) named(names Names) []AddedToken {
	var n namedTokens
	if f.config != nil {
		n = f.config.namedTokens
	}
	if f.specials != nil {
		n.override(*f.specials)
	}
	// The files may have more to say about a token than its content.
	known := map[string]addedToken{}
	for _, a := range []*addedToken{n.Unknown, n.Separator, n.Padding, n.Class, n.Mask, n.Start, n.End} {
		if a != nil {
			known[a.Content] = *a
		}
	}
	var list []AddedToken
	for _, name := range names.inOrder() {
		if name != "" {
			a := known[name]
			a.Content = name
			list = append(list, a.token(0))
		}
	}
	for _, a := range slices.Concat(n.Additional, n.Extra) {
		list = append(list, a.token(0))
	}
	for i := range list {
		list[i].Special = true
	}
	return list
}
