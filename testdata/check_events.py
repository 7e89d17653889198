"""Shows a folder of event files as TensorBoard reads it.

    .venv/bin/python testdata/check_events.py FOLDER [--serve]

Lists what each file holds, and then what TensorBoard's EventAccumulator makes of them all: the values that are left once
those of attempts that died are dropped. With --serve TensorBoard itself is started, with its fast loader and without,
and what it answers over HTTP has to be the same.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.util.tensor_util import make_ndarray

SECONDS = 60  # that TensorBoard may take to start and to read


def describe(event):
    """What an event tells, in words."""
    what = event.WhichOneof("what")
    if what == "summary":
        return ", ".join(f"{v.tag}: {v.simple_value:.7g}" if v.HasField("simple_value") else f"{v.tag}: {v.WhichOneof('value')}"
                         for v in event.summary.value)  # fmt: skip
    if what == "session_log":
        return "session log " + SessionLog.SessionStatus.Name(event.session_log.status)
    return f"{what} {getattr(event, what)}"


def accumulated(folder):
    """Scalars and texts by tag: {tag: {step: value}}."""
    acc = EventAccumulator(str(folder), size_guidance={"scalars": 0, TENSORS: 0})
    acc.Reload()
    tags = acc.Tags()
    scalars = {tag: [[e.step, repr(e.value)] for e in acc.Scalars(tag)] for tag in tags["scalars"]}
    texts = {tag: {e.step: make_ndarray(e.tensor_proto).item().decode() for e in acc.Tensors(tag)} for tag in tags["tensors"]}
    return scalars, texts


class Server:
    """TensorBoard on a free port of this machine."""

    def __init__(self, folder, fast):
        self.log = tempfile.NamedTemporaryFile("w+")
        command = [
            sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", "0",
            "--load_fast", fast, "--samples_per_plugin", "scalars=1000000,text=1000000",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.end = time.monotonic() + SECONDS

    def __enter__(self):
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", pathlib.Path(self.log.name).read_text())):
            self.wait("it did not start")
        self.base = found[0]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def wait(self, what):
        if self.process.poll() is not None or time.monotonic() > self.end:
            sys.exit(f"tensorboard: {what}:\n" + pathlib.Path(self.log.name).read_text())
        time.sleep(0.2)

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.base}/data/{path}?{urllib.parse.urlencode(query)}") as answer:
            return json.load(answer)

    def values(self):
        """The same as accumulated."""
        scalars = {
            tag: [[step, repr(float(value))] for _, step, value in self.get("plugin/scalars/scalars", run=".", tag=tag)]
            for tag in self.get("plugin/scalars/tags").get(".", {})
        }
        texts = {
            tag: {row["step"]: row["text"] for row in self.get("plugin/text/text", run=".", tag=tag)}
            for tag in self.get("plugin/text/tags").get(".", [])
        }
        return scalars, texts


def once(scalars):
    """A value a step: a step that is logged and evaluated tells its epoch twice, and the fast loader shows one."""
    return {tag: dict(rows) for tag, rows in scalars.items()}


def serve(folder, scalars, texts):
    """Whether TensorBoard shows these values; it makes HTML of texts, so of those the steps are compared."""
    steps = {tag: sorted(rows) for tag, rows in texts.items()}
    for fast in "true", "false":
        with Server(folder, fast) as server:
            while True:
                got, shown = server.values()
                if once(got) == once(scalars) and {tag: sorted(rows) for tag, rows in shown.items()} == steps:
                    break
                server.wait(f"--load_fast={fast} shows\n{got}\n{shown}\nand not\n{scalars}\n{texts}")
        print(f"tensorboard --load_fast={fast} shows the same: {sum(map(len, got.values()))} values, texts as", *shown.values())


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("--serve", action="store_true")
    args = ap.parse_args()
    for path in sorted(args.folder.glob("*tfevents*")):
        print(path.name)
        for event in LegacyEventFileLoader(str(path)).Load():
            print(f"  {event.wall_time:.3f} step {event.step} {describe(event)}")
    scalars, texts = accumulated(args.folder)
    print("what is left")
    for tag, rows in scalars.items():
        print(f"  {tag}:", " ".join(f"{step}={value}" for step, value in rows))
    for tag, rows in texts.items():
        print(f"  {tag}: {rows}")
    if args.serve:
        serve(args.folder, scalars, texts)


if __name__ == "__main__":
    main()
