package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// How often a picture is drawn has the mean, the spread and the shares of a Poisson
// variable. The tolerances are four standard errors of 100,000 draws.
func TestPoisson(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	const draws = 100_000
	var sum, squares float64
	shares := map[int64]float64{}
	for range draws {
		n := poisson(random.Float64())
		sum += float64(n)
		squares += float64(n * n)
		shares[n] += 1.0 / draws
	}
	mean := sum / draws
	if variance := squares/draws - mean*mean; math.Abs(mean-1) > 0.013 || math.Abs(variance-1) > 0.025 {
		t.Errorf("mean %v, variance %v; want 1 and 1", mean, variance)
	}
	factorial := 1.0
	for n := range int64(5) {
		factorial *= max(1, float64(n))
		if want := math.Exp(-1) / factorial; math.Abs(shares[n]-want) > 0.007 {
			t.Errorf("%d in %v of draws, want %v", n, shares[n], want)
		}
	}
	if n := poisson(math.Nextafter(1, 0)); n < 10 || n > 30 {
		t.Errorf("the largest draw is %d", n)
	}
}

// drawnItems are pictures whose captions share words with their references by
// chance.
func drawnItems(n int, seed uint64) (items []Item) {
	random := rand.New(rand.NewPCG(seed, 2))
	words := strings.Fields("a the dog cat runs sits on grass sofa red blue two with of and")
	caption := func() string {
		var out []string
		for range 3 + random.IntN(9) {
			out = append(out, words[random.IntN(len(words))])
		}
		return strings.Join(out, " ")
	}
	for i := range n {
		items = append(items, Item{ImageID: fmt.Sprint(i), Prediction: caption(), References: []string{caption(), caption()}})
	}
	return items
}

// statisticsOf are those of each picture, CIDEr among them.
func statisticsOf(items []Item) []Statistics {
	var o Options
	tokens := o.Tokenize(items, nil)
	var df DocumentFrequencies
	for _, t := range tokens {
		df.Add(t.References)
	}
	ones := o.Pictures(items, tokens)
	for i, t := range tokens {
		ones[i].AddCider(df.Cider(t.Prediction, t.References))
	}
	return ones
}

// What pictures add up to scores as Score does, in any order and in any parts.
func TestStatistics(t *testing.T) {
	items := drawnItems(200, 1)
	want, err := Score(items, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ones := statisticsOf(items)
	var parts [3]Statistics
	for n, i := range rand.Perm(len(ones)) {
		parts[n%3].Merge(ones[i])
	}
	var sum Statistics
	for _, p := range parts {
		sum.Merge(p)
	}
	if got := sum.Scores(); got != want.Scores || *sum.SacreBleu() != *want.SacreBleu || sum.Images != 200 {
		t.Errorf("got %+v\nwant %+v", got, want.Scores)
	}
	var twice, times Statistics
	for range 5 {
		twice.Merge(sum)
	}
	times.MergeTimes(sum, 5)
	if diff := cmp.Diff(twice, times); diff != "" {
		t.Errorf("(-five times +times five):\n%s", diff)
	}
	if none := new(Statistics); none.Scores() != (Scores{}) || none.SacreBleu() != nil {
		t.Error("a set of nothing has scores")
	}
}

// An interval is that of the textbook's bootstrap, which draws as many pictures as
// there are. With 2,000 resamples the bounds of either differ by chance by some
// hundredths of the interval.
func TestIntervals(t *testing.T) {
	items := drawnItems(300, 2)
	ones := statisticsOf(items)
	var drawn, other Resamples
	b := Bootstrap{Resamples: 2000, Seed: 5}
	for i := range ones {
		b.Add(&drawn, items[i].ImageID, ones[i])
	}
	random := rand.New(rand.NewPCG(9, 9))
	want := map[string][]float64{}
	for range 2000 {
		var s Statistics
		for range ones {
			s.Merge(ones[random.IntN(len(ones))])
		}
		for key, v := range s.byKey() {
			want[key] = append(want[key], v)
		}
	}
	got := drawn.Intervals()
	if len(got) != 8 {
		t.Errorf("intervals of %d scores", len(got))
	}
	for key, i := range got {
		w := interval(want[key])
		if width := w.High - w.Low; math.Abs(i.Low-w.Low) > 0.15*width || math.Abs(i.High-w.High) > 0.15*width {
			t.Errorf("%s: %+v, the textbook's %+v", key, i, w)
		}
	}
	// In parts and backwards.
	var part Resamples
	for i := range slices.Backward(ones) {
		if i%2 == 0 {
			b.Add(&other, items[i].ImageID, ones[i])
		} else {
			b.Add(&part, items[i].ImageID, ones[i])
		}
	}
	other.Merge(part)
	if diff := cmp.Diff(drawn.Intervals(), other.Intervals()); diff != "" {
		t.Errorf("(-at once +in parts):\n%s", diff)
	}
}

func TestInterval(t *testing.T) {
	var values []float64
	for i := range 101 {
		values = append(values, float64(100-i))
	}
	if got := interval(values); math.Abs(got.Low-2.5) > 1e-12 || math.Abs(got.High-97.5) > 1e-12 {
		t.Errorf("of 0 to 100: %+v", got)
	}
	if got := interval([]float64{3}); got != (Interval{3, 3}) {
		t.Errorf("of one: %+v", got)
	}
}

// Systems that are equally good differ by chance, and P says so: among many pairs
// of them small Ps are rare.
func TestCompare(t *testing.T) {
	const pairs = 60
	small := 0
	for seed := range uint64(pairs) {
		items, others := drawnItems(100, 10+seed), drawnItems(100, 1000+seed)
		for i := range others {
			others[i].References = items[i].References
		}
		d := compare(items, others)["CIDEr"]
		if d.P <= 0.05 {
			small++
		}
		if d.Low > d.High || d.P <= 0 || d.P > 1 {
			t.Fatalf("%+v", d)
		}
	}
	if small > 9 { // of 60 at 5 %, more than 9 come once in 1,000
		t.Errorf("%d of %d pairs of equal systems have P of 0.05 or less", small, pairs)
	}
	items := drawnItems(100, 3)
	better := slices.Clone(items)
	for i := range better {
		better[i].Prediction = better[i].References[1]
	}
	if d := compare(better, items)["ROUGE_L"]; d.P > 0.01 || d.Low <= 0 || d.Difference <= 0 {
		t.Errorf("a better system: %+v", d)
	}
}

func compare(a, b []Item) map[string]Difference {
	boot := Bootstrap{Resamples: 300, Seed: 1}
	sum := func(items []Item) (s Statistics, r Resamples) {
		for i, one := range statisticsOf(items) {
			s.Merge(one)
			boot.Add(&r, items[i].ImageID, one)
		}
		return s, r
	}
	sumA, resA := sum(a)
	sumB, resB := sum(b)
	return Compare(sumA, sumB, resA, resB)
}

func TestVariety(t *testing.T) {
	tokens := []Tokens{
		{"a dog runs", []string{"a dog runs", "dog"}},
		{"a dog runs", []string{"a cat"}},
		{"", []string{"", "a b c d"}},
		{"a hat on top of a hat on top of", []string{"a hat"}},
	}
	want := Diversity{
		Captions: 4, MeanWords: 16.0 / 4, Shortest: 0, Longest: 10, MeanReferenceWords: 12.0 / 6, Empty: 1, Distinct: 3,
		Vocabulary: 7, Distinct1: 7.0 / 16, Distinct2: 7.0 / 13, Repetitive: 1, SameAsReference: 1,
	}
	var all, part Variety
	for i := range tokens {
		if i%2 == 0 {
			all.Add(tokens[i])
		} else {
			part.Add(tokens[i])
		}
	}
	all.Merge(part)
	if diff := cmp.Diff(want, all.Diversity()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := new(Variety).Diversity(); got != (Diversity{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
