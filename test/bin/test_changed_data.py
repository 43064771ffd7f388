"""Resuming a training over data that have changed: refused by name; moved data are the same."""

import shutil

import pytest
import torch

from diarize.bin import train
from diarize.train.checkpoint import load_model

TABLES = ("wav.scp", "rttm", "uem")


@pytest.fixture
def place(world, tmp_path):
    """Training and validation set of their own, and an experiment of two steps."""
    for name in ("train", "valid"):
        shutil.copytree(world / "data", tmp_path / name)
        (tmp_path / name / "uem").write_text("".join(f"r{i} 1 0.0 2.0\n" for i in range(3)))
    assert run(world, tmp_path) == 0
    return tmp_path


def run(world, place, steps=2, train_set="train", valid="valid", more=()):
    command = ["--config", str(world / "train.yaml"), "--train", str(place / train_set),
               "--valid", str(place / valid), "--out", str(place / "exp"), *more,
               "--set", f"train.steps={steps}", "train.save_interval=1",
               "train.schedule.name=constant"]  # fmt: skip
    return train.main(command)


def edit(path, change):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in map(change, lines) if x))


def without_r1(line):
    return "" if " r1 " in f" {line}" else line


def test_half_of_the_recordings_lost(world, place, capfd):
    for name in TABLES:
        edit(place / "train" / name, without_r1)
    assert run(world, place, 4) == 1
    said = capfd.readouterr().err.strip().splitlines()[-1]
    for words in ("exp/last.pth", f"training set {place}/train", "3 recordings, now 2",
                  "missing: r1", "--init-model"):
        assert words in said
    assert "reference" not in said


def test_changed_reference_names_the_recording(world, place, capfd):
    edit(place / "train/rttm", lambda x: x.replace("r2 1 0.100", "r2 1 0.300"))
    assert run(world, place, 4) == 1
    assert "reference changed in r2)" in capfd.readouterr().err


def test_changed_evaluated_region(world, place, capfd):
    edit(place / "train/uem", lambda x: x.replace("r0 1 0.0 2.0", "r0 1 0.0 1.5"))
    assert run(world, place, 4) == 1
    assert "(uem) changed in r0)" in capfd.readouterr().err


def test_changed_validation_set(world, place, capfd):
    for name in TABLES:
        edit(place / "valid" / name, without_r1)
    assert run(world, place, 4) == 1
    assert f"validation set {place}/valid: 3 recordings, now 2" in capfd.readouterr().err


def test_moved_data_go_on(world, place, capfd):
    (place / "train").rename(place / "moved")
    assert run(world, place, 3, train_set="moved") == 0
    assert "going on from step 2" in capfd.readouterr().err


def test_checkpoint_of_an_earlier_version(world, place, capfd):
    """It has the paths only: the same path goes on and is recorded, another is refused."""
    path = place / "exp/last.pth"
    payload = torch.load(path, weights_only=True)
    progress = payload["training"]["progress"]
    del progress["data"]
    progress["fingerprint"] |= {"train_data": [str(place / "train")], "init_model": "None"}
    torch.save(payload, path)
    shutil.copytree(place / "train", place / "moved")
    assert run(world, place, 3, train_set="moved") == 1
    said = capfd.readouterr().err
    assert "train_data" in said
    assert "--init-model" in said
    assert run(world, place, 3) == 0
    assert "going on from step 2" in capfd.readouterr().err
    edit(place / "train/rttm", lambda x: x.replace("r2 1 0.100", "r2 1 0.300"))
    assert run(world, place, 4) == 1
    assert "reference changed in r2)" in capfd.readouterr().err


def test_initial_model_by_its_weights(world, place, capfd):
    """A copy elsewhere is the same model; other weights at the same path are not."""
    first, second = place / "first.pth", place / "second.pth"
    shutil.copy(world / "exp/final.pth", first)
    shutil.rmtree(place / "exp")
    assert run(world, place, 2, more=["--init-model", str(first)]) == 0
    first.rename(second)
    assert run(world, place, 3, more=["--init-model", str(second)]) == 0
    payload = torch.load(second, weights_only=True)
    next(iter(payload["model"].values())).add_(1)
    torch.save(payload, second)
    assert run(world, place, 4, more=["--init-model", str(second)]) == 1
    assert f"initial model {second}" in capfd.readouterr().err
    assert load_model(place / "exp/last.pth")[1]["step"] == 3
