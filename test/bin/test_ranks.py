"""A real training in several processes: what is equal, what a killed rank does, what resumes.

The toy of `test/train` is looked at more closely in `test/train/test_resume.py`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from diarize.bin import train
from diarize.train.checkpoint import load_model

SETTINGS = ["train.log_interval=1", "train.threads=1", "train.batch_size=4",
            "train.schedule.name=constant"]  # fmt: skip
OFTEN = ["train.save_interval=2", "train.valid_interval=20", "train.keep_best=2"]


def words(world, steps: int, *settings: str) -> list[str]:
    """The words of diarize-train; the directory of the experiment has to be added."""
    data = str(world / "data")
    return ["--config", str(world / "train.yaml"), "--train", data, "--valid", data,
            "--set", *SETTINGS, f"train.steps={steps}", *settings, "--out"]  # fmt: skip


@pytest.fixture(scope="module")
def torchrun(repo_root):
    """Start diarize-train in two processes on the CPU."""

    def start(arguments: list[str]) -> subprocess.Popen:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node=2", "-m", "diarize.bin.train", *arguments]
        env = {**os.environ, "PYTHONPATH": str(repo_root), "OMP_NUM_THREADS": "1",
               "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)

    return start


def finish(process: subprocess.Popen) -> str:
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    return errors


def records(out: Path) -> list[dict]:
    try:
        lines = (out / "train_log.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_model(out / "last.pth")[0]


@pytest.fixture(scope="module")
def calm(world, torchrun, tmp_path_factory):
    """Sixty steps of two processes, undisturbed."""
    out = tmp_path_factory.mktemp("calm")
    finish(torchrun([*words(world, 60, *OFTEN), str(out)]))
    return out


def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(world, calm, tmp_path):
    """Over twelve steps that move the weights, to 1e-5; each of the two has half of the batch."""
    assert train.main([*words(world, 12, *OFTEN), str(tmp_path)]) == 0
    one = [r for r in records(tmp_path) if r["kind"] == "train"]
    two = [r for r in records(calm) if r["kind"] == "train"][:12]
    assert [r["step"] for r in one] == [r["step"] for r in two] == list(range(1, 13))
    assert one[-1]["loss"] < one[0]["loss"] - 0.3
    for ours, theirs in zip(one, two, strict=True):
        for key in ("loss", "bce", "dice", "cls", "grad_norm"):
            bound = 1e-5 * max(1.0, abs(ours[key]))
            assert abs(ours[key] - theirs[key]) <= bound, (ours["step"], key)


def rank_pids(process: subprocess.Popen) -> dict[int, int]:
    """The processes of the ranks, by rank."""
    found = {}
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in children:
        match = re.search(rb"\0RANK=(\d+)\0", Path(f"/proc/{pid}/environ").read_bytes())
        if match:
            found[int(match[1])] = int(pid)
    return found


def last_step(out: Path) -> int:
    return max((record["step"] for record in records(out)), default=0)


def wait_for_step(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while last_step(out) < step:
        assert process.poll() is None
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.002)


def kill_while_writing(out: Path, pid: int) -> None:
    """kill -9 of the rank that writes checkpoints, with one half written."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not list(out.glob(".last.pth.*.tmp")):
            continue
        os.kill(pid, signal.SIGSTOP)
        if list(out.glob(".last.pth.*.tmp")):
            os.kill(pid, signal.SIGKILL)
            return
        os.kill(pid, signal.SIGCONT)
    pytest.fail("no checkpoint was written")


def test_a_killed_rank_is_named_and_three_kills_change_no_bit(
    world, torchrun, calm, chance, tmp_path
):
    """At three random moments, the second while a checkpoint is written."""
    arguments = [*words(world, 60, *OFTEN), str(tmp_path)]
    for moment in range(3):
        process = torchrun(arguments)
        wait_for_step(tmp_path, 3 + 18 * moment + chance.randrange(9), process)
        rank = 0 if moment == 1 else chance.randrange(2)
        if moment == 1:
            kill_while_writing(tmp_path, rank_pids(process)[rank])
            assert list(tmp_path.glob(".last.pth.*.tmp"))
        else:
            time.sleep(0.05 * chance.random())
            os.kill(rank_pids(process)[rank], signal.SIGKILL)
        killed = time.monotonic()
        errors = process.communicate(timeout=60)[1]
        assert time.monotonic() - killed < 60
        assert process.returncode == 1
        assert re.search(rf"\n  rank +: {rank} .*\n  exitcode +: -9 ", errors), errors
        assert ("going on from step" in errors) == (moment > 0)
        assert last_step(tmp_path) < 60
    finish(torchrun(arguments))
    assert not list(tmp_path.rglob("*.tmp"))
    one, two = weights(calm), weights(tmp_path)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_resuming_with_another_number_of_processes(world, torchrun, tmp_path):
    """One, two, one: with as many processes times accumulation even dropout is the same.

    Only sums are rounded differently.
    """
    settings = ["train.optimizer.lr=1e-3", "model.backbone.dropout=0.1"]
    for steps, processes in ((4, 1), (8, 2), (12, 1)):
        arguments = words(world, steps, *settings, f"train.accumulation={3 - processes}")
        arguments.append(str(tmp_path / "changed"))
        if processes == 2:
            assert "going on from step 4" in finish(torchrun(arguments))
        else:
            assert train.main(arguments) == 0
    whole = [*words(world, 12, *settings, "train.accumulation=2"), str(tmp_path / "whole")]
    assert train.main(whole) == 0
    one, two = records(tmp_path / "whole"), records(tmp_path / "changed")
    losses = [[r["loss"] for r in log if r["kind"] == "train"] for log in (one, two)]
    assert len(losses[0]) == 12
    assert losses[1] == pytest.approx(losses[0], rel=1e-5, abs=0)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "changed")
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=0, atol=1e-4), key
