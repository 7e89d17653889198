"""Writes the golden files that the network and its generation are held against.

The oracle is transformers' BlipForConditionalGeneration. Weights, pixels and
token ids come from an integer hash that the Go tests compute too
(model/blip/oracle_test.go), so that models of full size need no files.

    .venv/bin/python testdata/blip.py [tiny] [prompt] [base] [large] [generate]
"""

import gzip
import itertools
import json
import math
import pathlib
import sys

import numpy as np
import torch
from transformers import BlipConfig, BlipForConditionalGeneration, BlipTextConfig, BlipVisionConfig

OUT = pathlib.Path(__file__).parent / "golden" / "blip"
MASK = (1 << 64) - 1


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def hashed(seed, name, count):
    """64 hashed bits for each of count places: splitmix64 from a stream of its own for each name."""
    start = np.uint64((fnv1a(name) ^ (seed * 0x9E3779B97F4A7C15)) & MASK)
    with np.errstate(over="ignore"):
        z = start + (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, name, count):
    """float32 in [-1, 1), exactly representable: 24 bits."""
    bits = (hashed(seed, name, count) >> np.uint64(40)).astype(np.int64)
    return ((bits - (1 << 23)).astype(np.float32)) / np.float32(1 << 23)


def signs(seed, name, count):
    return np.where(hashed(seed, name, count) >> np.uint64(63), -1.0, 1.0)


def fill(model, seed, scale):
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.from_numpy(uniform(seed, name, p.numel()) * np.float32(scale)).view_as(p)
            norm = "norm" in name.lower() and name.endswith("weight")
            p.copy_(values + 1.0 if norm else values)


CONFIGS = {
    "tiny": dict(
        text=dict(vocab_size=53, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                  max_position_embeddings=40, bos_token_id=51, sep_token_id=3, pad_token_id=0, eos_token_id=2),
        vision=dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=20,
                    patch_size=5, initializer_range=0.02),
    ),
    "smooth": dict(
        text=dict(vocab_size=37, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
                  max_position_embeddings=24, bos_token_id=35, sep_token_id=2, pad_token_id=1, eos_token_id=2,
                  label_smoothing=0.1, hidden_act="relu"),
        vision=dict(hidden_size=32, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, image_size=22,
                    patch_size=4, initializer_range=0.02, layer_norm_eps=1e-6),
    ),
    "base": dict(text=dict(num_attention_heads=12), vision=dict(initializer_range=0.02)),
    "large": dict(
        text=dict(num_attention_heads=12),
        vision=dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                    initializer_range=0.02),
    ),
}


def make(kind, seed, scale):
    c = CONFIGS[kind]
    config = BlipConfig(text_config=BlipTextConfig(**c["text"]), vision_config=BlipVisionConfig(**c["vision"]))
    with torch.device("cpu"):
        model = BlipForConditionalGeneration(config)
    fill(model, seed, scale)
    return model.eval()


def captions(model, seed, lengths):
    t = model.config.text_config
    rows = []
    for i, n in enumerate(lengths):
        ids = (hashed(seed, f"ids{i}", n) % np.uint64(t.vocab_size)).astype(np.int64)
        ids[0], ids[-1] = t.bos_token_id, t.sep_token_id
        rows.append(ids.tolist())
    return rows


def rounded(values):
    return [float(f"{v:.9g}") for v in np.asarray(values, dtype=np.float64).ravel()]


def sampled(tensor, seed, name, count):
    flat = tensor.detach().numpy().ravel()
    where = hashed(seed, "where " + name, count) % np.uint64(flat.size)
    return dict(values=rounded(flat[where.astype(np.int64)]), largest=float(np.abs(flat).max()))


def batch(model, seed, lengths, prompts):
    """Padded captions with their pictures. Padding is no label, nor are a caption's first ids up to its prompt's end."""
    t, v = model.config.text_config, model.config.vision_config
    rows = captions(model, seed, lengths)
    longest = max(lengths)
    ids = torch.full((len(rows), longest), t.pad_token_id)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    labels = torch.full((len(rows), longest), -100)
    for i, (row, prompt) in enumerate(zip(rows, prompts)):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
        labels[i, 1 + prompt : len(row)] = torch.tensor(row[1 + prompt :])
    pixels = torch.from_numpy(uniform(seed, "pixels", len(rows) * 3 * v.image_size**2) * np.float32(2))
    pixels = pixels.view(len(rows), 3, v.image_size, v.image_size)
    return dict(pixel_values=pixels, input_ids=ids, attention_mask=mask, labels=labels)


def prompt_case(kind, seed, scale, lengths, prompts):
    model = make(kind, seed, scale)
    with torch.no_grad():
        loss = model(**batch(model, seed, lengths, prompts)).loss.item()
    config = json.loads(model.config.to_json_string())
    return dict(config=config, kind=kind, seed=seed, scale=scale, lengths=lengths, prompts=prompts, loss=loss)


def forward_case(kind, seed, scale, lengths, projections, samples):
    model = make(kind, seed, scale)
    out = model(**batch(model, seed, lengths, [0] * len(lengths)))
    out.loss.backward()
    gradients = {}
    for name, p in model.named_parameters():
        g = p.grad.numpy().ravel().astype(np.float64)
        gradients[name] = dict(
            norm=float(np.linalg.norm(g)),
            projections=rounded([float(g @ signs(seed, f"{name} {k}", g.size)) for k in range(projections)]),
        )
    return dict(
        config=json.loads(model.config.to_json_string()), kind=kind, seed=seed, scale=scale, lengths=lengths,
        loss=out.loss.item(), vision=sampled(out.image_embeds, seed, "vision", samples),
        logits=sampled(out.logits, seed, "logits", samples), gradients=gradients,
        parameters=sum(p.numel() for p in model.parameters()),
    )


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(OUT / f"{name}.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(value, separators=(",", ":")).encode())
    print(name, (OUT / f"{name}.json.gz").stat().st_size, "bytes")


def generation_model(seed):
    """A tiny model whose captions really end: sharp logits, and a bias for the end token."""
    model = make("tiny", seed, 0.6)
    with torch.no_grad():
        model.text_decoder.cls.predictions.decoder.weight.mul_(1.7)
        model.text_decoder.cls.predictions.bias[3] += 3.5
    return model


PROMPTS = {"none": None, "word": [7], "words": [11, 4, 29]}


def generation_case(model, seed, batch, prompt, settings):
    t, v = model.config.text_config, model.config.vision_config
    pixels = torch.from_numpy(uniform(seed, "generation pixels", 16 * 3 * v.image_size**2) * np.float32(2))
    pixels = pixels.view(16, 3, v.image_size, v.image_size)[:batch]
    kwargs = {}
    if PROMPTS[prompt] is not None:
        # As the processor gives it: [CLS] … [SEP]; generate puts the begin id first and drops the last.
        ids = torch.tensor([[1] + PROMPTS[prompt] + [t.sep_token_id]]).repeat(batch, 1)
        kwargs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
    out = model.generate(pixel_values=pixels, **kwargs, **settings, do_sample=False, return_dict_in_generate=True,
                         output_scores=True)
    rows = []
    first = 1 + len(PROMPTS[prompt] or [])
    for row in out.sequences.tolist():
        end = next((i for i in range(first, len(row)) if row[i] == t.sep_token_id), len(row) - 1)
        rows.append(row[: end + 1])
    scores = rounded(out.sequences_scores) if "sequences_scores" in out and out.sequences_scores is not None else None
    return dict(seed=seed, batch=batch, prompt=prompt, settings=settings, rows=rows, scores=scores)


def generation():
    cases = []
    grid = list(itertools.product([1, 3, 5], [-1.0, 0.0, 1.0, 2.0], [True, False, "never"]))
    extras = [{}, dict(min_length=8), dict(repetition_penalty=1.6), dict(no_repeat_ngram_size=2),
              dict(min_length=6, repetition_penalty=0.8, no_repeat_ngram_size=3), dict(max_length=14)]
    batches = [1, 2, 3, 5, 8, 16]
    turn = 0
    for seed in (1, 2):
        model = generation_model(seed)
        for beams, penalty, early in grid:
            if beams == 1 and (penalty, early) != (1.0, False):
                continue
            for extra in extras if beams > 1 else extras * 2:
                prompt = list(PROMPTS)[turn % 3]
                settings = dict(num_beams=beams, **extra)
                if "max_length" not in extra:
                    settings["max_new_tokens"] = (18, 12, 5)[turn % 3]
                if beams > 1:
                    settings.update(length_penalty=penalty, early_stopping=early)
                cases.append(generation_case(model, seed, batches[(turn * 5 + seed) % 6], prompt, settings))
                turn += 1
    lengths = [len(r) for c in cases for r in c["rows"]]
    print("cases", len(cases), "lengths", sorted((n, lengths.count(n)) for n in set(lengths)))
    return dict(cases=cases, prompts=PROMPTS)


def main():
    torch.set_num_threads(2 if {"base", "large"} & set(sys.argv[1:]) else 1)
    wanted = sys.argv[1:] or ["tiny", "prompt", "base", "large", "generate"]
    if "tiny" in wanted:
        write("tiny", [forward_case(kind, seed, 0.3, lengths, 4, 300)
                       for kind in ("tiny", "smooth") for seed, lengths in ((1, [9]), (2, [5, 12, 2]), (3, [7, 7, 3, 10, 4]))])
    if "prompt" in wanted:
        write("prompt", [prompt_case(kind, 4, 0.3, [5, 12, 4], prompts)
                         for kind in ("tiny", "smooth") for prompts in ([0, 0, 0], [2, 2, 2], [3, 0, 1])])
    if "base" in wanted:
        write("base", [forward_case("base", seed, 0.04, lengths, 2, 200) for seed, lengths in ((1, [12]), (2, [6, 14]))])
    if "large" in wanted:
        write("large", [forward_case("large", 1, 0.04, [9], 2, 200)])
    if "generate" in wanted:
        write("generate", generation())


main()
