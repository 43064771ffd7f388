"""Training and inference on a GPU; skipped where there is none.

DIARIZE_GPU_TESTS_ON=cpu runs the same on a CPU, so that the tests themselves are tried.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from diarize.bin import posteriors, train
from diarize.config import from_dict
from diarize.io.ark import read_scp
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.train.checkpoint import load_model
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

DEVICE = os.environ.get("DIARIZE_GPU_TESTS_ON", "cuda")
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(),
    reason="no GPU (torch.cuda.is_available() is false); DIARIZE_GPU_TESTS_ON=cpu tries the tests",
)


def run(world, out, *settings, steps=4):
    data = str(world / "data")
    return train.main([
        "--config", str(world / "train.yaml"), "--train", data, "--valid", data, "--out", str(out),
        "--set", f"train.device={DEVICE}", f"train.steps={steps}", "train.valid_interval=2",
        "train.log_interval=1", "train.schedule.name=constant", "train.batch_size=4", *settings,
    ])  # fmt: skip


def records(out, kind):
    lines = (out / "train_log.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == kind]


def test_bf16_trains_validates_saves_and_resumes(world, tmp_path, capfd):
    assert run(world, tmp_path, "train.precision=bf16", steps=2) == 0
    assert run(world, tmp_path, "train.precision=bf16") == 0
    assert "going on from step 2" in capfd.readouterr().err
    valid = records(tmp_path, "valid")
    assert [r["step"] for r in valid] == [2, 4]
    for record in valid:
        assert record["miss"] >= 0
        assert record["fa"] >= 0
        assert record["conf"] >= 0  # counts in bfloat16 had made it negative
    state, meta = load_model(tmp_path / "last.pth")
    assert meta["step"] == 4
    assert all(torch.isfinite(v).all() for v in state.values())


def test_bf16_has_nearly_the_losses_of_a_cpu_in_float32(world, tmp_path):
    assert run(world, tmp_path / "half", "train.precision=bf16", steps=2) == 0
    plain = ["train.precision=fp32", "train.device=cpu"]
    assert run(world, tmp_path / "full", *plain, steps=2) == 0
    half, full = (records(tmp_path / d, "train") for d in ("half", "full"))
    for ours, theirs in zip(half, full, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.05)


def test_accumulation_auto_finds_what_fits(world, tmp_path, capfd):
    assert run(world, tmp_path / "all", "train.accumulation=auto", steps=1) == 0
    assert "accumulation auto: 1 micro-batches of up to 4 examples" in capfd.readouterr().err
    tight = ["train.accumulation=auto", "train.max_memory=1e-6"]
    assert run(world, tmp_path / "none", *tight, steps=1) == 1
    assert "train.gradient_checkpointing" in capfd.readouterr().err


def test_compiled_training_has_the_losses_of_the_plain_one(world, tmp_path):
    if DEVICE == "cpu":
        pytest.skip("compiling for a CPU is no test of a GPU")
    for name in ("false", "true"):
        settings = [f"train.compile={name}", "train.precision=fp32"]
        assert run(world, tmp_path / name, *settings, steps=2) == 0
    plain, compiled = (records(tmp_path / d, "train") for d in ("false", "true"))
    for ours, theirs in zip(compiled, plain, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


def test_posteriors_are_those_of_a_cpu(world, tmp_path):
    common = ["--model", str(world / "exp"), "--data", str(world / "data")]
    config = tmp_path / "fp32.yaml"
    config.write_text("network: {precision: fp32, min_activity: 0.0}\n")
    for device in (DEVICE, "cpu"):
        out = ["--out", str(tmp_path / f"on_{device}"), "--device", device]
        assert posteriors.main([*common, *out, "--config", str(config)]) == 0
    ours, theirs = (read_scp(tmp_path / f"on_{d}/posteriors.scp") for d in (DEVICE, "cpu"))
    assert list(ours) == list(theirs)
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], atol=1e-3)


def test_step_of_the_languages_model():
    options = {"model": {"ssl_conv": {"weights": None}}, "data": {"crop_seconds": 2}}
    task = LanguageTask(from_dict(LanguageOptions, options, "test"), seed=1)
    plan = TrainOptions(batch_size=2, device=DEVICE, precision="bf16")
    stepper = Stepper(task, plan, Group(0, 1, torch.device(DEVICE)))
    stepper.run(0, [task.largest(2)])
    stepper.check()
    means, seconds = stepper.take()
    assert np.isfinite(means["loss"])
    assert seconds == 4.0


DDP = """
import sys, torch, torch.distributed as dist
from diarize.config import from_dict
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

device = torch.device(sys.argv[1], 0) if sys.argv[1] == "cuda" else torch.device("cpu")
dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=0, world_size=1,
                        init_method="file://" + sys.argv[2])
sizes = {"model": {"backbone": {"dim": 16, "layers": 1, "heads": 2, "ff_dim": 32, "dropout": 0.0},
                   "decoder": {"queries": 4, "layers": 1, "heads": 2, "ff_dim": 32}},
         "data": {"crop_seconds": 2}}
norms = []
for ranks in (1, 2):  # with 2, of which there is one, the model is wrapped and the sum is doubled
    task = SpeakerTask(from_dict(SpeakerOptions, sizes, "test"), seed=3)
    plan = TrainOptions(batch_size=2, device=device.type, precision="fp32")
    stepper = Stepper(task, plan, Group(0, ranks, device, dist.new_group(backend="gloo")))
    stepper.run(0, [task.largest(2)])
    norms.append(float(stepper._sums["grad_norm"]))
print(norms[1] / norms[0])
dist.destroy_process_group()
"""


def test_distributed_data_parallel_on_one_device(repo_root, tmp_path):
    """NCCL on a GPU: gradients of one process, which count twice for two that are announced."""
    done = subprocess.run(
        [sys.executable, "-c", DDP, DEVICE, str(tmp_path / "store")], capture_output=True,
        text=True, timeout=200, check=False, env={**os.environ, "PYTHONPATH": str(repo_root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs")
def test_two_gpus_train_as_one(world, tmp_path, repo_root):
    data = str(world / "data")
    words = ["-m", "diarize.bin.train", "--config", str(world / "train.yaml"), "--train", data,
             "--valid", data, "--set", "train.steps=3", "train.batch_size=4", "train.device=cuda",
             "train.precision=fp32", "train.log_interval=1", "--out"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(repo_root)}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, launch in (("one", []), ("two", torchrun)):
        command = [sys.executable, *launch, *words, str(tmp_path / name)]
        subprocess.run(command, env=env, check=True, timeout=200)
    one, two = (records(tmp_path / d, "train") for d in ("one", "two"))
    for ours, theirs in zip(one, two, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
