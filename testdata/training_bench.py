"""Trains BLIP-base by transformers' Trainer and by this project: same losses, how much faster, in how much memory?

Both take the same weights and the same batch, 384x384 pixels in float32, with gradient checkpointing and the Trainer's
defaults (fused AdamW, gradients clipped to 1), as processes of their own that run in turn. Losses have to agree before
any time is printed. One step of each process is left out: the first. From the repository's root, with the packages of
testdata/requirements.txt and Go:

    .venv/bin/python testdata/training_bench.py [--rounds 2] [--steps 4] [--batch 8] [--layers 12] [--side 384]

Without checkpointing each side makes one more run, for its memory, unless --no-plain is given.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

CAPTION = (8, 20)  # ids of the shortest and the longest caption, as most of Flickr8k's are
RATE, SEED = 5e-5, 42


def prepare(folder, args):
    """Writes a model with random weights, and a batch."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    torch.manual_seed(SEED)
    config = BlipConfig(
        text_config=dict(num_hidden_layers=args.layers, num_attention_heads=12, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        # By default it is 1e-10, whose gradients are denormal numbers, which processors are slow at.
        vision_config=dict(num_hidden_layers=args.layers, image_size=args.side, initializer_range=0.02),
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    text = config.text_config
    tokens = []
    for _ in range(args.batch):
        n = int(torch.randint(CAPTION[0] - 2, CAPTION[1] - 1, ()))
        ids = torch.randint(1000, 30000, (n,)).tolist()
        tokens.append([text.bos_token_id, *ids, text.sep_token_id])
    (folder / "tokens.json").write_text(json.dumps(tokens))
    torch.randn(args.batch, 3, args.side, args.side).numpy().tofile(folder / "pixels.f32")


def reference(folder, steps, threads, plain):
    """What transformers' Trainer makes of it, in this process."""
    import numpy as np
    import torch
    from transformers import BlipForConditionalGeneration, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    torch.set_num_threads(threads)
    model = BlipForConditionalGeneration.from_pretrained(folder)
    tokens = json.loads((folder / "tokens.json").read_text())
    side, width = model.config.vision_config.image_size, max(map(len, tokens))
    pixels = torch.from_numpy(np.fromfile(folder / "pixels.f32", "<f4").reshape(len(tokens), 3, side, side))
    ids, mask, labels = (torch.full((len(tokens), width), fill) for fill in (0, 0, -100))
    for i, t in enumerate(tokens):
        ids[i, : len(t)], mask[i, : len(t)], labels[i, 1 : len(t)] = torch.tensor(t), 1, torch.tensor(t[1:])
    rows = [dict(pixel_values=pixels[i], input_ids=ids[i], attention_mask=mask[i], labels=labels[i]) for i in range(len(tokens))]

    class Clock(TrainerCallback):
        seconds, losses = [], []

        def on_step_begin(self, *_, **__):
            self.begun = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.seconds.append(time.perf_counter() - self.begun)

        def on_log(self, args, state, control, logs=None, **_):
            if "grad_norm" in logs:
                self.losses.append(logs["loss"])

    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            model, train_dataset=rows * steps, callbacks=[clock],
            args=TrainingArguments(
                out, use_cpu=True, max_steps=steps, per_device_train_batch_size=len(rows), learning_rate=RATE, lr_scheduler_type="constant",
                gradient_checkpointing=not plain, train_sampling_strategy="sequential", logging_steps=1, remove_unused_columns=False,
                save_strategy="no", report_to=[], disable_tqdm=True,
            ),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dict(losses=clock.losses, seconds=clock.seconds, peak=peak)))


def run(command):
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"}).stdout
    return json.loads(out.splitlines()[-1])


def agree(ours, theirs):
    for step, (a, b) in enumerate(zip(ours["losses"], theirs["losses"], strict=True)):
        assert abs(a - b) <= 1e-4 * abs(b), f"step {step}: loss {a} here, {b} there"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--layers", type=int, default=12)
    p.add_argument("--side", type=int, default=384)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--no-plain", action="store_true")
    p.add_argument("--prepare", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--reference", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.prepare:
        prepare(args.prepare, args)
        return
    if args.reference:
        reference(args.reference, args.steps, args.threads, args.plain)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(pathlib.Path(folder), args)


def compare(folder, args):
    program = folder / "bench"
    subprocess.run(["go", "build", "-o", program, "./model/trainer/bench"], check=True)
    shape = [f"--{name}={getattr(args, name)}" for name in ("batch", "layers", "side")]
    subprocess.run([sys.executable, __file__, f"--prepare={folder}", *shape], check=True)
    common = [f"--steps={args.steps}", f"--threads={args.threads}"]
    ours = lambda *more: run([program, f"--folder={folder}", *common, *more])  # noqa: E731
    theirs = lambda *more: run([sys.executable, __file__, f"--reference={folder}", *common, *more])  # noqa: E731
    here, there = [], []
    for _ in range(args.rounds):
        here.append(ours())
        there.append(theirs())
        print(*(f"{name}: {r['seconds']}" for name, r in (("Trainer", there[-1]), ("blipflow", here[-1]))), sep="; ", file=sys.stderr)
        agree(here[-1], there[-1])
    print(f"BLIP, {args.layers} + {args.layers} layers, {args.side}x{args.side}, batch {args.batch}, float32, {args.threads} threads, gradient checkpointing")
    rates = []
    for name, runs in ("Trainer", there), ("blipflow", here):
        seconds = [s for r in runs for s in r["seconds"][1:]]
        rates.append(args.batch / statistics.median(seconds))
        print(f"{name:10} {rates[-1]:.3f} samples/s, step {min(seconds):.1f} to {max(seconds):.1f} s, peak {max(r['peak'] for r in runs) / 1e9:.2f} GB")
    pairs = [statistics.median(t["seconds"][1:]) / statistics.median(h["seconds"][1:]) for h, t in zip(here, there, strict=True)]
    print(f"ratio      {rates[1] / rates[0]:.2f} (round by round {', '.join(f'{r:.2f}' for r in pairs)})")
    if not args.no_plain:
        for name, side, r in ("Trainer", theirs, there), ("blipflow", ours, here):
            plain = side("--plain")
            print(f"{name:10} peak {plain['peak'] / 1e9:.2f} GB without checkpointing, {max(x['peak'] for x in r) / 1e9:.2f} GB with; "
                  f"{args.batch / statistics.median(plain['seconds'][1:]):.3f} samples/s without")  # fmt: skip


if __name__ == "__main__":
    main()
