"""bench/needs.py: bytes counted on fake tensors are those of real ones; the page is its output."""

import importlib.util
import sys

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from diarize.config import from_dict
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.train.memory import LiveBytes

SIZES = {
    "model": {
        "backbone": {"dim": 32, "layers": 2, "heads": 2, "ff_dim": 64, "kernel": 7},
        "decoder": {"queries": 6, "layers": 2, "heads": 2, "ff_dim": 64},
    },
    "data": {"crop_seconds": 5},
}


@pytest.fixture(scope="module")
def needs(repo_root):
    """The module bench/needs.py."""
    spec = importlib.util.spec_from_file_location("bench_needs", repo_root / "bench/needs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_task():
    task = SpeakerTask(from_dict(SpeakerOptions, SIZES, "test"), seed=3)
    task.model.train()
    return task


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_fake_tensors_have_the_bytes_of_real_ones(needs, kind):
    real = make_task()
    batch = real.largest(3)
    with LiveBytes() as live:
        needs.step(real, batch, kind)
    task = make_task()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        needs.make_fake(task, mode)
        fake = needs.fake_batch(batch, mode)
        with LiveBytes() as foreseen:
            needs.step(task, fake, kind)
    assert foreseen.peak == pytest.approx(live.peak, rel=0.01)
    # Nothing that the pass has made stays but gradients.
    gradients = sum(p.grad.nbytes for p in real.model.parameters() if p.grad is not None)
    assert live.peak > 2 * gradients


def test_what_fits_on_a_card(needs):
    config, _ = needs.load("adapt", False)
    small = needs.Needs({"bf16": 10**9}, {"bf16": 3 * 10**9}, 1, 1)
    # 8 crops a step: 25 GB on one card; 90 % of 23.4 GB hold four (13 GB), not eight.
    assert needs.micro_batch(config, small, 1, 24) == "4"
    assert needs.micro_batch(config, small, 1, 48) == "8"
    assert needs.micro_batch(config, small, 4, 24) == "2"
    huge = needs.Needs({"bf16": 10**9}, {"bf16": 30 * 10**9}, 1, 1)
    assert needs.micro_batch(config, huge, 1, 24) == "–"


def test_the_page_is_what_the_command_prints(needs, repo_root):
    """One row of it, made anew."""
    page = (repo_root / "doc/needs.md").read_text()
    made = needs.table(["language_adapt"], needs.MFU)
    for line in made.splitlines():
        assert line in page.splitlines()
