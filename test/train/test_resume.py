"""kill -9 at any moment, then the same command: the same bits."""

import json
import os
import signal
import time

import pytest
import torch

from diarize.train import trainer
from diarize.train.checkpoint import load_model, save_training
from diarize.train.options import OptimizerOptions
from diarize.train.trainer import Trainer

PLAN = {"steps": 45, "batch_size": 8, "accumulation": 2, "num_workers": 1, "save_interval": 2,
        "valid_interval": 9, "keep_best": 2, "log_interval": 1, "threads": 1}
TASK = {"dropout": 0.5, "delay": 0.005}


def last_step(path):
    try:
        return max((json.loads(x)["step"] for x in path.read_text().splitlines(True)
                    if x.endswith("}\n")), default=0)
    except FileNotFoundError:
        return 0


def test_three_kills_change_no_bit(toy, options, start_toy, weights, chance, tmp_path):
    cut = tmp_path / "cut"
    resumed_from = []
    for low in (3, 14, 28):
        process = start_toy(cut, PLAN, TASK)
        target = low + chance.randrange(8)
        deadline = time.monotonic() + 60
        while last_step(cut / "train_log.jsonl") < target and process.poll() is None:
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        process.kill()
        _, err = process.communicate()
        assert process.returncode == -9, err
        resumed_from.append("going on from step" in err)
    assert resumed_from == [False, True, True]
    process = start_toy(cut, PLAN, TASK)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err

    whole = tmp_path / "whole"
    plan = {**PLAN, "optimizer": OptimizerOptions(lr=1e-4)}
    assert Trainer(toy.ToyTask(dropout=0.5), options(**plan), whole).run() == 0
    one, two = weights(cut), weights(whole)
    assert all(torch.equal(one[key], two[key]) for key in two)

    lines = [json.loads(x) for x in (cut / "train_log.jsonl").read_text().splitlines()]
    straight = [json.loads(x) for x in (whole / "train_log.jsonl").read_text().splitlines()]
    for kind in ("train", "valid"):
        loss = "loss" if kind == "train" else "der"
        got = [(r["step"], r[loss]) for r in lines if r["kind"] == kind]
        assert got == [(r["step"], r[loss]) for r in straight if r["kind"] == kind]
    files = [sorted(p.name for p in (d / "best").iterdir()) for d in (cut, whole)]
    assert files[0] == files[1]
    assert not list(cut.rglob("*.tmp"))


def test_two_processes_are_one_with_the_doubled_batch(start_toy, toy, options, weights, tmp_path):
    plan = {"steps": 8, "batch_size": 7, "save_interval": 2, "log_interval": 2,
            "accumulation": 2, "clip_norm": 0.5}
    process = start_toy(tmp_path / "two", plan, ranks=2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    own = {**plan, "accumulation": 1, "optimizer": OptimizerOptions(lr=1e-4)}
    assert Trainer(toy.ToyTask(), options(**own), tmp_path / "one").run() == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=0, atol=1e-6), key
    logs = [
        [json.loads(x) for x in (tmp_path / d / "train_log.jsonl").read_text().splitlines()]
        for d in ("one", "two")
    ]
    for ours, theirs in zip(*logs, strict=True):
        for key in ours.keys() & {"loss", "mse", "der", "grad_norm"}:
            assert abs(ours[key] - theirs[key]) < 1e-5 * max(1.0, abs(ours[key])), key


def test_lost_rank_ends_the_job_and_the_job_resumes(start_toy, toy, options, weights, tmp_path):
    plan = {"steps": 8, "batch_size": 6, "save_interval": 2, "log_interval": 2}
    start = time.monotonic()
    process = start_toy(tmp_path / "two", plan, die=[1, 6], ranks=2)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - start < 60
    assert "rank      : 1" in err, "torchrun names the rank"
    process = start_toy(tmp_path / "two", plan, ranks=2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "going on from step 5" in err  # saved by rank 0 when rank 1 was lost
    own = {**plan, "optimizer": OptimizerOptions(lr=1e-4)}
    assert Trainer(toy.ToyTask(), options(**own), tmp_path / "one").run() == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=0, atol=1e-6), key


def test_a_kill_in_validation_loses_no_step(start_toy, weights, tmp_path):
    plan = {"steps": 6, "valid_interval": 4, "log_interval": 1, "device": "cpu"}
    process = start_toy(tmp_path / "cut", plan, die=[0, 0])
    assert process.wait(timeout=120) == -signal.SIGKILL
    assert load_model(tmp_path / "cut/last.pth")[1]["step"] == 4
    for name in ("cut", "whole"):
        assert start_toy(tmp_path / name, plan).wait(timeout=120) == 0
    one, two = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert all(torch.equal(one[key], two[key]) for key in one)
    lines = (tmp_path / "cut/train_log.jsonl").read_text().splitlines()
    found = [(r["kind"], r["step"]) for r in map(json.loads, lines) if r["kind"] != "event"]
    assert found[4:] == [("valid", 4), ("train", 5), ("train", 6), ("valid", 6)]


def test_a_kill_after_the_line_of_a_validation_does_not_repeat_the_line(
    toy, options, monkeypatch, tmp_path
):
    """Between the line in the log and the checkpoint that says that the validation is done."""
    plan = options(steps=6, valid_interval=4, log_interval=1, optimizer=OptimizerOptions(lr=1e-4))
    with monkeypatch.context() as patch:
        def killed(path, model, optimizer, progress, meta):
            if progress.step == 4 and not progress.pending_validation:
                raise SystemExit(137)
            save_training(path, model, optimizer, progress, meta)

        patch.setattr(trainer, "save_training", killed)
        with pytest.raises(SystemExit):
            Trainer(toy.ToyTask(), plan, tmp_path).run()
    assert '"valid", "step": 4' in (tmp_path / "train_log.jsonl").read_text()
    assert Trainer(toy.ToyTask(), plan, tmp_path).run() == 0
    lines = (tmp_path / "train_log.jsonl").read_text().splitlines()
    found = [(r["kind"], r["step"]) for r in map(json.loads, lines) if r["kind"] != "event"]
    assert found[3:] == [("train", 4), ("valid", 4), ("train", 5), ("train", 6), ("valid", 6)]


def test_sigterm_to_all_processes_of_the_job_saves(start_toy, tmp_path):
    """As torchrun, Slurm and terminals send it: to the data workers too."""
    plan = {"steps": 5000, "batch_size": 4, "log_interval": 1, "num_workers": 1}
    process = start_toy(tmp_path, plan, {"delay": 0.005}, own_session=True)
    deadline = time.monotonic() + 60
    while last_step(tmp_path / "train_log.jsonl") < 3 and process.poll() is None:
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "the same command resumes" in err
    assert "Traceback" not in err
    assert load_model(tmp_path / "last.pth")[1]["step"] >= 3


def test_error_on_one_rank_ends_the_job_with_its_name(start_toy, tmp_path):
    plan = {"steps": 30, "batch_size": 4, "num_workers": 1}
    process = start_toy(tmp_path, plan, {"bad": 35}, ranks=2)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "toy: error: rank 1: recording rec35: the file is truncated\n" in err
    assert "stopped by the error of rank 1" in err
    assert load_model(tmp_path / "last.pth")[1]["step"] == 8
