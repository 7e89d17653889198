package records

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithoutCaptions(t *testing.T) {
	for _, format := range []PixelFormat{Uint8, Float32} {
		for _, pixels := range []bool{true, false} {
			data, want := shard(t, 20, format, WriterOptions{RowGroupBytes: 2000})
			for i := range want {
				want[i].Captions, want[i].TokenIDs = nil, nil
				if !pixels {
					want[i].Pixels, want[i].Floats = nil, nil
				}
			}
			got := readAll(t, openBytes(t, data, ReaderOptions{WithoutCaptions: true, WithoutPixels: !pixels}))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, pixels %v (-want +got):\n%s", format, pixels, diff)
			}
		}
	}
}
