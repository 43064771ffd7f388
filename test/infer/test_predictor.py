"""Recordings whole, in windows and in batches, with models of which the output is known."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diarize.errors import DiarizeError
from diarize.features.logmel import LogMelOptions
from diarize.infer.config import NetworkOptions, override_network
from diarize.infer.loader import make_predictor
from diarize.infer.memory import Sizes
from diarize.infer.postprocess import SPEAKER, PostprocessOptions
from diarize.infer.predictor import Predictor
from diarize.infer.recording import Recording
from diarize.infer.run import plan_batches, predict_all
from diarize.io.audio import AudioSource, write_wav
from diarize.models.eend_eda import EdaEncoderOptions, EendEda, EendEdaOptions
from diarize.models.eend_m2f import BackboneOptions, DecoderOptions, EendM2f, EendM2fOptions
from diarize.models.sage_ld import EncoderOptions, SageLd, SageLdOptions
from diarize.nn.outputs import Encoded, Queries
from diarize.timebase import FrameGrid


def decided(processor, *arguments):
    """Return the segments of a decision."""
    return [turn.segment for turn in processor.decide(*arguments).turns]

HOP = 160
SPEAKERS = 4


class Front(nn.Module):
    """Reads who speaks off the samples: bit s of 16 x amplitude is speaker s."""

    output_dim = SPEAKERS

    def open_recording(self, samples):
        whole = torch.cat(list(samples.blocks()))
        bits = (16 * whole[HOP // 2 :: HOP]).round().long()
        frames = ((bits[:, None] >> torch.arange(SPEAKERS)) & 1).float() * 2 - 1
        return lambda first, last: frames[None, first:last]


class Oracle(nn.Module):
    """A network that knows who speaks, but gives each window's speakers other queries."""

    factor = 10

    def __init__(self):
        super().__init__()
        self.features = Front()
        self.windows = []

    def encode(self, features, lengths=None):
        self.windows.append(features.shape[1])
        return Encoded(features, features.shape[1])

    def refine(self, encoded):
        order = torch.randperm(SPEAKERS)
        heard = (encoded.memory[0] > 0).any(0)[order]
        return (
            Queries(20 * torch.eye(SPEAKERS)[order][None], (heard * 8.0 - 4.0)[None]),
            encoded.memory[:, ::10],
        )

    def frames(self, encoded, first, last):
        return encoded.memory[:, first:last]


SIZES = Sizes(SPEAKERS, True, 10, 4, 4, SPEAKERS, 64)


def oracle(**options):
    torch.manual_seed(1)
    options = NetworkOptions(min_queries=0, device="cpu", **options)
    return Predictor(Oracle(), FrameGrid(), torch.device("cpu"), False, SIZES, options)


@pytest.fixture(scope="module")
def conversation(tmp_path_factory):
    """Twenty minutes of turns, some with overlap; speaker 3 is silent for the middle half."""
    rng = np.random.default_rng(0)
    frames = np.zeros((120_000, SPEAKERS), dtype=int)
    at = 0
    while at < len(frames):
        middle = 30_000 < at < 90_000
        speaker = rng.integers(3 if middle else 4)
        length = rng.integers(100, 800)
        frames[at : at + length, speaker] = 1
        if rng.random() < 0.2:
            frames[at : at + 150, rng.integers(3)] = 1
        at += length + rng.integers(0, 100)
    samples = np.repeat((frames << np.arange(SPEAKERS)).sum(1) / 16, HOP).astype(np.float32)
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    write_wav(path, samples, 16000)
    return path


def segments(posteriors):
    options = PostprocessOptions()
    return decided(SPEAKER, posteriors.masks, posteriors.activities, "r", options, FrameGrid())


@pytest.mark.parametrize(("window", "overlap"), [(300, 30), (120, 20)])
def test_windows_give_what_the_whole_gives(conversation, window, overlap):
    """Also who comes back after minutes of silence is called as before."""
    with ThreadPoolExecutor(2) as pool:
        whole = oracle()
        one = whole.predict(Recording("r", str(conversation), FrameGrid(), pool))
        cut = oracle(max_whole=window, window=window, overlap=overlap)
        many = cut.predict(Recording("r", str(conversation), FrameGrid(), pool))
    assert whole.model.windows == [120_000]
    assert len(cut.model.windows) >= 1200 / window
    assert max(cut.model.windows) <= 100 * window + 10
    assert many.masks.shape == one.masks.shape == (120_000, SPEAKERS)
    assert segments(many) == segments(one)
    assert len({s.label for s in segments(one)}) == SPEAKERS


def test_memory_decides_between_whole_and_windows(conversation):
    recording = Recording("r", str(conversation), FrameGrid())
    free = oracle(window=300.0)
    assert free.windows(recording) == [(0, 120_000)]
    need = free.predicted_bytes(recording)
    tight = oracle(window=300.0)
    tight.limit = need - 1
    windows = tight.windows(recording)
    assert len(windows) > 1
    assert free.predicted_bytes(recording, windows[0][1]) <= tight.limit
    tight.limit = tight.base_bytes
    with pytest.raises(DiarizeError, match="recording r: 0.3 h need .* max_memory"):
        tight.windows(recording)


def models():
    torch.manual_seed(0)
    small = {"layers": 2, "heads": 2, "ff_dim": 32}
    yield "speaker", EendM2f(EendM2fOptions(
        backbone=BackboneOptions(dim=16, kernel=7, dropout=0.0, **small),
        decoder=DecoderOptions(queries=5, **small),
    ))
    for kind in ("transformer", "conformer"):
        yield kind, EendEda(EendEdaOptions(
            encoder=EdaEncoderOptions(kind, dim=16, kernel=7, dropout=0.0, **small),
            max_speakers=5,
        ))
    for front in ("log_mel", "ssl_conv"):
        yield front, SageLd(SageLdOptions(
            front_end=front, log_mel=LogMelOptions(hop_ms=20.0, num_mels=10, stack=2),
            encoder=EncoderOptions(dim=16, kernel=7, dropout=0.0, **small),
            decoder=DecoderOptions(queries=4, **small), languages=["eng", "hin"],
        ))


@pytest.mark.parametrize(
    "name", ["speaker", "transformer", "conformer", "log_mel", "ssl_conv"]
)
def test_batches_and_streams_give_what_the_model_gives(name, tmp_path, monkeypatch):
    """In pieces of any size, alone, or padded behind others: the same to 1e-5."""
    monkeypatch.setattr("diarize.nn.pieces.CPU_PIECE", 37)
    monkeypatch.setattr("diarize.infer.loader.CPU_PIECE", 37)
    monkeypatch.setattr("diarize.infer.recording.BLOCK_SECONDS", 1)
    model = dict(models())[name].eval()
    rng = np.random.default_rng(0)
    waves = {f"r{i}": 0.1 * rng.standard_normal(n) for i, n in enumerate((40000, 60123, 33001))}
    for key, wave in waves.items():
        write_wav(tmp_path / f"{key}.wav", wave, 16000)
    sources = {key: AudioSource(str(tmp_path / f"{key}.wav")) for key in waves}
    grid, found = model.grid, []
    for seconds in (0.0, 100.0):
        options = NetworkOptions(device="cpu", batch_seconds=seconds)
        results = predict_all(make_predictor(model, grid, options), sources)
        found.append({recording.name: p for recording, p in results})
    assert list(found[0]) == ["r0", "r1", "r2"]
    for key, source in sources.items():
        wave = torch.from_numpy(Recording(key, source, grid).all_samples())
        with torch.no_grad():
            out = model(wave[None], torch.tensor([len(wave)])).last()
        activity = out.activity_logits[0, 0].sigmoid().numpy()
        masks = out.mask_logits()[0, 0].sigmoid().numpy()
        fixed = getattr(model, "fixed_queries", 0)
        order = [*range(fixed), *(fixed + np.argsort(-activity[fixed:], kind="stable"))]
        for results in found:
            np.testing.assert_allclose(results[key].activities, activity[order], atol=1e-5)
            np.testing.assert_allclose(results[key].masks, masks[:, order], atol=1e-5)
            if fixed:
                names = out.label_logits[0, 0].softmax(-1).numpy()[order]
                np.testing.assert_allclose(results[key].language_probs, names, atol=1e-5)


def test_languages_go_in_windows_too(tmp_path):
    """The VAD slot stays first, and nothing is lost at the seams."""
    model = dict(models())["log_mel"].eval()
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000 * 30).astype(np.float32)
    options = NetworkOptions(device="cpu", max_whole=12, window=12, overlap=3)
    predictor = make_predictor(model, model.grid, options)
    found = predictor(wave)
    assert len(predictor.passes) == 3
    whole = make_predictor(model, model.grid, NetworkOptions(device="cpu"))(wave)
    assert found.masks.shape[0] == len(whole.masks) == 1500
    assert found.language_probs.shape == (found.masks.shape[1], 2)
    # With weights that are random a window differs from the whole, but not by much.
    np.testing.assert_allclose(found.masks[:, 0], whole.masks[:, 0], atol=0.1)


def test_batches_are_of_like_lengths_and_bounded():
    rng = np.random.default_rng(0)
    seconds = rng.uniform(1, 400, 200).tolist()
    batches = plan_batches(seconds, 300.0)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(seconds[i] for i in batch) <= 300
    assert len(batches) < 160


def test_the_command_line_sets_window_and_whole_alike():
    options = override_network(NetworkOptions(), "cpu", 2.5, 40.0)
    assert (options.max_whole, options.window, options.overlap) == (40.0, 40.0, 10.0)
    assert (options.device, options.max_memory) == ("cpu", 2.5)
    assert override_network(NetworkOptions(), None, None, None) == NetworkOptions()
    with pytest.raises(DiarizeError, match="overlap"):
        NetworkOptions(overlap=1000.0)
    with pytest.raises(DiarizeError, match="max_whole"):
        NetworkOptions(max_whole=60.0)


MEASURE = """
import sys, torch
from diarize.infer.config import NetworkOptions
from diarize.infer.loader import make_predictor
from diarize.infer.memory import peak_bytes
from diarize.infer.recording import Recording
from diarize.models.eend_eda import EdaEncoderOptions, EendEda, EendEdaOptions
from diarize.models.eend_m2f import *
model = EendM2f(EendM2fOptions(
    backbone=BackboneOptions(dim=128, layers=1, heads=1, ff_dim=256, kernel=7),
    decoder=DecoderOptions(queries=20, layers=1, heads=1, ff_dim=64)))
base = 0
for path, window in zip(sys.argv[1::2], map(float, sys.argv[2::2])):
    options = NetworkOptions(device="cpu", min_activity=0.0, max_whole=window, window=window,
                             overlap=30)
    predictor = make_predictor(model, model.grid, options)
    base = predictor.base_bytes = base or predictor.base_bytes
    predictor.predict(Recording("r", path, model.grid))
    print(base, predictor.foreseen, peak_bytes(), len(predictor.passes))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measured by /proc")
def test_memory_is_what_the_formula_says(tmp_path):
    """Not more than foreseen, and not much less; windows need less than the whole."""
    for minutes in (1, 30):
        write_wav(tmp_path / f"{minutes}.wav", np.zeros(960_000 * minutes, np.float32), 16000)
    short, long = str(tmp_path / "1.wav"), str(tmp_path / "30.wav")
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", MEASURE, short, "3600", long, "240", long, "3600"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    rows = [tuple(map(int, line.split())) for line in out.splitlines()]
    assert [passes for *_, passes in rows] == [1, 9, 1]
    for base, foreseen, peak, _ in rows:
        assert base < peak <= foreseen
    (_, at_first, used_first, _), (_, _, windowed, _), (_, at_last, used_last, _) = rows
    assert windowed < used_last
    assert used_last - used_first >= 0.6 * (at_last - at_first)
