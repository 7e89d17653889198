package safetensors

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Opening a model of BLIP's number of tensors: the header is read, the map set
// up, no weight touched.
func BenchmarkOpen(b *testing.B) {
	var list []Source
	for i := range 470 {
		list = append(list, Source{Name: fmt.Sprintf("text_decoder.bert.encoder.layer.%d.weight", i), DType: F32, Shape: []int64{64}, Data: make([]byte, 256)})
	}
	path := filepath.Join(b.TempDir(), SingleName)
	if err := Write(path, list, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
