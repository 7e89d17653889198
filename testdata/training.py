"""Writes the golden file that the trainer is held against: what 100 steps of transformers' own Trainer come to.

A tiny BLIP is trained in float32 on the CPU under several settings. Its first weights, the pictures and the captions are
bytes of SHAKE128 that model/trainer/oracle_test.go reads too. The captions are short, middling and long by turns, so that
a mean over tokens differs from one over batches; some begin with a prompt that is no label; an epoch has 7 batches, the
last of 2 pictures.

Settings stand in the file under this project's names. The Trainer has them all, but some elsewhere:

    warmup_ratio                  warmup_steps below 1
    accumulation_average=batches  loss_is_scaled_for_ga = False: by default the gradients of BLIP's batches are added up
    accumulation_average=tokens   compute_loss_func, with num_items_in_batch
    label_smoothing_factor        label_smoothing of the model's configuration: the Trainer's own compares BLIP's logits
                                  with the labels beneath them rather than with the next ones
    freeze_vision                 requires_grad_

The script fails if the Trainer does any of this in another way.

    .venv/bin/python testdata/training.py
"""

import gzip
import hashlib
import json
import math
import pathlib
import tempfile

import numpy as np
import torch
import transformers
from transformers import BlipConfig, BlipForConditionalGeneration, PrinterCallback, Trainer, TrainingArguments

OUT = pathlib.Path(__file__).parent / "golden" / "training" / "training.json.gz"
STEPS, EXAMPLES, BATCH, GROUP, PROJECTIONS = 100, 26, 4, 3, 8
IGNORED = -100

TEXT = dict(
    vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=24, bos_token_id=60, sep_token_id=3, pad_token_id=0, eos_token_id=3,
)  # fmt: skip
VISION = dict(
    hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=8,
    initializer_range=0.02,
)  # fmt: skip

CASES = {
    # 0.07 of 100 is a little more than 7 in binary, and so 8 steps.
    "linear": dict(max_steps=STEPS, learning_rate=2e-3, lr_scheduler_type="linear", warmup_ratio=0.07, weight_decay=0.1),
    # 33.1 epochs of 3 steps are 100 steps.
    "cosine, mean over batches": dict(
        num_train_epochs=33.1, learning_rate=2e-3, lr_scheduler_type="cosine", warmup_steps=10, weight_decay=0.01,
        gradient_accumulation_steps=GROUP, accumulation_average="batches",
    ),
    "cosine, mean over tokens": dict(
        num_train_epochs=33.1, learning_rate=2e-3, lr_scheduler_type="cosine", warmup_steps=10, weight_decay=0.01,
        gradient_accumulation_steps=GROUP, accumulation_average="tokens",
    ),
    "constant, smoothed labels": dict(
        num_train_epochs=14.2, learning_rate=1e-3, lr_scheduler_type="constant_with_warmup", warmup_steps=5, label_smoothing_factor=0.1,
    ),
    "frozen vision": dict(
        max_steps=STEPS, learning_rate=3e-3, lr_scheduler_type="linear", weight_decay=0.05, freeze_vision=True,
        max_grad_norm=0.0, adam_beta1=0.8, adam_beta2=0.98, adam_epsilon=1e-6,
    ),
}  # fmt: skip


def drawn(name, count):
    """32 random bits for each of count places."""
    return np.frombuffer(hashlib.shake_128(name.encode()).digest(4 * count), "<u4")


def uniform(name, scale, *shape):
    """float32 in [-scale, scale): 24 bits, then one product."""
    values = (drawn(name, math.prod(shape)) >> np.uint32(8)).astype(np.int64) - (1 << 23)
    return torch.from_numpy(values.astype(np.float32) / np.float32(1 << 23) * np.float32(scale)).reshape(shape)


def model(smoothing=0.0):
    m = BlipForConditionalGeneration(BlipConfig(text_config=dict(TEXT, label_smoothing=smoothing), vision_config=VISION))
    with torch.no_grad():
        for name, p in m.named_parameters():
            p.copy_(uniform(name, 0.1, *p.shape))
            if "norm" in name.lower() and name.endswith("weight"):
                p.add_(1)
    return m


def examples():
    rows = []
    for i in range(EXAMPLES):
        n = 3 + 5 * (i // BATCH % 3) + int(drawn(f"length {i}", 1)[0] % 4)
        ids = drawn(f"ids {i}", n).astype(np.int64) % TEXT["vocab_size"]
        ids[0], ids[-1] = TEXT["bos_token_id"], TEXT["sep_token_id"]
        prompt = 1 if i % 5 == 2 and n > 3 else 0
        rows.append(dict(pixels=uniform(f"pixels {i}", 2, 3, VISION["image_size"], VISION["image_size"]), ids=ids, prompt=prompt))
    return rows


def collate(rows):
    shape = len(rows), max(len(r["ids"]) for r in rows)
    ids, mask, labels = torch.full(shape, TEXT["pad_token_id"]), torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    for i, r in enumerate(rows):
        n, given, values = len(r["ids"]), 1 + r["prompt"], torch.from_numpy(r["ids"])
        ids[i, :n], mask[i, :n], labels[i, given:n] = values, 1, values[given:]
    return dict(pixel_values=torch.stack([r["pixels"] for r in rows]), input_ids=ids, attention_mask=mask, labels=labels)


def over_tokens(outputs, labels, num_items_in_batch):
    logits, labels = outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / num_items_in_batch


def trainer(m, folder, settings):
    s = dict(settings)
    average = s.pop("accumulation_average", None)
    s.pop("label_smoothing_factor", None)
    if s.pop("freeze_vision", False):
        m.vision_model.requires_grad_(False)
    if "warmup_ratio" in s:
        s["warmup_steps"] = s.pop("warmup_ratio")
    t = Trainer(
        m, train_dataset=examples(), data_collator=collate, compute_loss_func=over_tokens if average == "tokens" else None,
        args=TrainingArguments(
            folder, use_cpu=True, per_device_train_batch_size=BATCH, train_sampling_strategy="sequential", logging_steps=1,
            remove_unused_columns=False, save_strategy="no", report_to=[], disable_tqdm=True, **s,
        ),
    )  # fmt: skip
    t.remove_callback(PrinterCallback)
    if average == "batches":
        t.loss_is_scaled_for_ga = False
    return t


def train(settings, m=None):
    """Trains, and gives the weights and what was logged of each step."""
    m = m or model(settings.get("label_smoothing_factor", 0.0))
    with tempfile.TemporaryDirectory() as folder:
        t = trainer(m, folder, settings)
        t.train()
    return m, [r for r in t.state.log_history if "grad_norm" in r]


def rounded(values):
    return [float(f"{v:.9g}") for v in values]


def parts(m):
    """The weights by name, with the three biases of a fused projection apart."""
    for name, p in m.named_parameters():
        w = p.detach().numpy().ravel().astype(np.float64)
        if name.endswith(".qkv.bias"):
            yield from zip((f"{name}/{part}" for part in ("query", "key", "value")), np.split(w, 3), strict=True)
        else:
            yield name, w


def summary(m):
    """The norms of the weights and their products with random signs.

    The square of such a product of a difference is that of the difference's norm, on average.
    """
    out = {}
    for name, w in parts(m):
        signs = [np.where(drawn(f"{name} {k}", w.size) >> np.uint32(31), -1.0, 1.0) for k in range(PROJECTIONS)]
        out[name] = dict(norm=float(np.linalg.norm(w)), projections=rounded(w @ s for s in signs))
    return out


def case(name, settings):
    m, log = train(settings)
    assert len(log) == STEPS, len(log)
    losses = [r["loss"] for r in log]
    print(f"{name}: loss {losses[0]:.3f} to {losses[-1]:.3f}, norm above 1 in {sum(r['grad_norm'] > 1 for r in log)} steps")
    return dict(
        name=name, settings=settings, losses=rounded(losses), rates=[r["learning_rate"] for r in log],
        norms=rounded(r["grad_norm"] for r in log), weights=summary(m),
    )  # fmt: skip


def decayed():
    with tempfile.TemporaryDirectory() as folder:
        m = model()
        names = trainer(m, folder, {}).get_decay_parameter_names(m)
    return sorted(set(names) & {name for name, _ in m.named_parameters()})


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-5)


def check_accumulation():
    """By default the Trainer leaves the means of BLIP's batches as they are, since BLIP takes any keyword argument."""
    rows = examples()
    batches = [collate(rows[i * BATCH : (i + 1) * BATCH]) for i in range(GROUP)]
    labels = [int((b["labels"] != IGNORED).sum()) for b in batches]
    shares = {None: [1] * GROUP, "batches": [1 / GROUP] * GROUP, "tokens": [n / sum(labels) for n in labels]}
    for average, share in shares.items():
        m = model()
        losses = [m(**b).loss * s for b, s in zip(batches, share, strict=True)]
        sum(losses).backward()
        norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in m.parameters()])).item()
        _, (first,) = train(dict(max_steps=1, gradient_accumulation_steps=GROUP, accumulation_average=average))
        assert near(first["loss"], sum(losses).item()) and near(first["grad_norm"], norm), (average, first, losses, norm)


def check_smoothing():
    """The Trainer's own label smoothing teaches BLIP to repeat its input."""
    m, batch = model(), collate(examples()[:BATCH])
    with tempfile.TemporaryDirectory() as folder:
        t = trainer(m, folder, {})
        t.label_smoother = transformers.trainer_pt_utils.LabelSmoother(0.1)
        got = t.compute_loss(m, dict(batch)).item()
    logits = m(**batch).logits.flatten(0, 1)
    wrong = torch.nn.functional.cross_entropy(logits, batch["labels"].flatten(), label_smoothing=0.1).item()
    right = model(0.1)(**batch).loss.item()
    assert near(got, wrong) and not near(got, right), (got, wrong, right)


def main():
    torch.set_num_threads(1)
    check_accumulation()
    check_smoothing()
    golden = dict(
        config=json.loads(model().config.to_json_string()), decayed=decayed(), examples=EXAMPLES, batch=BATCH,
        cases=[case(name, settings) for name, settings in CASES.items()],
    )  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(gzip.compress(json.dumps(golden, separators=(",", ":")).encode(), 9, mtime=0))
    print(OUT.name, OUT.stat().st_size, "bytes")


main()
