"""The language task: its labels, a batch learnt by heart, validation, weights, bad data."""

import numpy as np
import pytest
import torch

from diarize.data.languages import VAD, make_language_example
from diarize.errors import DiarizeError
from diarize.features.ssl_conv import SslConv, SslConvOptions
from diarize.io.audio import write_wav
from diarize.models.eend_m2f import DecoderOptions
from diarize.models.sage_ld import EncoderOptions, SageLdOptions
from diarize.segments import Segment, merge_segments
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.registry import config_mapping, parse_config
from diarize.tasks.validation import ValidOptions
from diarize.timebase import FrameGrid

GRID = FrameGrid(16000, 320)
PITCH = {"eng": 300.0, "hin": 700.0, "swa": 1600.0}


def small(**options):
    return SageLdOptions(
        front_end="log_mel",
        encoder=EncoderOptions(dim=32, layers=1, heads=2, ff_dim=64, kernel=7, dropout=0.0),
        decoder=DecoderOptions(queries=5, layers=2, heads=2, ff_dim=64),
        **options,
    )


def speech(seed, languages, seconds=4.0):
    """Languages as tones that take turns of 0.2 to 0.6 s, with pauses; (waveform, segments)."""
    rng = np.random.default_rng(seed)
    wave = 0.003 * rng.standard_normal(round(seconds * 16000))
    segments, time = [], 0.1
    while time < seconds - 0.7:
        name = languages[rng.integers(len(languages))] if len(segments) >= len(languages) else (
            languages[len(segments)]
        )
        end = time + 0.2 + 0.4 * rng.random()
        spot = slice(round(time * 16000), round(end * 16000))
        clock = np.arange(spot.stop - spot.start) / 16000
        wave[spot] += 0.2 * np.sin(2 * np.pi * PITCH[name] * clock)
        segments.append(Segment(f"r{seed}", time, end, name))
        time = end + 0.3 * (rng.random() < 0.5)
    return wave.astype(np.float32), merge_segments(segments)


def example(*arguments):
    wave, segments = speech(*arguments)
    return make_language_example(f"r{arguments[0]}", wave, segments, GRID)


def test_slots_are_vad_matrix_and_embedded():
    segments = [
        Segment("r", 0.0, 0.2, "swa"), Segment("r", 0.2, 0.6, "eng"), Segment("r", 0.8, 1.0, "hin"),
        Segment("r", 0.5, 0.7, "hin"),
    ]  # fmt: skip
    found = make_language_example("r", np.zeros(16000), segments, GRID)
    # eng and hin have 20 frames each: the first by name is the matrix, and keeps the overlap.
    assert found.labels == (VAD, "eng", "hin", "swa")
    assert found.activity.shape == (50, 4)
    spans = [np.flatnonzero(column).tolist() for column in found.activity.T]
    assert spans[1] == list(range(10, 30))
    assert spans[2] == [*range(30, 35), *range(40, 50)]
    assert spans[3] == list(range(10))
    assert spans[0] == sorted(spans[1] + spans[2] + spans[3])
    silent = make_language_example("r", np.zeros(16000), [], GRID)
    assert silent.labels == (VAD,)
    assert silent.activity.shape == (50, 1)
    assert not silent.activity.any()


def test_a_language_that_loses_all_its_frames_is_no_slot():
    segments = [Segment("r", 0.0, 1.0, "eng"), Segment("r", 0.2, 0.4, "hin")]
    assert make_language_example("r", np.zeros(16000), segments, GRID).labels == (VAD, "eng")


def test_one_batch_is_learnt_by_heart():
    """Masks, VAD, activities and names of a batch that is shown again and again."""
    valid = ValidOptions(query_thresholds=[0.8])
    task = LanguageTask(LanguageOptions(small(languages=["eng", "hin"]), valid=valid), seed=1)
    batch = task.collate([
        example(0, ["eng", "hin"]), example(1, ["hin"], 3.0), example(2, ["swa", "eng", "hin"]),
        make_language_example("r3", 0.003 * np.random.default_rng(3).standard_normal(32000), [],
                              GRID),
    ])
    assert batch.label_ids[1].tolist() == [-1, 1, -1, -1]
    assert sorted(batch.label_ids[2].tolist()) == [-1, -1, 0, 1]  # swa has no name
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=3e-3, weight_decay=0.0)
    normalizers = task.normalizers(batch)
    error = named = 1.0
    for step in range(1, 501):
        loss, _ = task.loss(task.model, batch, normalizers)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            error, named = errors(task, batch)
            if error < 0.02 and named < 0.02:
                break
    assert error < 0.02
    assert named < 0.02


def errors(task, batch):
    """Part of wrong frames; part of frames of known languages that have another name."""
    scored, *wrong, _, right = task.count_errors(task.model, batch, torch.device("cpu"))[0]
    known = ((batch.targets > 0.5) & (batch.label_ids[:, None] >= 0)).sum()
    return sum(wrong) / scored, 1 - right / float(known)


@pytest.fixture
def data_dir(tmp_path):
    """Three recordings with the languages in segments and utt2lang."""
    folder = tmp_path / "data"
    folder.mkdir()
    files = {"wav.scp": [], "segments": [], "utt2lang": [], "utt2spk": []}
    for i in range(3):
        wave, segments = speech(i, ["eng", "swa"] if i else ["hin"], 2.0 + i)
        write_wav(tmp_path / f"r{i}.wav", wave, 16000)
        files["wav.scp"].append(f"r{i} {tmp_path}/r{i}.wav")
        for number, s in enumerate(segments):
            key = f"r{i}-{number:03d}"
            files["segments"].append(f"{key} r{i} {s.start:.3f} {s.end:.3f}")
            files["utt2lang"].append(f"{key} {s.label}")
            files["utt2spk"].append(f"{key} {key}")
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_validation_does_not_depend_on_batches_or_ranks(data_dir):
    sums = []
    for batch_seconds, world in ((1.0, 1), (100.0, 1), (100.0, 2)):
        options = LanguageOptions(
            model=small(languages=["eng", "hin"]),
            valid=ValidOptions(query_thresholds=[0.0, 0.3, 0.5], batch_seconds=batch_seconds),
        )
        task = LanguageTask(options, seed=3)
        task.load_data([str(data_dir)], str(data_dir))
        task.model.eval()
        parts = [task.validate(task.model, torch.device("cpu"), r, world) for r in range(world)]
        sums.append({k: sum(p[k] for p in parts) for k in parts[0]})
    for other in sums[1:]:
        assert sums[0].keys() == other.keys()
        for key, value in sums[0].items():
            torch.testing.assert_close(value, other[key])
    summary = task.summarize(sums[0])
    assert summary["der"] == pytest.approx(summary["miss"] + summary["fa"] + summary["conf"])
    assert summary["named_der"] >= summary["miss"] + summary["fa"]


def test_examples_come_from_utt2lang(data_dir):
    task = LanguageTask(LanguageOptions(model=small()))
    task.load_data([str(data_dir)], str(data_dir))
    found = {e.name: e.labels for e in (task.example(i) for i in range(3))}
    assert found["r0"] == (VAD, "hin")
    assert set(found["r1"]) == {VAD, "eng", "swa"}


def test_bad_data_are_told(data_dir):
    def load():
        LanguageTask(LanguageOptions(model=small())).load_data([str(data_dir)], None)

    lines = (data_dir / "utt2lang").read_text().splitlines(keepends=True)
    (data_dir / "utt2lang").write_text("".join(lines[:-1]))
    with pytest.raises(DiarizeError, match=r"segments:\d+: r2-\d+ is not in .*utt2lang"):
        load()
    (data_dir / "utt2lang").unlink()
    with pytest.raises(DiarizeError, match="no reference: .* segments with utt2lang"):
        load()
    (data_dir / "utt2lang").write_text("".join(lines))
    (data_dir / "rttm").write_text("SPEAKER r1 1 0.1 1 <NA> <NA> ann <NA> <NA>\n")
    with pytest.raises(DiarizeError, match=r"rttm: recording r1: ann is not a language"):
        load()


def test_frozen_layers_that_nobody_filled_end_the_training():
    sizes = {name: value for name, value in vars(small()).items() if name != "front_end"}
    model = SageLdOptions(**{**sizes, "ssl_conv": SslConvOptions(weights="init")})
    task = LanguageTask(LanguageOptions(model=model))
    batch = task.collate([example(0, ["eng"], 1.0)])
    with pytest.raises(DiarizeError, match="'weights: init' requires --init-model"):
        task.loss(task.model, batch, task.normalizers(batch))
    task.model.features.load_state_dict(SslConv(SslConvOptions()).state_dict())
    loss, _ = task.loss(task.model, batch, task.normalizers(batch))
    loss.backward()
    assert all(p.grad is None for p in task.model.features.parameters())


def test_configurations_survive_the_round_trip():
    mapping = {"task": "language", "model": {"ssl_conv": {"pooling": 5}, "languages": ["eng"]}}
    config = parse_config(mapping, "here")
    assert config.options.data.crop_seconds == 20.0
    assert config.options.model.decoder.queries == 5
    assert parse_config(config_mapping(config), "again") == config
    with pytest.raises(DiarizeError, match="pooling: 7 is none of 1, 5, 10"):
        parse_config({"task": "language", "model": {"ssl_conv": {"pooling": 7}}}, "here")
    with pytest.raises(DiarizeError, match=r"here: criterion: unknown key 'bce'"):
        parse_config({"task": "language", "criterion": {"bce": 1}}, "here")


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = LanguageTask(LanguageOptions(model=small()), seed=1).model.state_dict()
    torch.manual_seed(6)
    other = LanguageTask(LanguageOptions(model=small()), seed=1).model.state_dict()
    assert all(torch.equal(one[k], other[k]) for k in one)
