// Package imaging turns the bytes of one picture into the pixels and the
// floats that BLIP reads: decode, orient, convert to RGB, resize, normalise.
//
// # Behaviour
//
// Every function works on one picture in memory, and what it gives depends on
// its arguments and on which JPEG decoder there is. Only [LoadProcessor] reads
// files; libjpeg-turbo is looked for once per process. All functions may be
// called from many goroutines at once.
//
// The model is Pillow 12 as the reference's PIL image processor uses it:
//
//	im = ImageOps.exif_transpose(Image.open(f)).convert("RGB")
//	im = im.resize((384, 384), Image.BICUBIC)
//	x  = (float32(im * rescale_factor) - mean) / std
//
// [Decode] does the first line, [Processor.Apply] the second and
// [Processor.Normalize] the third.
//
// Formats are told apart by content, never by a file's name: JPEG, PNG (and
// APNG), GIF, WebP, BMP, TIFF. Of an animation or a multi-page file the first
// frame is taken, on its full canvas.
//
// # What is exact
//
// [Resize] gives the bytes of Pillow 12 for all six filters and any two sizes.
// Normalize gives the float32 values of the reference bit for bit. Decoding
// gives Pillow's bytes for PNG, GIF, BMP, WebP (lossy and lossless) and TIFF,
// and for JPEG where libjpeg-turbo is installed.
//
// # JPEG decoders
//
// JPEG leaves its decoders freedom in the inverse transform and in the
// upsampling of colour. Pillow carries libjpeg-turbo; this package loads the
// system's libturbojpeg (2.0 or newer) at run time if there is one and then
// agrees with Pillow bit for bit. Without it, image/jpeg does the entropy
// decoding and the inverse transform, and this package upsamples and converts
// colours by libjpeg's rule: samples then differ by up to 3 levels, by under a
// quarter of a level on average. [Info.Decoder] says which of the two was used; [JPEGLibrary] says which one is there. image/jpeg also
// refuses files that libjpeg-turbo reads: arithmetic coding, CMYK with
// subsampled colour, rare subsampling ratios, some progressive files with
// restart markers, and most damaged streams.
//
// # Differences from Pillow
//
//   - 16-bit grey is scaled to 8 bits by its high byte, as Pillow itself does
//     for 16-bit colour. Pillow clips grey at 255, so that nearly every such
//     picture comes out white. [DeepClip] gives Pillow's answer. 12-bit grey
//     TIFF is scaled likewise.
//   - 32-bit integer and floating point TIFF has no defined range and is
//     refused with [ErrUnsupported]; with DeepClip it is clipped as in Pillow.
//   - EXIF orientation is applied unless [DecodeOptions.IgnoreEXIF] is set.
//     Pillow alone does so on request only, except in TIFF, where it always
//     does, and so does this package. Damaged EXIF data means no orientation
//     and is never an error.
//   - A picture over [DefaultMaxPixels] is refused before its pixels are read;
//     Pillow warns at half that number and raises at the same number.
//   - A progressive JPEG with over 500 scans is refused.
//   - Of a PNG's checksums those of the header, the palette and the unpacked
//     pixel data count; Pillow checks every chunk before the pixel data, and the
//     pixel data rarely.
//   - Of JPEG streams with flipped bits some few are read here and refused by
//     Pillow, or the other way round; so are a few of those that lack just
//     their last bytes.
//   - BMP with run-length coding may skip pixels, which Pillow refuses.
//   - TIFF with two-dimensional G3 fax coding or compressed as ZSTD, LZMA, WebP,
//     old-style JPEG or SGI log, JPEG with an alpha channel in it, BigTIFF, and
//     CIE L*a*b* are refused with ErrUnsupported.
//   - Colour profiles are not applied; Pillow does not apply them either.
//
// # Errors
//
// Every error of [Decode] wraps one of the sentinels beginning with Err;
// [Code] gives the short machine-readable word for dead letters. A decoder's
// panic is caught and comes out as [ErrCorrupt].
package imaging
