"""Makes testdata/golden/spice: what the jar of SPICE 1.0 says of invented captions.

Run from the repository's root with the packages of testdata/requirements.txt and a Java on the path, after
make setup-spice:

    python testdata/spice.py

pycocoevalcap's spice.py starts the jar in a way that Java has not taken since 15, so the jar is started here, in the
plainest way that works, on the input that spice.py writes. Where there are no jars nothing is made.

    scores.json.gz  sets of pictures, [prediction, references], the output of the jar by picture and category as
                    [f, precision, recall, true positives, false positives, false negatives], and the mean of spice.py

With --bench N FILE so many pictures are scored and written to the file instead, and the time is printed; the tests
and benchmarks of metrics/spice take the file by BLIPFLOW_SPICE_FILE.
"""
import glob
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from metrics import hard, pictures, plain, tokenize

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "spice")
CATEGORIES = ["All", "Object", "Attribute", "Relation", "Cardinality", "Color", "Size"]
FIELDS = ["f", "pr", "re", "tp", "fp", "fn"]


def jars():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.environ.get("BLIPFLOW_SPICE") or os.path.join(cache, "blipflow", "spice")
    found = [os.path.join(folder, "spice-1.0.jar"), *sorted(glob.glob(os.path.join(folder, "lib", "*.jar")))]
    if not os.path.exists(found[0]):
        print("no jars of SPICE in %s, so nothing is made: make setup-spice fetches them" % folder)
        sys.exit(0)
    return found


def jar(items, heap="4G"):
    """The output of the jar for [prediction, references] pairs, by picture."""
    data = [{"image_id": i, "test": p, "refs": refs} for i, (p, refs) in enumerate(items)]
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "in.json"), "w") as f:
            json.dump(data, f, indent=2)
        command = ["java", "-Xmx" + heap, "-cp", os.pathsep.join(jars()), "edu.anu.spice.SpiceScorer", "in.json",
                   "-out", "out.json", "-subset", "-silent"]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(folder, "out.json")) as f:
            out = {one["image_id"]: one["scores"] for one in json.load(f)}
    return [out[i] for i in range(len(items))]


def tokenized(items):
    """The items as pycocoevalcap hands them on."""
    predictions = tokenize([p for p, _ in items], alone=True)
    flat = iter(tokenize([r for _, refs in items for r in refs], alone=True))
    return [[p, [next(flat) for _ in refs]] for p, (_, refs) in zip(predictions, items)]


def sets():
    rng = random.Random(30)
    five, one = lambda r: 5, lambda r: 1
    few = ["", ".", "...", "!!", "dog", "Dog.", "a", "?", '" "', "  ", "-", "(", "red", "two"]
    same = plain(rng)
    long = "a man in a red shirt and a woman in a blue dress stand next to two small brown dogs " * 3
    return {
        "everyday": tokenized(pictures(rng, 24, five, plain)),
        "hard, tokenised": tokenized(pictures(rng, 8, five, hard)),
        "hard, as it is": pictures(rng, 8, five, hard),
        "one reference": tokenized(pictures(rng, 6, one, plain)),
        "fifty references": tokenized(pictures(rng, 1, lambda r: 50, plain)),
        "varying references": tokenized(pictures(rng, 5, lambda r: r.randint(1, 7), plain)),
        "empty and tiny": pictures(rng, 12, lambda r: r.randint(1, 3), lambda r: r.choice(few), near=0.2),
        "all empty": [["", ["", ""]], ["", [""]]],
        "empty prediction": [["", ["a dog runs", "two dogs"]]],
        "empty references": [["a dog runs", ["", ""]]],
        "one word": [["dog", ["dog"]], ["dog", ["cat"]], ["red", ["red"]]],
        "punctuation": [["...", ["!!", "?"]], [". , ;", ["a dog"]]],
        "unicode": [["a café in São Paulo", ["a naïve Übung 😀", "日本語 dog"]], ["ein Hund ☃", ["Привет a dog", "a dog\u00a0runs"]]],
        "controls": [["a dog\nruns", ["a dog\r\nruns", "a\u2028dog"]], ["a\x00dog", ["a\tdog \x7f runs", "a dog\x0b"]]],
        "quotes": [['a "red" dog \\ cat', ["a 'red' dog / cat", "<b>dog</b> & cat"]]],
        "duplicates": [[same, [same] * 5], [same, [same] * 5], [same, [same]]],
        "nothing in common": [["red green blue", ["one two three four"]], ["five", ["six seven"]]],
        "categories": [["two large red buses", ["two red buses", "a pair of large buses"]], ["a small black dog", ["one big black dog"]]],
        "synonyms": [["a bike near a couch", ["a bicycle by a sofa"]], ["a man holds an infant", ["a person with a baby"]]],
        "long": [[long.strip(), [long.strip(), "a man and a woman with dogs"]]],
    }


def golden():
    named = sets()
    scores = iter(jar([item for items in named.values() for item in items]))
    out = []
    for name, items in named.items():
        all_scores = [next(scores) for _ in items]
        out.append({
            "name": name, "items": items,
            "scores": [[[s[c][k] for k in FIELDS] for c in CATEGORIES] for s in all_scores],
            "mean": float(np.mean([np.nan if s["All"]["f"] is None else float(s["All"]["f"]) for s in all_scores])),
        })
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, "scores.json.gz")
    text = json.dumps(out, ensure_ascii=True, separators=(",", ":"))
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as f:
        f.write(text.encode())
    print("scores", os.path.getsize(path), "bytes,", sum(map(len, named.values())), "pictures")


def bench(n, path):
    rng = random.Random(40)
    items = tokenized(pictures(rng, n, lambda r: 5, plain))
    start = time.perf_counter()
    scores = jar(items)
    took = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print("the jar: %d pictures in %.1f s, %.1f s of CPU, %d MB" % (n, took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
    with gzip.open(path, "wt") as f:
        json.dump([{"name": "bench", "items": items, "mean": float(np.mean([s["All"]["f"] for s in scores])),
                    "scores": [[[s[c][k] for k in FIELDS] for c in CATEGORIES] for s in scores]}], f)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--bench":
        bench(int(sys.argv[2]), sys.argv[3])
    else:
        golden()
