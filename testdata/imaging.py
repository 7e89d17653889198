"""Golden files of decoding, resizing and normalising, for transforms/imaging.

The oracles are the pinned Pillow and the PIL image processor of the pinned
transformers.

    .venv/bin/python testdata/imaging.py                     writes the committed files
    .venv/bin/python testdata/imaging.py --cases 3000 --seed 7 --out /tmp/resize.json
        and IMAGING_RESIZE_GOLDEN=/tmp/resize.json go test ./transforms/imaging

Pixels of the resize cases come from an integer rule that the Go test computes
too, so that only their digests are stored.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import random
import shutil
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

OUT = pathlib.Path(__file__).parent / "golden" / "imaging"
BACKGROUND = (10, 200, 77)


def lcg(seed, count):
    """The high bytes of a linear congruential sequence modulo 2^32."""
    a, c = 1664525, 1013904223
    jump, add = np.empty(4096, np.uint64), np.empty(4096, np.uint64)
    m, b = 1, 0
    for i in range(4096):
        m, b = m * a & 0xFFFFFFFF, (b * a + c) & 0xFFFFFFFF
        jump[i], add[i] = m, b
    out = np.empty(-(-count // 4096) * 4096, np.uint8)
    for i in range(0, len(out), 4096):
        state = (jump * np.uint64(seed) + add) & np.uint64(0xFFFFFFFF)
        out[i : i + 4096] = state >> np.uint64(24)
        seed = int(state[-1])
    return out[:count]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


# Resizing.


def side(rng):
    r = rng.random()
    if r < 0.15:
        return rng.randint(1, 4)
    return rng.randint(1, 60) if r < 0.7 else rng.randint(60, 300)


def resize_case(rng):
    w, h, ow, oh = (side(rng) for _ in range(4))
    r = rng.random()
    if r < 0.06:
        w, h = rng.randint(1, 4), rng.randint(200, 900)
    elif r < 0.10:
        w, h = rng.randint(200, 900), rng.randint(1, 4)
    elif r < 0.14:  # around the ratio at which Pillow takes rows first
        w = rng.randint(1, 4)
        h = 100 * w + rng.choice([-1, 0, 1, 2])
    if rng.random() < 0.1:
        ow = w
    if rng.random() < 0.1:
        oh = h
    if rng.random() < 0.1:
        ow = oh = 384
    seed, resample = rng.getrandbits(32), rng.choice([0, 1, 2, 3, 3, 3, 4, 5])
    picture = Image.fromarray(lcg(seed, 3 * w * h).reshape(h, w, 3))
    resized = np.asarray(picture.resize((ow, oh), resample))
    return [w, h, ow, oh, resample, seed, digest(resized)]


def resize_cases(count, seed):
    rng = random.Random(seed)
    return [resize_case(rng) for _ in range(count)]


# Pictures to decode.


def photo(w, h, mode="RGB", seed=0):
    """Something like a photograph: smooth noise in octaves, and an edge or two."""
    rng = np.random.default_rng(seed)
    n = len(Image.new(mode, (1, 1)).getbands())
    total = np.full((h, w, n), 128.0)
    for cell, amplitude in ((32, 110), (8, 45), (2, 20)):
        size = (max(1, h // cell), max(1, w // cell))
        for c in range(n):
            noise = Image.fromarray(rng.integers(0, 256, size).astype(np.uint8))
            total[:, :, c] += (np.asarray(noise.resize((w, h), Image.BICUBIC), float) - 128) * amplitude / 128
    x, y = w // 3, h // 4
    total[y : y + h // 2, x : x + w // 3] = rng.integers(0, 256, n)
    array = np.clip(total, 0, 255).astype(np.uint8)
    return Image.frombytes(mode, (w, h), array.tobytes())


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def oriented(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


def jpegs():
    yield "420.jpg", saved(photo(53, 37), "JPEG", quality=85, subsampling=2)
    yield "422.jpg", saved(photo(50, 33, seed=1), "JPEG", quality=75, subsampling=1)
    yield "444.jpg", saved(photo(41, 35, seed=2), "JPEG", quality=92, subsampling=0)
    yield "tiny_2x3.jpg", saved(photo(2, 3, seed=3), "JPEG", quality=80)
    yield "tiny_1x1.jpg", saved(photo(1, 1, seed=3), "JPEG", quality=80)
    yield "progressive.jpg", saved(photo(55, 40, seed=4), "JPEG", quality=80, progressive=True)
    yield "restart.jpg", saved(photo(60, 40, seed=5), "JPEG", quality=80, restart_marker_blocks=2)
    yield "grey.jpg", saved(photo(45, 30, "L", 6), "JPEG", quality=80)
    yield "rgb.jpg", saved(photo(31, 30, seed=7), "JPEG", quality=80, keep_rgb=True)
    yield "cmyk.jpg", saved(photo(33, 31, "CMYK", 8), "JPEG", quality=80, subsampling=0)
    yield "cmyk_420.jpg", saved(photo(33, 31, "CMYK", 8), "JPEG", quality=80, subsampling=2)
    for value in range(1, 9):
        yield f"orientation_{value}.jpg", saved(photo(19, 13, seed=9), "JPEG", quality=70, exif=oriented(value))
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    plain = saved(photo(19, 13, seed=9), "JPEG", quality=70)
    yield "orientation_xmp.jpg", plain[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + plain[2:]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(w, h, depth, colour, rows, interlace=0, before=b"", after=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + after + chunk(b"IEND", b"")


def adam7(array):
    """The rows of an interlaced picture of 8-bit samples."""
    out = b""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = array[y::dy, x::dx]
        if part.size:
            out += b"".join(b"\0" + row.tobytes() for row in part)
    return out


def plain_rows(array):
    return b"".join(b"\0" + row.tobytes() for row in array)


def pngs():
    for mode in ("L", "RGB", "LA", "RGBA", "1"):
        picture = photo(29, 21, "L" if mode == "1" else mode, 10).convert(mode)
        yield f"{mode.lower()}.png", saved(picture, "PNG")
    palette = photo(29, 21, seed=11).quantize(13)
    yield "palette.png", saved(palette, "PNG", bits=4)
    yield "palette_trns.png", saved(palette, "PNG", transparency=bytes([0, 90, 255, 30]))
    yield "rgb_trns.png", saved(photo(9, 8, seed=12), "PNG", transparency=photo(9, 8, seed=12).getpixel((0, 0)))
    rng = np.random.default_rng(13)
    grey16 = rng.integers(0, 65536, (15, 17)).astype(np.uint16)
    yield "grey16.png", saved(Image.fromarray(grey16), "PNG")
    rgb16 = rng.integers(0, 65536, (9, 11, 3)).astype(">u2")
    yield "rgb16.png", png(11, 9, 16, 2, plain_rows(rgb16))
    la16 = rng.integers(0, 65536, (9, 11, 2)).astype(">u2")
    yield "la16.png", png(11, 9, 16, 4, plain_rows(la16))
    two_bits = np.packbits(np.unpackbits(rng.integers(0, 256, (8, 3)).astype(np.uint8), axis=1), axis=1)
    yield "grey2.png", png(11, 8, 2, 0, plain_rows(two_bits))
    array = np.asarray(photo(23, 19, seed=14))
    yield "interlaced.png", png(23, 19, 8, 2, adam7(array), 1)
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    small = np.asarray(photo(12, 7, seed=15))
    yield "exif_behind.png", png(12, 7, 8, 2, plain_rows(small), after=chunk(b"eXIf", tiff))
    profile = b"\nexif\n%8d\n" % (len(tiff) + 6) + (b"Exif\0\0" + tiff).hex().encode() + b"\n"
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))
    yield "exif_raw_profile.png", png(12, 7, 8, 2, plain_rows(small), before=text)
    frames = [photo(12, 7, seed=s) for s in (16, 17)]
    yield "animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "no_end.png", saved(photo(12, 7, seed=18), "PNG")[:-12]


def gif(screen, palette, frame, indices, transparent=None):
    """A GIF of one frame; its data is stored with a clear code before each pixel."""
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80 | 0x70 | 1, 0, 0) + bytes(palette)
    if transparent is not None:
        out += b"!\xf9\4" + bytes([1, 0, 0, transparent]) + b"\0"
    out += b"," + struct.pack("<HHHHB", *frame, 0) + b"\2"
    bits = "".join(format(code, "03b")[::-1] for index in indices for code in (4, index)) + "101"
    data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    return out + bytes([len(data)]) + data + b"\0;"


def gifs():
    yield "palette.gif", saved(photo(33, 27, seed=19).quantize(50), "GIF")
    yield "interlaced.gif", saved(photo(33, 27, seed=19), "GIF", interlace=True)
    yield "transparent.gif", saved(photo(33, 27, seed=20).quantize(20), "GIF", transparency=3)
    frames = [photo(20, 15, seed=s) for s in (21, 22)]
    yield "animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    palette = [9, 8, 7, 200, 10, 10, 10, 200, 10, 10, 10, 200]
    yield "part_of_canvas.gif", gif((5, 4), palette, (1, 1, 2, 2), [1, 2, 3, 1])
    yield "part_transparent.gif", gif((5, 4), palette, (1, 1, 2, 2), [1, 2, 3, 1], 2)
    yield "over_canvas.gif", gif((3, 2), palette, (2, 1, 3, 2), [1, 2, 3, 1, 2, 3])


def webps():
    yield "lossy.webp", saved(photo(47, 35, seed=23), "WEBP", quality=70)
    yield "lossy_even.webp", saved(photo(48, 36, seed=24), "WEBP", quality=40, method=6)
    yield "lossy_1x1.webp", saved(photo(1, 1, seed=24), "WEBP", quality=40)
    yield "lossy_alpha.webp", saved(photo(31, 25, "RGBA", 25), "WEBP", quality=60, exact=True)
    yield "lossless.webp", saved(photo(24, 18, seed=26), "WEBP", lossless=True)
    yield "lossless_alpha.webp", saved(photo(24, 18, "RGBA", 27), "WEBP", lossless=True, exact=True)
    frames = [photo(24, 18, seed=s) for s in (28, 29)]
    yield "animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=50)
    yield "exif.webp", saved(photo(24, 18, seed=30), "WEBP", quality=50, exif=oriented(6))


def bmp(head, pixels, palette=b""):
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + head + palette + pixels


def bmps():
    for mode in ("L", "RGB", "RGBA", "1"):
        picture = photo(13, 9, "L" if mode == "1" else mode, 31).convert(mode)
        yield f"{mode.lower()}.bmp", saved(picture, "BMP")
    yield "palette.bmp", saved(photo(13, 9, seed=31).quantize(30), "BMP")
    info = lambda w, h, depth, kind: struct.pack("<IiiHHIIiiII", 40, w, h, 1, depth, kind, 0, 0, 0, 0, 0)
    yield "565.bmp", bmp(info(7, -5, 16, 3) + struct.pack("<III", 0xF800, 0x7E0, 0x1F), lcg(1, 16 * 5).tobytes())
    yield "555.bmp", bmp(info(7, 5, 16, 0), lcg(2, 16 * 5).tobytes())
    os2 = struct.pack("<IHHHH", 12, 9, 4, 1, 4)
    yield "os2.bmp", bmp(os2, lcg(3, 8 * 4).tobytes(), lcg(4, 48).tobytes())
    colours = b"".join(bytes([i * 3 % 256, 255 - i, i, 0]) for i in range(256))
    runs = b"\3\7\0\5\1\2\3\4\5\0" + b"\0\0" + b"\10\x63\0\0" + b"\1\1\0\4\11\12\13\14\3\2\0\0\0\1"
    yield "rle8.bmp", bmp(info(8, 3, 8, 1), runs, colours)


def tiff_tags(order, tags, data):
    """A little TIFF by hand; tags are (number, type, values), offsets come last."""
    sizes, letters = {3: 2, 4: 4}, {3: "H", 4: "I"}
    tags = sorted([*tags, (273, 4, [0])])
    long = sum(len(v) * sizes[t] for _, t, v in tags if len(v) * sizes[t] > 4)
    at = 8 + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for number, kind, values in tags:
        if number == 273:
            values = [at + long]
        packed = struct.pack(order + letters[kind] * len(values), *values)
        if len(packed) > 4:
            entries += struct.pack(order + "HHII", number, kind, len(values), at + len(extra))
            extra += packed
        else:
            entries += struct.pack(order + "HHI", number, kind, len(values)) + packed.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + extra + data


def tiff_layout(w, h, bits, photometric, **tags):
    numbers = {"planar": 284, "extra": 338, "rows": 278, "compression": 259, "orientation": 274, "colours": 320}
    out = [(256, 4, [w]), (257, 4, [h]), (258, 3, bits), (262, 3, [photometric]), (277, 3, [len(bits)])]
    for name, value in tags.items():
        out.append((numbers[name], 3, value if isinstance(value, list) else [value]))
    return out


def tiffs():
    for mode in ("L", "RGB", "RGBA", "LA", "CMYK", "1"):
        picture = photo(21, 17, "L" if mode == "1" else mode, 32).convert(mode)
        yield f"{mode.lower()}.tif", saved(picture, "TIFF")
    picture = photo(21, 17, seed=33)
    yield "palette_lzw.tif", saved(picture.quantize(40), "TIFF", compression="tiff_lzw")
    yield "lzw_predictor.tif", saved(picture, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "deflate_strips.tif", saved(picture, "TIFF", compression="tiff_adobe_deflate", tiffinfo={278: 5})
    yield "packbits.tif", saved(picture, "TIFF", compression="packbits")
    yield "group4.tif", saved(photo(33, 20, "L", 34).convert("1"), "TIFF", compression="group4")
    yield "jpeg.tif", saved(photo(40, 36, seed=35), "TIFF", compression="jpeg", tiffinfo={278: 16})
    grey16 = np.random.default_rng(36).integers(0, 65536, (9, 8)).astype(np.uint16)
    yield "grey16.tif", saved(Image.fromarray(grey16), "TIFF")
    yield "rgb16_be.tif", tiff_tags(">", tiff_layout(5, 4, [16] * 3, 2, rows=4), lcg(5, 5 * 4 * 6).tobytes())
    yield "white_is_zero4.tif", tiff_tags("<", tiff_layout(5, 4, [4], 0, rows=4), lcg(6, 3 * 4).tobytes())
    premultiplied = lcg(7, 5 * 4 * 4).reshape(-1, 4).copy()
    premultiplied[:, 3] = premultiplied.max(1)
    premultiplied[0] = 0
    layout = tiff_layout(5, 4, [8] * 4, 2, extra=1, rows=4)
    yield "premultiplied.tif", tiff_tags("<", layout, premultiplied.tobytes())
    yield "orientation.tif", tiff_tags("<", tiff_layout(5, 4, [8] * 3, 2, orientation=6, rows=4), lcg(8, 60).tobytes())


def expected(data, **options):
    """What Pillow makes of a file, and where the Go package differs by design."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    deep = picture.mode.startswith("I;16") and not options.get("clip")
    if not options.get("ignore_exif"):
        picture = ImageOps.exif_transpose(picture)
    if deep:  # the high byte, where Pillow clips
        high = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(high[:, :, None], 3, 2)
    if options.get("background"):
        alpha = picture.convert("RGBA")
        under = Image.new("RGB", alpha.size, BACKGROUND)
        under.paste(alpha.convert("RGB"), (0, 0), alpha.getchannel("A"))
        picture = under
    return np.asarray(picture.convert("RGB"))


def write_files():
    folder = OUT / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    index, raw = [], b""
    for make in (jpegs, pngs, gifs, webps, bmps, tiffs):
        for name, data in make():
            (folder / name).write_bytes(data)
            picture = Image.open(io.BytesIO(data))
            has_alpha = "A" in picture.mode or "transparency" in picture.info
            variants = [{}]
            if "orientation" in name or "exif" in name:
                variants.append({"ignore_exif": True})
            if has_alpha:
                variants.append({"background": BACKGROUND})
            if picture.mode.startswith("I;16"):
                variants.append({"clip": True})
            for options in variants:
                pixels = expected(data, **options)
                case = {"file": name, **options, "width": pixels.shape[1], "height": pixels.shape[0]}
                case["sha256"] = digest(pixels)
                if picture.format in ("JPEG", "MPO") or name == "jpeg.tif":
                    # The other JPEG decoder is held against the pixels themselves.
                    case["raw"] = len(raw)
                    raw += pixels.tobytes()
                index.append(case)
    write_json("decode.json", index)
    (OUT / "jpeg_pixels.gz").write_bytes(gzip.compress(raw, 9, mtime=0))


# Normalising.


def processor_cases():
    picture = Image.fromarray(lcg(99, 3 * 50 * 40).reshape(40, 50, 3))
    settings = [
        {},
        {"size": {"height": 24, "width": 32}},
        {"size": {"height": 16, "width": 16}, "resample": 2},
        {"size": {"height": 16, "width": 16}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.125]},
        {"size": {"height": 16, "width": 16}, "do_normalize": False},
        {"size": {"height": 16, "width": 16}, "do_rescale": False},
        {"size": {"height": 16, "width": 16}, "rescale_factor": 0.00784313725},
        {"do_resize": False},
    ]
    for options in settings:
        processor = BlipImageProcessorPil(**options)
        values = np.asarray(processor(picture, return_tensors="np")["pixel_values"][0], np.float32)
        yield {
            "config": json.loads(processor.to_json_string()),
            "shape": list(values.shape),
            "sha256": digest(values.astype("<f4")),
            "first": [float(v) for v in values.ravel()[:4]],
        }


def write_json(name, value):
    rows = ",\n".join(json.dumps(row) for row in value)
    (OUT / name).write_text(f"[\n{rows}\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    if not PIL.__version__.startswith("12."):
        parser.error(f"the oracle is Pillow 12, this is {PIL.__version__}")
    if args.out:
        args.out.write_text(json.dumps(resize_cases(args.cases, args.seed)))
        return
    OUT.mkdir(parents=True, exist_ok=True)
    write_json("resize.json", resize_cases(args.cases, args.seed))
    write_files()
    write_json("processor.json", processor_cases())


if __name__ == "__main__":
    main()
