"""Remakes testdata/golden/text/clean.jsonl: captions as BLIP's training cleans them.

The rule is written out here from its description (lower case by Python, ten
punctuation marks to spaces, runs of white space to one, the ends stripped, then the
first words), with Python's own case mapping and regular expressions as the oracle.
"""

import json
import pathlib
import random
import re

OUT = pathlib.Path(__file__).resolve().parent / "golden" / "text" / "clean.jsonl"

FIXED = [
    "", " ", ".", "...", "A dog.", "A man (left) & a dog!", 'She says: "Hello; world" ~ #1 *wow*',
    "two-way street, isn't it?", "İstanbul'da KÖPEK", "ΟΔΥΣΣΕΥΣ", "ΣΑΣ ΣΑΣ. ΣΑΣ", "ẞ STRASSE", "Ǆ ǅ ǆ",
    "ＦＵＬＬ ＷＩＤＴＨ！", "emoji 🎈🎈 BALLOON", "日本語 の CAPTION。", "a  b", "no.space.between", "A\u00a0B", "one two three four",
]


def clean(caption):
    caption = re.sub(r'[.!"()*#:;~]', " ", caption.lower())
    return re.sub(r"\s{2,}", " ", caption).strip(" ")


def main():
    rng = random.Random(7)
    letters = list('aBcÉΣσİıßŁ .,!"()*#:;~-\'/?') + ["Straße", "DOG ", "THE ", "’"]
    captions = FIXED + ["".join(rng.choice(letters) for _ in range(rng.randint(1, 40))) for _ in range(150)]
    with OUT.open("w", encoding="utf-8") as f:
        for c in captions:
            c = re.sub(r"\s+", " ", c).strip()  # one line, as every caption is by then
            words = rng.randint(1, 4)
            first = " ".join(clean(c).split(" ")[:words])
            f.write(json.dumps({"in": c, "clean": clean(c), "words": words, "first": first}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
