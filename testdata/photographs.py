"""Makes a folder of pictures like photographs, with five captions each, for training runs without a data set.

Skies, grounds and walls with the spectrum of natural textures, shaded things with shadows on them, sensor noise,
vignettes. JPEG files of 320 to 640 pixels a side as cameras write them: 4:2:0, some progressive, some grey, some with
an EXIF orientation; a few cannot be read. What the captions say is in the picture, so that a model can learn it. The
same seed makes the same files. From the repository's root, with the packages of testdata/requirements.txt:

    .venv/bin/python testdata/photographs.py FOLDER [--pictures 8091] [--seed 1] [--broken 8]
    go run ./pipelines/train --dataset=FOLDER
"""

import argparse
import io
import json
import multiprocessing
import os
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDES = (320, 640)  # of the longer side; the shorter one is at least 320 too

COLOURS = {
    "red": (200, 35, 40), "orange": (235, 130, 30), "yellow": (235, 205, 50), "green": (50, 150, 60),
    "blue": (40, 85, 190), "purple": (120, 60, 150), "white": (235, 235, 230), "black": (30, 30, 34),
}  # fmt: skip

# What lies below, its colours from afar to near, how coarse it is, and the word before it.
GROUNDS = {
    "grass": ((110, 150, 80), (60, 110, 35), 0.9, "on the"),
    "sand": ((225, 205, 160), (200, 175, 125), 0.7, "on the"),
    "snow": ((225, 230, 240), (245, 247, 250), 1.5, "in the"),
    "water": ((120, 150, 175), (35, 75, 110), 1.1, "in the"),
    "pavement": ((150, 150, 150), (105, 105, 108), 0.8, "on the"),
    "dirt": ((165, 130, 100), (110, 80, 55), 0.9, "on the"),
}
# What stands behind, its colours from top to bottom, how much clouds or bricks change it, and the words for it.
BACKS = {
    "clear": ((70, 130, 210), (190, 215, 235), 0.0, "under a clear blue sky"),
    "cloudy": ((150, 160, 175), (205, 208, 212), 1.0, "under a cloudy sky"),
    "sunset": ((90, 70, 120), (245, 165, 90), 0.6, "at sunset"),
    "night": ((10, 12, 36), (44, 46, 84), 0.2, "at night"),
    "bricks": ((150, 80, 65), (150, 80, 65), 0.4, "in front of a brick wall"),
    "wall": ((215, 210, 200), (205, 200, 190), 0.2, "in front of a white wall"),
}
THINGS = {"ball": "balls", "box": "boxes", "cone": "cones", "ring": "rings", "star": "stars", "bottle": "bottles", "house": "houses", "tree": "trees"}
COUNTS = {1: "a", 2: "two", 3: "three"}
SIZES = {"small": 0.16, "": 0.26, "large": 0.4}
SIDES_OF = {"left": 0.24, "middle": 0.5, "right": 0.76}


class Scene:
    """What a picture shows."""

    def __init__(self, rng):
        pick = lambda names: list(names)[int(rng.integers(len(names)))]  # noqa: E731
        self.ground, self.back = pick(GROUNDS), pick(BACKS)
        self.thing, self.colour = pick(THINGS), pick(COLOURS)
        self.count, self.size, self.side = int(rng.choice([1, 1, 1, 2, 3])), pick(SIZES), pick(SIDES_OF)

    def captions(self, rng):
        """Five of the ways to say it; no two are the same."""
        ground, back = GROUNDS[self.ground], BACKS[self.back][3]
        on = f"{ground[3]} {self.ground}"
        several = self.count > 1
        noun = THINGS[self.thing] if several else self.thing
        plain = f"{self.colour} {noun}"
        sized = f"{self.size} {plain}".strip()
        some, be = (COUNTS[self.count], "are") if several else ("a", "is")
        the_side = "in the middle" if self.side == "middle" else f"on the {self.side}"
        ways = [
            f"{some} {sized} {on} {back} .",
            f"{some} {plain} {on} .",
            f"{some} {sized} {back} .",
            f"there {be} {some} {plain} {on} {back} .",
            f"a photo of {some} {sized} {on} .",
            f"{some} {plain} {'stand' if several else 'stands'} {on} , {back} .",
            f"{some} {noun} {on} {back} , {'they are' if several else 'it is'} {self.colour} .",
        ]
        if not several:
            ways.append(f"a {sized} {the_side} of the picture , {on} .")
        chosen = rng.permutation(len(ways))[:5]
        return [an(ways[i][0].upper() + ways[i][1:]) for i in sorted(chosen)]


def an(caption):
    return caption.replace("a orange", "an orange").replace("A orange", "An orange")


def texture(rng, width, height, fall):
    """Noise whose amplitude falls with frequency as it does in photographs, of mean 0 and deviation 1."""
    fx, fy = np.meshgrid(np.fft.rfftfreq(width), np.fft.fftfreq(height))
    spectrum = np.maximum(np.hypot(fx, fy), 1 / width) ** -fall * np.exp(2j * np.pi * rng.random(fx.shape))
    plane = np.fft.irfft2(spectrum, (height, width))
    return (plane - plane.mean()) / plane.std()


def ramp(first, last, n):
    """Colours from first to last, n rows of one pixel."""
    t = np.linspace(0, 1, n)[:, None, None]
    return (1 - t) * np.array(first, float) + t * np.array(last, float)


def background(rng, scene, width, height):
    """Light from 0 to 255, and where the ground begins."""
    horizon = int(height * rng.uniform(0.35, 0.6))
    out = np.empty((height, width, 3))
    first, last, rough, _ = BACKS[scene.back]
    out[:horizon] = ramp(first, last, horizon)
    noise = texture(rng, width, height, 1.4)[..., None]
    out[:horizon] += rough * 26 * np.maximum(noise[:horizon], -0.4) + 3 * noise[:horizon]
    if scene.back == "bricks":
        y, x = np.mgrid[0:horizon, 0:width]
        row = y // 14
        joint = (y % 14 < 2) | ((x + 17 * (row % 2)) % 34 < 2)
        tint = rng.uniform(-18, 18, (horizon // 14 + 1, width // 34 + 2))
        out[:horizon] += tint[row, (x + 17 * (row % 2)) // 34][..., None]
        out[:horizon][joint] = (175, 168, 160)
    first, last, fall, _ = GROUNDS[scene.ground]
    out[horizon:] = ramp(first, last, height - horizon)
    coarse = texture(rng, width, height, fall)[horizon:, :, None]
    out[horizon:] += 16 * coarse * np.linspace(0.4, 1.3, height - horizon)[:, None, None]
    if scene.back == "night":
        out *= 0.7
    return out, horizon


def outline(draw, thing, box):
    """Draws a thing's shape into a mask."""
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    at = lambda *points: [(x0 + w * px, y0 + h * py) for px, py in points]  # noqa: E731
    if thing == "ball":
        draw.ellipse(box, fill=255)
    elif thing == "ring":
        draw.ellipse(box, fill=255)
        draw.ellipse((x0 + 0.28 * w, y0 + 0.28 * h, x1 - 0.28 * w, y1 - 0.28 * h), fill=0)
    elif thing == "box":
        draw.polygon(at((0.05, 0.3), (0.3, 0.08), (1, 0.08), (1, 0.75), (0.78, 1), (0.05, 1)), fill=255)
    elif thing == "cone":
        draw.polygon(at((0.5, 0), (0.95, 0.95), (0.5, 1), (0.05, 0.95)), fill=255)
    elif thing == "star":
        angles = np.pi * (np.arange(10) / 5 - 0.5)
        radii = np.where(np.arange(10) % 2, 0.2, 0.5)
        draw.polygon(at(*zip(0.5 + radii * np.cos(angles), 0.52 + radii * np.sin(angles))), fill=255)
    elif thing == "bottle":
        draw.rounded_rectangle((x0 + 0.3 * w, y0 + 0.35 * h, x0 + 0.7 * w, y1), radius=0.08 * w, fill=255)
        draw.polygon(at((0.3, 0.42), (0.43, 0.22), (0.43, 0), (0.57, 0), (0.57, 0.22), (0.7, 0.42)), fill=255)
    elif thing == "house":
        draw.polygon(at((0, 0.45), (0.5, 0), (1, 0.45), (0.9, 0.45), (0.9, 1), (0.1, 1), (0.1, 0.45)), fill=255)
        draw.rectangle((x0 + 0.42 * w, y0 + 0.65 * h, x0 + 0.6 * w, y1), fill=90)
    else:
        draw.rectangle((x0 + 0.44 * w, y0 + 0.6 * h, x0 + 0.56 * w, y1), fill=255)
        for cx, cy, r in ((0.5, 0.28, 0.28), (0.3, 0.45, 0.22), (0.7, 0.45, 0.22)):
            draw.ellipse((x0 + (cx - r) * w, y0 + (cy - r) * h, x0 + (cx + r) * w, y0 + (cy + r) * h), fill=255)


def place(rng, scene, canvas, horizon):
    """Puts the things on the ground, each with light from one side and a shadow."""
    height, width = canvas.shape[:2]
    size = SIZES[scene.size] * min(width, height) * (1 if scene.count == 1 else 0.8)
    centre = SIDES_OF[scene.side] if scene.count == 1 else 0.5
    foot = horizon + (height - horizon) * rng.uniform(0.25, 0.75)
    foot = min(max(foot, size * 1.05), height - 4)
    light = 1 if rng.random() < 0.5 else -1
    for i in range(scene.count):
        x = width * (centre + 0.27 * (i - (scene.count - 1) / 2)) + rng.uniform(-0.03, 0.03) * width
        w, h = size * rng.uniform(0.9, 1.1), size * rng.uniform(0.9, 1.1)
        # All is drawn on a piece of the canvas, with room for the shadow.
        left, top = max(int(x - 1.1 * w), 0), max(int(foot - 1.1 * h), 0)
        piece = canvas[top : min(int(foot + 0.3 * h), height), left : min(int(x + 1.1 * w), width)]
        thing(rng, scene, piece, x - left, foot - top, w, h, light)


def thing(rng, scene, canvas, x, foot, w, h, light):
    """Paints one thing, w by h pixels, that stands at x, foot."""
    height, width = canvas.shape[:2]
    shadow = Image.new("L", (width, height))
    ImageDraw.Draw(shadow).ellipse((x - (0.5 + 0.25 * light) * w, foot - 0.1 * h, x + (0.5 - 0.25 * light) * w, foot + 0.08 * h), fill=150)
    shadow = np.asarray(shadow.filter(ImageFilter.GaussianBlur(0.05 * w)), float)[..., None] / 255
    canvas *= 1 - 0.7 * shadow
    mask = Image.new("L", (2 * width, 2 * height))
    outline(ImageDraw.Draw(mask), scene.thing, tuple(2 * v for v in (x - w / 2, foot - h, x + w / 2, foot)))
    mask = np.asarray(mask.resize((width, height), Image.Resampling.BOX), float)[..., None] / 255
    yy, xx = np.mgrid[0:height, 0:width]
    u, v = (xx - x) / w, (yy - (foot - h / 2)) / h
    shade = 0.8 + 0.5 * light * u - 0.35 * v
    if scene.thing in ("ball", "ring"):
        shade += 0.5 * np.exp(-((u - 0.2 * light) ** 2 + (v + 0.22) ** 2) / 0.02)
    grain = 0.05 * texture(rng, width, height, 1.0)
    paint = np.array(COLOURS[scene.colour], float) * np.clip(shade + grain, 0.25, 1.7)[..., None]
    if scene.back == "night":
        paint *= 0.75
    canvas *= 1 - mask
    canvas += mask * paint


def photograph(seed, number):
    """A scene, as the bytes of a JPEG file, and its captions."""
    rng = np.random.default_rng([seed, number])
    scene = Scene(rng)
    long, short = int(rng.integers(SIDES[0], SIDES[1] + 1)), int(rng.integers(SIDES[0], 481))
    width, height = (max(long, short), min(long, short)) if rng.random() < 0.7 else (min(long, short), max(long, short))
    canvas, horizon = background(rng, scene, width, height)
    place(rng, scene, canvas, horizon)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    canvas *= (1 - rng.uniform(0.05, 0.25) * (x * x + y * y))[..., None]
    canvas += rng.normal(0, rng.uniform(1, 6), canvas.shape)
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    captions = scene.captions(rng)
    if rng.random() < 0.02:
        picture = picture.convert("L")
        captions = [c.replace(f"{scene.colour} ", "").replace(f", {'they are' if scene.count > 1 else 'it is'} {scene.colour} ", "") for c in captions]
        captions = [c.replace("An ", "A ").replace(" an ", " a ") for c in captions]
    return encode(rng, picture), captions


# How to turn a picture so that the orientation of that number turns it back.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip
ORIENTATION = 0x0112


def encode(rng, picture):
    options = {"quality": int(rng.integers(75, 95)), "subsampling": "4:2:0", "progressive": rng.random() < 0.1}
    if rng.random() < 0.12:
        number = int(rng.choice([6, 6, 8, 3, 2, 4, 5, 7]))
        exif = Image.Exif()
        exif[ORIENTATION] = number
        picture, options["exif"] = picture.transpose(TURNS[number]), exif
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def spoil(rng, data):
    """What cannot be read: a download that broke off, an error page, an empty file, noise."""
    return [data[: len(data) // 3], b"<html><body>404 Not Found</body></html>\n", b"", rng.bytes(2000)][int(rng.integers(4))]


def one(job):
    seed, number, broken = job
    data, captions = photograph(seed, number)
    if broken:
        data = spoil(np.random.default_rng([seed, number, 1]), data)
    return data, captions


def write(folder, pictures, seed, broken, workers):
    """Writes the pictures, and last their metadata."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    bad = set(np.random.default_rng([seed]).permutation(pictures)[:broken].tolist())
    jobs = [(seed, number, number in bad) for number in range(pictures)]
    rows = []
    with multiprocessing.Pool(workers) as pool:
        for number, (data, captions) in enumerate(pool.imap(one, jobs, chunksize=8)):
            name = f"{number:06d}.jpg"
            (images / name).write_bytes(data)
            rows.append({"file_name": f"images/{name}", "captions": captions})
    aside = folder / ".metadata.jsonl"
    aside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    aside.replace(folder / "metadata.jsonl")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--pictures", type=int, default=8091, help="as many as Flickr8k has, if not given")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--broken", type=int, help="files that cannot be read; one of a thousand, if not given")
    p.add_argument("--workers", type=int, default=os.cpu_count())
    args = p.parse_args()
    broken = max(1, args.pictures // 1000) if args.broken is None else args.broken
    write(args.folder, args.pictures, args.seed, broken, args.workers)
    print(f"{args.pictures} pictures in {args.folder}, {broken} of them broken")


if __name__ == "__main__":
    main()
