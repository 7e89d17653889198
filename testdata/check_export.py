"""Checks that an exported model folder works in Python and says there what it said here.

    .venv/bin/python testdata/check_export.py blip-open-out blip-open-out/demo-pictures

Loads the folder with transformers, captions the pictures of test_captions.jsonl
with the settings of generation_config.json, and compares the captions.
"""

import json
import pathlib
import sys

import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor


def main():
    folder, pictures = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    processor = BlipProcessor.from_pretrained(folder, use_fast=False)
    model, loading = BlipForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    problems = {k: v for k, v in loading.items() if v}
    if problems:
        sys.exit(f"loading the weights: {problems}")
    model.eval()
    torch.set_num_threads(1)
    saved = json.loads((folder / "generation_config.json").read_text())
    settings = {k: saved[k] for k in ("num_beams", "max_new_tokens", "length_penalty", "early_stopping") if k in saved}
    rows = [json.loads(line) for line in (folder / "test_captions.jsonl").read_text().splitlines()][:limit]
    same = 0
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        images = [Image.open(pictures / row["image"]).convert("RGB") for row in batch]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        out = model.generate(pixel_values=pixels, **settings)
        for row, caption in zip(batch, processor.batch_decode(out, skip_special_tokens=True)):
            if caption == row["caption"]:
                same += 1
            else:
                print(f"{row['image']}: {row['caption']!r} here, {caption!r} in transformers")
    print(f"{same} of {len(rows)} captions are the same in transformers, settings {settings}")
    sys.exit(same != len(rows))


main()
