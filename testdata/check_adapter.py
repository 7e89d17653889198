"""Checks that PEFT reads an adapter that was saved here, and that merging it gives the model that was saved beside it.

    .venv/bin/python testdata/check_adapter.py BASE CHECKPOINT [ADAPTER]

BASE is the model folder that training started from; CHECKPOINT a checkpoint or an exported model folder, whose
model.safetensors is merged; ADAPTER the adapter's folder, CHECKPOINT/adapter where it is left out.
"""

import os
import pathlib
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import BlipForConditionalGeneration

# A product's sum runs over the rank in another order; float32 has 24 bits.
CLOSE = 1e-6


def apart(got, want):
    """The largest difference, over the largest value."""
    return ((got - want).abs().max() / want.abs().max().clamp_min(1e-30)).item()


def check_names(model, adapter):
    """Every tensor of the file is in the model, to the bit, and the model has no others."""
    stored = load_file(adapter / "adapter_model.safetensors")
    loaded = {n.replace(".default", ""): p for n, p in model.named_parameters() if ".lora_" in n}
    if loaded.keys() != stored.keys():
        sys.exit(f"only in PEFT's model or only in the file: {sorted(loaded.keys() ^ stored.keys())}")
    for name, p in loaded.items():
        if not torch.equal(p, stored[name]):
            sys.exit(f"{name} differs from the file's")
    if not any(".lora_B." in name and p.abs().max() > 0 for name, p in loaded.items()):
        sys.exit("every B is zero: an adapter that was not trained shows nothing")
    return len(stored)


def logits(model):
    """On noise, of the first ten ids after the begin token."""
    text, side = model.config.text_config, model.config.vision_config.image_size
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, side, side, generator=generator)
    ids = torch.arange(4, 14).remainder(text.vocab_size).repeat(2, 1)
    ids[:, 0] = text.bos_token_id
    with torch.no_grad():
        return model(pixel_values=pixels, input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def main():
    base, checkpoint = map(pathlib.Path, sys.argv[1:3])
    adapter = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else checkpoint / "adapter"
    model = BlipForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    without = logits(model.eval())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*adapter keys.*|.*not recognized.*|.*Unexpected keyword.*")
        model = PeftModel.from_pretrained(model, adapter).eval()
    count = check_names(model, adapter)
    adapted = logits(model)

    merged = model.merge_and_unload().state_dict()
    saved = load_file(checkpoint / "model.safetensors")
    if saved.keys() - merged.keys():
        sys.exit(f"not in transformers' model: {sorted(saved.keys() - merged.keys())}")
    worst = max((apart(saved[name], merged[name]), name) for name in saved)
    ours, loading = BlipForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
    problems = {k: v for k, v in loading.items() if v}
    if problems:
        sys.exit(f"loading {checkpoint}: {problems}")
    distance = apart(logits(ours.eval()), adapted)
    print(f"PEFT reads {count} tensors; merged weights are at most {worst[0]:.1e} of a matrix's largest value apart ({worst[1]}), "
          f"logits {distance:.1e}; the adapter moved them by {apart(adapted, without):.1e}")  # fmt: skip
    sys.exit(worst[0] > CLOSE or distance > 10 * CLOSE)


main()
