"""The comparison behind make demo-bf16 fails where losses differ, or are missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def compare(repo_root, tmp_path):
    """Compare the losses of two trainings called ``pretrain``."""

    def call(reference: dict[int, float], other: dict[int, float]):
        for name, losses in (("fp32", reference), ("bf16", other)):
            log = tmp_path / name / "pretrain/train_log.jsonl"
            log.parent.mkdir(parents=True)
            log.write_text("".join(
                json.dumps({"kind": "train", "step": step, "loss": loss}) + "\n"
                for step, loss in losses.items()
            ))
        script: Path = repo_root / "egs/mini/compare_losses.py"
        return subprocess.run(
            [sys.executable, script, tmp_path / "fp32", tmp_path / "bf16"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


@pytest.mark.parametrize(
    ("losses", "code", "token"),
    [
        ({1: 20.3, 2: 10.0}, 0, "1.500 % (step 1)"),
        ({1: 20.0, 2: 10.3}, 1, "3.000 % (step 2)"),
        ({1: 20.0, 2: float("nan")}, 1, "(step 2)"),
        ({1: 20.0}, 1, "inf"),
    ],
)
def test_losses(compare, losses, code, token):
    done = compare({1: 20.0, 2: 10.0}, losses)
    assert done.returncode == code, done.stderr
    assert token in done.stdout
