package evaluate

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	beam.RegisterType(reflect.TypeFor[counts]())
	beam.RegisterCoder(reflect.TypeFor[counts](), encodeCounts, decodeCounts)
	register.DoFn3x0[string, func(*placed) bool, func(string, counts)](&countFn{})
	register.Combiner1[counts](&mergeCounts{})
	register.DoFn2x2[string, counts, string, error](&keepCounts{})
	register.Emitter2[string, counts]()
	register.Iter1[string]()
}

// Beam finds a coder's functions by their names, which those of a type parameter
// share.
func encodeCounts(c counts) ([]byte, error)    { return toGob(c) }
func decodeCounts(data []byte) (counts, error) { return fromGob[counts](data) }

func toGob(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func fromGob[T any](data []byte) (v T, err error) {
	return v, gob.NewDecoder(bytes.NewReader(data)).Decode(&v)
}

// counts are CIDEr's document frequencies, of some of the n-grams of a set.
type counts struct {
	// Set is a domain, or all pictures where it is empty.
	Set string
	metrics.DocumentFrequencies
}

// countSlices is among how many accumulators the n-grams of a set are shared.
const countSlices = 16

// countFn counts the n-grams of a chunk's references, for all pictures and for
// those of each domain.
type countFn struct{}

// ProcessElement counts one chunk.
func (fn *countFn) ProcessElement(_ string, next func(*placed) bool, emit func(string, counts)) {
	c := readChunk(next)
	sets := map[string]*metrics.DocumentFrequencies{}
	items, ahead := c.items(candidate)
	for i, t := range (metrics.Options{}).Tokenize(items, ahead) {
		for _, set := range setsOf(c.pictures[i]) {
			if sets[set] == nil {
				sets[set] = new(metrics.DocumentFrequencies)
			}
			sets[set].Add(t.References)
		}
	}
	for set, df := range sets {
		for i, part := range slice(df) {
			emit(fmt.Sprintf("%d %s", i, set), counts{set, part})
		}
	}
}

// setsOf are the sets that a picture is in.
func setsOf(p placed) []string {
	if p.Domain == "" {
		return []string{""}
	}
	return []string{"", p.Domain}
}

// slice shares n-grams out. The number of pictures stands in the first part.
func slice(df *metrics.DocumentFrequencies) []metrics.DocumentFrequencies {
	out := make([]metrics.DocumentFrequencies, countSlices)
	for i := range out {
		out[i].Counts = map[string]int64{}
	}
	out[0].Images = df.Images
	for text, n := range df.Counts {
		h := fnv.New32a()
		_, _ = io.WriteString(h, text) // never fails
		out[h.Sum32()%countSlices].Counts[text] = n
	}
	return out
}

// mergeCounts adds counts up.
type mergeCounts struct{}

// MergeAccumulators adds up two.
func (mergeCounts) MergeAccumulators(a, b counts) counts {
	if a.Counts == nil {
		return b
	}
	a.Merge(b.DocumentFrequencies)
	return a
}

// keepCounts writes counts to the work folder, where each process that scores
// reads them once: as elements they would be read again for each chunk. N-grams
// of one picture alone are left out, since CIDEr takes them for those of none.
type keepCounts struct {
	Work string
}

// ProcessElement writes one part and gives its path.
func (fn *keepCounts) ProcessElement(key string, c counts) (string, error) {
	for text, n := range c.Counts {
		if n == 1 {
			delete(c.Counts, text)
		}
	}
	path := filepath.Join(fn.Work, "frequencies-"+records.Fingerprint(key)[:16])
	return path, records.WriteFile(path, func(w io.Writer) error { return gob.NewEncoder(w).Encode(c) })
}

// frequencies are those of each set.
type frequencies map[string]*metrics.DocumentFrequencies

// readCounts reads the parts of all sets.
func readCounts(paths []string) (frequencies, error) {
	out := frequencies{}
	for _, path := range paths {
		c, err := readPart(path)
		if err != nil {
			return nil, fmt.Errorf("document frequencies: %w", err)
		}
		if out[c.Set] == nil {
			out[c.Set] = new(metrics.DocumentFrequencies)
		}
		out[c.Set].Merge(c.DocumentFrequencies)
	}
	return out, nil
}

func readPart(path string) (c counts, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := gob.NewDecoder(f).Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// latest holds the frequencies that this process has read last, which one job
// reads once for all its chunks.
var latest struct {
	sync.Mutex
	run   string
	found frequencies
}

// sharedCounts reads the frequencies of a run unless this process has them.
func sharedCounts(run string, paths []string) (frequencies, error) {
	latest.Lock()
	defer latest.Unlock()
	if latest.run == run && latest.found != nil {
		return latest.found, nil
	}
	found, err := readCounts(paths)
	if err != nil {
		return nil, err
	}
	latest.run, latest.found = run, found
	return found, nil
}
