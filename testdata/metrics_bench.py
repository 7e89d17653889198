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
import subprocess
import sys
import tempfile
import time
import zipfile

import pycocoevalcap.bleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
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
    """What pycocoevalcap takes for tokenising, BLEU, ROUGE-L and CIDEr."""
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
    return times


def main():
    items = coco_items(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    times = reference_seconds(items)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "scores.json.gz")
        with gzip.open(path, "wt") as f:
            json.dump([{"name": "COCO", **metrics.score(items)}], f)
        env = {**os.environ, "BLIPFLOW_METRICS_FILE": path}
        command = ["go", "test", "./metrics", "-count=1", "-run", "TestFile", "-bench", "BenchmarkFile", "-benchtime", "10x", "-v"]
        subprocess.run(command, check=True, env=env)
    total = sum(times.values())
    print("pycocoevalcap:", ", ".join(f"{k} {v:.2f} s" for k, v in times.items()), f"; all {total:.2f} s, without the tokeniser {total - times['tokeniser']:.2f} s")
    print("BenchmarkFile above is tokenising, BLEU, ROUGE-L and CIDEr together.")


if __name__ == "__main__":
    main()
