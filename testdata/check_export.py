"""Checks that an exported model folder works in Python, and that its card says there what it says here.

    .venv/bin/python testdata/check_export.py blip-open-out [blip-open-out/demo-pictures [LIMIT]]

Reads the model card as the hub's library does, and compares its scores with coco_metrics.json and training_log.jsonl.
With a folder of pictures it loads the model with transformers, captions the pictures of test_captions.jsonl with the
settings of generation_config.json, after the prompt of the shards, and compares the captions; then it runs the card's own lines of Python. An adapter is
loaded with PEFT.

    .venv/bin/python testdata/check_export.py --golden

writes what huggingface_hub reads out of the cards in testdata/golden/card beside them, for stages/export/card.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "card"


def read_card(path):
    """The card, whose metadata have to be the same after huggingface_hub has written them."""
    card = ModelCard.load(path)
    if ModelCard(str(card)).data.to_dict() != card.data.to_dict():
        sys.exit(f"{path}: the metadata change when they are written again")
    return card


def golden():
    for path in sorted(GOLDEN.glob("*.md")):
        data = read_card(path).data.to_dict()
        path.with_suffix(".json").write_text(json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def flat(report):
    """The scores of coco_metrics.json that a card indexes, by (type, name)."""
    names = {
        "Bleu_1": ("bleu", "BLEU-1"), "Bleu_2": ("bleu", "BLEU-2"), "Bleu_3": ("bleu", "BLEU-3"), "Bleu_4": ("bleu", "BLEU-4"),
        "METEOR": ("meteor", "METEOR"), "ROUGE_L": ("rouge", "ROUGE-L"), "CIDEr": ("cider", "CIDEr"), "SPICE": ("spice", "SPICE"),
    }  # fmt: skip
    found = {name: report[key] for key, name in names.items() if report.get(key) is not None}
    if report.get("sacrebleu"):
        found["sacrebleu", "sacreBLEU"] = report["sacrebleu"]["score"]
    return found


def check_card(folder):
    card = read_card(folder / "README.md")
    data = card.data
    if data.library_name != "transformers" or data.pipeline_tag != "image-to-text":
        sys.exit(f"library {data.library_name}, pipeline {data.pipeline_tag}")
    for repo in [data.base_model or [], data.datasets or []]:
        for name in [repo] if isinstance(repo, str) else repo:
            validate_repo_id(name)
    scores = {}
    for r in data.eval_results or []:
        if r.task_type != "image-to-text" or not r.dataset_type or not r.dataset_name:
            sys.exit(f"result {r}")
        scores.setdefault(r.dataset_split, {})[r.metric_type, r.metric_name] = r.metric_value
    metrics = folder / "coco_metrics.json"
    want = flat(json.loads(metrics.read_text())) if metrics.exists() else {}
    if scores.get("test", {}) != want:
        sys.exit(f"the card's scores of the test split are {scores.get('test')}, coco_metrics.json has {want}")
    evaluations = [r["eval"] for r in map(json.loads, (folder / "training_log.jsonl").read_text().splitlines()) if r.get("eval")]
    validation = sorted(scores.get("validation", {}).values())
    if evaluations and not any(all(v in e.values() for v in validation) and validation for e in evaluations):
        sys.exit(f"no evaluation of training_log.jsonl has the card's scores of the validation split: {validation}")
    co2 = data.get("co2_eq_emissions")
    if co2 is not None and not (isinstance(co2["emissions"], (int, float)) and co2["emissions"] >= 0 and co2["training_type"] in ("fine-tuning", "pre-training")):
        sys.exit(f"emissions {co2}")
    print(f"huggingface_hub reads the card: {len(data.eval_results or [])} results, emissions {co2 and co2['emissions']} g, metrics {data.metrics}")
    return card


def check_captions(folder, pictures, limit):
    import torch
    from PIL import Image, ImageOps
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(folder, use_fast=False)
    model, loading = BlipForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    problems = {k: v for k, v in loading.items() if v}
    if problems:
        sys.exit(f"loading the weights: {problems}")
    model.eval()
    torch.set_num_threads(1)
    saved = json.loads((folder / "generation_config.json").read_text())
    settings = {k: saved[k] for k in ("num_beams", "max_new_tokens", "length_penalty", "early_stopping") if k in saved}
    rows = [json.loads(line) for line in (folder / "test_captions.jsonl").read_text().splitlines()][:limit]
    manifest = folder / "data" / "manifest.json"
    prompt = json.loads(manifest.read_text()).get("prompt", "") if manifest.exists() else ""
    same = 0
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        images = [ImageOps.exif_transpose(Image.open(pictures / row["image"])).convert("RGB") for row in batch]
        text = {"text": [prompt] * len(images)} if prompt else {}
        out = model.generate(**processor(images=images, **text, return_tensors="pt"), **settings)
        for row, caption in zip(batch, processor.batch_decode(out, skip_special_tokens=True)):
            caption = caption.removeprefix(prompt).strip()
            if caption == row["caption"]:
                same += 1
            else:
                print(f"{row['image']}: {row['caption']!r} here, {caption!r} in transformers")
    print(f"{same} of {len(rows)} captions are the same in transformers, settings {settings}")
    return same == len(rows)


def run_card(card, folder, picture):
    """Runs the card's lines of Python where the model's folder and a picture are."""
    code = re.search(r"```python\n(.*?)```", card.text, re.S).group(1)
    source = json.loads(re.search(r"from_pretrained\((\"(?:[^\"\\]|\\.)*\")", code).group(1))
    if "/" in source:
        print(f"the card's Python loads {source} from the hub: not run")
        return
    here, said = os.getcwd(), io.StringIO()
    with tempfile.TemporaryDirectory() as temporary:
        os.symlink(folder.absolute(), pathlib.Path(temporary) / source)
        shutil.copy(picture, pathlib.Path(temporary) / "picture.jpg")
        os.chdir(temporary)
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(code, "README.md", "exec"), {})
        finally:
            os.chdir(here)
    print(f"the card's Python says of {picture.name}: {said.getvalue().strip()!r}")
    if not said.getvalue().strip():
        sys.exit("the card's Python says nothing")


def check_adapter(folder):
    from peft import PeftConfig
    from safetensors import safe_open

    config = PeftConfig.from_pretrained(folder / "adapter")
    with safe_open(folder / "adapter" / "adapter_model.safetensors", "pt") as f:
        names = list(f.keys())
    if not names or not all(".lora_A." in n or ".lora_B." in n for n in names):
        sys.exit(f"the adapter's tensors: {names}")
    print(f"PEFT reads the adapter: rank {config.r}, alpha {config.lora_alpha}, {len(names)} tensors")


def main():
    if sys.argv[1:] == ["--golden"]:
        golden()
        return
    folder = pathlib.Path(sys.argv[1])
    card = check_card(folder)
    if (folder / "adapter").exists():
        check_adapter(folder)
    if len(sys.argv) > 2:
        pictures, limit = pathlib.Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 200
        rows = (folder / "test_captions.jsonl").read_text().splitlines()
        same = check_captions(folder, pictures, limit)
        if rows:
            run_card(card, folder, pictures / json.loads(rows[0])["image"])
        sys.exit(not same)


main()
