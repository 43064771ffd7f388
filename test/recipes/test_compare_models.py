"""egs/mini/diar1/local/compare_models.py: speed, table and figure of finished trainings."""

import json
import subprocess
import sys

import pytest
import torch

from diarize.config import write_yaml
from diarize.train.checkpoint import save_model

REFERENCE = "".join(
    f"SPEAKER {recording} 1 {start}.000 5.000 <NA> <NA> {label} <NA> <NA>\n"
    for recording, start, label in (("one", 0, "A"), ("one", 5, "A"),
                                    ("two", 0, "A"), ("two", 5, "B"))
)


@pytest.fixture
def run(repo_root):
    def call(*words):
        script = repo_root / "egs/mini/diar1/local/compare_models.py"
        return subprocess.run([sys.executable, script, *map(str, words)], capture_output=True,
                              text=True, check=False)  # fmt: skip

    return call


def training(root, name, model, lines, hypothesis):
    """Write what a finished training has."""
    directory = root / name
    (directory / "infer_test").mkdir(parents=True)
    (directory / "train_log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    write_yaml(directory / "config.yaml", {"model": {"name": model}, "data": {"crop_seconds": 20.0},
                                           "train": {"batch_size": 8}})  # fmt: skip
    save_model(directory / "final.pth", {"w": torch.zeros(3, 7)}, {})
    (directory / "infer_test/rttm").write_text(hypothesis)
    return directory


def log(cpu):
    return [
        {"kind": "train", "step": 20, "cpu_elapsed": cpu / 4},
        {"kind": "train", "step": 50, "cpu_elapsed": cpu},
        {"kind": "valid", "step": 50, "der": 12.0},
    ]


@pytest.fixture
def world(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "rttm").write_text(REFERENCE)
    (data / "uem").write_text("one 1 0.000 10.000\ntwo 1 0.000 10.000\n")
    wrong = REFERENCE.replace(" B ", " A ")
    training(tmp_path, "compare_train_5min_seed0", "eend_m2f", log(100.0), REFERENCE)
    training(tmp_path, "compare_train_5min_seed1", "eend_m2f", log(100.0), wrong)
    training(tmp_path, "compare_train_eda_5min_seed0", "eend_eda", log(50.0), wrong)
    return tmp_path


def test_the_table_has_a_row_for_each_model(world, run):
    out, figure = world / "table.md", world / "figure.svg"
    runs = sorted(world.glob("compare_*"))
    found = run("table", "--data", world / "data", "--out", out, "--figure", figure, *runs)
    assert (found.returncode, found.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in out.read_text().splitlines() if line.startswith("| 5 ")]  # fmt: skip
    # 5 s of 20 s are wrong in one of two seeds; of the recording with two speakers 5 of 10.
    assert rows == [
        ["5", "eend_eda (train_eda)", "21", "1", "25.00", "0.00", "50.00", "50.00", "50", "160"],
        ["5", "eend_m2f (train)", "21", "2", "12.50 ± 17.68", "0.00 ± 0.00", "25.00 ± 35.36",
         "75.00 ± 35.36", "100", "80"],
    ]
    assert figure.read_text().startswith("<?xml")


def test_the_speed_is_that_after_the_first_lines(world, run):
    found = run("speed", world / "compare_train_5min_seed0/train_log.jsonl")
    assert float(found.stdout) == 24.0  # 30 steps in 75 s


def test_faults_are_one_line(world, run):
    short = world / "short.jsonl"
    short.write_text(json.dumps(log(1.0)[0]) + "\n")
    found = run("speed", short)
    assert found.returncode == 1
    assert "short.jsonl" in found.stderr
    other = training(world, "exp", "eend_m2f", log(1.0), REFERENCE)
    found = run("table", "--data", world / "data", "--out", world / "o.md",
                "--figure", world / "o.svg", other)  # fmt: skip
    assert found.returncode == 1
    assert str(other) in found.stderr
    assert "Traceback" not in found.stderr
    assert not (world / "o.md").exists()
