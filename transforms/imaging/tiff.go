package imaging

import (
	"math"
)

// TIFF tags (TIFF 6.0).
const (
	tagWidth           = 256
	tagHeight          = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripCounts     = 279
	tagPlanar          = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileHeight      = 323
	tagTileOffsets     = 324
	tagTileCounts      = 325
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagJPEGTables      = 347
	tagXMP             = 700
)

// Photometric interpretations.
const (
	tiffWhiteIsZero = 0
	tiffBlackIsZero = 1
	tiffRGB         = 2
	tiffPalette     = 3
	tiffCMYK        = 5
	tiffYCbCr       = 6
)

// Kinds of extra samples.
const (
	tiffAlphaAssociated = 1
	tiffAlpha           = 2
	tiffAlphaCorel      = 999 // written by Corel Draw 10
)

// Sample formats.
const (
	tiffUnsigned = 1
	tiffSigned   = 2
	tiffFloat    = 3
)

const tiffPlanarSeparate = 2

// tiffFile is the layout of a TIFF's first picture.
type tiffFile struct {
	*ifd
	limits
	width, height int
	bits          int
	samples       int // per pixel
	colors        int // of those, without extra samples
	format        uint32
	photometric   uint32
	compression   uint32
	predictor     uint32
	separate      bool // a plane to a sample
	alphaKind     uint32
	palette       [256][3]uint8
	// Blocks are strips or tiles.
	tiled          bool
	blockW, blockH int
	offsets        []uint32
	counts         []uint32
}

// decodeTIFF reads the first picture of a TIFF: strips or tiles, chunky or
// planar; grey, palette, RGB, CMYK and JPEG's YCbCr of 1 to 16 bits; packed
// with LZW, Deflate, PackBits, CCITT G3/G4 or JPEG. x/image/tiff reads fewer
// kinds and takes planar files for chunky ones, but its LZW and CCITT readers
// are used.
func decodeTIFF(data []byte, l limits) (decoded, error) {
	d, err := parseIFD(data)
	if err != nil {
		return decoded{}, err
	}
	f := &tiffFile{ifd: d, limits: l}
	if err := f.parse(); err != nil {
		return decoded{}, err
	}
	out, err := f.decode()
	if err != nil {
		return decoded{}, err
	}
	out.alwaysOrient = true
	if out.orientation = d.orientation(); out.orientation == 0 {
		out.orientation = xmpOrientationOf(d.entries[tagXMP].raw)
	}
	return out, nil
}

func (f *tiffFile) parse() error {
	w, h := f.uint(tagWidth, 0), f.uint(tagHeight, 0)
	if w > math.MaxInt32 || h > math.MaxInt32 {
		return corruptf("size of %dx%d pixels", w, h)
	}
	f.width, f.height = int(w), int(h)
	if err := f.check(f.width, f.height); err != nil {
		return err
	}
	f.compression = f.uint(tagCompression, 1)
	f.photometric = f.uint(tagPhotometric, tiffWhiteIsZero)
	f.predictor = f.uint(tagPredictor, 1)
	f.separate = f.uint(tagPlanar, 1) == tiffPlanarSeparate
	f.format = f.uint(tagSampleFormat, tiffUnsigned)
	if err := f.parseSamples(); err != nil {
		return err
	}
	if f.photometric == tiffPalette {
		if err := f.parsePalette(); err != nil {
			return err
		}
	}
	return f.parseBlocks()
}

func (f *tiffFile) parseSamples() error {
	all := f.uints(tagBitsPerSample)
	if len(all) == 0 {
		all = []uint32{1}
	}
	const maxSamples = 16
	n := f.uint(tagSamplesPerPixel, uint32(len(all)))
	if n == 0 || n > maxSamples {
		return unsupportedf("%d samples a pixel", n)
	}
	for _, b := range all[:min(len(all), int(n))] {
		if b != all[0] {
			return unsupportedf("samples of differing depth %d", all)
		}
	}
	f.samples, f.bits = int(n), int(all[0])
	f.colors = map[uint32]int{
		tiffWhiteIsZero: 1, tiffBlackIsZero: 1, tiffPalette: 1, tiffRGB: 3, tiffYCbCr: 3, tiffCMYK: 4,
	}[f.photometric]
	if f.photometric == tiffYCbCr && f.samples == 1 {
		f.photometric, f.colors = tiffBlackIsZero, 1
	}
	switch {
	case f.colors == 0:
		return unsupportedf("photometric interpretation %d", f.photometric)
	case f.samples < f.colors:
		return corruptf("%d samples a pixel for photometric interpretation %d", f.samples, f.photometric)
	case f.photometric == tiffYCbCr && f.compression != tiffJPEG:
		return unsupportedf("YCbCr without JPEG")
	}
	if f.samples > f.colors {
		missing := uint32(0)
		if f.photometric == tiffRGB && f.samples == 4 {
			missing = tiffAlpha // a writer that forgot to say so
		}
		f.alphaKind = f.uint(tagExtraSamples, missing)
	}
	return f.checkDepth()
}

func (f *tiffFile) checkDepth() error {
	grey := f.samples == 1 && f.colors == 1 && f.photometric != tiffPalette
	deep := f.deep == DeepClip && grey
	ok := false
	switch f.bits {
	case 1, 2, 4:
		ok = f.samples == 1 && f.format == tiffUnsigned
	case 8:
		ok = f.format == tiffUnsigned || f.format == tiffSigned && grey
	case 12:
		ok = grey && f.format == tiffUnsigned
	case 16:
		ok = f.photometric != tiffPalette && f.format == tiffUnsigned || deep && f.format == tiffSigned
	case 32:
		ok = deep
	}
	if !ok {
		return unsupportedf("%d samples of %d bits in format %d, photometric interpretation %d",
			f.samples, f.bits, f.format, f.photometric)
	}
	return nil
}

func (f *tiffFile) parsePalette() error {
	m := f.uints(tagColorMap)
	n := len(m) / 3
	if n == 0 {
		return corruptf("no colour map")
	}
	for i := range min(n, 256) {
		f.palette[i] = [3]uint8{uint8(m[i] >> 8), uint8(m[n+i] >> 8), uint8(m[2*n+i] >> 8)}
	}
	return nil
}

func (f *tiffFile) parseBlocks() error {
	f.offsets, f.counts = f.uints(tagStripOffsets), f.uints(tagStripCounts)
	f.blockW, f.blockH = f.width, int(min(f.uint(tagRowsPerStrip, math.MaxInt32), uint32(f.height)))
	if len(f.offsets) == 0 {
		f.tiled = true
		f.offsets, f.counts = f.uints(tagTileOffsets), f.uints(tagTileCounts)
		w, h := f.uint(tagTileWidth, 0), f.uint(tagTileHeight, 0)
		// A tile may be larger than the picture, but not absurdly so.
		const slack = 4096
		if w > uint32(f.width)+slack || h > uint32(f.height)+slack {
			return unsupportedf("tiles of %dx%d in a picture of %dx%d", w, h, f.width, f.height)
		}
		f.blockW, f.blockH = int(w), int(h)
	}
	if f.blockW == 0 || f.blockH == 0 {
		return corruptf("strips or tiles of %dx%d", f.blockW, f.blockH)
	}
	planes := 1
	if f.separate {
		planes = f.samples
	}
	across, down := f.blocks()
	if need := int64(across) * int64(down) * int64(planes); need > int64(len(f.offsets)) {
		return corruptf("%d strips or tiles, %d are needed", len(f.offsets), need)
	}
	// A file that claims more than it has is refused before it costs memory.
	raw := (int64(f.width)*int64(f.samples)*int64(f.bits) + 7) / 8 * int64(f.height)
	if f.compression == tiffRaw && raw > int64(len(f.data)) {
		return truncatedf("%d bytes of pixels in a file of %d", raw, len(f.data))
	}
	return nil
}

// blocks returns how many blocks lie across and down.
func (f *tiffFile) blocks() (across, down int) {
	return (f.width + f.blockW - 1) / f.blockW, (f.height + f.blockH - 1) / f.blockH
}

// decode reads all blocks and converts them row by row. Where samples have
// planes of their own, all planes of a block come before the next block.
func (f *tiffFile) decode() (decoded, error) {
	d := decoded{rgb: NewRGB(f.width, f.height)}
	if f.wantAlpha && (f.alphaKind == tiffAlpha || f.alphaKind == tiffAlphaAssociated || f.alphaKind == tiffAlphaCorel) {
		d.alpha = make([]uint8, f.width*f.height)
	}
	across, down := f.blocks()
	for by := range down {
		for bx := range across {
			b := f.blockAt(bx, by)
			if err := f.block(&d, b, by*across+bx, across*down); err != nil {
				return decoded{}, err
			}
		}
	}
	if f.compression == tiffJPEG {
		choice, err := f.jpeg.resolve()
		if err == nil && choice == JPEGTurbo {
			d.decoder = decoderTurbo
		}
	}
	return d, nil
}

// tiffBlock is the place of a strip or tile in the picture.
type tiffBlock struct {
	x, y       int
	w, h       int // as stored
	useW, useH int // inside the picture
}

func (f *tiffFile) blockAt(bx, by int) tiffBlock {
	b := tiffBlock{x: bx * f.blockW, y: by * f.blockH, w: f.blockW, h: f.blockH}
	b.useW, b.useH = min(b.w, f.width-b.x), min(b.h, f.height-b.y)
	if !f.tiled {
		b.h = b.useH // the last strip stops with the picture
	}
	return b
}

func (f *tiffFile) block(d *decoded, b tiffBlock, index, perPlane int) error {
	if f.compression == tiffJPEG && !f.separate {
		return f.jpegBlock(d.rgb, b, index)
	}
	planes, perPixel := 1, f.samples
	if f.separate {
		planes, perPixel = f.samples, 1
	}
	rows := make([][]byte, planes)
	for p := range planes {
		var err error
		if rows[p], err = f.unpack(b, index+p*perPlane, perPixel); err != nil {
			return err
		}
	}
	stride := (b.w*perPixel*f.bits + 7) / 8
	samples := make([]uint8, b.w*f.samples)
	for y := range b.useH {
		for p, data := range rows {
			f.samples8(samples[p:], data[y*stride:(y+1)*stride], b.w*perPixel, planes)
		}
		var alpha []uint8
		if d.alpha != nil {
			at := (b.y+y)*f.width + b.x
			alpha = d.alpha[at : at+b.useW]
		}
		f.convert(d.rgb.row(b.y + y)[3*b.x:3*(b.x+b.useW)], alpha, samples)
	}
	return nil
}

// convert turns 8-bit samples into RGB.
func (f *tiffFile) convert(dst, alpha, samples []uint8) {
	n := f.samples
	for x := range len(dst) / 3 {
		s, out := samples[x*n:x*n+n], dst[3*x:3*x+3]
		switch f.photometric {
		case tiffRGB, tiffYCbCr:
			copy(out, s)
		case tiffCMYK:
			cmykToRGB(out, s)
		case tiffPalette:
			copy(out, f.palette[s[0]][:])
		default:
			out[0], out[1], out[2] = s[0], s[0], s[0]
		}
		if n == f.colors {
			continue
		}
		a := s[f.colors]
		if f.alphaKind == tiffAlphaAssociated && f.photometric != tiffCMYK {
			divideAlpha(out, a)
		}
		if alpha != nil {
			alpha[x] = a
		}
	}
}

// divideAlpha takes out the alpha that a colour was multiplied with.
func divideAlpha(px []uint8, a uint8) {
	if a == 255 {
		return
	}
	for c, v := range px {
		if a == 0 {
			px[c] = 0
		} else {
			px[c] = uint8(min(255*int(v)/int(a), 255))
		}
	}
}
