"""The toy task, in this process or in one that can be killed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diarize.train.options import OptimizerOptions, TrainOptions

SCRIPT = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session")
def toy():
    """The module toy.py."""
    spec = importlib.util.spec_from_file_location("train_toy", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def options():
    """Make TrainOptions for the toy; ``lr`` is large enough to see it learn."""

    def make(**changes):
        base = {"steps": 12, "batch_size": 8, "tensorboard": False, "log_interval": 4,
                "device": "cpu", "optimizer": OptimizerOptions(lr=0.01)}
        return TrainOptions(**{**base, **changes})

    return make


@pytest.fixture
def start_toy(repo_root):
    """Start toy.py in a process of its own, alone or under torchrun with ``ranks``."""

    def start(out, options, task=None, die=None, ranks=1, own_session=False):
        command = [sys.executable]
        if ranks > 1:
            command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command += [str(SCRIPT), str(out), "--options", json.dumps(options)]
        command += ["--task", json.dumps(task or {}), "--die", json.dumps(die)]
        env = {**os.environ, "PYTHONPATH": str(repo_root), "OMP_NUM_THREADS": "1",
               "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=own_session,
        )

    return start


@pytest.fixture
def weights():
    """Load the weights of ``last.pth`` in a directory."""
    from diarize.train.checkpoint import load_model

    return lambda directory: load_model(directory / "last.pth")[0]
