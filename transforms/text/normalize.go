package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalize appends the normalised form of s: cleaned, ideographs set apart,
// accents dropped, capitals made small, as the settings ask.
func (t *Tokenizer) normalize(dst []byte, s string) []byte {
	f := folding{
		clean: !t.opts.KeepControls, apart: !t.opts.JoinCJK,
		strip: t.dropsAccents(), lower: !t.opts.KeepCase, out: dst,
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			f.ascii(c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		f.rune(r)
		i += n
	}
	f.flush()
	return f.out
}

// folding carries out the steps of normalisation on one rune after the other.
// They are independent of their neighbours but for canonical order: marks that
// follow each other wait in marks until the next starter.
type folding struct {
	clean, apart, strip, lower bool

	out   []byte
	marks []mark
}

// mark is a character with a canonical combining class other than 0.
type mark struct {
	r     rune
	class uint8
}

func (f *folding) ascii(c byte) {
	if f.clean {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
			c = ' '
		case c < ' ' || c == 0x7f:
			return
		}
	}
	f.flush()
	if f.lower && 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	f.out = append(f.out, c)
}

func (f *folding) rune(r rune) {
	if f.clean {
		if unicode.Is(removed, r) {
			return
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
	}
	if f.apart && ideograph(r) {
		f.starter(' ')
		f.decompose(r)
		f.starter(' ')
		return
	}
	f.decompose(r)
}

// decompose takes a character apart if accents are to be dropped.
func (f *folding) decompose(r rune) {
	switch {
	case !f.strip:
		f.starter(r)
	case r >= hangulBase && r < hangulEnd:
		f.hangul(r)
	case !unicode.Is(active, r):
		if !unicode.Is(accents, r) {
			f.starter(r)
		} else {
			f.flush() // of class 0, so it keeps its neighbours in place though it goes
		}
	default:
		f.canonical(r)
	}
}

// canonical handles a character with a decomposition or a combining class.
func (f *folding) canonical(r rune) {
	var buf [utf8.UTFMax]byte
	p := norm.NFD.Properties(buf[:utf8.EncodeRune(buf[:], r)])
	whole := p.Decomposition() // full, not just the first step
	if whole == nil {
		f.part(r, p.CCC())
		return
	}
	for len(whole) > 0 {
		p := norm.NFD.Properties(whole)
		r, n := utf8.DecodeRune(whole)
		f.part(r, p.CCC())
		whole = whole[n:]
	}
}

// part takes a character that can't be taken apart any further.
func (f *folding) part(r rune, class uint8) {
	accent := unicode.Is(accents, r)
	switch {
	case class == 0 && accent:
		f.flush()
	case class == 0:
		f.starter(r)
	case !accent:
		// Insertion keeps the order of equal classes, as the standard demands.
		i := len(f.marks)
		f.marks = append(f.marks, mark{})
		for ; i > 0 && f.marks[i-1].class > class; i-- {
			f.marks[i] = f.marks[i-1]
		}
		f.marks[i] = mark{r, class}
	}
}

// The arithmetic of Hangul syllables, Unicode 3.12.
const (
	hangulBase   = 0xac00
	hangulEnd    = 0xd7a4
	hangulLead   = 0x1100
	hangulVowel  = 0x1161
	hangulTail   = 0x11a7
	hangulVowels = 21
	hangulTails  = 28
)

func (f *folding) hangul(r rune) {
	i := r - hangulBase
	f.starter(hangulLead + i/(hangulVowels*hangulTails))
	f.starter(hangulVowel + i/hangulTails%hangulVowels)
	if tail := i % hangulTails; tail > 0 {
		f.starter(hangulTail + tail)
	}
}

// starter writes a character before which the waiting marks belong.
func (f *folding) starter(r rune) {
	f.flush()
	f.write(r)
}

func (f *folding) flush() {
	for _, m := range f.marks {
		f.write(m.r)
	}
	f.marks = f.marks[:0]
}

func (f *folding) write(r rune) {
	if f.lower {
		if r == 'İ' { // the only capital with two small letters for it
			f.out = append(f.out, "i\u0307"...)
			return
		}
		r = lower(r)
	}
	f.out = utf8.AppendRune(f.out, r)
}

// lowerRange says that every stride-th character from lo to hi has its small
// letter delta further on.
type lowerRange struct {
	lo, hi, stride, delta int32
}

func lower(r rune) rune {
	lo, hi := 0, len(lowerRanges)
	for lo < hi {
		switch mid := (lo + hi) / 2; {
		case r < lowerRanges[mid].lo:
			hi = mid
		case r > lowerRanges[mid].hi:
			lo = mid + 1
		case (r-lowerRanges[mid].lo)%lowerRanges[mid].stride == 0:
			return r + lowerRanges[mid].delta
		default:
			return r
		}
	}
	return r
}

// ideograph reports whether BERT sets a character apart as a word: the CJK
// blocks of its time. U+2B820 to U+2B91F fall through, as in the reference.
func ideograph(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, r >= 0xf900 && r <= 0xfaff:
		return true
	case r < 0x20000:
		return false
	}
	return r <= 0x2a6df || r >= 0x2a700 && r <= 0x2b81f ||
		r >= 0x2b920 && r <= 0x2ceaf || r >= 0x2f800 && r <= 0x2fa1f
}
