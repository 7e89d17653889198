"""Opens a folder of shards in the readers that people have, and holds it against what is promised of it.

The readers are pyarrow, pandas, DuckDB and datasets; the promises those of manifest.json and of stages/records.

    .venv/bin/python testdata/check_shards.py SHARDS
"""

import hashlib
import json
import pathlib
import re
import sys
import tempfile

import datasets
import duckdb
import numpy as np
import pandas
import pyarrow.compute as pc
import pyarrow.parquet as pq

SPLITS = ["train", "validation", "test"]
NAME = re.compile(r"(train|validation|test)-(\d{5,})-of-(\d{5,})\.parquet")
SCALARS = {
    "image_id": "string",
    "uri": "string",
    "split": "string",
    "width": "int32",
    "height": "int32",
    "content_hash": "string",
    "pixel_width": "int32",
    "pixel_height": "int32",
}
COLUMNS = {**SCALARS, "captions": "list<element: string>", "token_ids": "list<element: list<element: int32>>"}
PIXELS = {"uint8": "binary", "float32": "list<element: float>"}
METADATA = "dataset split split_seed pixel_format processor processor_hash tokenizer_hash program jpeg_decoder".split()
# A row group ends with the row that fills it (records.DefaultRowGroupBytes).
ROW_GROUP_BYTES = 32 << 20

problems = []


def check(ok, *what):
    if not ok:
        problems.append(" ".join(map(str, what)))
    return ok


def check_names(folder, manifest):
    """The files are those of the manifest, and those of each split are all there."""
    listed = [s["name"] for s in manifest["shards"]]
    found = sorted(p.name for p in folder.glob("*.parquet"))
    check(found == sorted(listed), "files and manifest differ:", set(found) ^ set(listed))
    for split in SPLITS:
        shards = [s for s in manifest["shards"] if s["split"] == split]
        for i, shard in enumerate(shards):
            check(shard["name"] == f"{split}-{i:05d}-of-{len(shards):05d}.parquet", shard["name"], "is number", i, "of", len(shards))
    for name in found:
        check(NAME.fullmatch(name), name, "is no name of a shard")
    check((folder / "errors.jsonl").exists(), "no errors.jsonl")


def check_manifest(manifest):
    rows = sum(s["rows"] for s in manifest["shards"])
    check(rows == manifest["pictures_written"], rows, "rows in the manifest's shards,", manifest["pictures_written"], "written")
    check(manifest["pictures_seen"] == manifest["pictures_written"] + manifest["pictures_failed"], "pictures do not add up")


def check_file(path, shard, manifest):
    """Size, hash, columns, metadata, and what the footer tells a reader that skips row groups."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    check(digest.hexdigest() == shard["sha256"], path.name, "has another SHA-256 than in the manifest")
    check(path.stat().st_size == shard["bytes"], path.name, "has another size than in the manifest")
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    wanted = {**COLUMNS, "pixels": PIXELS[manifest["pixel_format"]]}
    for name, kind in wanted.items():
        if check(name in schema.names, path.name, "has no column", name):
            found = str(schema.field(name).type).replace(" not null", "")
            check(found == kind, path.name, name, "is", found, "not", kind)
    pairs = {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items()}
    for key in METADATA:
        check(f"blipflow.{key}" in pairs, path.name, "lacks the metadata", key)
    check(pairs.get("blipflow.split") == shard["split"], path.name, "says split", pairs.get("blipflow.split"))
    for key in ["processor_hash", "tokenizer_hash", "pixel_format"]:
        check(pairs.get(f"blipflow.{key}") == manifest[key], path.name, "has another", key, "than the manifest")
    check(isinstance(json.loads(pairs.get("blipflow.processor", "0")), dict), path.name, "has no processor settings")
    check_groups(path.name, file)
    check(file.metadata.num_rows == shard["rows"], path.name, "has", file.metadata.num_rows, "rows, the manifest", shard["rows"])
    return sorted(set(schema.names) - set(wanted))


def check_groups(name, file):
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        most = ROW_GROUP_BYTES * (1 + 2 / max(group.num_rows, 1)) + (1 << 20)  # the last row, and levels
        check(group.total_byte_size <= most, name, "row group", g, "has", group.total_byte_size, "bytes")
        for i in range(group.num_columns):
            column = group.column(i)
            check(column.compression == "ZSTD", name, column.path_in_schema, "is", column.compression)
            path, numbers = column.path_in_schema, column.statistics
            if path not in SCALARS:
                check(not path.startswith("pixels") or not numbers or not numbers.has_min_max, name, "has the bounds of its pixels in the footer")
            elif check(numbers and numbers.has_min_max and numbers.has_null_count, name, "row group", g, "has no statistics of", path):
                values = file.read_row_group(g, [path]).column(0)
                low, high = pc.min_max(values).as_py().values()
                check((numbers.min, numbers.max, numbers.null_count) == (low, high, 0), name, "row group", g, "has wrong statistics of", path)


def digest(values):
    """A digest of a row's values, whatever kind of list a reader gives."""
    return hashlib.sha256(repr([plain(v) for v in values]).encode()).hexdigest()


def plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return hashlib.sha256(value).hexdigest()
    if hasattr(value, "__len__") and len(value) > 10_000:  # pixels as floats
        return hashlib.sha256(np.asarray(value, np.float32).tobytes()).hexdigest()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def pyarrow_rows(path, names):
    for batch in pq.ParquetFile(path).iter_batches(64, columns=names):
        for row in batch.to_pylist():
            yield [row[n] for n in names]


def pandas_rows(path, names):
    frame = pandas.read_parquet(path, columns=names)
    for row in frame.itertuples(index=False, name=None):
        yield row


def duckdb_rows(path, names):
    columns = ", ".join(names)
    with duckdb.connect() as db:
        answer = db.execute(f"SELECT {columns} FROM read_parquet(?, file_row_number = true) ORDER BY file_row_number", [str(path)])
        while rows := answer.fetchmany(64):
            yield from rows


def datasets_rows(path, names, cache):
    data = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=cache, columns=names)
    for row in data:
        yield [row[n] for n in names]


def check_values(path, manifest, cache):
    """Every value, in every reader."""
    names = [*COLUMNS, "pixels"]
    seen = []
    for row in pyarrow_rows(path, names):
        row = dict(zip(names, row))
        size = 3 * row["pixel_width"] * row["pixel_height"]
        check(len(row["pixels"]) == size, path.name, row["image_id"], "has", len(row["pixels"]), "samples, not", size)
        check(row["split"] == path.name.split("-")[0], path.name, row["image_id"], "is of", row["split"])
        check(row["width"] > 0 and row["height"] > 0, path.name, row["image_id"], "has no size")
        check(re.fullmatch("[0-9a-f]{64}", row["content_hash"]), path.name, row["image_id"], "has the hash", row["content_hash"])
        check(row["captions"] and all(row["captions"]), path.name, row["image_id"], "has no captions")
        if manifest["tokenizer_hash"]:
            check([bool(ids) for ids in row["token_ids"]] == [True] * len(row["captions"]), path.name, row["image_id"], "lacks token ids")
        seen.append(digest(row.values()))
    readers = {"pandas": pandas_rows, "DuckDB": duckdb_rows, "datasets": lambda p, n: datasets_rows(p, n, cache)}
    for reader, rows in readers.items():
        check([digest(r) for r in rows(path, names)] == seen, path.name, "reads otherwise in", reader)
    return len(seen)


def check_together(folder, manifest):
    """The whole folder by a pattern, as people open it."""
    rows = dict(duckdb.execute("SELECT split, count(*) FROM read_parquet(?) GROUP BY split", [str(folder / "*.parquet")]).fetchall())
    for split in SPLITS:
        want = sum(s["rows"] for s in manifest["shards"] if s["split"] == split)
        check(rows.get(split, 0) == want, "DuckDB counts", rows.get(split, 0), "rows of", split, "and not", want)
    files = {s: str(folder / f"{s}-*.parquet") for s in SPLITS if rows.get(s)}
    stream = datasets.load_dataset("parquet", data_files=files, streaming=True)
    for split in files:
        first = next(iter(stream[split]))
        check(first["split"] == split, "datasets streams", first["split"], "as", split)
    ids = duckdb.execute("SELECT count(*), count(DISTINCT image_id) FROM read_parquet(?)", [str(folder / "*.parquet")]).fetchone()
    check(ids[0] == ids[1], "image_id is not unique:", ids)


def main():
    folder = pathlib.Path(sys.argv[1])
    datasets.disable_progress_bars()
    manifest = json.loads((folder / "manifest.json").read_text())
    check_manifest(manifest)
    check_names(folder, manifest)
    rows, more = 0, set()
    for shard in manifest["shards"]:
        path = folder / shard["name"]
        more.update(check_file(path, shard, manifest))
        with tempfile.TemporaryDirectory() as cache:
            rows += check_values(path, manifest, cache)
    check_together(folder, manifest)
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(f"{folder}: {len(problems)} problems")
    extra = f"; columns beside the promised ones: {', '.join(sorted(more))}" if more else ""
    print(f"{folder}: {len(manifest['shards'])} shards with {rows} rows are as promised in pyarrow, pandas, DuckDB and datasets{extra}")


main()
