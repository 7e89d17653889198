package annotations

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// SkipMark skips a byte order mark.
func SkipMark(r io.Reader) *bufio.Reader {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(3); string(head) == "\ufeff" {
		_, _ = b.Discard(3) // they are in the buffer
	}
	return b
}

// eachOf walks a JSON object and hands the values of the keys in want to their
// functions. Nothing may follow the object.
func eachOf(dec *json.Decoder, want map[string]func(*json.Decoder) error) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		name, _ := key.(string)
		read := want[name]
		if read == nil {
			read = func(dec *json.Decoder) error { return dec.Decode(new(json.RawMessage)) }
		}
		if err := read(dec); err != nil {
			return fmt.Errorf("%w: in %q: %w", ErrFormat, name, err)
		}
	}
	if err := expect(dec, '}'); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ErrFormat)
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case got != want:
		return fmt.Errorf("%w: %v where %v was expected", ErrFormat, got, want)
	}
	return nil
}

// Each reads an array and hands its elements to do, one at a time.
func Each[T any](dec *json.Decoder, do func(T) error) error {
	if err := expect(dec, '['); err != nil {
		return err
	}
	for n := 0; dec.More(); n++ {
		var v T
		err := dec.Decode(&v)
		if err == nil {
			err = do(v)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", n, err)
		}
	}
	return expect(dec, ']')
}

// AppendTo reads an array.
func AppendTo[T any](dec *json.Decoder, to *[]T) error {
	return Each(dec, func(v T) error {
		*to = append(*to, v)
		return nil
	})
}

// Known reports whether an object begins as a file that Parse reads, rather than
// as the row of a table.
func Known(in *bufio.Reader) bool {
	head, _ := in.Peek(1 << 10) // a shorter file has less
	dec := json.NewDecoder(bytes.NewReader(head))
	if err := expect(dec, '{'); err != nil {
		return true // Parse says what is wrong with it
	}
	key, err := dec.Token()
	name, _ := key.(string)
	return err != nil || slices.Contains([]string{"images", "annotations", "info", "licenses", "type", "dataset"}, name)
}

// BeginsList looks for the bracket of a list, past white space.
func BeginsList(in io.ByteScanner) (bool, error) {
	for {
		b, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case b == ' ' || b == '\t' || b == '\r' || b == '\n':
			continue
		}
		return b == '[', in.UnreadByte()
	}
}
