"""Golden safetensors files of the reference writer, for model/safetensors.

    .venv/bin/python testdata/safetensors_files.py               writes the committed files
    .venv/bin/python testdata/safetensors_files.py --read FILE   lists a file as the reference reads it

The listing is one line per tensor: name, type, shape, SHA-256 of the bytes.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import deserialize
from safetensors.torch import save_file

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz, torch.uint16, torch.uint32, torch.uint64, torch.complex64,
]  # fmt: skip


def listing(data):
    for name, t in sorted(deserialize(data)):
        digest = hashlib.sha256(bytes(t["data"])).hexdigest()
        yield [name, t["dtype"], t["shape"], digest]


def tensors():
    """One of each type, and what is at the edges of the format."""
    g = torch.Generator().manual_seed(11)
    out = {}
    for i, dtype in enumerate(DTYPES):
        raw = torch.randint(0, 2, (3 * dtype.itemsize * (i % 3 + 1),), generator=g, dtype=torch.uint8)
        if dtype != torch.bool:
            raw = raw * 37 + torch.arange(len(raw), dtype=torch.uint8)
        out[f"type.{dtype}"] = raw.view(dtype).reshape(3, -1)
    out["scalar"] = torch.tensor(1.5)
    out["empty"] = torch.zeros(0, 7)
    out["deep"] = torch.zeros(1, 1, 2, 1, 1, 3)
    out['näme "quoted" <&> \\ \t 图'] = torch.tensor([1, 2], dtype=torch.int16)
    return out


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--read", type=Path)
    args = ap.parse_args()
    if args.read:
        for row in listing(args.read.read_bytes()):
            print(json.dumps(row, ensure_ascii=False))
        return
    root = Path(__file__).parent / "golden/safetensors"
    (root / "sharded").mkdir(parents=True, exist_ok=True)
    save_file(tensors(), root / "types.safetensors", metadata={"format": "pt"})
    save_file({}, root / "none.safetensors")
    state = {f"layer.{i}.weight": torch.arange(60, dtype=torch.float32).reshape(6, 10) + i for i in range(5)}
    save_torch_state_dict(state, str(root / "sharded"), max_shard_size=500)
    rows = {
        str(p.relative_to(root)): list(listing(p.read_bytes())) for p in sorted(root.rglob("*.safetensors"))
    }
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    (root / "listing.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
