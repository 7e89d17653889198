"""Checks that huggingface_hub and model/hub share a cache. The Go tests run it:

    BLIPFLOW_HUB_PYTHON=$PWD/.venv/bin/python go test ./model/hub -run Python -v

    check_hub_cache.py find WANT KIND ID REVISION      finds in the cache, offline, what Go fetched
    check_hub_cache.py fetch WANT KIND ID REVISION     fetches it from HF_ENDPOINT
    check_hub_cache.py lock FILE                       holds a lock until its input ends

The cache is that of HF_HOME. WANT is a folder with the files that the snapshot
has to have, no more and no less.
"""

import pathlib
import sys

import huggingface_hub
from huggingface_hub import scan_cache_dir, snapshot_download
from huggingface_hub.utils import WeakFileLock


def contents(folder):
    folder = pathlib.Path(folder)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def compare(offline, want, kind, repo_id, revision):
    found = snapshot_download(repo_id, repo_type=kind, revision=revision, local_files_only=offline)
    if contents(found) != contents(want):
        sys.exit(f"{found} has {sorted(contents(found))}, want {sorted(contents(want))} or other bytes")
    cache = scan_cache_dir()
    if cache.warnings:
        sys.exit(f"the cache is broken: {cache.warnings}")
    files = [f for repo in cache.repos for r in repo.revisions if r.snapshot_path == pathlib.Path(found) for f in r.files]
    if len(files) != len(contents(want)) or not all(f.blob_path.parent.name == "blobs" for f in files):
        sys.exit(f"the scan of the cache sees {files}")
    print(f"huggingface_hub {huggingface_hub.__version__}: {len(files)} files in {found}")


def main():
    what, *args = sys.argv[1:]
    if what == "lock":
        with WeakFileLock(args[0]):
            print("locked", flush=True)
            sys.stdin.read()
        return
    compare({"find": True, "fetch": False}[what], *args)


main()
