package augment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// The golden files are written by testdata/augment.py.
const golden = "../../testdata/golden/augment"

func readGolden(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// noise is the picture that the golden script computes as well: levels from low to
// high, both included.
func noise(w, h int, seed uint32, low, high int) *imaging.RGB {
	m := imaging.NewRGB(w, h)
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(low + int(seed>>24)*(high-low+1)/256)
	}
	return m
}

func digest(m *imaging.RGB) string {
	sum := sha256.Sum256(m.Pix)
	return hex.EncodeToString(sum[:8])
}

// operationCase is an operation, its strength and direction, a picture's width,
// height, seed, lowest and highest level, and the digest of the result.
type operationCase struct {
	name           string
	strength, sign float64
	w, h           int
	seed           uint32
	low, high      int
	digest         string
}

func (c *operationCase) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&c.name, &c.strength, &c.sign, &c.w, &c.h, &c.seed, &c.low, &c.high, &c.digest})
}

func TestOperationsGolden(t *testing.T) {
	byName := map[string]operation{}
	for _, op := range operations {
		byName[op.name] = op
	}
	var cases []operationCase
	readGolden(t, "operations.json", &cases)
	seen := map[string]bool{"Identity": true}
	for _, c := range cases {
		seen[c.name] = true
		p := noise(c.w, c.h, c.seed, c.low, c.high)
		before := digest(p)
		out := byName[c.name].apply(p, c.strength, c.sign)
		if out.W != c.w || out.H != c.h || out.Validate() != nil || digest(out) != c.digest {
			t.Errorf("%s at %v (%v) of %dx%d, levels %d to %d: differs from the reference", c.name, c.strength, c.sign, c.w, c.h, c.low, c.high)
		}
		if digest(p) != before {
			t.Errorf("%s wrote to the picture it was given", c.name)
		}
	}
	if len(seen) != len(operations) || len(cases) < 600 {
		t.Errorf("%d cases of the operations %v", len(cases), seen)
	}
}

// The boxes have torchvision's distribution: at each point the share of boxes up to
// it differs by 0.02 at most. (Of two samples of 20,000 and 50,000 boxes from one
// distribution 1 pair in 45,000 differs by more, by the test of Kolmogorov and
// Smirnov; the seeds are fixed.)
func TestCropsGolden(t *testing.T) {
	var golden []struct {
		Width, Height int
		Of            string
		Points, Share []float64
	}
	readGolden(t, "crops.json", &golden)
	const draws, within = 20000, 0.02
	for _, g := range golden {
		of := size{g.Width, g.Height}
		r := rand.New(rand.NewPCG(uint64(g.Width), uint64(g.Height)))
		below := make([]int, len(g.Points))
		for range draws {
			b := drawCrop(of, r)
			v := map[string]float64{
				"area":  float64(b.w*b.h) / float64(of.w*of.h),
				"ratio": float64(b.w) / float64(b.h),
				"x":     float64(b.x), "y": float64(b.y),
			}[g.Of]
			for i, p := range g.Points {
				if v <= p+1e-9 {
					below[i]++
				}
			}
		}
		for i, n := range below {
			if share := float64(n) / draws; share < g.Share[i]-within || share > g.Share[i]+within {
				t.Errorf("%v: %s is up to %v in %.3f of the boxes, in the reference in %.3f", of, g.Of, g.Points[i], share, g.Share[i])
			}
		}
	}
}
