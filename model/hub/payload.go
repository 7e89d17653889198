package hub

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// payload is what a request sends, from its start with each attempt.
type payload struct {
	length int64
	open   func() io.ReadCloser
}

// jsonPayload is v as a request sends it. Only types of this package come here,
// which JSON can hold.
func jsonPayload(v any) *payload {
	text, err := json.Marshal(v)
	return &payload{length: int64(len(text)), open: func() io.ReadCloser {
		if err != nil {
			return io.NopCloser(reader(func([]byte) (int, error) { return 0, final{err} }))
		}
		return io.NopCloser(bytes.NewReader(text))
	}}
}

func setType(name string) func(http.Header) {
	return func(h http.Header) { h.Set("Content-Type", name) }
}

var isJSON = setType("application/json")
