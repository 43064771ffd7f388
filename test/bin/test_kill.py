"""kill -9 of a real training on the CPU, then the same command: the same bits.

The task is that of the recipes, on mixtures made on the fly; `test/train/test_resume.py` looks
closer at the trainer, `test/simulate/test_disk.py` kills the simulation.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from diarize.bin import average, simulate, train
from diarize.io.audio import write_wav
from diarize.train.checkpoint import load_model

STEPS = 36
SETTINGS = [
    f"train.steps={STEPS}", "train.save_interval=3", "train.valid_interval=12",
    "train.log_interval=1", "train.keep_best=2", "train.threads=1",
    "model.backbone.dropout=0.1", "data.speed=[0.9, 1.1]",
]  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Mixtures of two out of four speakers of noise."""
    root = tmp_path_factory.mktemp("mixtures")
    rng = np.random.default_rng(0)
    names = [f"{s}-{k}" for s in "abcd" for k in range(3)]
    for name in names:
        write_wav(root / f"{name}.wav", 0.1 * rng.standard_normal(8000), 16000)
    (root / "wav.scp").write_text("".join(f"{n} {root}/{n}.wav\n" for n in names))
    (root / "utt2spk").write_text("".join(f"{n} {n[0]}\n" for n in names))
    words = "--num-speakers 2 --beta 0.3 --num-mixtures 6 --min-utts 2 --max-utts 3".split()
    out = str(root / "mixture.scp")
    assert simulate.main(["manifest", "--data", str(root), *words, "--out", out]) == 0
    return out


@pytest.fixture
def words(world, manifest):
    """The words of diarize-train; the directory of the experiment has to be added."""
    return [
        "--config", str(world / "train.yaml"), "--train", manifest,
        "--valid", str(world / "data"), "--set", *SETTINGS, "--out",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def fork():
    """Start diarize-train in a process of its own, forked where torch is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["diarize.tasks.registry", "diarize.train.trainer"])

    def start(words):
        process = context.Process(target=train.main, args=(words,))
        process.start()
        return process

    return start


def torchrun(words, root):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "diarize.bin.train", *words]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1",
           "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def last_step(out):
    try:
        lines = (out / "train_log.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return 0
    return max((json.loads(x)["step"] for x in lines if x.endswith("}\n")), default=0)


def wait_for(out, step, alive, chance):
    """Wait for a step, and for a random moment after it."""
    deadline = time.monotonic() + 60
    while last_step(out) < step and alive():
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.002)
    time.sleep(chance.random() * 0.05)


def descendants(pid):
    """The processes that a process has started, and those that they have."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in listing.read_text().split()]
    return found + [pid for child in found for pid in descendants(child)]


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_same(one, two):
    """Compare the last and the averaged weights of two experiments, bit by bit."""
    for out in (one, two):
        assert average.main(["--exp", str(out)]) == 0
        assert not list(out.rglob("*.tmp"))
    for name in ("last.pth", "final.pth"):
        a, b = load_model(one / name)[0], load_model(two / name)[0]
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_three_kills_change_no_bit_of_a_real_training(words, fork, chance, tmp_path):
    calm, cut = tmp_path / "calm", tmp_path / "cut"
    words = ["--set", "train.num_workers=1", *words]
    for moment in (2, 12, 22):
        process = fork([*words, str(cut)])
        wait_for(cut, moment + chance.randrange(7), process.is_alive, chance)
        workers = descendants(process.pid)
        assert workers
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        deadline = time.monotonic() + 30
        while any(map(running, workers)):
            assert time.monotonic() < deadline, f"processes that stay: {workers}"
            time.sleep(0.1)
        assert last_step(cut) < STEPS
    for out in (cut, calm):
        process = fork([*words, str(out)])
        process.join(60)
        assert process.exitcode == 0
        assert last_step(out) == STEPS
    assert_same(calm, cut)


def test_a_killed_torchrun_leaves_no_process_and_changes_no_bit(
    words, repo_root, chance, tmp_path
):
    calm, cut = tmp_path / "calm", tmp_path / "cut"
    process = torchrun([*words, str(cut)], repo_root)
    wait_for(cut, 13 + chance.randrange(7), lambda: process.poll() is None, chance)
    process.kill()
    # Ends only when every process that holds the pipe, torchrun's ranks too, has gone.
    err = process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGKILL, err
    assert last_step(cut) < STEPS
    for out in (cut, calm):
        process = torchrun([*words, str(out)], repo_root)
        err = process.communicate(timeout=120)[1]
        assert process.returncode == 0, err
    assert_same(calm, cut)
