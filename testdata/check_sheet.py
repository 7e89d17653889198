"""Draws docs/demo.png: test pictures of the demo with the captions that the model gave them.

    .venv/bin/python testdata/check_sheet.py blip-open-out docs/demo.png
"""

import json
import pathlib
import sys

from PIL import Image, ImageDraw

COLUMNS, ROWS, CELL, GAP, TEXT = 4, 2, 176, 16, 40


def wrap(words, width=27):
    lines, line = [], ""
    for word in words.split():
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join(lines + [line])


def main():
    folder = pathlib.Path(sys.argv[1])
    rows = [json.loads(line) for line in (folder / "test_captions.jsonl").read_text().splitlines()]
    sheet = Image.new("RGB", (GAP + COLUMNS * (CELL + GAP), GAP + ROWS * (CELL + TEXT + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows[: COLUMNS * ROWS]):
        x = GAP + i % COLUMNS * (CELL + GAP)
        y = GAP + i // COLUMNS * (CELL + TEXT + GAP)
        picture = Image.open(folder / "demo-pictures" / row["image"])
        picture.thumbnail((CELL, CELL))
        sheet.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
        draw.text((x, y + CELL + 6), wrap(row["caption"]), fill="black")
    sheet.save(sys.argv[2], optimize=True)


main()
