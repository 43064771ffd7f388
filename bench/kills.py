"""Kills of a recipe at random moments; the same stage resumes and must yield the same results.

    python bench/kills.py [--seed N] [--kills 30] [--each 5] [--work DIR]

A recipe of voices of noise runs through stages 1 to 9 once without interruption.  Then it runs
again from nothing; at ``--each`` random moments (a stage, and a share of the time that it took)
all its processes receive SIGKILL, SIGTERM or SIGINT, and ``diar.sh --stage`` resumes with the
stage that was hit.  At the end mixtures, manifests, checkpoints (weights), posteriors, RTTM,
thresholds, scores and RESULTS.md (but for dates and times) must be those of the first run, and no
temporary file may be left.  This is repeated until ``--kills`` signals have been sent; one that
comes after the end of the run does not count.  The exit status is 1 for any difference.  Last
comes one line ``BENCH name=kills …``.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STAGE = re.compile(r"stage (\d): ")
TIMES = re.compile(r"^\| (date|training|whole run|command) \|.*| (train|total)_s=\S+")
VOICES = """
import sys
import numpy as np
from diarize.io.audio import write_wav
from diarize.io.table import write_table
from pathlib import Path
for name, seed in (("train_voices", 0), ("test_voices", 1)):
    folder = Path("data") / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    scp, speakers = {}, {}
    for speaker in range(4):
        for number in range(4):
            key = f"s{speaker}-{number}"
            wave = 0.1 * rng.standard_normal(16000 + 1600 * number)
            wave = np.convolve(wave, np.ones(1 + 2 * speaker) / (1 + speaker), "same")
            write_wav(folder / f"{key}.wav", wave, 16000)
            scp[key], speakers[key] = str((folder / f"{key}.wav").resolve()), f"s{speaker}"
    write_table(folder / "wav.scp", scp)
    write_table(folder / "utt2spk", speakers)
"""
SIMULATE = """
manifest train train_voices 1 10 0.3 --min-utts 2 --max-utts 3
manifest train train_voices 2 20 0.3 --min-utts 2 --max-utts 3
write dev test_voices 1 2 0.3 --min-utts 2 --max-utts 3
write dev test_voices 2 3 0.3 --min-utts 2 --max-utts 3
write test test_voices 2 6 0.3 --min-utts 2 --max-utts 3
"""
CONFIG = """
task: speaker
model:
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.1}
  decoder: {queries: 5, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 2.0, speed: [0.9, 1.1]}
train: {steps: 60, batch_size: 4, valid_interval: 20, save_interval: 5, log_interval: 5,
  keep_best: 2, num_workers: 1, threads: 1, device: cpu, optimizer: {lr: 1e-3}}
"""


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 1 if any result differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="of stages, moments and signals")
    parser.add_argument("--kills", type=int, default=30, help="number of signals (default: 30)")
    parser.add_argument("--each", type=int, default=5, help="signals in one run (default: 5)")
    parser.add_argument("--work", type=Path, help="directory (default: a temporary one)")
    args = parser.parse_args(argv)
    seed = random.randrange(10**6) if args.seed is None else args.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        campaign = Campaign(args.work or Path(temporary), random.Random(seed))
        while campaign.sent < args.kills:
            campaign.round(min(args.each, args.kills - campaign.sent))
    counts = " ".join(f"{s.name.lower()}={campaign.signals.count(s)}" for s in SIGNALS)
    hit = ",".join(f"{stage}:{campaign.stages.count(stage)}" for stage in range(1, 10))
    print(f"BENCH name=kills value={campaign.sent} unit=signals seed={seed} {counts} "
          f"stages={hit} different={len(campaign.differences)}")
    return int(bool(campaign.differences))


class Campaign:
    """A recipe, the results of its uninterrupted run, and the outcome of the other runs."""

    def __init__(self, work: Path, chance: random.Random) -> None:
        self.work, self.chance = work.resolve(), chance
        self.recipe = self.work / "egs/kills/diar1"
        self.signals: list[signal.Signals] = []
        self.stages: list[int] = []
        self.differences: list[str] = []
        self._make()
        self.seconds: dict[int, float] = {}
        assert self._run(1) == 0, (self.recipe / "run.log").read_text()[-2000:]
        self.expected = digests(self.recipe)
        total = sum(self.seconds.values())
        print(f"without interruption: {total:.0f} s, {len(self.expected)} results", flush=True)

    @property
    def sent(self) -> int:
        """Number of signals that interrupted a run."""
        return len(self.signals)

    def round(self, kills: int) -> None:
        """Run from nothing with ``kills`` interruptions, and compare the results."""
        shutil.rmtree(self.recipe)
        self._make()
        stage = 1
        for target in sorted(self.chance.randint(1, 9) for _ in range(kills)):
            number = self.chance.choice(SIGNALS)
            delay = self.chance.random() * self.seconds[target]
            code = self._run(stage, target, number, delay)
            if code == 0:
                break  # the end came first
            stage = self._last_stage()
            self.signals.append(number)
            self.stages.append(stage)
            print(f"{self.sent}: {number.name} in stage {stage}, status {code}", flush=True)
        else:
            code = self._run(stage)
        if code != 0:
            self.differences.append("the run fails")
            print((self.recipe / "run.log").read_text()[-2000:], flush=True)
            return
        found = digests(self.recipe)
        for name in sorted(found.keys() | self.expected.keys()):
            if found.get(name) != self.expected.get(name):
                self.differences.append(name)
                print(f"DIFFERENT: {name}", flush=True)

    def _make(self) -> None:
        """Make the recipe in a directory that looks like the checkout."""
        for name in ("utils", "diarize"):
            link = self.work / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(ROOT / name)
        template = self.work / "egs/TEMPLATE"
        if not template.exists():
            shutil.copytree(ROOT / "egs/TEMPLATE", template, symlinks=True)
        setup = [template / "setup.sh", self.recipe]
        subprocess.run(setup, check=True, stdout=subprocess.DEVNULL)
        (self.recipe / "conf/simulate.conf").write_text(SIMULATE)
        (self.recipe / "conf/small.yaml").write_text(CONFIG)
        (self.recipe / "local/voices.py").write_text(VOICES)
        (self.recipe / "local/data.sh").write_text("#!/bin/sh\nexec python3 local/voices.py\n")

    def _run(
        self, stage: int, target: int = 0, number: signal.Signals | None = None,
        delay: float = 0.0,
    ) -> int:
        """Return the status of the recipe from ``stage`` on; send a signal in stage ``target``."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = ["./run.sh", "--stage", str(stage), "--config", "conf/small.yaml",
                   "--num-images", "1", "--nj", "2"]  # fmt: skip
        log = self.recipe / "run.log"
        with open(log, "w") as out:
            process = subprocess.Popen(
                command, cwd=self.recipe, env=env, stdout=out, stderr=out, start_new_session=True
            )
        begun: dict[int, float] = {}
        while process.poll() is None:
            now = time.monotonic()
            for found in STAGE.findall(log.read_text(errors="replace")):
                begun.setdefault(int(found), now)
            reached = max(begun, default=0)
            late = reached > target or now - begun.get(target, now) >= delay
            if number is not None and reached >= target and late:
                os.killpg(process.pid, number)
                break
            time.sleep(0.02)
        code = process.wait()
        self._wait_for_children(process.pid)
        if number is None and stage == 1 and not self.seconds:
            times = [*begun.values(), time.monotonic()]
            self.seconds = {s: times[i + 1] - times[i] for i, s in enumerate(begun)}
        return code

    def _last_stage(self) -> int:
        found = STAGE.findall((self.recipe / "run.log").read_text(errors="replace"))
        return int(found[-1]) if found else 1

    def _wait_for_children(self, session: int) -> None:
        deadline = time.monotonic() + 60
        while left := list(members(session)):
            if time.monotonic() > deadline:
                self.differences.append(f"processes that stay: {left}")
                print(self.differences[-1], flush=True)
                os.killpg(session, signal.SIGKILL)
                return
            time.sleep(0.05)


def members(session: int) -> Iterator[int]:
    """Yield the processes of a session that are running."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            yield int(path.parent.name)


def digests(recipe: Path) -> dict[str, str]:
    """Return a digest of each result of a recipe, and an entry for each temporary file."""
    out = {}
    for path in sorted(recipe.rglob("*")):
        name = str(path.relative_to(recipe))
        if path.suffix in (".tmp", ".new", ".old") or path.name in (".parts", ".new", ".old"):
            out[name] = "left over"
        elif path.is_file() and is_result(path):
            out[name] = digest(path)
    return out


def is_result(path: Path) -> bool:
    """Return whether the content of a file must not depend on interruptions."""
    parts = set(path.parts)
    if parts & {"log", "tensorboard", "images", "store", "utils", ".simulate"}:
        return False
    return path.suffix in (".wav", ".pth", ".ark", ".scp", ".yaml", ".md", ".txt", ".gz", "") and (
        "data" in parts or "exp" in parts
    ) and path.name not in (".lock",)


def digest(path: Path) -> str:
    """Return a digest of the content but for dates, times and the form of its container."""
    if path.suffix == ".pth":
        held = torch.load(path, map_location="cpu", weights_only=True)
        total = hashlib.blake2b(repr(sorted(held["model"])).encode())
        for key in sorted(held["model"]):
            total.update(held["model"][key].numpy().tobytes())
        return total.hexdigest()[:16]
    if path.suffix == ".gz":
        listing = subprocess.run(["tar", "-tzf", path], capture_output=True, check=True)
        return hashlib.blake2b(listing.stdout).hexdigest()[:16]
    data = path.read_bytes()
    if path.suffix in (".md", ".txt"):
        lines = data.decode().splitlines()
        data = "\n".join(TIMES.sub("", line) for line in lines).encode()
    return hashlib.blake2b(data).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
