package preprocess

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/stages/dataset"
)

func TestSharesText(t *testing.T) {
	for in, want := range map[string]string{
		"90/5/5": "90/5/5", "8/1/1": "8/1/1", " 0.9/ 0.05 /0.05": "0.9/0.05/0.05", "1/0/0": "1/0/0",
		"90/10": "", "": "", "a/b/c": "", "0/50/50": "", "-1/1/1": "", "NaN/1/1": "", "Inf/1/1": "", "90/5/5/0": "",
	} {
		var s Shares
		err := s.UnmarshalText([]byte(in))
		got, _ := s.MarshalText()
		if want == "" && err == nil || want != "" && (err != nil || string(got) != want) {
			t.Errorf("%q: %s, %v; want %q", in, got, err, want)
		}
	}
}

// hashes are n contents.
func hashes(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i))
	}
	return all
}

func positions(seed int64, contents [][]byte) []uint64 {
	all := make([]uint64, len(contents))
	for i, h := range contents {
		all[i] = position(seed, h)
	}
	return all
}

func count(c cuts, at []uint64) map[string]int {
	n := map[string]int{}
	for _, p := range at {
		n[c.split(p)]++
	}
	return n
}

func TestSmallSetsAreCutExactly(t *testing.T) {
	tests := []struct {
		n                       int
		shares                  Shares
		train, validation, test int
	}{
		{0, DefaultShares, 0, 0, 0},
		{1, DefaultShares, 1, 0, 0},
		{2, DefaultShares, 2, 0, 0},
		{3, DefaultShares, 1, 1, 1},
		{10, DefaultShares, 8, 1, 1},
		{100, DefaultShares, 90, 5, 5},
		{999, DefaultShares, 899, 50, 50},
		{200, Shares{80, 20, 0}, 160, 40, 0},
		{3, Shares{1, 1, 0}, 1, 2, 0},
		{3, Shares{1, 49, 50}, 1, 1, 1},
		{50, Shares{1, 0, 0}, 50, 0, 0},
		{4, Shares{1e-9, 1, 1}, 1, 1, 2},
	}
	for _, tt := range tests {
		at := positions(7, hashes(tt.n))
		n := count(tt.shares.cutsFor(at), at)
		if n[dataset.Train] != tt.train || n[dataset.Validation] != tt.validation || n[dataset.Test] != tt.test {
			t.Errorf("%d by %v: %v, want %d, %d, %d", tt.n, tt.shares, n, tt.train, tt.validation, tt.test)
		}
	}
}

func TestLargeSetsAreCutByFixedShares(t *testing.T) {
	at := positions(1, hashes(20_000))
	c := DefaultShares.cutsFor(at)
	n := count(c, at)
	for split, share := range map[string]float64{dataset.Train: .9, dataset.Validation: .05, dataset.Test: .05} {
		want := share * 20_000
		// Five standard deviations of a binomial count.
		if off := math.Abs(float64(n[split]) - want); off > 5*math.Sqrt(want*(1-share)) {
			t.Errorf("%d pictures in %s, want about %.0f", n[split], split, want)
		}
	}
	if c != DefaultShares.cutsFor(at[:RankBelow]) {
		t.Error("the cuts of a large set depend on what is in it")
	}
	whole := Shares{Train: 1}.cutsFor(at)
	if n := count(whole, append(at, wholeRange-1)); n[dataset.Train] != len(at)+1 {
		t.Errorf("all to train: %v", n)
	}
}

func TestSeedsSplitDifferently(t *testing.T) {
	contents := hashes(100)
	test := func(seed int64) (names []string) {
		at := positions(seed, contents)
		c := DefaultShares.cutsFor(at)
		for i, p := range at {
			if c.split(p) == dataset.Test {
				names = append(names, hex.EncodeToString(contents[i]))
			}
		}
		return names
	}
	if !slices.Equal(test(1), test(1)) {
		t.Error("one seed, two splits")
	}
	if slices.Equal(test(1), test(2)) {
		t.Error("two seeds, one split")
	}
}

// The split is a promise to those who have split with it already.
func TestSplitIsTheOneItHasAlwaysBeen(t *testing.T) {
	for content, want := range map[string]uint64{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855": 5131651747049600001,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad": 6044364739339053126,
	} {
		raw, err := hex.DecodeString(content)
		if err != nil {
			t.Fatal(err)
		}
		if got := position(42, raw); got != want {
			t.Errorf("position of %s is %d, want %d", content[:8], got, want)
		}
	}
}

func TestShards(t *testing.T) {
	pictures := make([]planned, 25)
	for i := range pictures {
		pictures[i].Index = i
	}
	jobs := shards(dataset.Train, pictures, 10)
	next := 0
	for i, j := range jobs {
		if want := fmt.Sprintf("train-%05d-of-00003.parquet", i); j.Name != want {
			t.Errorf("%s, want %s", j.Name, want)
		}
		if n := len(j.Pictures); n < 8 || n > 9 {
			t.Errorf("%d rows in %s, want 8 or 9", n, j.Name)
		}
		for _, p := range j.Pictures {
			if p.Index != next {
				t.Fatalf("picture %d where %d should be", p.Index, next)
			}
			next++
		}
	}
	if next != 25 || len(shards(dataset.Test, nil, 10)) != 0 {
		t.Errorf("%d of 25 pictures in shards", next)
	}
}

func TestDuplicates(t *testing.T) {
	named := func(contents string) (all []planned) {
		for _, c := range []byte(contents) {
			all = append(all, planned{Hash: bytes.Repeat([]byte{c}, sha256.Size)})
		}
		return all
	}
	jobs := []shardJob{
		{Split: dataset.Train, Pictures: named("aba")},
		{Split: dataset.Train, Pictures: named("a")},
		{Split: dataset.Test, Pictures: named("bc")},
	}
	if n, leaks := duplicates(jobs); n != 3 || leaks != 1 {
		t.Errorf("%d duplicates, %d leaks; want 3 and 1", n, leaks)
	}
}

func FuzzShares(f *testing.F) {
	for _, s := range []string{"90/5/5", "1e300/1/1", "0.1//", "1/1/1e-400"} {
		f.Add(s, 17)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		var s Shares
		if s.UnmarshalText([]byte(text)) != nil || n < 0 {
			return
		}
		n %= 1 << 20
		train, validation := s.counts(n)
		if train < 0 || validation < 0 || train+validation > n || train == 0 && n > 0 {
			t.Errorf("%v of %d: %d and %d", s, n, train, validation)
		}
		if c := s.cutsByShare(); c.validation > c.test || c.test > wholeRange {
			t.Errorf("%v: cuts %+v", s, c)
		}
	})
}
