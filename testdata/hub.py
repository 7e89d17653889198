"""Remakes testdata/golden/hub/, which model/hub is tested against, with huggingface_hub as the oracle.

    .venv/bin/python testdata/hub.py [COUNT]

repo_ids.json: what huggingface_hub takes for a repository id. patterns.json:
which names each of COUNT (400) allow_patterns keeps. uploads.json: what
huggingface_hub asks a hub that it uploads a folder to.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import urllib.parse

os.environ["HF_HUB_DISABLE_XET"] = "1"  # else it uploads by Xet, whatever the hub is
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import filter_repo_objects
from huggingface_hub.utils._validators import validate_repo_id

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "hub"

IDS = [
    "", "gpt2", "Salesforce/blip-image-captioning-base", "ariG23498/flickr8k", "a", "a/b", "_a/b_", "1/2", "a.b/c_d-e",
    "datasets/foo/bar", "a/b/c", "/a", "a/", "/", "//", ".a", "a.", "-a", "a-", "a/.b", "a/b.", "a./b", "a-/b", "a/-b",
    "..", "a/..", "../a", "a..b", "a/b..c", "a--b", "a/b--c", "-", "--", ".", "a/b.git", "a.git", "a.git/b", "a.gitx",
    "a b", "a/b c", "a\\b", "a\n", "a/b\n", "\na", "a\x00", "a:b", "a@b", "a#b", "a?b", "a%2fb", "é", "文件夹", "a/é", "ſ", "K",
    "a" * 96, "a" * 97, "a/" + "b" * 96, "a/" + "b" * 97, "a" * 96 + "/b", "a" * 97 + "/b", "con", "_", "a/_", "._", "_._",
]  # fmt: skip

NAMES = [
    "config.json", "Config.json", "sub/config.json", "sub/deep/model.safetensors", "model-00001-of-00002.safetensors",
    ".hidden", "a", "b", "c", "-", "]", "[", "!", "^", "a-b", "[a]", "a]", "a[b", "ab/c", "a/b", "a/", "a\nb", "*", "?",
    "a b", "é", "🙂", "a🙂b", "", "a.b", "a^b", "&&", "data/train-0.parquet", "sub\\x", "~", "|",
]  # fmt: skip

PATTERNS = [
    "*", "", "*.json", "*.JSON", "sub/*", "sub/", "sub", "/", "*/*", "?", "??", "[ab]", "[!ab]", "[a-c]", "[c-a]", "[!c-a]",
    "[]", "[]]", "[!]", "[!]]", "[a", "[!a", "[-]", "[a-]", "[-a]", "[--a]", "[a-c-e]", "[]-a]", "[!]-a]", "[^a]", "[a^]",
    "[[]", "[\\]", "[a\\]", "sub\\*", "*[0-9].safetensors", "model-?????-of-*.safetensors", "a.b", "a^b", "**", "***a",
    "[&&]", "[~|]", "*🙂*", "[🙂é]", "[!🙂]", ".*", "data/train-*.parquet", "[[:alpha:]]", "a[/]b", "$", "\\", "(", "+", "{",
]  # fmt: skip


FILES = {
    "README.md": b"---\nlicense: mit\n---\n# Name\n",
    "config.json": b"{}\n",
    "empty.bin": b"",
    "model.safetensors": bytes(i * i % 251 for i in range(2500)),
    "small.bin": bytes(range(200)),
    "stored.bin": bytes(range(100)),
    "sub/größe 🙂 +&.txt": "größe\n".encode(),
    "unchanged.txt": b"the same\n",
    "cache.log": b"left out by .gitignore\n",
    ".gitignore": b"*.log\n",
}
UNCHANGED, STORED = "unchanged.txt", "stored.bin"
PART_SIZE = 1000
TOKEN = "hf_recorded"
CASES = [
    {"kind": "model", "id": "org/name", "revision": "main"},
    {"kind": "dataset", "id": "org/name", "revision": "a/branch", "private": True},
    {"kind": "model", "id": "org/name", "revision": "main", "pull_request": True},
]


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers like a hub without Xet, well enough to keep a client going, and notes what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer({"sha": "0" * 40, "id": "org/name"})

    def do_PUT(self):
        self.answer({}, ETag='"%s"' % hashlib.md5(self.note()).hexdigest())

    def do_POST(self):
        body = self.note()
        hub, path = self.server.address, urllib.parse.urlsplit(self.path).path
        if path == "/api/repos/create":
            self.answer({"url": hub + "/org/name"})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self.answer({"files": [self.file(f) for f in json.loads(body)["files"]]})
        elif path.endswith("/objects/batch"):
            self.answer({"transfer": "basic", "objects": [self.object(o) for o in json.loads(body)["objects"]]})
        elif "/commit/" in path:
            self.answer({"commitOid": "0" * 40, "commitUrl": hub + "/org/name/commit/0", "pullRequestUrl": hub + "/org/name/discussions/1"})
        else:
            self.answer({})

    def file(self, f):
        said = {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith((".bin", ".safetensors")) else "regular"}
        said["shouldIgnore"] = f["path"].endswith(".log")
        if f["path"] == UNCHANGED:
            said["oid"] = hashlib.sha1(b"blob %d\0" % len(FILES[UNCHANGED]) + FILES[UNCHANGED]).hexdigest()
        return said

    def object(self, o):
        if o["oid"] == hashlib.sha256(FILES[STORED]).hexdigest():
            return o
        to = f"{self.server.address}/uploads/{o['oid']}"
        upload = {"href": to}
        if o["size"] > PART_SIZE:
            parts = range(1, (o["size"] - 1) // PART_SIZE + 2)
            upload = {"href": self.server.address + "/api/complete_multipart"}
            upload["header"] = {"chunk_size": str(PART_SIZE)} | {f"{n:05}": f"{to}/{n:05}" for n in parts}
        verify = {"href": self.server.address + "/" + self.path.strip("/").removesuffix("batch") + "verify"}
        return o | {"actions": {"upload": upload, "verify": verify}}

    def note(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        to = urllib.parse.urlsplit(self.path)
        kind = self.headers.get("Content-Type", "")
        note = {"method": self.command, "path": urllib.parse.unquote(to.path), "query": to.query, "token": "Authorization" in self.headers}
        if self.command == "PUT":
            note["bytes"] = len(body)
        elif kind == "application/x-ndjson":
            note |= {"type": kind, "body": [json.loads(line) for line in body.splitlines()]}
        else:
            note |= {"type": kind, "body": json.loads(body)}
        if "git-lfs" in self.headers.get("Accept", ""):
            note["accept"] = self.headers["Accept"]
        if note not in self.server.notes:  # the card is validated twice
            self.server.notes.append(note)
        return body

    def answer(self, value, **headers):
        body = json.dumps(value).encode()
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def uploads(case, folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.address, server.notes = "http://127.0.0.1:%d" % server.server_port, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api = HfApi(endpoint=server.address, token=TOKEN)
    where = {"repo_id": case["id"], "repo_type": case["kind"]}
    api.create_repo(**where, exist_ok=True, private=case.get("private"))
    if case["revision"] != "main":
        api.create_branch(**where, branch=case["revision"], exist_ok=True)
    api.upload_folder(**where, folder_path=folder, revision=case["revision"], create_pr=case.get("pull_request"), commit_message="Upload", commit_description="All of it.")
    server.shutdown()
    return case | {"requests": sorted(server.notes, key=json.dumps)}  # large files are sent side by side


def write_uploads():
    with tempfile.TemporaryDirectory() as folder:
        for name, content in FILES.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        cases = [uploads(case, folder) for case in CASES]
    files = {name: base64.b64encode(content).decode() for name, content in FILES.items()}
    write("uploads.json", {"files": files, "unchanged": UNCHANGED, "stored": STORED, "part_size": PART_SIZE, "cases": cases})


def valid(repo_id):
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        return False
    return True


def write(name, value):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / name).write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main():
    rng = random.Random(0)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    ids = IDS + ["".join(rng.choices("ab.-_/1", k=rng.randint(1, 9))) for _ in range(count)]
    write("repo_ids.json", {repo_id: valid(repo_id) for repo_id in ids})
    patterns = PATTERNS + ["".join(rng.choices("ab*?[]!-^/c.", k=rng.randint(1, 8))) + rng.choice(("", "*")) for _ in range(count)]
    kept = {p: list(filter_repo_objects(NAMES, allow_patterns=p)) for p in patterns}
    write("patterns.json", {"names": NAMES, "kept": kept})
    write_uploads()


main()
