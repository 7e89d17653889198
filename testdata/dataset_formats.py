"""Remakes testdata/datasets/, which stages/dataset and stages/preprocess are tested against.

    .venv/bin/python testdata/dataset_formats.py

One pool of pictures and captions in every format that people have Flickr8k,
Flickr30k and COCO in, written by the libraries that write them out there:
Hugging Face's datasets, webdataset, pyarrow. expected.json says, for each data
set, what is in it, in the order of its files.

Not called datasets.py: beside the other scripts it would be taken for the
library of that name.
"""

import csv
import gzip
import hashlib
import io
import json
import pathlib
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parent / "datasets"

CAPTIONS = [
    ["A child in a pink dress is climbing up a set of stairs in an entry way .", "A girl going into a wooden building .", "A little girl climbing into a wooden playhouse ."],
    ["A black dog and a spotted dog are fighting", "Two dogs on pavement moving toward each other ."],
    ["A man lays on a bench while his dog sits by him .", 'A man , called "Jim" , on a bench .', "a shirtless man lies on a park bench with his dog .", "Man laying on bench .", "A man lays on the bench to which a white dog is also tied ."],
    ["A man in an orange hat starring at something .", "A man wears an orange hat and glasses .", "Un homme au café, 3 € l'heure"],
    ["Two dogs are chasing each other; one is brown", "Two dogs are chasing each other; one is brown"],
    ["A woman | in red", "A boy's kite (blue) flies", "100% wind"],
    ["A rabbit in the grass .", "grass\twith a rabbit"],
    ["Snow on a hill , seen from afar .", "A hill", "雪山", "A white hill ❄"],
]
SPLITS = ["train", "train", "train", "train", "validation", "validation", "test", "test"]


class Picture:
    def __init__(self, number):
        self.number = number
        self.name = f"{1000268201 + 7919 * number}_{number:x}93b08cb0e.jpg"
        self.captions, self.split = CAPTIONS[number], SPLITS[number]
        self.data = jpeg(number)
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.cocoid = 391895 + 1000 * number
        self.coco_name = f"COCO_{'train' if self.split == 'train' else 'val'}2014_{self.cocoid:012d}.jpg"


def jpeg(number):
    """A little landscape of its own colours with a figure in it."""
    y, x = np.mgrid[0:30, 0:40]
    pixels = np.stack([40 + 3 * x + 11 * number, 200 - 4 * y, (x * y // 8 + 60 * number) % 256], 2)
    cx, cy, r = 8 + 3 * number, 6 + 2 * number, 4 + number % 3
    figure = (x - cx) ** 2 + (y - cy) ** 2 < r * r if number % 2 else (abs(x - cx) < r) & (abs(y - cy) < r)
    pixels[figure] = [(250, 20, 30), (20, 30, 250), (30, 250, 20)][number % 3]
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=70, optimize=True)
    return out.getvalue()


POOL = [Picture(number) for number in range(8)]
EXPECTED = {}


def expect(where, picture, uri, image_id=None, captions=None, split=""):
    """What is to be found; an id of None is for the reader to make up."""
    EXPECTED.setdefault(where, {"pictures": [], "rejected": []})["pictures"].append({
        "sha256": picture.sha256, "uri": uri, "id": image_id,
        "captions": [" ".join(c.split()) for c in picture.captions] if captions is None else captions,
        "split": split,
    })  # fmt: skip


def reject(where, uri, code):
    EXPECTED.setdefault(where, {"pictures": [], "rejected": []})["rejected"].append({"uri": uri, "code": code})


def put(name, data):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def cell(picture, name=None):
    return {"bytes": picture.data, "path": name}


def table(name, features, rows, **options):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {key: [row[key] for row in rows] for key in features}
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(path, **options)


TEXT = datasets.Value("string")


def flickr8k_parquet():
    """As ariG23498/flickr8k: a row a caption, those of a picture not always together."""
    where = "flickr8k_parquet"
    rows = [(p, c) for p in POOL for c in p.captions]
    rows = rows[::3] + rows[1::3] + rows[2::3]
    half = len(rows) // 2
    captions = {}
    for part, some in enumerate((rows[:half], rows[half:])):
        name = f"data/train-{part:05d}-of-00002-{hashlib.md5(bytes([part])).hexdigest()[:16]}.parquet"
        table(f"{where}/{name}", {"image": datasets.Image(), "caption": TEXT},
              [{"image": cell(p), "caption": c} for p, c in some], batch_size=4)  # fmt: skip
        for row, (p, c) in enumerate(some):
            if p.number not in captions:
                expect(where, p, f"parquet:{name}#{row}", captions=captions.setdefault(p.number, []))
            captions[p.number].append(" ".join(c.split()))


def flickr8k_columns():
    """As jxie/flickr8k: a column for each of five captions, a file for each split."""
    where = "flickr8k_columns"
    features = {"image": datasets.Image(), **{f"caption_{i}": TEXT for i in range(5)}}
    for split in ("test", "train", "validation"):
        name = f"data/{split}-00000-of-00001-{hashlib.md5(split.encode()).hexdigest()[:16]}.parquet"
        some = [p for p in POOL if p.split == split]
        table(f"{where}/{name}", features, [
            {"image": cell(p, p.name), **{f"caption_{i}": p.captions[i] if i < len(p.captions) else None for i in range(5)}}
            for p in some
        ])  # fmt: skip
        for row, p in enumerate(some):
            expect(where, p, f"parquet:{name}#{row}", p.name, split=split)


def flickr30k_list():
    """As nlphuji/flickr30k: a list of captions, and the split in a column of files called TEST."""
    where = "flickr30k_list"
    features = {
        "image": datasets.Image(), "caption": datasets.List(TEXT), "sentids": datasets.List(TEXT),
        "split": TEXT, "img_id": TEXT, "filename": TEXT,
    }  # fmt: skip
    short = {"validation": "val"}
    for part in range(2):
        name, some = f"data/TEST-{part:05d}-of-00002.parquet", POOL[4 * part : 4 * part + 4]
        table(f"{where}/{name}", features, [
            {"image": cell(p, "x.jpg"), "caption": p.captions, "sentids": [str(9 * p.number + i) for i in range(len(p.captions))],
             "split": short.get(p.split, p.split), "img_id": str(p.number), "filename": p.name}
            for p in some
        ], batch_size=3)  # fmt: skip
        for row, p in enumerate(some):
            expect(where, p, f"parquet:{name}#{row}", p.name, split=p.split)


def kaggle():
    where = "kaggle"
    out = io.StringIO()
    out.write("image,caption\n")
    for p in POOL:
        put(f"{where}/Images/{p.name}", p.data)
        for c in p.captions:
            # Kaggle's file has quotes only where there is a comma.
            csv.writer(out, lineterminator="\n").writerow([p.name, c])
        expect(where, p, f"Images/{p.name}")
    put(f"{where}/captions.txt", out.getvalue())


def flickr8k_text():
    """The original archive, with a picture in no list and a caption of a picture that is not there."""
    where = "flickr8k_text"
    tokens = ""
    for p in POOL:
        put(f"{where}/Flicker8k_Dataset/{p.name}", p.data)
        tokens += "".join(f"{p.name}#{i}\t{c}\n" for i, c in enumerate(p.captions))
        if p.number == 5:
            tokens += "".join(f"{p.name}.1#{i}\tsome men .\n" for i in range(2))
            reject(where, f"{p.name}.1", "missing")
        if p.number == 3:
            reject(where, f"Flicker8k_Dataset/{p.name}", "no_split")
        else:
            expect(where, p, f"Flicker8k_Dataset/{p.name}", p.name, split=p.split)
    put(f"{where}/Flickr8k.token.txt", tokens)
    for split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        listed = [p.name for p in POOL if p.split == split and p.number != 3]
        put(f"{where}/Flickr_8k.{name}Images.txt", "".join(name + "\n" for name in listed))


def sentences(p):
    return [
        {"tokens": c.lower().split(), "raw": c, "imgid": p.number, "sentid": 10 * p.number + i} for i, c in enumerate(p.captions)
    ]


KARPATHY_SPLIT = {0: "restval", 4: "val", 5: "val", 6: "test", 7: "test"}


def karpathy():
    where = "karpathy_flickr30k"
    images = []
    for p in POOL:
        put(f"{where}/flickr30k-images/{p.name}", p.data)
        images.append({
            "sentids": [s["sentid"] for s in sentences(p)], "imgid": p.number, "sentences": sentences(p),
            "split": KARPATHY_SPLIT.get(p.number, "train").replace("restval", "train"), "filename": p.name,
        })  # fmt: skip
        expect(where, p, f"flickr30k-images/{p.name}", p.name, split=p.split)
    put(f"{where}/dataset_flickr30k.json", json.dumps({"images": images, "dataset": "flickr30k"}))


def coco_rows():
    for p in POOL:
        yield p, {
            "filepath": p.coco_name[5:].split("_")[0], "sentids": [s["sentid"] for s in sentences(p)], "filename": p.coco_name,
            "imgid": p.number, "split": KARPATHY_SPLIT.get(p.number, "train"), "sentences": sentences(p), "cocoid": p.cocoid,
        }  # fmt: skip


def coco_url(p):
    return f"http://images.cocodataset.org/{p.coco_name[5:].split('_')[0]}/{p.coco_name}"


def coco():
    """COCO's folders; the other data sets of COCO have their pictures there, too."""
    for year in ("train2014", "val2014"):
        where = "coco"
        some = [p for p in POOL if year in p.coco_name]
        for p in some:
            put(f"{where}/{year}/{p.coco_name}", p.data)
            split = "train" if year == "train2014" else "validation"
            expect(where, p, f"{year}/{p.coco_name}", str(p.cocoid), split=split)
        put(f"{where}/annotations/captions_{year}.json", json.dumps({
            "info": {"description": "COCO 2014 Dataset", "year": 2014},
            "images": [
                {"license": 5, "file_name": p.coco_name, "coco_url": coco_url(p), "height": 30, "width": 40,
                 "date_captured": "2013-11-14 16:28:13", "flickr_url": "http://farm4.staticflickr.com/3/x_z.jpg", "id": p.cocoid}
                for p in some
            ],
            "licenses": [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 5, "name": "Attribution License"}],
            "annotations": [
                {"image_id": p.cocoid, "id": 100 * i + p.number, "caption": c}
                for i in range(5) for p in some for c in p.captions[i : i + 1]
            ],
        }))  # fmt: skip
    rows = list(coco_rows())
    put("karpathy_coco/dataset_coco.json", json.dumps({"images": [row for _, row in rows], "dataset": "coco"}))
    for p, row in rows:
        expect("karpathy_coco", p, f"{row['filepath']}/{p.coco_name}", str(p.cocoid), split=p.split)
    coco_karpathy([(p, {**row, "url": coco_url(p)}) for p, row in rows])


def coco_karpathy(rows):
    """As yerevann/coco-karpathy: Karpathy's rows with an address, as Parquet, JSON Lines and a list."""
    integer = datasets.Value("int64")
    features = {
        "filepath": TEXT, "sentids": datasets.List(integer), "filename": TEXT, "imgid": integer, "split": TEXT,
        "sentences": datasets.List(TEXT), "cocoid": integer, "url": TEXT,
    }  # fmt: skip
    files = {"train": ("train", "restval"), "validation": ("val",), "test": ("test",)}
    for file in sorted(files):
        some = [(p, row) for p, row in rows if row["split"] in files[file]]
        plain = [{**row, "sentences": p.captions} for p, row in some]
        table(f"coco_karpathy_parquet/data/{file}-00000-of-00001.parquet", features, plain)
        put(f"coco_karpathy_jsonl/{file}.jsonl", lines(row for _, row in some))
        for p, row in some:
            for kind in ("parquet", "jsonl"):
                expect(f"coco_karpathy_{kind}", p, f"{row['filepath']}/{p.coco_name}", str(p.cocoid), split=p.split)
    put("coco_karpathy_list/rows.json", json.dumps([row for _, row in rows], indent=1))
    for p, row in rows:
        expect("coco_karpathy_list", p, f"{row['filepath']}/{p.coco_name}", str(p.cocoid), split=p.split)


def imagefolder():
    """As the imagefolder builder of datasets reads it, with each kind of metadata."""
    folders = {"train": POOL[0:2], "validation": POOL[4:5], "test": POOL[6:7]}
    for split in sorted(folders):
        where = "imagefolder_jsonl"
        for p in folders[split]:
            put(f"{where}/{split}/{p.name}", p.data)
            expect(where, p, f"{split}/{p.name}", split=split)
        put(f"{where}/{split}/metadata.jsonl", lines({"file_name": p.name, "text": c} for p in folders[split] for c in p.captions))
    where = "imagefolder_csv"
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["file_name", "text"])
    for p in POOL[2:6]:
        split = "train" if p.number < 4 else "test"
        put(f"{where}/{split}/{p.name}", p.data)
        rows.writerows([f"{split}/{p.name}", c] for c in p.captions)
        expect(where, p, f"{split}/{p.name}", split=split)
    put(f"{where}/metadata.csv", out.getvalue())
    where = "imagefolder_parquet"
    some = POOL[1:5]
    for p in some:
        put(f"{where}/pictures/{p.name}", p.data)
        expect(where, p, f"pictures/{p.name}", f"id {p.number}")
    names, captions = [f"pictures/{p.name}" for p in some], [p.captions for p in some]
    pq.write_table(
        pa.table({"file_name": names, "captions": captions, "image_id": [f"id {p.number}" for p in some]}),
        OUT / where / "metadata.parquet",
    )
    where = "sidecar"
    for p in sorted(POOL[:5], key=lambda p: f"{p.number % 2}/{p.name}"):
        name = f"{p.number % 2}/{p.name}"
        put(f"{where}/{name}", p.data)
        put(f"{where}/{name[:-4]}.txt", "\r\n".join(p.captions) + "\r\n\r\n")
        expect(where, p, name)


def tar(name, samples):
    """A shard as webdataset writes it."""
    out = io.BytesIO()
    with webdataset.TarWriter(out, mtime=0, encoder=False) as shard:
        for sample in samples:
            shard.write(sample)
    data = out.getvalue()
    put(name, gzip.compress(data, mtime=0) if name.endswith("gz") else data)


def web():
    """Shards with all that a sample can have, and those of img2dataset."""
    where = "webdataset"
    files = {"test-000000.tar.gz": POOL[6:], "train-000000.tar": POOL[:4], "val-000000.tar": POOL[4:6]}
    for file in sorted(files):
        samples = []
        for p in files[file]:
            key = f"{p.number % 2}/same" if file.startswith("val") else f"{p.number:06d}"
            sample = {"__key__": key, "jpg": p.data, "json": json.dumps({"width": 40, "caption": p.captions[0]}).encode()}
            # A second picture under the key is no picture of its own: only the last
            # part of what follows the first dot would say so.
            sample["mask.png"] = b"no picture"
            sample["cls"] = b"7"
            sample["txt"] = "\n".join(p.captions).encode()
            samples.append(sample)
            # The .json comes first, and what it says is not said twice.
            captions = [" ".join(c.split()) for i, c in enumerate(p.captions) if c not in p.captions[:i]]
            expect(where, p, f"tar:{file}#{key}.jpg", captions=captions, split=p.split)
        if file.startswith("train"):
            samples.append({"__key__": "__index__", "txt": b"words without a picture"})
            reject(where, f"tar:{file}#__index__", "missing")
        tar(f"{where}/{file}", samples)
    where, samples, rows = "img2dataset", [], []
    for p in POOL[:4]:
        row = {
            "caption": p.captions[0], "url": f"http://127.0.0.1:9/{p.name}", "key": f"{p.number:09d}", "status": "success",
            "error_message": None, "width": 40, "height": 30, "original_width": 40, "original_height": 30, "exif": "{}",
            "sha256": p.sha256,
        }  # fmt: skip
        samples.append({"__key__": row["key"], "jpg": p.data, "json": json.dumps(row, indent=4).encode(), "txt": row["caption"].encode()})
        rows.append(row)
        expect(where, p, f"tar:00000.tar#{row['key']}.jpg", captions=p.captions[:1])
    tar(f"{where}/00000.tar", samples)
    pq.write_table(pa.Table.from_pylist(rows), OUT / where / "00000.parquet")
    put(f"{where}/00000_stats.json", json.dumps({"count": 4, "successes": 4, "failed_to_download": 0, "status_dict": {"success": 4}}))


def ycck():
    """A JPEG in YCCK, and what Pillow makes of it as a PNG.

    Pillow writes CMYK only; with Adobe's mark changed, the same data is YCCK.
    """
    y, x = np.mgrid[0:24, 0:32]
    ink = np.stack([8 * x, 10 * y, 255 - 6 * x, 40 + x + y], 2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(out, "JPEG", quality=90, subsampling=0)
    data = bytearray(out.getvalue())
    data[data.index(b"Adobe") + 11] = 2
    put("pictures/ycck.jpg", bytes(data))
    pixels = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(pixels, "PNG")
    put("pictures/ycck.png", pixels.getvalue())


def pages():
    """Column chunks of many pages, which begin with a dictionary and go on without it.

    This is what becomes of pictures that are larger than a dictionary may be. Rows
    hold a text for a picture.
    """
    rows = [{"bytes": f"picture {i} {'x' * (i * 7 % 50)}".encode(), "path": f"{i}.jpg"} for i in range(120)]
    captions = [[f"caption {i}"] * (1 + i % 3) for i in range(120)]
    for version in ("1.0", "2.0"):
        path = OUT / f"pages/{version}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.table({"image": rows, "caption": captions}), path, row_group_size=50, data_page_size=200, write_batch_size=4,
            dictionary_pagesize_limit=400, data_page_version=version, compression="snappy",
        )  # fmt: skip


def compact(value):
    """JSON with a line a picture."""
    rows = {key: ",\n".join(json.dumps(row, ensure_ascii=False) for row in some) for key, some in value.items()}
    return "{" + ", ".join(f'"{key}": [\n{some}\n]' if some else f'"{key}": []' for key, some in rows.items()) + "}"


def main():
    datasets.disable_progress_bars()
    shutil.rmtree(OUT, ignore_errors=True)
    for make in (flickr8k_parquet, flickr8k_columns, flickr30k_list, kaggle, flickr8k_text, karpathy, coco, imagefolder, web, ycck, pages):
        make()
    put("expected.json", "{\n" + ",\n".join(f"{json.dumps(k)}: {compact(v)}" for k, v in EXPECTED.items()) + "\n}\n")


if __name__ == "__main__":
    main()
