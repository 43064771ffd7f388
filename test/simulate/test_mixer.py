"""Mixtures from the arena: those of the slow reference, whatever window, process or order."""

import json
import multiprocessing

import numpy as np
import pytest
import soundfile
import torch

from diarize.config import from_dict
from diarize.data.crops import CropOptions, RandomCrops
from diarize.data.sources import open_source
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer, fft_size, overlap_save
from diarize.simulate.mix.store import StoreOptions
from diarize.simulate.render import render
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.timebase import FrameGrid

RATE = 16000


def noise(seconds, seed, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(int(RATE * seconds))).astype("f4")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Utterances, two rooms (one with sound before its peak), noises short and long."""
    root = tmp_path_factory.mktemp("files")
    for i in range(6):
        write_wav(root / f"u{i}.wav", noise(0.4 + 0.3 * i, i), RATE)
    write_wav(root / "silence.wav", np.zeros(4000), RATE)
    for name, delay, length in (("bare", 0, 3000), ("early", 70, 9000)):
        room = noise(length / RATE, length, 1.0) * np.exp(-np.arange(length) / 600)
        room[delay] = 5.0
        soundfile.write(root / f"{name}.wav", room.astype("f4"), RATE, subtype="FLOAT")
    write_wav(root / "short.wav", noise(0.7, 20), RATE)
    write_wav(root / "long.wav", noise(30, 21), RATE)
    return root


@pytest.fixture
def mixtures(files):
    def speaker(name, utts, intervals, rir=None):
        utts = [u if isinstance(u, dict) else f"{files}/{u}.wav" if isinstance(u, str)
                else [f"{files}/{u[0]}.wav", *u[1:]] for u in utts]  # fmt: skip
        rir = rir and f"{files}/{rir}.wav"
        return {"spkid": name, "rir": rir, "utts": utts, "intervals": intervals}

    def mixture(*speakers, noise=None, snr=None, **more):
        noise = noise and f"{files}/{noise}.wav"
        return {"speakers": list(speakers), "noise": noise, "snr": snr, **more}

    def piece(name, label, **more):
        return {"file": f"{files}/{name}.wav", "label": label, **more}

    wet = speaker("a", ["u0", ["u4", 0.2, 1.1], "u2"], [0.0, 0.5, 0.02], "early")
    dry = speaker("b", ["u3", "u1"], [1.0, 0.0])
    also = speaker("c", ["u5", ["u3", 0.1, 0.4]], [0.3, 1.5], "bare")
    words = [piece("u1", "en", gain=-3.0), piece("u2", "hi", start=0.1, end=0.6), piece("u3", "hi")]
    return {
        "m1": mixture(dry),
        "m2": mixture(wet, dry, also, noise="short", snr=10),
        "m3": mixture(wet, also, noise="long", snr=5.0),
        "m4": mixture(speaker("a", ["silence", "u1"], [0.1, 0.2], "early"), noise="short", snr=0),
        "m5": mixture(
            speaker("v", words, [0.2, 0.0, 0.0], "bare"), band=[200.0, 3600.0], fade=0.02
        ),
        "m6": mixture(speaker("a", ["silence"], [0.5]), noise="long", snr=3),
        "m7": mixture(speaker("é", ["u0"], [0.00003], "early"), fade=0.5),
    }


@pytest.fixture
def manifest(mixtures, tmp_path):
    path = tmp_path / "mixture.scp"
    lines = [f"{name} {json.dumps(m | {'recid': name})}\n" for name, m in mixtures.items()]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def opened(manifest, tmp_path):
    plan, arena = open_layout(Manifest(manifest), tmp_path / "arena", StoreOptions())
    return Manifest(manifest), plan, arena


def test_whole_mixtures_and_windows_are_those_of_the_reference(opened):
    manifest, plan, arena = opened
    rng = np.random.default_rng(0)
    for index, (name, mixture) in enumerate(manifest):
        assembler = Mixer(plan, arena)
        whole = render(mixture)
        total = len(whole.waveform)
        assert plan.name(index) == name
        assert plan.num_samples(index) == total
        windows = [(0, total), (0, 1), (total - 1, total), (total // 2, total)]
        windows += [tuple(sorted(rng.integers(0, total + 1, 2).tolist())) for _ in range(12)]
        assert assembler.window(index, 5, 5).shape == (0,)
        for start, stop in (w for w in windows if w[0] < w[1]):
            got = assembler.window(index, start, stop)
            assert got.dtype == np.float32
            # Band-passed and converted audio is rounded to 16 bits, all else is not.
            atol = 5e-5 if mixture.get("band") else 2e-6
            np.testing.assert_allclose(got, whole.waveform[start:stop], atol=atol, rtol=0)
            expected = render(mixture, start=start, stop=stop).segments
            assert plan.segments(index, start, stop) == expected


def test_long_rooms_and_many_blocks_are_summed_as_one_convolution():
    torch.manual_seed(0)
    tail = 5000
    size = fft_size(2_000_000, tail)
    step = size - tail
    length = step * 70
    tracks = torch.zeros(3, tail + length)
    tracks[:, tail:] = torch.randn(3, length)
    responses = torch.zeros(3, size)
    responses[:, [0, 17, tail]] = torch.tensor([1.0, -0.5, 0.25])
    got = overlap_save(tracks, responses, tail)
    both = tracks.sum(0)
    expected = both[tail:] - 0.5 * both[tail - 17 : -17] + 0.25 * both[:-tail]
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_bits_do_not_depend_on_process_order_or_what_was_known(opened, manifest, tmp_path):
    _, plan, arena = opened
    first = Mixer(plan, arena)
    order = [(i, 1000 * i, plan.num_samples(i)) for i in range(len(plan))]
    one = {index: first.window(index, lo, hi) for index, lo, hi in order}
    again = {i: Mixer(plan, arena).window(i, lo, hi) for i, lo, hi in reversed(order)}
    fresh_plan, fresh_arena = open_layout(Manifest(manifest), tmp_path / "other", StoreOptions())
    assert fresh_plan.gains(1) is None
    with multiprocessing.get_context("fork").Pool(1) as pool:
        other = pool.apply_async(windows, (fresh_plan, fresh_arena, order)).get(60)
    assert fresh_plan.gains(1) is not None  # what the worker found, this process sees
    for index, wave in one.items():
        np.testing.assert_array_equal(wave, again[index])
        np.testing.assert_array_equal(wave, other[index])


def windows(plan, arena, order):
    assembler = Mixer(plan, arena)
    return {index: assembler.window(index, lo, hi) for index, lo, hi in order}


def test_gains_are_kept_until_a_source_changes(opened, manifest, files, tmp_path):
    _, plan, arena = opened
    wet, level = Mixer(plan, arena).gains(1)
    assert level > 0
    assert np.flatnonzero(wet != 1).tolist() == [0, 1, 2, 5, 6]
    plan, _ = open_layout(Manifest(manifest), tmp_path / "arena", StoreOptions())
    np.testing.assert_array_equal(plan.gains(1)[0], wet)
    held = (files / "short.wav").read_bytes()
    try:
        write_wav(files / "short.wav", noise(0.7, 99, 0.05), RATE)
        plan, arena = open_layout(Manifest(manifest), tmp_path / "arena", StoreOptions())
        assert plan.gains(1) is None
        assert Mixer(plan, arena).gains(1)[1] > 1.5 * level
    finally:
        (files / "short.wav").write_bytes(held)


def test_crops_are_the_same_from_arena_and_files(manifest, tmp_path):
    grid = FrameGrid()
    fast = open_source(manifest, RATE, arena=tmp_path / "arena")
    slow = open_source(manifest, RATE, 1 << 24)
    for speed in (None, (0.9, 1.1)):
        pairs = [RandomCrops([source], CropOptions(1.0, speed), grid, 3) for source in (fast, slow)]
        for index in range(20):
            one, two = (crops[index] for crops in pairs)
            assert (one.name, one.labels) == (two.name, two.labels)
            np.testing.assert_array_equal(one.activity, two.activity)
            np.testing.assert_allclose(one.waveform, two.waveform, atol=1e-4)


def test_faults_are_those_of_the_reference(mixtures, files, tmp_path):
    def opened(name, mixture):
        path = tmp_path / f"{name}.scp"
        path.write_text(f"x {json.dumps(mixture | {'recid': 'x'})}\n")
        open_layout(Manifest(path), tmp_path / "arena", StoreOptions())

    mixture = mixtures["m1"]
    mixture["speakers"][0]["utts"][1] = [f"{files}/u1.wav", 0.1, 5.0]
    with pytest.raises(DiarizeError, match=r"mixture x, speaker b: .*u1\.wav.* 4\.30 s after"):
        opened("late", mixture)
    mixture["speakers"][0]["utts"][1] = [f"{files}/u1.wav", 0.7, 0.9]
    with pytest.raises(DiarizeError, match=r"mixture x, speaker b: .*u1\.wav.*no samples"):
        opened("empty", mixture)
    mixture["speakers"][0]["utts"][1] = f"{files}/u1.wav"
    mixture["speakers"][0]["rir"] = f"{files}/silence.wav"
    with pytest.raises(DiarizeError, match=r"silence\.wav: the impulse response is silent"):
        opened("silent", mixture)


def test_mixing_on_the_device_is_refused_with_what_remains():
    with pytest.raises(DiarizeError, match=r"train.yaml: data: simulation: .*arena.*render"):
        from_dict(SpeakerOptions, {"data": {"simulation": "device"}}, "conf/train.yaml")


def test_training_reads_the_same_loss_wherever_mixtures_are_made(manifest, tmp_path):
    sizes = {"dim": 16, "heads": 2, "ff_dim": 32, "layers": 1}
    losses = {}
    for way in ("arena", "render"):
        options = {
            "model": {"backbone": {**sizes, "kernel": 7}, "decoder": {**sizes, "queries": 4}},
            "data": {"crop_seconds": 1.0, "simulation": way, "arena_dir": f"{tmp_path}/arena"},
        }
        options["model"]["decoder"].pop("dim")
        task = SpeakerTask(from_dict(SpeakerOptions, options, "test"))
        task.load_data([str(manifest)], None)
        task.model.eval()
        batch = task.collate([task.example(i) for i in range(7)])
        normalizers = task.normalizers(batch)
        losses[way] = task.loss(task.model, batch.to("cpu"), normalizers)[0].item()
    # Of a band-passed mixture, nearly silent parts are near the floor of the features.
    assert losses["render"] == pytest.approx(losses["arena"], abs=1e-2)
