package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth is how deep the values of keys that we don't know may be nested.
const maxDepth = 16

// parser reads JSON token by token, so that a key given twice is seen and no
// value is built whose shape was not asked for.
type parser struct {
	tokens *json.Decoder
	text   []byte
}

func newParser(text []byte) *parser {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return &parser{tokens: d, text: text}
}

// document reads one object and nothing behind it but white space.
func (p *parser) document(value func(key string) error) error {
	if err := p.object(value); err != nil {
		return err
	}
	if _, err := p.tokens.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	return nil
}

// object reads an object; value is called behind each key and must read one
// value.
func (p *parser) object(value func(key string) error) error {
	if err := p.want('{'); err != nil {
		return err
	}
	seen := map[string]struct{}{}
	for p.tokens.More() {
		key, err := p.string()
		if err != nil {
			return err
		}
		if _, twice := seen[key]; twice {
			return fmt.Errorf("key %.80q is there twice", key)
		}
		seen[key] = struct{}{}
		if err := value(key); err != nil {
			return err
		}
	}
	return p.want('}')
}

// token reads a token; the end of the text is an error.
func (p *parser) token() (json.Token, error) {
	t, err := p.tokens.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

func (p *parser) want(d json.Delim) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	if t != d {
		return fmt.Errorf("%s where %q should be", brief(t), rune(d))
	}
	return nil
}

// string reads a string without broken surrogate escapes: the decoder would
// make one replacement rune of all of them, and of two names one.
func (p *parser) string() (string, error) {
	from := p.tokens.InputOffset()
	t, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%s where a string should be", brief(t))
	}
	if strings.ContainsRune(s, '\uFFFD') {
		raw := p.text[from:p.tokens.InputOffset()]
		if bytes.Count(raw, []byte("\uFFFD"))+countEscaped(raw) != strings.Count(s, "\uFFFD") {
			return "", errors.New("broken surrogate escape")
		}
	}
	return s, nil
}

// countEscaped counts the replacement runes that are written as escapes.
func countEscaped(raw []byte) int {
	n := 0
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // what is escaped, a backslash too, begins no escape
		if i+5 <= len(raw) && strings.EqualFold(string(raw[i:i+5]), "ufffd") {
			n++
		}
	}
	return n
}

// integers reads an array of at most limit sizes.
func (p *parser) integers(limit int) ([]int64, error) {
	if err := p.want('['); err != nil {
		return nil, err
	}
	var list []int64
	for p.tokens.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s where a number should be", brief(t))
		}
		n, err := integer(number.String())
		if err != nil {
			return nil, err
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		list = append(list, n)
	}
	return list, p.want(']')
}

// stringMap reads an object of strings, or null.
func (p *parser) stringMap() (map[string]string, error) {
	if p.null() {
		return nil, p.skip()
	}
	m := map[string]string{}
	err := p.object(func(key string) error {
		value, err := p.string()
		m[key] = value
		if err != nil {
			return fmt.Errorf("%.80q: %w", key, err)
		}
		return nil
	})
	return m, err
}

// null reports whether the next value is null.
func (p *parser) null() bool {
	rest := bytes.TrimLeft(p.text[p.tokens.InputOffset():], ": \t\r\n")
	return bytes.HasPrefix(rest, []byte("null"))
}

// skip passes over a value of any kind.
func (p *parser) skip() error {
	for depth := 0; ; {
		t, err := p.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
	}
}

// brief shows a token in an error.
func brief(t json.Token) string {
	if t == nil {
		return "null"
	}
	return fmt.Sprintf("%.40q", fmt.Sprint(t))
}
