package imaging

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"os"
)

// JPEGDecoder chooses what turns JPEG data into pixels.
type JPEGDecoder int

const (
	// JPEGAuto takes libjpeg-turbo where it is installed, else Go's decoder.
	// The environment variable BLIPFLOW_JPEG_DECODER, set to "go" or
	// "libjpeg-turbo", decides instead.
	JPEGAuto JPEGDecoder = iota
	// JPEGGo takes the standard library's decoder.
	JPEGGo
	// JPEGTurbo takes libjpeg-turbo and fails with ErrUnsupported where it is
	// not installed.
	JPEGTurbo
)

// Values of [Info.Decoder].
const (
	decoderGo    = "go"
	decoderTurbo = "libjpeg-turbo"
)

// JPEGDecoderEnv is the environment variable behind [JPEGAuto].
const JPEGDecoderEnv = "BLIPFLOW_JPEG_DECODER"

// resolve settles JPEGAuto.
func (d JPEGDecoder) resolve() (JPEGDecoder, error) {
	if d == JPEGAuto {
		switch v := os.Getenv(JPEGDecoderEnv); v {
		case "":
		case decoderGo:
			d = JPEGGo
		case decoderTurbo:
			d = JPEGTurbo
		default:
			return d, fmt.Errorf("%w: %s is %q, want %q or %q", ErrUnsupported, JPEGDecoderEnv, v, decoderGo, decoderTurbo)
		}
	}
	lib, err := turbo()
	switch {
	case d == JPEGGo || d == JPEGAuto && lib == nil:
		return JPEGGo, nil
	case lib == nil:
		return d, fmt.Errorf("%w: libjpeg-turbo: %w", ErrUnsupported, err)
	}
	return JPEGTurbo, nil
}

// JPEGLibrary names the decoder that [JPEGAuto] comes to in this process:
// libjpeg-turbo or go. For go, the error says why libjpeg-turbo is not used;
// it is nil if that is by choice.
func JPEGLibrary() (string, error) {
	d, err := JPEGAuto.resolve()
	if d == JPEGTurbo && err == nil {
		return decoderTurbo, nil
	}
	if err == nil && os.Getenv(JPEGDecoderEnv) == "" {
		_, err = turbo()
	}
	return decoderGo, err
}

func decodeJPEG(data []byte, l limits) (decoded, error) {
	h, err := scanJPEG(data)
	if err != nil {
		return decoded{}, err
	}
	if h.height == 0 {
		return decoded{}, unsupportedf("JPEG that states its height after its data")
	}
	if err := l.check(h.width, h.height); err != nil {
		return decoded{}, err
	}
	d, err := decodeJPEGPixels(data, h, l, cmykInverted)
	d.orientation = h.meta.orientation()
	return d, err
}

// cmykSense says what a CMYK sample of 0 stands for.
type cmykSense int

const (
	// cmykInverted: full ink, as Adobe writes JPEG and Pillow takes all of it.
	cmykInverted cmykSense = iota
	// cmykPlain: no ink, as in TIFF.
	cmykPlain
)

func decodeJPEGPixels(data []byte, h *jpegHeader, l limits, sense cmykSense) (decoded, error) {
	choice, err := l.jpeg.resolve()
	if err != nil {
		return decoded{}, err
	}
	if choice == JPEGTurbo {
		rgb, err := decodeTurbo(data, h, sense)
		return decoded{rgb: rgb, decoder: decoderTurbo}, err
	}
	rgb, err := decodeJPEGGo(data, h, sense)
	return decoded{rgb: rgb, decoder: decoderGo}, err
}

func decodeTurbo(data []byte, h *jpegHeader, sense cmykSense) (*RGB, error) {
	lib, err := turbo()
	if err != nil {
		return nil, err
	}
	format, samples := turboRGB, 3
	if h.components == 4 {
		format, samples = turboCMYK, 4
	}
	pixels := func(data []byte) ([]uint8, error) {
		pix := newSamples(h.width * h.height * samples)
		clear(pix) // the library may leave some of damaged data unwritten
		return pix, lib.decode(data, pix, h.width, h.height, samples, format)
	}
	var pix []uint8
	if h.ended {
		pix, err = pixels(data)
	} else {
		pix, err = openEnded(data, h, pixels)
	}
	if err != nil {
		return nil, err
	}
	out := &RGB{W: h.width, H: h.height, Pix: pix}
	if h.components == 4 {
		out.Pix = fromCMYK(pix, sense)
	}
	return out, nil
}

// openEnded decodes data that lacks its end marker, if all pixels are there
// all the same. libjpeg goes on with whatever follows the data, so the data is
// decoded with two different endings: if a pixel hangs on the ending, the file
// is truncated.
//
// Pillow's decoder looks some bytes ahead and calls a file truncated as soon
// as those are missing. So they are cut off first.
func openEnded(data []byte, h *jpegHeader, pixels func([]byte) ([]uint8, error)) ([]uint8, error) {
	const lookAhead = 7
	if h.spread || !h.whole || len(data) < lookAhead {
		return nil, truncatedf("no end of the pixel data")
	}
	data = data[: len(data)-lookAhead : len(data)-lookAhead]
	pix, err := pixels(append(data, 0xFF, markEOI))
	if err != nil {
		return nil, err
	}
	other, err := pixels(append(append(data, bytes.Repeat([]byte{0xA5}, 256)...), 0xFF, markEOI))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pix, other) {
		return nil, truncatedf("entropy-coded data ends early")
	}
	return pix, nil
}

// fromCMYK converts pixels of four samples to RGB, in the first three quarters
// of the same memory.
func fromCMYK(pix []uint8, sense cmykSense) []uint8 {
	n := len(pix) / 4
	for i := range n {
		var px [4]uint8
		copy(px[:], pix[4*i:])
		if sense == cmykInverted {
			for c := range px {
				px[c] = 255 - px[c]
			}
		}
		cmykToRGB(pix[3*i:3*i+3], px[:])
	}
	return pix[: 3*n : 3*n]
}

// decodeJPEGGo decodes with image/jpeg, and does the upsampling of colour and
// the conversion itself where that package leaves them to its caller.
func decodeJPEGGo(data []byte, h *jpegHeader, sense cmykSense) (*RGB, error) {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		if _, ok := err.(jpeg.UnsupportedError); ok {
			return nil, fmt.Errorf("%w: %w (libjpeg-turbo, if installed, reads more kinds)", ErrUnsupported, err)
		}
		if !h.ended {
			return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		return nil, fmt.Errorf("%w: %w (libjpeg-turbo, if installed, reads more kinds)", ErrCorrupt, err)
	}
	if b := img.Bounds(); b.Dx() != h.width || b.Dy() != h.height {
		return nil, corruptf("size of %v, header says %dx%d", b, h.width, h.height)
	}
	switch m := img.(type) {
	case *image.YCbCr:
		return ycbcrToRGB(m), nil
	case *image.CMYK:
		pix := make([]uint8, 0, 4*h.width*h.height)
		for y := range h.height {
			pix = append(pix, m.Pix[y*m.Stride:y*m.Stride+4*h.width]...)
		}
		// image/jpeg has inverted the samples, as Adobe's need it.
		stored := map[cmykSense]cmykSense{cmykInverted: cmykPlain, cmykPlain: cmykInverted}[sense]
		return &RGB{W: h.width, H: h.height, Pix: fromCMYK(pix, stored)}, nil
	}
	out, _ := fromImage(img, limits{})
	return out, nil
}
