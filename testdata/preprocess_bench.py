"""Prepares pictures and captions by Pillow with datasets.map and by this project: same pixels, how much faster?

Draws a folder of 500x375 JPEG files that compress like photographs, with five captions each, and turns it into Parquet
in both ways on all cores, one after the other; then compares every row. The captions are COCO's of 2014, out of the jar
that comes with pycocoevalcap; nothing of them is kept. From the repository's root, with the packages of
testdata/requirements.txt and Go:

    .venv/bin/python testdata/preprocess_bench.py [--pictures 3000] [--rounds 3] [--folder DIR]
"""

import argparse
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

SIDE, WIDTH, HEIGHT, QUALITY = 384, 500, 375, 90
FIRST, MAX_LENGTH, VOCABULARY = 30522, 40, 30522
FIELDS = ["uri", "width", "height", "content_hash", "pixel_width", "pixel_height", "pixels", "captions", "token_ids"]


# The data


def coco_captions(n):
    """Five captions for each of n pictures, cleaned, so that a step which cleans them finds nothing to do."""
    import pycocoevalcap

    jar = pathlib.Path(pycocoevalcap.__path__[0]) / "spice" / "spice-1.0.jar"
    with zipfile.ZipFile(jar) as z:
        annotations = json.loads(z.read("coco/annotations/captions_val2014.json"))["annotations"]
    by_picture = {}
    for a in annotations:
        caption = " ".join(re.sub(r"[^a-z0-9', -]", " ", a["caption"].lower()).split())
        by_picture.setdefault(a["image_id"], []).append(caption)
    groups = [c[:5] for _, c in sorted(by_picture.items()) if len(c) >= 5 and all(c[:5])]
    return [groups[i % len(groups)] for i in range(n)]


def photograph(seed):
    """A picture with the spectrum of photographs (amplitude falls with frequency), edges and flat parts."""
    import numpy as np
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    fx, fy = np.meshgrid(np.fft.rfftfreq(WIDTH), np.fft.fftfreq(HEIGHT))
    fall = np.maximum(np.hypot(fx, fy), 1 / WIDTH) ** -rng.uniform(1.2, 1.5)

    def field():
        spectrum = fall * np.exp(2j * np.pi * rng.random(fall.shape))
        plane = np.fft.irfft2(spectrum, (HEIGHT, WIDTH))
        return (plane - plane.mean()) / plane.std()

    light, red, blue = field(), field(), field()
    planes = [light + 0.4 * red, light - 0.1 * red - 0.1 * blue, light + 0.4 * blue]
    picture = np.stack([rng.uniform(90, 160) + rng.uniform(35, 55) * p for p in planes], axis=2)
    picture = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    shapes = Image.new("RGB", picture.size)
    mask = Image.new("L", picture.size)
    for _ in range(int(rng.integers(3, 9))):
        x, y, w, h = rng.integers([0, 0, 30, 30], [WIDTH, HEIGHT, 200, 200])
        box = tuple(int(v) for v in (x - w // 2, y - h // 2, x + w // 2, y + h // 2))
        kind = ["ellipse", "rectangle"][int(rng.integers(2))]
        getattr(ImageDraw.Draw(shapes), kind)(box, fill=tuple(int(c) for c in rng.integers(0, 256, 3)))
        getattr(ImageDraw.Draw(mask), kind)(box, fill=int(rng.integers(80, 240)))
    picture.paste(shapes, mask=mask)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)  # 4:2:0 is Pillow's default
    return out.getvalue()


def draw(folder, n):
    """Writes n pictures and their metadata, unless they are there."""
    note = folder / "metadata.jsonl"
    if note.exists() and sum(1 for _ in note.open()) == n:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool() as pool:
        for i, data in enumerate(pool.imap(photograph, range(n), chunksize=8)):
            (folder / f"{i:06d}.jpg").write_bytes(data)
    with note.open("w") as f:
        for i, captions in enumerate(coco_captions(n)):
            f.write(json.dumps({"file_name": f"{i:06d}.jpg", "captions": captions}) + "\n")


def make_model(folder):
    """Writes what both sides read of a model: a vocabulary learned from the captions, and the processor's settings."""
    from tokenizers import BertWordPieceTokenizer

    folder.mkdir(parents=True)
    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator((c for group in coco_captions(40000) for c in group), vocab_size=VOCABULARY, show_progress=False)
    words.save_model(str(folder))
    text = {"bos_token_id": FIRST, "vocab_size": VOCABULARY + 2, "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps({"model_type": "blip", "text_config": text}))
    processor = {
        "image_processor_type": "BlipImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": SIDE, "width": SIDE},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))


# The reference


def prepare(batch, *, folder, tokenizer):
    """The rows of some pictures."""
    from PIL import Image

    out = {name: [] for name in FIELDS}
    for name, captions in zip(batch["file_name"], batch["captions"]):
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        with Image.open(io.BytesIO(data)) as picture:
            out["width"].append(picture.width)
            out["height"].append(picture.height)
            pixels = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        out["pixels"].append(pixels.tobytes())
        out["uri"].append(name)
        out["pixel_width"].append(pixels.width)
        out["pixel_height"].append(pixels.height)
        out["content_hash"].append(hashlib.sha256(data).hexdigest())
        out["captions"].append(captions)
    flat = [c for captions in batch["captions"] for c in captions]
    ids = iter(tokenizer(flat, truncation=True, max_length=MAX_LENGTH, return_attention_mask=False, return_token_type_ids=False)["input_ids"])
    out["token_ids"] = [[[FIRST, *next(ids)[1:]] for _ in captions] for captions in batch["captions"]]
    return out


def write_shard(job):
    """One process's part of the result, as Parquet, without what costs time on pixels."""
    import pyarrow.parquet as pq

    data, path = job
    small = [name for name in FIELDS if name != "pixels"]
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "write_statistics": small}
    with pq.ParquetWriter(path, data.features.arrow_schema, **options) as out:
        for table in data.with_format("arrow").iter(64):
            out.write_table(table)


def reference(folder, model, out, cores):
    """What people write: datasets.map over the pictures, then a Parquet file a process."""
    import datasets
    import torch
    from datasets import Features, List, Value
    from transformers import BertTokenizerFast

    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    datasets.disable_progress_bars()
    tokenizer = BertTokenizerFast.from_pretrained(model)
    features = Features({
        "uri": Value("string"), "width": Value("int32"), "height": Value("int32"), "content_hash": Value("string"),
        "pixel_width": Value("int32"), "pixel_height": Value("int32"),
        "pixels": Value("binary"), "captions": List(Value("string")), "token_ids": List(List(Value("int32"))),
    })  # fmt: skip
    begun, used = time.perf_counter(), cpu_seconds()
    with open(folder / "metadata.jsonl") as f:
        rows = datasets.Dataset.from_list([json.loads(line) for line in f])
    data = rows.map(
        prepare, batched=True, batch_size=32, writer_batch_size=32, num_proc=cores, features=features,
        remove_columns=["file_name"], fn_kwargs={"folder": str(folder), "tokenizer": tokenizer},
        cache_file_name=str(out / "cache.arrow"), load_from_cache_file=False,
    )  # fmt: skip
    jobs = [(data.shard(cores, i, contiguous=True), out / f"part-{i}.parquet") for i in range(cores)]
    with multiprocessing.Pool(cores) as pool:
        pool.map(write_shard, jobs, chunksize=1)
    result = {"wall": time.perf_counter() - begun, "cpu": cpu_seconds() - used}
    for path in out.glob("*.arrow"):
        path.unlink()
    print(json.dumps(result))


def cpu_seconds():
    """Processor time of this process and of its children that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


# The comparison


def run_reference(args, folder, model, out):
    """Runs the reference in a process of its own; returns its times, and those that leave out its start and imports."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, __file__, "--reference", str(out), "--folder", str(folder), "--model", str(model), "--cores", str(args.cores)]
    begun, used = time.perf_counter(), cpu_seconds()
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    return {"wall": time.perf_counter() - begun, "cpu": cpu_seconds() - used, "started": said}


def run_ours(args, program, folder, model, out):
    """Runs the command, start of the process included."""
    shutil.rmtree(out, ignore_errors=True)
    begun, used = time.perf_counter(), cpu_seconds()
    command = [str(program), f"--model={model}", f"--dataset={folder}", f"--output={out}", f"--max_txt_len={MAX_LENGTH}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "GOMAXPROCS": str(args.cores)})
    return {"wall": time.perf_counter() - begun, "cpu": cpu_seconds() - used}


def digests(paths):
    """A digest of each row, by picture."""
    import pyarrow.parquet as pq

    rows = {}
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(32, columns=FIELDS):
            for row in batch.to_pylist():
                pixels = hashlib.sha256(row.pop("pixels")).hexdigest()
                rows[os.path.basename(row["uri"])] = {**row, "pixels": pixels}
    return rows


def compare(want, got):
    assert want.keys() == got.keys(), f"{len(want)} and {len(got)} pictures"
    for name, row in want.items():
        off = [field for field in FIELDS if row[field] != got[name][field]]
        assert not off, f"{name}: differs in {off}"


def report(name, times, pictures, cores):
    wall, cpu = (statistics.median(t[k] for t in times) for k in ("wall", "cpu"))
    print(f"{name:26} {pictures / wall:6.0f} pictures/s, {pictures / wall / cores:5.0f} per core; {cpu / pictures * 1e3:5.2f} ms of processor time each")
    return wall, cpu


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--pictures", type=int, default=3000)
    p.add_argument("--rounds", type=int, default=3, help="times that each side runs; the medians count")
    p.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    p.add_argument("--folder", type=pathlib.Path, help="where the pictures are, or are drawn if they are not; else in a temporary folder")
    p.add_argument("--model", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--reference", type=pathlib.Path, help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    args = arguments()
    if args.reference:
        reference(args.folder, args.model, args.reference, args.cores)
        return
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        folder, model, program = args.folder or temporary / "photographs", temporary / "model", temporary / "preprocess"
        draw(folder, args.pictures)
        make_model(model)
        subprocess.run(["go", "build", "-o", str(program), "./pipelines/preprocess"], check=True)
        theirs, ours = [], []
        for _ in range(args.rounds):
            theirs.append(run_reference(args, folder, model, temporary / "reference"))
            ours.append(run_ours(args, program, folder, model, temporary / "ours"))
        compare(digests((temporary / "reference").glob("*.parquet")), digests((temporary / "ours").glob("*.parquet")))
        size = sum(f.stat().st_size for f in folder.glob("*.jpg")) / args.pictures
        print(f"{args.pictures} JPEG files of {WIDTH}x{HEIGHT}, {size / 1e3:.0f} kB each, on {args.cores} cores, median of {args.rounds} rounds; all rows equal, to the byte:")
        wall, cpu = report("Pillow with datasets.map:", theirs, args.pictures, args.cores)
        started = [t["started"] for t in theirs]
        started_wall, started_cpu = report("  once it has started:", started, args.pictures, args.cores)
        our_wall, our_cpu = report("this project:", ours, args.pictures, args.cores)
        print(f"{wall / our_wall:.2f} times as many pictures a second, {cpu / our_cpu:.2f} times as many per second of processor time")
        print(f"{started_wall / our_wall:.2f} and {started_cpu / our_cpu:.2f} times with Python's start left out and this project's counted", flush=True)
        env = {**os.environ, "BLIPFLOW_BENCH_DATASET": str(folder.absolute()), "BLIPFLOW_BENCH_MODEL": str(model)}
        command = ["go", "test", "./pipelines/preprocess", "-run", "^$", "-bench", "Steps", "-benchtime", f"{args.pictures}x", "-cpu", "1"]
        subprocess.run(command, check=True, env=env)


if __name__ == "__main__":
    main()
