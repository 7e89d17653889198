"""Scores 5,000 pictures with five references each by pycocoevalcap and by this project: same digits, how much faster?

The captions are COCO's of 2014, out of the jar that comes with pycocoevalcap; nothing of them is kept. From the
repository's root, with the packages of testdata/requirements.txt, Java and Go:

    python testdata/metrics_bench.py [pictures]
"""
import contextlib
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile

import pycocoevalcap.bleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

import metrics


def coco_items(n):
    """n pictures: five captions as references, one of the same or another picture as prediction."""
    jar = os.path.join(os.path.dirname(pycocoevalcap.bleu.__path__[0]), "spice", "spice-1.0.jar")
    with zipfile.ZipFile(jar) as z:
        annotations = json.loads(z.read("coco/annotations/captions_val2014.json"))["annotations"]
    by_picture = {}
    for a in annotations:
        by_picture.setdefault(a["image_id"], []).append(a["caption"])
    rng = random.Random(7)
    groups = rng.sample([c for c in by_picture.values() if len(c) >= 5], n)
    return [[rng.choice(refs if rng.random() < 0.5 else rng.choice(groups)), refs[:5]] for refs in groups]


def reference_seconds(items):
    """What pycocoevalcap takes for tokenising, BLEU, ROUGE-L, CIDEr and METEOR, and its METEOR of all and each."""
    gts = {i: [{"caption": r} for r in refs] for i, (_, refs) in enumerate(items)}
    res = {i: [{"caption": p}] for i, (p, _) in enumerate(items)}
    times = {}

    def timed(name, do):
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            value = do()
        times[name] = time.perf_counter() - start
        return value

    gts, res = timed("tokeniser", lambda: (PTBTokenizer().tokenize(gts), PTBTokenizer().tokenize(res)))
    timed("BLEU", lambda: Bleu(4).compute_score(gts, res, verbose=0))
    timed("ROUGE-L", lambda: Rouge().compute_score(gts, res))
    timed("CIDEr", lambda: Cider().compute_score(gts, res))
    meteor = timed("METEOR", lambda: Meteor().compute_score(gts, res))
    return times, meteor


def main():
    items = coco_items(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    times, (meteor, meteors) = reference_seconds(items)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "scores.json.gz")
        with gzip.open(path, "wt") as f:
            json.dump([{"name": "COCO", **metrics.score(items), "meteor": meteor, "meteors": meteors}], f)
        env = {**os.environ, "BLIPFLOW_METRICS_FILE": path}
        command = ["go", "test", "./metrics", "-count=1", "-run", "TestFile", "-bench", "BenchmarkFile", "-benchtime", "5x", "-v"]
        out = subprocess.run(command, check=True, env=env, stdout=subprocess.PIPE, text=True).stdout
    print(out)
    ours = {name: float(ns) / 1e9 for name, ns in re.findall(r"BenchmarkFile/(\S+?)(?:-\d+)?\s+\d+\s+(\S+) ns/op", out)}
    n_grams = sum(times[k] for k in ("BLEU", "ROUGE-L", "CIDEr"))
    print("pycocoevalcap:", ", ".join(f"{k} {v:.2f} s" for k, v in times.items()))
    print(f"BLEU, ROUGE-L, CIDEr with tokenising: {n_grams + times['tokeniser']:.2f} s there, {ours['n-grams']:.3f} s here: {(n_grams + times['tokeniser']) / ours['n-grams']:.0f}x")
    print(f"without the reference's tokenising, ours counted: {n_grams / ours['n-grams']:.0f}x")
    print(f"METEOR with tokenising, and reading its tables here: {times['METEOR'] + times['tokeniser']:.2f} s there, {ours['METEOR']:.2f} s here: {(times['METEOR'] + times['tokeniser']) / ours['METEOR']:.1f}x")
    print(f"METEOR without the reference's tokenising, ours counted: {times['METEOR'] / ours['METEOR']:.1f}x")


if __name__ == "__main__":
    main()
