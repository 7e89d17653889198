"""Golden answers of transformers' generate, for model/generate.

A fake language model is run through the real `generate` of the pinned
transformers: its logits are an integer hash of the picture and of the last two
tokens, exactly representable in float32, so that the Go test computes the same
ones. Only the two float32 numbers of each state's log-softmax that depend on
torch's exp and log (the maximum and the logarithm of the sum) are stored.

The hash makes end tokens likely in some states and impossible in others: rows
of a batch finish at different steps, some never, and beams of one picture
finish at the same length.

Each picture is run alone; batches whose prompts are of one length are run
together as well, and the script fails if a picture's answer differs.

    .venv/bin/python testdata/generate.py            writes the committed file
    .venv/bin/python testdata/generate.py --cases 5000 --seed 7 --out /tmp/x.json.gz
        and GENERATE_GOLDEN=/tmp/x.json.gz go test ./model/generate
"""

import argparse
import gzip
import json
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")

STATES = 64


def mix(*parts):
    """A 32-bit hash of 32-bit numbers (the Go test has the same one)."""
    h = np.uint64(0x9E3779B9)
    mask = np.uint64(0xFFFFFFFF)
    for p in parts:
        h = (h ^ np.asarray(p, dtype=np.uint64)) & mask
        h = (h * np.uint64(0x85EBCA6B)) & mask
        h ^= h >> np.uint64(13)
        h = (h * np.uint64(0xC2B2AE35)) & mask
        h ^= h >> np.uint64(16)
    return h


class FakeConfig(PretrainedConfig):
    model_type = "fake"

    def __init__(self, seed=0, vocab_size=48, bias=0, coarse=0, **kwargs):
        self.seed, self.vocab_size, self.bias, self.coarse = seed, vocab_size, bias, coarse
        super().__init__(**kwargs)


class FakeLM(PreTrainedModel, GenerationMixin):
    """logits[row] = table[state(picture, last two tokens)]."""

    config_class = FakeConfig

    def __init__(self, config):
        super().__init__(config)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        seed, vocab = config.seed, config.vocab_size
        s = np.arange(STATES)[:, None]
        t = np.arange(vocab)[None, :]
        h = mix(seed, 1, s, t).astype(np.int64)
        # 18 bits of fraction below 4, and for one token in eight up to 8 more.
        fixed = (h & 0x3FFFF) * 4 + np.where((h >> 20) & 7 == 0, (h >> 23 & 0xFF) << 13, 0)
        # The end token (id 2): far below, or a good candidate, by state.
        e = mix(seed, 2, np.arange(STATES)).astype(np.int64)
        fixed[:, 2] = np.where(e % 3 == 0, (e >> 8 & 0x3FFFF) * 4 + (6 << 18), -(6 << 18))
        # Coarse logits make equal scores: which one goes on is tested too.
        fixed = (fixed >> config.coarse << config.coarse) + config.bias * (1 << 18)
        table = torch.from_numpy(fixed.astype(np.float64) / (1 << 18)).to(torch.float32)
        self.register_buffer("table", table, persistent=False)

    def state(self, picture, last, before):
        return mix(self.config.seed, 3, picture, last, before).astype(np.int64) % STATES

    def forward(self, input_ids, encoder_hidden_states=None, **unused):
        picture = encoder_hidden_states[:, 0, 0].long().numpy()
        ids = input_ids.numpy()
        before = ids[:, -2] if ids.shape[1] > 1 else np.full(len(ids), 0xFFFF)
        states = self.state(picture, ids[:, -1], before)
        return CausalLMOutput(logits=self.table[torch.from_numpy(states)][:, None, :])

    def norms(self):
        """The maximum and log-sum of each state as torch's kernel has them."""
        want = torch.nn.functional.log_softmax(self.table, dim=-1).numpy()
        x = self.table.numpy()
        top = x.max(axis=1)
        logsum = np.empty(STATES, np.float32)
        for s in range(STATES):
            # Each output bounds the log-sum to half its own rounding step.
            implied = (x[s] - top[s]).astype(np.float64) - want[s]
            guess = np.float32((implied - np.spacing(np.abs(want[s])) / 2).max())
            for _ in range(64):
                if np.array_equal((x[s] - top[s]) - guess, want[s]):
                    break
                guess = np.nextafter(guess, np.float32(np.inf))
            else:
                sys.exit(f"state {s}: no log-sum reproduces torch's log_softmax")
            logsum[s] = guess
        return logsum


def run(model, pictures, prompts, settings):
    """One real generate; returns per picture a list of [tokens, score]."""
    pixels = torch.tensor(pictures, dtype=torch.float32)[:, None, None]
    ids = torch.tensor(prompts)
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        encoder_hidden_states=pixels,
        use_cache=False,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **settings,
    )
    start, returned = ids.shape[1], settings.get("num_return_sequences", 1)
    ends = settings.get("eos_token_id", [])
    ends = [ends] if isinstance(ends, int) else ends
    rows = []
    for i, row in enumerate(out.sequences.tolist()):
        if "beam_indices" in out:
            n = int((out.beam_indices[i] >= 0).sum())
            score = out.sequences_scores[i].item()
        else:
            n = next((k + 1 for k, t in enumerate(row[start:]) if t in ends), len(row) - start)
            score = 0.0
            for k in range(n):
                score += torch.log_softmax(out.logits[k][i].double(), -1)[row[start + k]].item()
            score /= n ** settings.get("length_penalty", 1.0)
        rows.append([row[: start + n], float(np.float32(score))])
    return [rows[i : i + returned] for i in range(0, len(rows), returned)]


def draw(rng, models):
    """A random case: model, pictures, prompts, settings."""
    m = rng.randrange(len(models))
    vocab = models[m].config.vocab_size
    settings = {"num_beams": rng.choice([1, 1, 2, 3, 3, 4, 5, 5, 7]), "eos_token_id": 2}
    if rng.random() < 0.1:
        settings["eos_token_id"] = rng.choice([[2, 7], [2, 5, 9], [2]])
    if rng.random() < 0.03:
        del settings["eos_token_id"]
    beams = settings["num_beams"]
    size = rng.choice([1, 1, 2, 3, 4, 8, 16])
    lengths = [rng.choice([1, 1, 2, 4, 7])] * size
    if rng.random() < 0.25:
        lengths = [rng.randint(1, 7) for _ in range(size)]
    prompts = [[1] + [rng.randrange(3, vocab) for _ in range(n - 1)] for n in lengths]
    pictures = [rng.randrange(1 << 16) for _ in range(size)]
    limit = rng.random()
    if limit < 0.6:
        settings["max_new_tokens"] = rng.choice([1, 2, 5, 10, 15, 30])
    elif limit < 0.9:
        settings["max_length"] = max(lengths) + rng.choice([1, 3, 8, 20])
    if rng.random() < 0.2:
        settings["min_new_tokens"] = rng.choice([0, 1, 4, 8, 40])
    if rng.random() < 0.2:
        settings["min_length"] = rng.choice([0, 3, 8, 12, 40])
    if beams > 1:
        settings["length_penalty"] = rng.choice([-1.0, 0.0, 1.0, 2.0, 0.5, -2.5, 1, -1])
        settings["early_stopping"] = rng.choice([True, False, "never"])
        settings["num_return_sequences"] = rng.choice([1, 1, 2, beams])
    if rng.random() < 0.3:
        settings["repetition_penalty"] = rng.choice([1.1, 1.5, 3.0, 0.7])
    if rng.random() < 0.3:
        settings["no_repeat_ngram_size"] = rng.choice([1, 2, 3, 4])
    return m, pictures, prompts, settings


def grid():
    """The settings that the issue names, each with each, on few pictures."""
    for beams in (1, 3, 5):
        for penalty in (-1.0, 0.0, 1.0, 2.0) if beams > 1 else (1.0,):
            for early in (True, False, "never") if beams > 1 else (False,):
                for extra in (
                    {"max_new_tokens": 12},
                    {"max_length": 14, "min_length": 7},
                    {"max_new_tokens": 20, "min_new_tokens": 5, "repetition_penalty": 1.3},
                    {"max_new_tokens": 30, "no_repeat_ngram_size": 2},
                ):
                    s = {"num_beams": beams, "eos_token_id": 2, **extra}
                    if beams > 1:
                        s |= {"length_penalty": penalty, "early_stopping": early}
                    yield s


def topk(rng):
    """torch.topk on values with many equals: [values, indices]."""
    for i in range(120):
        k = rng.choice([1, 2, 3, 5, 6, 8, 10, 20])
        n = rng.choice([2 * k, 3 * k, rng.randint(k, 64 * k), 64 * k + rng.randrange(200)])
        levels = rng.choice([1, 2, 5, 20, 100])
        values = [rng.randrange(levels) for _ in range(n)]
        if i % 5 == 0:
            values.sort(reverse=True)
        yield [values, torch.topk(torch.tensor(values, dtype=torch.float32), k).indices.tolist()]


def answer(models, m, pictures, prompts, settings):
    alone = [run(models[m], [p], [q], settings)[0] for p, q in zip(pictures, prompts)]
    # Where every token is forbidden the reference follows -inf or its own -1e9
    # in an order that depends on the batch.
    if any(not score > -1e8 for rows in alone for _, score in rows):
        return None
    if len({len(q) for q in prompts}) == 1 and run(models[m], pictures, prompts, settings) != alone:
        sys.exit(f"batched answer differs from single ones: {settings}")
    return {"model": m, "pictures": pictures, "prompts": prompts, "config": settings, "out": alone}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--cases", type=int, default=260)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--out", default=Path(__file__).parent / "golden/generate/generate.json.gz")
    args = ap.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    shapes = [(48, 0, 0), (97, -9, 0), (200, 3, 0), (401, 0, 0), (24, -4, 0), (128, -5, 0)]
    shapes += [(50, -3, 17), (300, 0, 17)]
    configs = [FakeConfig(rng.randrange(1 << 30), *shape) for shape in shapes]
    models = [FakeLM(c).eval() for c in configs]
    cases = []
    for i, settings in enumerate(grid()):
        n = (1, 2, 4)[i % 3]
        pictures = [rng.randrange(1 << 16) for _ in range(n)]
        prompts = [[1] + [rng.randrange(3, 24) for _ in range(i % 4)] for _ in range(n)]
        cases.append(answer(models, i % len(models), pictures, prompts, settings))
    cases += [answer(models, *draw(rng, models)) for _ in range(args.cases)]
    cases = [c for c in cases if c]
    data = {
        "transformers": transformers.__version__,
        "models": [
            {
                "seed": m.config.seed,
                "vocab": m.config.vocab_size,
                "bias": m.config.bias,
                "coarse": m.config.coarse,
                "logsum": [float(x) for x in m.norms()],
            }
            for m in models
        ],
        "cases": cases,
        "topk": list(topk(rng)),
    }
    path = Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
