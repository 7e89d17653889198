package annotations

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
)

// ID is a picture's id in JSON, a string or a whole number: 42 and "42" are the
// same.
type ID string

// UnmarshalJSON reads a string, a whole number in any notation, or null for none.
func (x *ID) UnmarshalJSON(data []byte) error {
	switch {
	case bytes.Equal(data, []byte("null")):
		*x = ""
		return nil
	case len(data) > 0 && data[0] == '"':
		return json.Unmarshal(data, (*string)(x))
	}
	text := string(data)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*x = ID(strconv.FormatInt(n, 10))
		return nil
	}
	const longest = 32 // 1e999999999 is a number of a gigabyte
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > longest || f < -1e18 || f > 1e18 {
		return fmt.Errorf("id %.40s is neither a string nor a whole number", text)
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || !exact.IsInt() {
		return fmt.Errorf("id %.40s is neither a string nor a whole number", text)
	}
	*x = ID(exact.Num().String())
	return nil
}
