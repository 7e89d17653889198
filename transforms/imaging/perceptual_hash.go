package imaging

import (
	"math"
	"math/bits"
)

const (
	// hashGrid is how many cells across and down a picture is averaged into.
	hashGrid = 32
	// lumaWaves and chromaWaves bound the frequencies that count, in half waves a
	// side. Chroma has fewer, since JPEG files store it at half the size.
	lumaWaves, chromaWaves = 16, 8
	// flatness is the root mean square of the weighted frequencies, in levels,
	// below which a picture counts as flat.
	flatness = 0.15

	cellScale   = 1 << 8
	cosineScale = 1 << 14
	weightScale = 1 << 8
)

// PerceptualHash sums up what a picture looks like in 64 bits: copies in another
// size, compression or brightness differ in a few bits, other pictures in about
// half of them. It is not ok for a picture without structure, such as one colour
// or a faint run from one to another, whose bits would be those of its noise.
//
// Each bit tells on which side of a plane the picture lies, in the space of its
// low frequencies of luma and chroma (Charikar, "Similarity estimation techniques
// from rounding algorithms", STOC 2002). The usual hash of this kind, a bit a
// frequency, keeps signs only: it can't tell figures in the middle of a plain
// ground from one another, and loses the frequencies that a symmetrical picture
// does not have to noise.
//
// Measured, with a distance of 4 as the limit, on 210 photographs and parts of
// such, 600 pictures of shapes on coloured noise and 1,000 of package demo: copies
// are within it in all cases at half and double size and at JPEG quality 95, in
// 99.9 % at 75 and 99.4 % at 50, in all made darker by a tenth, and in 94 %
// (demo), 98 % (photographs) and 99 % made brighter by a tenth, which clips light
// parts. Of 2 million pairs of different photographs and shapes on noise none is
// within 8 bits. Of 4.5 million pairs of the demo's pictures 41 are within 4, of
// which 12 show the same thing in the same place (a bit a frequency: 7,358).
func PerceptualHash(p *RGB) (hash uint64, ok bool) {
	var sides [64]int64
	var energy float64
	n := 0
	for i, cells := range averageCells(p) {
		waves := chromaWaves
		if i == 0 {
			waves = lumaWaves
		}
		spectrum := lowFrequencies(&cells, waves)
		for _, t := range hashTerms[i] {
			c := spectrum[t.v][t.u] * t.weight
			energy += float64(float64(c) * float64(c))
			sides[n%len(sides)] += c
			n++
		}
	}
	hadamard(&sides)
	for b, s := range sides {
		if s > 0 {
			hash |= 1 << b
		}
	}
	return hash, energy >= leastEnergy
}

// hadamard multiplies by the Hadamard matrix of order 64.
func hadamard(v *[64]int64) {
	for half := 1; half < len(v); half *= 2 {
		for i := range v {
			if i&half == 0 {
				v[i], v[i+half] = v[i]+v[i+half], v[i]-v[i+half]
			}
		}
	}
}

// Distance is the number of bits in which two hashes differ.
func Distance(a, b uint64) int { return bits.OnesCount64(a ^ b) }

// hashTerm is one frequency, u half waves across and v down.
type hashTerm struct {
	u, v int
	// weight has a random sign.
	weight int64
}

var (
	hashTerms   = newHashTerms()
	hashCosines = newHashCosines()
	leastEnergy = newLeastEnergy()
)

func newHashTerms() (terms [3][]hashTerm) {
	var state uint64
	for i, waves := range []int{lumaWaves, chromaWaves, chromaWaves} {
		for v := range waves {
			for u := range waves {
				square := u*u + v*v
				if square == 0 || square >= waves*waves {
					continue
				}
				weight := int64(math.Sqrt(math.Sqrt(float64(square)))*weightScale + 0.5)
				state += 0x9e3779b97f4a7c15
				if mix(state)&1 != 0 {
					weight = -weight
				}
				terms[i] = append(terms[i], hashTerm{u, v, weight})
			}
		}
	}
	return terms
}

func newLeastEnergy() float64 {
	n := 0
	for _, t := range hashTerms {
		n += len(t)
	}
	const scale = flatness * hashGrid * hashGrid * cellScale * weightScale
	return float64(n) * scale * scale
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func newHashCosines() (table [lumaWaves][hashGrid / 2]int64) {
	for u := range table {
		for x := range table[u] {
			angle := math.Pi / hashGrid * (float64(x) + 0.5) * float64(u)
			table[u][x] = int64(math.Round(math.Cos(angle) * cosineScale))
		}
	}
	return table
}

// hashCells are a picture's averages over a grid, by row.
type hashCells [hashGrid][hashGrid]int64

// averageCells gives the picture's luma, blue and red difference (JPEG's) over a
// grid, whatever the picture's size: a pixel that lies in several cells counts in
// each by its share. The unit is 1/cellScale of a level.
func averageCells(p *RGB) (planes [3]hashCells) {
	// Sums over all above and to the left of a line of the grid are linear
	// between pixels, and a cell is a difference of sums.
	var above, upper rowSums
	row := 0
	for y := range hashGrid {
		line := p.H * (y + 1)
		for ; row < line/hashGrid; row++ {
			above.add(p.row(row), p.W, hashGrid)
		}
		lower := above
		if share := line % hashGrid; share > 0 {
			lower.add(p.row(row), p.W, int64(share))
		}
		for x := range hashGrid {
			var c [3]int64
			for i := range c {
				sum := lower[x+1][i] - lower[x][i] - upper[x+1][i] + upper[x][i]
				c[i] = sum * cellScale / int64(p.W*p.H)
			}
			planes[0][y][x] = (77*c[0] + 150*c[1] + 29*c[2]) >> 8
			planes[1][y][x] = (-43*c[0] - 85*c[1] + 128*c[2]) >> 8
			planes[2][y][x] = (128*c[0] - 107*c[1] - 21*c[2]) >> 8
		}
		upper = lower
	}
	return planes
}

// rowSums are sums of red, green and blue to the left of each line of the grid,
// in 1/hashGrid of a pixel.
type rowSums [hashGrid + 1][3]int64

// add adds a row a number of times.
func (s *rowSums) add(row []uint8, w int, times int64) {
	var r, g, b int64
	at, full := 0, hashGrid*times
	for i := range hashGrid {
		line := w * (i + 1)
		whole := line / hashGrid
		px := row[3*at : 3*whole]
		for ; len(px) >= 12; px = px[12:] {
			r += int64(px[0]) + int64(px[3]) + int64(px[6]) + int64(px[9])
			g += int64(px[1]) + int64(px[4]) + int64(px[7]) + int64(px[10])
			b += int64(px[2]) + int64(px[5]) + int64(px[8]) + int64(px[11])
		}
		for ; len(px) >= 3; px = px[3:] {
			r += int64(px[0])
			g += int64(px[1])
			b += int64(px[2])
		}
		at = whole
		left, cut := &s[i+1], int64(line%hashGrid)*times
		left[0] += r * full
		left[1] += g * full
		left[2] += b * full
		if cut > 0 {
			px := row[3*at : 3*at+3]
			left[0] += int64(px[0]) * cut
			left[1] += int64(px[1]) * cut
			left[2] += int64(px[2]) * cut
		}
	}
}

// lowFrequencies is the corner of the cells' discrete cosine transform, by v. It
// is in whole numbers so that it comes out the same on every platform.
func lowFrequencies(cells *hashCells, waves int) (out [lumaWaves][lumaWaves]int64) {
	var columns [lumaWaves][hashGrid]int64
	for y := range cells {
		across := cosineTransform(&cells[y], waves)
		for u := range waves {
			columns[u][y] = across[u]
		}
	}
	for u := range waves {
		down := cosineTransform(&columns[u], waves)
		for v := range waves {
			out[v][u] = down[v]
		}
	}
	return out
}

// cosineTransform is the discrete cosine transform's first terms. A cosine of an
// even number of half waves is the same from both ends, of an odd one opposite.
func cosineTransform(values *[hashGrid]int64, waves int) (out [lumaWaves]int64) {
	var ends [2][hashGrid / 2]int64
	for x := range hashGrid / 2 {
		a, b := values[x], values[hashGrid-1-x]
		ends[0][x], ends[1][x] = a+b, a-b
	}
	for u := range waves {
		var sum int64
		folded := &ends[u%2]
		for x, c := range &hashCosines[u] {
			sum += c * folded[x]
		}
		out[u] = sum / cosineScale
	}
	return out
}
