"""The speaker task: a batch can be learnt by heart, validation counts what it should."""

import numpy as np
import pytest
import torch

from diarize.data.examples import Example
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.models.eend_m2f import BackboneOptions, DecoderOptions, EendM2fOptions
from diarize.tasks.registry import build_task, config_mapping, parse_config
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.tasks.validation import ValidOptions

SMALL = EendM2fOptions(
    backbone=BackboneOptions(dim=32, layers=1, heads=2, ff_dim=64, kernel=7, dropout=0.0),
    decoder=DecoderOptions(queries=6, layers=2, heads=2, ff_dim=64),
)


def tones(seed, seconds=4.0, speakers=2):
    """Speakers as tones of their own that come and go."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * 100)
    activity = np.zeros((frames, speakers), bool)
    for s in range(speakers):
        for start in rng.integers(0, frames - 60, 2):
            activity[start : start + 60, s] = True
    samples = np.repeat(activity, 160, axis=0)
    time = np.arange(len(samples)) / 16000
    pitch = 300.0 * 2.0 ** (2 * np.arange(speakers) + rng.random())
    wave = sum(samples[:, s] * np.sin(2 * np.pi * pitch[s] * time) for s in range(speakers))
    wave = 0.2 * wave + 0.003 * rng.standard_normal(len(samples))
    return Example(f"tone{seed}", wave.astype(np.float32), activity)


def test_one_batch_is_learnt_by_heart():
    """DER under 1 % on a batch that is shown again and again."""
    valid = ValidOptions(query_thresholds=[0.8])
    task = SpeakerTask(SpeakerOptions(model=SMALL, valid=valid), seed=1)
    batch = task.collate([tones(0), tones(1, 3.0, 1), tones(2, 4.0, 3)])
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=3e-3, weight_decay=0.0)
    normalizers = task.normalizers(batch)
    der = 1.0
    for step in range(1, 501):
        loss, _ = task.loss(task.model, batch, normalizers)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            scored, *wrong, _ = task.count_errors(task.model, batch, torch.device("cpu"))[0]
            der = sum(wrong) / scored
            if der < 0.01:
                break
    assert der < 0.01


@pytest.fixture
def valid_dir(tmp_path):
    folder = tmp_path / "valid"
    folder.mkdir()
    scp, rttm = [], []
    for i in range(3):
        example = tones(i, 2.0 + i, 2)
        write_wav(tmp_path / f"r{i}.wav", example.waveform, 16000)
        scp.append(f"r{i} {tmp_path}/r{i}.wav\n")
        for s in range(2):
            frames = np.flatnonzero(np.diff(np.pad(example.activity[:, s].astype(int), 1)))
            for a, b in frames.reshape(-1, 2):
                times = f"{a / 100:.2f} {(b - a) / 100:.2f}"
                rttm.append(f"SPEAKER r{i} 1 {times} <NA> <NA> s{s} <NA> <NA>\n")
    (folder / "wav.scp").write_text("".join(scp))
    (folder / "rttm").write_text("".join(rttm))
    return str(folder)


def test_validation_does_not_depend_on_batches_or_ranks(valid_dir):
    sums = []
    for batch_seconds, world in ((1.0, 1), (100.0, 1), (100.0, 2)):
        mapping = {"model": {}, "valid": {"batch_seconds": batch_seconds}}
        config = parse_config(mapping, "test")
        task = SpeakerTask(
            SpeakerOptions(model=SMALL, valid=config.options.valid), seed=3
        )
        task.load_data([valid_dir], valid_dir)
        task.model.eval()
        parts = [task.validate(task.model, torch.device("cpu"), r, world) for r in range(world)]
        sums.append({k: sum(p[k] for p in parts) for k in parts[0]})
    for other in sums[1:]:
        for key, value in sums[0].items():
            torch.testing.assert_close(value, other[key])
    assert sums[0]["recordings"] == 3
    summary = task.summarize(sums[0])
    assert summary["der"] == pytest.approx(summary["miss"] + summary["fa"] + summary["conf"])


def test_a_missing_validation_file_is_told_before_training(valid_dir, tmp_path):
    (tmp_path / "r1.wav").unlink()
    task = SpeakerTask(SpeakerOptions(model=SMALL))
    with pytest.raises(DiarizeError, match=r"recording r1: .*r1.wav"):
        task.load_data([valid_dir], valid_dir)


def test_summarize_takes_the_best_query_threshold():
    task = SpeakerTask(SpeakerOptions(model=SMALL))
    stats = torch.tensor([[100.0, 1, 50, 3], [100, 2, 5, 3], [100, 60, 0, 1], [100, 9, 9, 9],
                          [100, 90, 0, 0]], dtype=torch.float64)
    sums = {"stats": stats, "counted": torch.tensor([0.0, 3, 1, 0, 0]),
            "recordings": torch.tensor(4.0)}
    assert task.summarize(sums) == pytest.approx(
        {"der": 10.0, "miss": 2.0, "fa": 5.0, "conf": 3.0,
         "query_threshold": 0.5, "count_acc": 75.0}
    )


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = SpeakerTask(SpeakerOptions(model=SMALL), seed=1).model.state_dict()
    torch.manual_seed(6)
    other = SpeakerTask(SpeakerOptions(model=SMALL), seed=1).model.state_dict()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_configurations_survive_the_round_trip():
    config = parse_config({"task": "speaker", "criterion": {"dice": 0}}, "here")
    assert parse_config(config_mapping(config), "again") == config
    assert build_task(config).criterion.options.dice == 0.0
    with pytest.raises(DiarizeError, match="here: unknown task 'speach'"):
        parse_config({"task": "speach"}, "here")
    with pytest.raises(DiarizeError, match=r"here: unknown key .criterium.; did"):
        parse_config({"criterium": {}}, "here")
    with pytest.raises(DiarizeError, match=r"up_strides .* do not undo"):
        parse_config({"model": {"backbone": {"down_factor": 8}}}, "here")
