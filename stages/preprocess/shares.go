package preprocess

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/blipflow/blipflow/stages/dataset"
)

// Shares are the parts of a data set that go to the splits, in any unit: 90/5/5
// and 18/1/1 are the same.
type Shares struct {
	Train, Validation, Test float64
}

// DefaultShares are 90 % for training and 5 % each for validation and test.
var DefaultShares = Shares{Train: 90, Validation: 5, Test: 5}

// MarshalText writes the shares as 90/5/5.
func (s Shares) MarshalText() ([]byte, error) {
	f := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	return []byte(f(s.Train) + "/" + f(s.Validation) + "/" + f(s.Test)), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *Shares) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), "/")
	if len(parts) != 3 {
		return errors.New("write train/validation/test, as 90/5/5")
	}
	var x [3]float64
	for i, part := range parts {
		var err error
		if x[i], err = strconv.ParseFloat(strings.TrimSpace(part), 64); err != nil {
			return errors.New("write train/validation/test, as 90/5/5")
		}
	}
	*s = Shares{x[0], x[1], x[2]}
	return s.validate()
}

func (s Shares) validate() error {
	const most = 1e15
	for _, x := range []float64{s.Train, s.Validation, s.Test} {
		if !(x >= 0 && x <= most) { // NaN is neither
			return errors.New("shares are numbers, 0 or more")
		}
	}
	if s.Train == 0 {
		return errors.New("the share of train is 0: there would be nothing to train on")
	}
	return nil
}

// position places a picture in the range [0, wholeRange), evenly and without
// regard to anything but its content and the seed.
func position(seed int64, contentHash []byte) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "split %d %x", seed, contentHash)
	return binary.BigEndian.Uint64(h.Sum(nil)) >> 1
}

const wholeRange uint64 = 1 << 63

// cuts divide the range of positions.
type cuts struct {
	validation uint64 // the first position that is not train
	test       uint64 // the first position that is neither train nor validation
}

// split is the one place where a picture without a named split gets one.
func (c cuts) split(position uint64) string {
	switch {
	case position < c.validation:
		return dataset.Train
	case position < c.test:
		return dataset.Validation
	default:
		return dataset.Test
	}
}

// RankBelow is the number of pictures below which the splits are cut by rank.
const RankBelow = 1000

// cutsFor chooses the cuts for pictures at the given positions, equal files
// counted once each time they occur.
func (s Shares) cutsFor(positions []uint64) cuts {
	distinct := slices.Compact(slices.Sorted(slices.Values(positions)))
	if len(distinct) >= RankBelow {
		return s.cutsByShare()
	}
	return s.cutsByRank(distinct)
}

func (s Shares) cutsByShare() cuts {
	sum := s.Train + s.Validation + s.Test
	at := func(part float64) uint64 {
		if part >= sum {
			return wholeRange
		}
		return uint64(part / sum * float64(wholeRange))
	}
	return cuts{validation: at(s.Train), test: at(s.Train + s.Validation)}
}

// cutsByRank puts the cuts between sorted, distinct positions.
func (s Shares) cutsByRank(sorted []uint64) cuts {
	n := len(sorted)
	train, validation := s.counts(n)
	at := func(rank int) uint64 {
		if rank >= n {
			return wholeRange
		}
		return sorted[rank]
	}
	return cuts{validation: at(train), test: at(train + validation)}
}

// counts divides n pictures: validation and test get their shares, rounded, but
// one at least where they have a share and there is one to give; train the rest.
func (s Shares) counts(n int) (train, validation int) {
	sum := s.Train + s.Validation + s.Test
	part := func(share float64) int {
		if share == 0 || n < 3 {
			return 0
		}
		return max(1, int(share/sum*float64(n)+0.5))
	}
	validation, test := part(s.Validation), part(s.Test)
	for validation+test >= n && n > 0 { // rounded up twice, of a handful
		if validation >= test && validation > 0 {
			validation--
		} else {
			test--
		}
	}
	return n - validation - test, validation
}
