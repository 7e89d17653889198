"""Remakes testdata/golden/augment: what BLIP's training does to pictures at random.

    .venv/bin/python testdata/augment.py

The oracles are the augmentation module of the salesforce-lavis wheel, run on the
pinned OpenCV, whose warpAffine gives the same bytes as the release that lavis asks
for; Pillow for AutoContrast, see below; and torchvision for the boxes of
RandomResizedCrop. The two wheels are downloaded beside the Python environment and
not installed: transformers takes other code paths where it finds torchvision.

Pictures come from an integer rule that the Go test computes too, so that only
digests are stored.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import types
import zipfile

import numpy as np
import torch
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "golden" / "augment"
WHEELS = HERE.parent / ".venv" / "wheels"


def wheel(requirement):
    """The path of a wheel, which is downloaded once."""
    name = requirement.replace("==", "-").replace("-", "_", requirement.count("-"))
    found = list(WHEELS.glob(f"{name}-*.whl"))
    if not found:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", WHEELS, requirement], check=True
        )
        found = list(WHEELS.glob(f"{name}-*.whl"))
    return found[0]


def lavis():
    """The one module of the wheel that is needed; the package around it asks for a dozen others."""
    module = types.ModuleType("randaugment")
    with zipfile.ZipFile(wheel("salesforce-lavis==1.0.2")) as z:
        exec(z.read("lavis/processors/randaugment.py"), module.__dict__)
    return module


def torchvision_crop():
    path = wheel("torchvision==0.26.0")
    folder = WHEELS / path.stem
    if not folder.exists():
        with zipfile.ZipFile(path) as z:
            z.extractall(folder)
    sys.path.append(str(folder))
    from torchvision.transforms import RandomResizedCrop

    return RandomResizedCrop


def noise(w, h, seed, low, high):
    """Levels from low to high, both included, out of a linear congruential sequence modulo 2^32."""
    out = np.empty(w * h * 3, np.uint8)
    for i in range(len(out)):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = low + (seed >> 24) * (high - low + 1) // 256
    return out.reshape(h, w, 3)


PICTURES = [  # width, height, seed, lowest and highest level
    (24, 20, 1, 0, 255), (24, 20, 2, 60, 190), (20, 24, 3, 100, 140), (64, 48, 4, 0, 255), (57, 33, 5, 90, 160),
    (1, 1, 6, 0, 255), (9, 1, 7, 0, 255), (1, 7, 8, 10, 200), (2, 2, 9, 0, 255), (5, 4, 10, 77, 77), (37, 36, 11, 200, 255),
    (160, 120, 12, 70, 180), (384, 384, 13, 0, 255),
]
STRENGTHS = [0.5, 2.5, 5, 7, 10]


class Signs:
    """Stands in for numpy's random numbers where the module draws a direction."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def operation_cases(module):
    ops = {n: module.func_dict[n] for n in ("Brightness", "Sharpness", "Equalize", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")}
    cases = []
    for picture in PICTURES:
        image = noise(*picture)
        pillow = Image.fromarray(image)
        # The module says that it does as Pillow does, and Equalize does. Its
        # AutoContrast negates an unsigned 8-bit number and so agrees only where that is 0.
        contrast = np.asarray(ImageOps.autocontrast(pillow))
        if (image.reshape(-1, 3).min(axis=0) == 0).all():
            assert (module.autocontrast_func(image) == contrast).all(), picture
        assert (module.equalize_func(image) == np.asarray(ImageOps.equalize(pillow))).all(), picture
        cases.append(["AutoContrast", 5, 1, *picture, digest(contrast)])
        for name, run in ops.items():
            for strength in STRENGTHS[2:3] if name == "Equalize" else STRENGTHS:
                if name == "Sharpness" and strength > 5 and (picture[4] - picture[3] > 70 or picture[4] > 190):
                    continue  # levels beyond 0 to 255 come out at the other end
                geometric = name not in ("Brightness", "Sharpness", "Equalize")
                for sign in (1, -1) if geometric else (1,):
                    cases.append([name, strength, sign, *picture, digest(run(image.copy(), *arguments(module, name, strength, sign)))])
    return cases


def arguments(module, name, strength, sign):
    """What the module makes of a level, with the direction given."""
    for value in (0.25, 0.75):
        module.np.random, kept = Signs(value), module.np.random
        try:
            args = module.arg_dict[name](strength)
        finally:
            module.np.random = kept
        if len(args) < 2 or (args[0] > 0) == (sign > 0):
            return args
    raise ValueError(name)


SOURCES = [(500, 375), (640, 480), (375, 500), (100, 100), (900, 100), (100, 900), (7, 5), (480, 270)]
DRAWS = 50_000
POINTS = 20


def crop_distributions():
    """Of boxes drawn from sources: cumulative shares of their area, ratio and place."""
    crop = torchvision_crop()
    torch.manual_seed(5)
    out = []
    for w, h in SOURCES:
        image = torch.empty(1, h, w)
        boxes = np.array([crop.get_params(image, (0.5, 1.0), (3 / 4, 4 / 3)) for _ in range(DRAWS)], np.float64)
        top, left, bh, bw = boxes.T
        values = {
            "area": bw * bh / (w * h),
            "ratio": bw / bh,
            "x": left,
            "y": top,
        }
        for name, v in values.items():
            points = np.unique(np.quantile(v, np.linspace(0.02, 0.98, POINTS), method="lower"))
            out.append({
                "width": w, "height": h, "of": name,
                "points": [float(p) for p in points],
                # A hair above each point, so that rounding does not decide on which side equals fall.
                "share": [round(float((v <= p + 1e-9).mean()), 5) for p in points],
            })
    return out


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write("operations.json", operation_cases(lavis()))
    write("crops.json", crop_distributions())


def write(name, rows):
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    (OUT / name).write_text(text)


if __name__ == "__main__":
    main()
