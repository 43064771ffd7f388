"""The task of EEND-EDA: it learns, its examples have an order, faults are named."""

import numpy as np
import pytest
import torch

from diarize.config import from_dict
from diarize.data.examples import Example
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.tasks.registry import build_task, config_mapping, parse_config
from diarize.tasks.speaker import EdaOptions, EdaTask
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

SIZES = {
    "model": {
        "encoder": {"dim": 32, "layers": 2, "heads": 2, "ff_dim": 64, "dropout": 0.0},
        "max_speakers": 4,
    },
    "data": {"crop_seconds": 2.0},
    "valid": {"query_thresholds": [0.5]},
}


def make(seed=1, **model):
    sizes = {**SIZES, "model": {**SIZES["model"], **model}}
    return EdaTask(from_dict(EdaOptions, sizes, "test"), seed=seed)


def tones(seed, seconds, speakers):
    """Speakers as tones of their own that come and go, on frames of 100 ms."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * 10)
    activity = rng.random((frames // 5, speakers)).repeat(5, axis=0) < 0.5
    activity[:5] = False
    for s in range(speakers):
        activity[5 * s + 5 : 5 * s + 10, s] = True
    samples = activity.repeat(1600, axis=0)
    time = np.arange(len(samples)) / 16000
    wave = sum(samples[:, s] * np.sin(600.0 * 3**s * np.pi * time) for s in range(speakers))
    noise = 0.003 * rng.standard_normal(len(samples))
    order = rng.permutation(frames)
    return Example(f"tone{seed}", (0.2 * wave + noise).astype("f4"), activity, order=order)


@pytest.mark.parametrize("kind", ["transformer", "conformer"])
def test_one_batch_is_learnt_by_heart(kind):
    """DER under 1 % on a batch that is shown again and again, with the right counts."""
    task = make(encoder={**SIZES["model"]["encoder"], "type": kind, "kernel": 7})
    batch = task.collate([tones(0, 4.0, 2), tones(1, 3.0, 1), tones(2, 4.0, 3)])
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=3e-3, weight_decay=0.0)
    normalizers = task.normalizers(batch)
    best = (1.0, 0)
    for step in range(1, 601):
        loss, _ = task.loss(task.model.train(), batch, normalizers)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            model = task.model.eval()
            scored, *wrong, right = task.count_errors(model, batch, torch.device("cpu"))[0]
            best = min(best, (sum(wrong) / scored, -int(right)))
            if best < (0.01, -2):
                break
    assert best[0] < 0.01
    assert best[1] == -3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two recordings of noise; one has five speakers in its first second."""
    root = tmp_path_factory.mktemp("eda")
    rng = np.random.default_rng(1)
    scp, rttm = [], []
    for name, seconds, labels in (("r0", 3.04, "ABC"), ("r1", 1.26, "AB")):
        write_wav(root / f"{name}.wav", 0.1 * rng.standard_normal(round(16000 * seconds)), 16000)
        scp.append(f"{name} {root}/{name}.wav\n")
        rttm += [f"SPEAKER {name} 1 0.{i}00 0.900 <NA> <NA> {x} <NA> <NA>\n"
                 for i, x in enumerate(labels)]  # fmt: skip
    (root / "wav.scp").write_text("".join(scp))
    (root / "rttm").write_text("".join(rttm))
    return str(root)


def test_the_order_is_a_function_of_the_seed_and_the_number_of_the_example(data):
    one, two, other = make(), make(), make(seed=2)
    for task in (one, two, other):
        task.load_data([data], None)
    orders = [one.example(i).order.tolist() for i in range(4)]
    assert [two.example(i).order.tolist() for i in (3, 2, 1, 0)] == orders[::-1]
    for order in orders:
        assert sorted(order) == list(range(len(order))) != order
    assert [other.example(i).order.tolist() for i in range(4)] != orders


def test_the_batch_does_not_change_the_loss_of_an_example(data):
    task = make()
    task.load_data([data], None)
    examples = [task.example(i) for i in range(6)]
    assert len({len(e.activity) for e in examples}) > 1
    parts = []
    for rows in ([0, 1, 2, 3, 4, 5], [5, 0, 3], [1], [2, 4]):
        batch = task.collate([examples[i] for i in rows])
        parts.append(task.loss(task.model, batch, torch.ones(2, dtype=torch.float64))[0].item())
    assert parts[0] == pytest.approx(sum(parts[1:]), rel=1e-5)
    batch = task.collate(examples)
    assert batch.to("cpu").order is not None
    for row, count, example in zip(batch.order, batch.num_frames, examples, strict=True):
        assert row[:count].tolist() == example.order.tolist()
        assert row[count:].tolist() == list(range(count, len(row)))


def test_more_speakers_than_attractors_are_named(data):
    task = make(max_speakers=2)
    with pytest.raises(DiarizeError, match=r"r0.*3 speakers.*model\.max_speakers"):
        task.load_data([data], None)
    task = make(max_speakers=2)
    task.load_data([data], None, skip_bad=1)
    assert task.left_out == [["r0"]]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointing_and_bf16_give_nearly_the_same_loss(data, precision):
    found = []
    for checkpointing in (False, True):
        task = make()
        task.load_data([data], None)
        options = TrainOptions(device="cpu", precision=precision, batch_size=3,
                               gradient_checkpointing=checkpointing)  # fmt: skip
        stepper = Stepper(task, options, Group(0, 1, torch.device("cpu")))
        batch = task.collate([task.example(i) for i in range(3)])
        loss, _ = task.loss(stepper.forward, batch, task.normalizers(batch))
        found.append(loss.item())
        plain = task.loss(task.model, batch, task.normalizers(batch))[0]
        assert loss.item() == pytest.approx(plain.item(), rel=0.02)
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("model", ["eend_eda", {"name": "eend_eda", "max_speakers": 15}])
def test_the_model_is_chosen_by_its_name(model):
    config = parse_config({"model": model}, "test")
    assert config.options == EdaOptions()
    assert parse_config(config_mapping(config), "again") == config
    assert type(build_task(config)) is EdaTask


@pytest.mark.parametrize("model", ["eend_edaa", {"name": "sage_ld"}, {"name": 3}])
def test_an_unknown_model_is_an_error(model):
    with pytest.raises(DiarizeError, match=r"conf\.yaml: model: .*known: eend_m2f, eend_eda"):
        parse_config({"model": model}, "conf.yaml")


def test_options_of_the_other_model_are_an_error():
    with pytest.raises(DiarizeError, match="unknown key 'backbone'"):
        parse_config({"model": {"name": "eend_eda", "backbone": {}}}, "conf.yaml")
    with pytest.raises(DiarizeError, match="unknown key 'dice'"):
        parse_config({"model": "eend_eda", "criterion": {"dice": 1.0}}, "conf.yaml")
