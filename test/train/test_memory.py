"""accumulation: auto: what fits, what does not, and a result that does not depend on it."""

import dataclasses
import json

import pytest
import torch

from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.train.distributed import Group
from diarize.train.memory import LiveBytes, Probe, find_accumulation, memory_limit
from diarize.train.options import TrainOptions, fingerprint
from diarize.train.step import Stepper
from diarize.train.trainer import Trainer

CPU = torch.device("cpu")
SIZES = {
    "model": {
        "backbone": {"dim": 16, "layers": 2, "heads": 2, "ff_dim": 32, "kernel": 7},
        "decoder": {"queries": 4, "layers": 2, "heads": 2, "ff_dim": 32},
    },
    "data": {"crop_seconds": 3},
}


def tried(batch_size, world, most, parts=0):
    """The number found where ``most`` examples fit, and the sizes that were tried."""
    sizes = []

    def fits(size):
        sizes.append(size)
        return size <= most

    ranks = Group(0, world, CPU)
    ranks.maximum = lambda value: value
    options = TrainOptions(batch_size=batch_size, accumulation="auto")
    return find_accumulation(options, ranks, fits, parts), sizes


@pytest.mark.parametrize(
    ("batch_size", "world", "most", "found", "sizes"),
    [
        (512, 1, 1000, 1, [512]),
        (512, 1, 100, 8, [512, 256, 128, 64]),
        (512, 4, 100, 2, [128, 64]),
        (8, 1, 1, 8, [8, 4, 2, 1]),
        (7, 1, 3, 4, [7, 4, 2]),
        (7, 2, 2, 2, [4, 2]),  # halves of 3 and 4 examples
        (3, 2, 2, 1, [2]),
    ],
)
def test_halves_until_it_fits(batch_size, world, most, found, sizes):
    number, seen = tried(batch_size, world, most)
    assert (number, seen) == (found, sizes)
    assert -(-batch_size // (world * number)) <= most
    assert batch_size >= world * number


def test_resuming_begins_with_the_split_of_before():
    assert tried(512, 1, 100, parts=16) == (16, [32])
    assert tried(512, 2, 100, parts=16) == (8, [32])
    assert tried(512, 1, 10, parts=16) == (64, [32, 16, 8])


def test_not_even_one_example_fits_names_the_remedies():
    with pytest.raises(DiarizeError) as caught:
        tried(8, 1, 0)
    for word in ("train.gradient_checkpointing", "data.crop_seconds", "train.max_memory"):
        assert word in str(caught.value)


def test_all_ranks_take_what_the_smallest_can():
    """Another rank says no to more than 2 examples: this one, which says yes to 8, follows."""
    ranks = Group(0, 2, CPU)
    answers = iter([1, 1, 0])
    ranks.maximum = lambda own: max(own, next(answers))
    options = TrainOptions(batch_size=16, accumulation="auto")
    assert find_accumulation(options, ranks, lambda size: True) == 4


def test_out_of_memory_on_a_gpu_is_a_no(monkeypatch):
    """The device and its counters are stubs; the error is the real one."""

    def rehearse(examples):
        if examples > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    for name, value in (("reset_peak_memory_stats", None), ("max_memory_allocated", 500),
                        ("empty_cache", None)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *a, value=value: value)
    probe = Probe(rehearse, torch.device("cuda"), 100, max_memory=1e-6)
    assert not probe(4)
    assert probe.bytes is None
    assert probe(3)
    assert probe.bytes == 600
    assert not Probe(rehearse, torch.device("cuda"), 501, max_memory=1e-6)(3)


def test_limit_of_a_gpu_is_what_is_free_and_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60_000, 80_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 10_000)
    assert memory_limit(torch.device("cuda")) == 63_000


def test_limit_of_a_machine_is_divided_among_its_processes(monkeypatch):
    alone = memory_limit(CPU)
    assert alone > 10_000_000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory_limit(CPU) == pytest.approx(alone / 4, rel=0.3)


def test_live_bytes_are_those_of_the_tensors():
    with LiveBytes() as live:
        one = torch.zeros(1000)
        two = one + 1
        view = two[:10]
        assert live.now == 8000
        del two
        assert live.now == 8000  # the view holds it
        del view
        assert live.now == 4000
        torch.zeros(500)
    assert live.peak == 8000
    assert live.now == 4000
    del one


@pytest.fixture
def stepper():
    task = SpeakerTask(from_dict(SpeakerOptions, SIZES, "test"), seed=3)
    return Stepper(task, TrainOptions(batch_size=8, device="cpu"), Group(0, 1, CPU))


def test_the_bytes_of_many_are_foreseen_from_those_of_two(stepper):
    probe = Probe(stepper.rehearse, CPU, 0, max_memory=1)
    assert probe(6)
    with LiveBytes() as live:
        stepper.rehearse(6)
    assert live.peak <= probe.bytes < 1.5 * live.peak  # the features of many are made in pieces


def test_the_rehearsal_changes_nothing(stepper):
    before = {k: v.clone() for k, v in stepper.model.state_dict().items()}
    stepper.rehearse(2)
    assert all(torch.equal(v, before[k]) for k, v in stepper.model.state_dict().items())
    assert all(p.grad is None for p in stepper.model.parameters())
    assert stepper.take() == ({}, 0.0)


def test_the_largest_batch_has_whole_crops_and_as_many_labels_as_queries_allow(stepper):
    batch = stepper.task.largest(2)
    assert batch.waveforms.shape == (2, 48000)
    assert batch.num_speakers == [3, 3]
    assert not batch.unpadded


def test_moments_to_come_are_counted_once(stepper):
    weights = sum(p.nbytes for p in stepper.model.parameters())
    assert stepper.bytes_to_come() == 2 * weights
    batch = stepper.task.largest(1)
    stepper.run(0, [batch])
    assert stepper.bytes_to_come() == 0


def toy_bytes(toy, examples):
    task = toy.ToyTask()
    model = Stepper(task, TrainOptions(device="cpu"), Group(0, 1, CPU))
    probe = Probe(model.rehearse, CPU, model.bytes_to_come(), max_memory=1)
    assert probe(examples)
    return probe.bytes


def test_a_budget_gives_the_weights_of_the_whole_batch(toy, options, weights, tmp_path, capsys):
    """Room for three of eight examples: micro-batches of two, and the result of one of eight."""
    limit = toy_bytes(toy, 3) / 1e9
    auto = options(accumulation="auto", max_memory=limit)
    trainer = Trainer(toy.ToyTask(), auto, tmp_path / "auto")
    assert trainer.run() == 0
    assert trainer.progress.parts == 4
    assert "accumulation auto: 4 micro-batches of up to 2 examples" in capsys.readouterr().err
    assert Trainer(toy.ToyTask(), options(), tmp_path / "one").run() == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "auto")
    assert all(torch.allclose(one[key], two[key], rtol=0, atol=1e-6) for key in one)


def test_with_dropout_the_result_is_that_of_the_same_number_set_by_hand(
    toy, options, weights, tmp_path
):
    limit = toy_bytes(toy, 3) / 1e9
    auto = options(accumulation="auto", max_memory=limit)
    Trainer(toy.ToyTask(dropout=0.5), auto, tmp_path / "auto").run()
    Trainer(toy.ToyTask(dropout=0.5), options(accumulation=4), tmp_path / "four").run()
    one, two = weights(tmp_path / "four"), weights(tmp_path / "auto")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_resumed_with_more_memory_the_split_and_the_bits_stay(toy, options, weights, tmp_path):
    limit = toy_bytes(toy, 3) / 1e9
    plan = {"accumulation": "auto", "save_interval": 1}
    whole = options(max_memory=limit, **plan)
    Trainer(toy.ToyTask(dropout=0.5), whole, tmp_path / "whole").run()
    half = dataclasses.replace(whole, max_seconds=1e-9)
    Trainer(toy.ToyTask(dropout=0.5), half, tmp_path / "cut").run()
    again = Trainer(toy.ToyTask(dropout=0.5), options(max_memory=1.0, **plan), tmp_path / "cut")
    again.run()
    assert again.progress.parts == 4
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_it_is_no_part_of_the_fingerprint():
    auto = TrainOptions(accumulation="auto", max_memory=3.0)
    assert fingerprint(auto) == fingerprint(TrainOptions(accumulation=4))


def test_auto_in_yaml_and_what_is_none():
    assert from_dict(TrainOptions, {"accumulation": "auto"}, "train").accumulation == "auto"
    assert from_dict(TrainOptions, {"accumulation": 3}, "train").accumulation == 3
    for bad in ("many", 0, 1.5):
        with pytest.raises(DiarizeError, match="accumulation"):
            from_dict(TrainOptions, {"accumulation": bad}, "train")


def test_out_of_memory_in_a_step_says_what_to_set(toy, options, tmp_path):
    task = toy.ToyTask()

    def loss(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    task.loss = loss
    with pytest.raises(DiarizeError) as caught:
        Trainer(task, options(accumulation=2), tmp_path).run()
    for word in ("training step 1", "train.accumulation 2", "set it to 4", "2.00 GiB"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_processes_agree(start_toy, toy, options, weights, tmp_path):
    limit = toy_bytes(toy, 3) / 1e9
    plan = {"steps": 8, "batch_size": 8, "log_interval": 2, "accumulation": "auto",
            "max_memory": limit}  # fmt: skip
    process = start_toy(tmp_path / "two", plan, ranks=2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "micro-batches of up to " in err
    last = json.loads((tmp_path / "two/train_log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 8
