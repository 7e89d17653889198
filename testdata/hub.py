"""Remakes testdata/golden/hub/, which model/hub is tested against, with huggingface_hub as the oracle.

    .venv/bin/python testdata/hub.py [COUNT]

repo_ids.json: what huggingface_hub takes for a repository id. patterns.json:
which names each of COUNT (400) allow_patterns keeps.
"""

import json
import pathlib
import random
import sys

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


main()
