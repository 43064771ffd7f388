"""The training step: nothing padded needs no mask, less memory gives the same, one transfer."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from diarize.config import from_dict
from diarize.data.examples import Example
from diarize.losses import matcher
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

SIZES = {
    "model": {
        "backbone": {"dim": 16, "layers": 2, "heads": 2, "ff_dim": 32, "kernel": 7},
        "decoder": {"queries": 4, "layers": 2, "heads": 2, "ff_dim": 32},
    }
}


@pytest.fixture
def task():
    return SpeakerTask(from_dict(SpeakerOptions, SIZES, "test"), seed=3)


def example(seconds, speakers, seed):
    rng = np.random.default_rng(seed)
    wave = 0.1 * rng.standard_normal(round(16000 * seconds)).astype("f4")
    return Example(f"r{seed}", wave, rng.random((round(100 * seconds), speakers)) < 0.4)


@pytest.fixture
def batch(task):
    """Two examples of one length and different numbers of speakers."""
    return task.collate([example(3.0, 2, 0), example(3.0, 1, 1)])


def gradients(task, batch):
    task.model.zero_grad()
    torch.manual_seed(0)
    loss, _ = task.loss(task.model, batch, task.normalizers(batch))
    loss.backward()
    found = {name: p.grad.clone() for name, p in task.model.named_parameters()}
    return loss.detach(), found


def assert_same_training(one, two, atol):
    torch.testing.assert_close(one[0], two[0], atol=atol, rtol=0)
    for name, grad in one[1].items():
        torch.testing.assert_close(grad, two[1][name], atol=atol, rtol=1e-4, msg=name)


def test_a_batch_without_padding_is_the_same_without_masks(task, batch):
    assert batch.unpadded
    assert batch.to("cpu").unpadded
    plain = gradients(task, batch)
    batch.unpadded = False
    assert_same_training(plain, gradients(task, batch), 1e-5)


def test_a_batch_with_padding_says_so(task):
    assert not task.collate([example(3.0, 2, 0), example(2.99, 1, 1)]).unpadded


def test_checkpointing_gives_the_same_gradients_dropout_included(task, batch):
    task.model.train()
    plain = gradients(task, batch)
    options = TrainOptions(gradient_checkpointing=True, device="cpu")
    Stepper(task, options, Group(0, 1, torch.device("cpu")))
    assert task.model.backbone.conformer.checkpointing
    assert_same_training(plain, gradients(task, batch), 1e-7)


class Syncs(TorchDispatchMode):
    """Counts what makes a GPU's host wait: values read as Python numbers, shapes from values."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "unique", "is_nonzero")):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("whole", [True, False])
def test_a_step_reads_no_value_but_the_costs_and_those_once(task, batch, whole, monkeypatch):
    batch.unpadded = whole
    solved, read = [], []
    real, check = matcher.linear_sum_assignment, matcher._check
    monkeypatch.setattr(matcher, "linear_sum_assignment", lambda c: solved.append(1) or real(c))
    monkeypatch.setattr(matcher, "_check", lambda *a: read.append(a[0].shape) or check(*a))
    normalizers = task.normalizers(batch)
    with Syncs() as syncs:
        loss, _ = task.loss(task.model, batch, normalizers)
        loss.backward()
    assert syncs.seen == []
    assert read == [(3, 2, 2, 4)]  # all layers and recordings at once
    assert len(solved) == 6


def test_bf16_stays_near_fp32(task, batch):
    plain = gradients(task, batch)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = gradients(task, batch)[0]
    assert abs(float(half - plain)) < 0.05 * float(plain)
