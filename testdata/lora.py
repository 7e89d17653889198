"""Writes the golden files that low-rank adapters are held against.

The oracle is PEFT over transformers' BlipForConditionalGeneration. testdata/golden/lora/base is a tiny model without its
tokenizer; beside it each folder is an adapter as PEFT saves it, with what PEFT makes of it in expected.safetensors:

    pixels.N, ids.N, lengths.N    batches of captions, padded
    logits, loss                  of batch 0 with the adapter on, without dropout
    merged.NAME                   the base model's matrices with the adapter merged
    losses, trained.NAME          steps of torch.optim.AdamW over the batches, and the adapter after them
    optimizer                     its lr, beta1, beta2, eps, weight_decay

    .venv/bin/python testdata/lora.py
"""

import json
import pathlib

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import BlipConfig, BlipForConditionalGeneration

OUT = pathlib.Path(__file__).parent / "golden" / "lora"

BASE = dict(
    text_config=dict(
        vocab_size=29, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=24, bos_token_id=27, sep_token_id=3, pad_token_id=0, eos_token_id=2,
    ),
    vision_config=dict(
        hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3, image_size=12, patch_size=4,
        initializer_range=0.02,
    ),
)  # fmt: skip

CASES = {
    "attention": dict(r=3, lora_alpha=12, target_modules=["qkv", "projection", "query", "key", "value"]),
    "dense": dict(r=2, lora_alpha=5, lora_dropout=0.25, target_modules=["crossattention.output.dense", "fc1", "transform.dense"]),
}  # fmt: skip

OPTIMIZER = dict(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
STEPS = 6


def base_model():
    """Weights large enough that every layer matters; the same at each call."""
    torch.manual_seed(5)
    model = BlipForConditionalGeneration(BlipConfig(**BASE))
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = "norm" in name.lower() and name.endswith("weight")
            p.copy_(torch.empty_like(p).uniform_(-0.4, 0.4) + (1.0 if norm else 0.0))
    return model.eval()


def batches():
    text, side = BASE["text_config"], BASE["vision_config"]["image_size"]
    for lengths in ([5, 9, 3], [7, 2, 6]):
        ids = torch.randint(4, 27, (len(lengths), max(lengths)))
        for row, n in zip(ids, lengths):
            row[0], row[n - 1], row[n:] = text["bos_token_id"], text["sep_token_id"], text["pad_token_id"]
        yield torch.rand(len(lengths), 3, side, side) * 4 - 2, ids, torch.tensor(lengths)


def arguments(pixels, ids, lengths):
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    return dict(pixel_values=pixels, input_ids=ids, attention_mask=mask.long(), labels=ids.masked_fill(~mask, -100))


def train(model, data):
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], **OPTIMIZER)
    for step in range(STEPS):
        loss = model(**arguments(*data[step % len(data)])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def adapters(model):
    """A and B by the names that PEFT gives them in a file."""
    return {n.replace(".default", ""): p.detach().clone() for n, p in model.named_parameters() if ".lora_" in n}


def case(name, settings):
    model = get_peft_model(base_model(), LoraConfig(**settings)).eval()
    torch.manual_seed(6)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if ".lora_B." in n:
                p.uniform_(-0.3, 0.3)
    data = list(batches())
    out = {}
    for i, batch in enumerate(data):
        out.update(zip((f"pixels.{i}", f"ids.{i}", f"lengths.{i}"), batch))
    with torch.no_grad():
        first = model(**arguments(*data[0]))
    out.update(logits=first.logits, loss=first.loss)
    save(model, OUT / name)
    layers = [n.removeprefix("base_model.model.").removesuffix(".lora_A.weight") for n in adapters(model) if ".lora_A." in n]
    merged = model.merge_and_unload().state_dict()
    out.update({f"merged.{n}.weight": merged[f"{n}.weight"] for n in layers})
    if not settings.get("lora_dropout"):
        model = PeftModel.from_pretrained(base_model(), OUT / name, is_trainable=True)
        out["losses"] = torch.tensor(list(train(model, data)), dtype=torch.float64)
        out["optimizer"] = torch.tensor([v for s in OPTIMIZER.values() for v in (s if isinstance(s, tuple) else [s])], dtype=torch.float64)
        out.update({f"trained.{n}": p for n, p in adapters(model).items()})
    save_file({k: v.contiguous() for k, v in out.items()}, OUT / name / "expected.safetensors")


def save(model, folder):
    """PEFT's own files, but for the card, and with the targets, a set there, in an order."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main():
    torch.set_num_threads(1)
    base_model().save_pretrained(OUT / "base")
    (OUT / "base" / "generation_config.json").unlink(missing_ok=True)
    for name, settings in CASES.items():
        case(name, settings)
    for path in sorted(OUT.rglob("*.*")):
        print(path.relative_to(OUT), path.stat().st_size, "bytes")


main()
