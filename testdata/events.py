"""Remakes testdata/golden/events/, which model/trainer/events is tested against.

    .venv/bin/python testdata/events.py

events.json: events, and each as a record of an event file in base64. The
summaries are torch.utils.tensorboard's, the messages and records tensorboard's.
Numbers are in C's hexadecimal notation, which has infinities and NaN too.
"""

import base64
import io
import json
import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "events"

TIME = 1700000000.25
SCALARS = [
    # tag, value, step, wall time
    ("train/loss", 2.3025851, 0, TIME),
    ("train/loss", 0.1, 1, TIME + 0.5),
    ("train/learning_rate", 5e-5, 10, TIME + 1),
    ("train/grad_norm", 0.0, 127, TIME + 1 / 3),
    ("train/epoch", 1.0, 128, 1.5e9),
    ("eval/loss", -0.0, 300, TIME),
    ("eval/sacrebleu", 41.97, 16384, TIME),
    ("eval/CIDEr", float("nan"), 2**31, TIME),
    ("train/loss", float("inf"), 2**53 + 1, TIME),
    ("train/loss", float("-inf"), 2**63 - 1, TIME),
    ("too large for single precision", 1e300, 5, TIME),
    ("too small", 1e-60, 5, TIME),
    ("subnormal", 1e-42, 5, TIME),
    ("halfway, to even", 1 + 2**-24, 5, TIME),
    ("x", 1.0, -1, TIME),
    ("at no time", 1.0, 1, 0.0),
    ("größe 🙂", 1.0, 1, TIME),
    ("t" * 128, 1.0, 1, TIME),
]
TEXTS = [
    # tag, text, step, wall time
    ("args", '{\n  "learning_rate": 5e-05\n}', 0, TIME),
    ("args", "", 7, TIME),
    ("notes/größe", "| a | b |\n|---|---|\n| 🙂 | ü |", 12, TIME + 2),
    ("long", "word " * 40, 1, TIME),
    ("longer", "0123456789abcdef" * 1100, 1, TIME),
    ("zero", "a\0b", 1, TIME),
]
STARTS = [(0, TIME), (1, TIME), (301, TIME)]  # step, wall time


def record(event):
    out = io.BytesIO()
    RecordWriter(out).write(event.SerializeToString())
    return base64.b64encode(out.getvalue()).decode()


def main():
    rows = [{"kind": "version", "time": TIME.hex(), "record": record(Event(wall_time=TIME, file_version="brain.Event:2"))}]
    for step, time in STARTS:
        event = Event(wall_time=time, step=step, session_log=SessionLog(status=SessionLog.START))
        rows.append({"kind": "start", "step": step, "time": time.hex(), "record": record(event)})
    for tag, value, step, time in SCALARS:
        event = Event(wall_time=time, step=step, summary=summary.scalar(tag, value))
        rows.append({"kind": "scalar", "tag": tag, "value": value.hex(), "step": step, "time": time.hex(), "record": record(event)})
    for tag, text, step, time in TEXTS:
        event = Event(wall_time=time, step=step, summary=summary.text(tag, text))
        rows.append({"kind": "text", "tag": tag, "text": text, "step": step, "time": time.hex(), "record": record(event)})
    GOLDEN.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (GOLDEN / "events.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
