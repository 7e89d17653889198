"""Makes testdata/golden/meteor: what METEOR 1.5, as pycocoevalcap runs it, says of invented captions.

Run from the repository's root with the packages of testdata/requirements.txt and a Java on the path:

    python testdata/meteor.py

The captions are made up here, by seed. Every file is JSON, packed with gzip.

    words.json.gz     captions and the words into which METEOR's option -norm splits them
    pairs.json.gz     pairs of words and whether METEOR matches them by stem (1), by synonym (2), by both (3)
    segments.json.gz  sets of pictures: captions, METEOR's counts, the scores of the pictures and of the set
"""
import gzip
import json
import os
import random
import subprocess
import tempfile

from pycocoevalcap.meteor import meteor

import metrics

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "meteor")
FOLDER = os.path.dirname(os.path.abspath(meteor.__file__))


def save(name, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(OUT, name + ".json.gz"), "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as f:
        f.write(text.encode())
    print(name, os.path.getsize(os.path.join(OUT, name + ".json.gz")), "bytes")


# --- alignments ------------------------------------------------------------------------------------------------------

def align(predictions, references, stages):
    """Runs the jar on files; for each pair: the words of both sides, and whether anything matches."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("predictions", "references")]
        for path, lines in zip(paths, (predictions, references)):
            with open(path, "w", newline="", encoding="utf-8") as f:
                f.write("".join(line + "\n" for line in lines))
        command = ["java", "-jar", os.path.join(FOLDER, meteor.METEOR_JAR), *paths, "-l", "en", "-norm", "-m", stages,
                   "-writeAlignments", "-f", os.path.join(folder, "out")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, "out-align.out"), newline="\n", encoding="utf-8") as f:
            blocks = [block.split("\n") for block in f.read().split("Alignment\t")[1:]]
    assert len(blocks) == len(predictions)
    return [(b[1], b[2], bool(b[4])) for b in blocks]


# --- words -----------------------------------------------------------------------------------------------------------

PIECES = list("abcABs012  ..,,''-- \"`!?()/&;:|_é½Σя–—’“…\u00a0\u3000\tİ😀") + [
    "mr", "Mr", "No", "St", "pp", " a", " 5", "n't", "'s", "..", "...", "U.S.", "u.s.", "e.g.", " . ", " ' ", "--"]


def odd(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14))).strip()


def words():
    rng = random.Random(31)
    captions = sorted({odd(rng) for _ in range(1500)} | {metrics.hard(rng).strip() for _ in range(500)} | set(metrics.HARD)
                      | {"a{0}b 1{0}2 {0} x{0}y".format(chr(c)) for c in [*range(0x21, 0x250), *range(0x370, 0x530), *range(0x1680, 0x3010, 31)]})
    captions = [c for c in captions if c]
    return [[c, w] for c, (w, _, _) in zip(captions, align(captions, ["x"] * len(captions), "exact"))]


IRREGULAR = """men man;women woman;mice mouse;went go;better good;best well;children kid;lay lie;axes ax;axes axis;left leave;
found find;found establish;teeth tooth;saws see;analyses analyse;cryings cry;geese goose;his hi;was be;are is""".replace("\n", "").split(";")
ENDINGS = ["s", "es", "ed", "ing", "er", "est", "ies", "ied", "ier", "men", "ly", "ness", "ful", "ation", "ally", "ss", "ization"]
BASES = """car auto sofa couch box bus church bush man fly bake walk big nice pretty run cat photo glad large small child kid boy lad happy
street road rock stone quick rapid sit stand wolf person somebody picture image glass dish city town quiz wish gas dress pass as is a""".split()


def word_pairs():
    pairs = {tuple(p.split()) for p in IRREGULAR}
    for base in BASES:
        pairs |= {(base, other) for other in BASES if other != base}
        for end in ENDINGS:
            pairs |= {(stem + end, base) for stem in (base, base[:-1], base + base[-1])}
    pairs |= {("c0", "an"), ("an", "c0"), ("k5", "are"), ("abans", "abc0"), ("abc0s", "aban")}  # one hash code in Java
    pairs = sorted(p for p in pairs if p[0] != p[1])
    stem, synonym = (align(*zip(*pairs), stage) for stage in ("stem", "synonym"))
    return [[a, b, int(s[2]) + 2 * int(y[2])] for (a, b), s, y in zip(pairs, stem, synonym)]


# --- scores ----------------------------------------------------------------------------------------------------------

def score(scorer, items):
    """Scores [prediction, references] pairs, whose captions are tokens already."""
    total, scores = scorer.compute_score({i: refs for i, (_, refs) in enumerate(items)}, {i: [p] for i, (p, _) in enumerate(items)})
    counts = [[int(float(n)) for n in scorer._stat(p, refs).split()] for p, refs in items]
    return {"items": items, "counts": counts, "scores": scores, "score": total}


def tokens(items):
    flat = iter(metrics.tokenize([c for p, refs in items for c in (p, *refs)], alone=True))
    return [[next(flat), [next(flat) for _ in refs]] for _, refs in items]


def few(rng):
    return rng.choice(["", ".", "...", "!!", "dog", "dogs", "a", "?", "'", '" "', "  ", "-", "( a dog", "the cat", "'s", "a ||| b", "||"])


REPEATED = "a the dog dogs cat on beach man men person people riding ride rides is with of next to street in front large big sits down".split()


def repeated(rng, most=25):
    some = rng.sample(REPEATED, rng.randint(2, 10))
    return " ".join(rng.choice(some) for _ in range(rng.randint(1, most)))


def sets():
    rng = random.Random(30)
    five, one, some = lambda r: 5, lambda r: 1, lambda r: r.randint(1, 4)
    unicode = [h for h in metrics.HARD if any(ord(c) > 127 for c in h)]
    everyday = tokens(metrics.pictures(rng, 100, five, metrics.plain))
    return {
        "everyday": everyday,
        "shuffled words": [[" ".join(rng.sample(refs[0].split(" "), len(refs[0].split(" ")))), refs] for _, refs in everyday[:20]],
        "equal to a reference": [[rng.choice(refs), refs] for _, refs in everyday[:20]],
        "hard": tokens(metrics.pictures(rng, 60, five, metrics.hard)),
        "not tokenised": metrics.pictures(rng, 60, some, metrics.hard),
        "odd": metrics.pictures(rng, 100, some, odd),
        "one picture": everyday[:1],
        "one reference": tokens(metrics.pictures(rng, 30, one, metrics.plain)),
        "fifty references": tokens(metrics.pictures(rng, 2, lambda r: 50, metrics.plain)),
        "empty and tiny": metrics.pictures(rng, 80, some, few, near=0.2),
        "all empty": [["", ["", ""]], ["", [""]], [" ", [".", ""]]],
        "no references": [["a dog", []], ["", []]],
        "unicode": metrics.pictures(rng, 30, some, lambda r: " ".join(r.choice(unicode) for _ in range(r.randint(1, 8)))),
        "repeated words": metrics.pictures(rng, 100, some, repeated, near=0.2),
        "very long": metrics.pictures(rng, 4, some, lambda r: repeated(r, 200)) + [["dog cat " * 60, ["cat dog " * 50]]],
        "duplicates": [["a dog runs", ["a dog runs"] * 5], ["a dog runs", ["a dog ran"] * 3]],
        "nothing in common": [["red green blue", ["one two three four"]], ["five", ["six seven"]]],
        "stages": [["the kids are riding bicycles", ["children ride bikes", "a child rode a bike"]], ["men sat on a couch", ["a man is sitting on the sofa"]],
                   ["an auto stops", ["a car stopped", "automobiles stopping"]], ["a large amount of food", ["lots of food", "a great deal of food"]],
                   ["c0 dog and k5", ["an dog and is"]], ["run", ["running"]], ["abandon", ["abandoned"]]],
    }


def main():
    os.makedirs(OUT, exist_ok=True)
    save("words", words())
    save("pairs", word_pairs())
    scorer = meteor.Meteor()
    save("segments", [{"name": name, **score(scorer, items)} for name, items in sets().items()])


if __name__ == "__main__":
    main()
