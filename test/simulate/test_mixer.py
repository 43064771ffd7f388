"""Mixer: the mixtures of the plain reference, whatever window, process or order."""

import json
import multiprocessing
import os
import sys
from pathlib import Path

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
from diarize.tasks.speaker import SpeakerOptions
from diarize.timebase import FrameGrid

sys.path.insert(0, str(Path(__file__).parent))
from reference import plain_mixture, window_of

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

    def loud(name, gain, **more):
        return {"file": f"{files}/{name}.wav", "gain": gain, **more}

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
        "m8": mixture(  # as drawn with one room and spread levels
            speaker("a", [loud("u1", 2.5), loud("u2", 2.5, start=0.1, end=0.7)], [0, 1], "early"),
            speaker("b", [loud("u3", -4.0)], [0.2], "bare"), noise="short", snr=5,
        ),
    }


@pytest.fixture
def manifest(mixtures, tmp_path):
    path = tmp_path / "mixture.scp"
    lines = [f"{name} {json.dumps(m | {'recid': name})}\n" for name, m in mixtures.items()]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def opened(manifest, tmp_path):
    layout, store = open_layout(Manifest(manifest), tmp_path / "store", StoreOptions())
    return Manifest(manifest), layout, store


def compare(mixer, index, mixture, windows):
    """Compare windows of mixture ``index`` with the reference, samples and labels."""
    expected, labels = plain_mixture(mixture)
    total = len(expected)
    assert mixer.layout.num_samples(index) == total
    # Band-passed and converted audio is rounded to 16 bits, all else is not.
    gains = [utt.get("gain", 0.0) for s in mixture["speakers"] for utt in s["utts"]
             if isinstance(utt, dict)]  # fmt: skip
    loudest = 10 ** (max(0.0, *gains, 0.0) / 20)
    atol = (5e-5 if mixture.get("band") else 4e-6) * loudest
    for start, stop in [(0, total), (0, 1), (total - 1, total), *windows(total)]:
        got = mixer.window(index, start, stop)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected[start:stop], atol=atol, rtol=0)
        assert mixer.layout.segments(index, start, stop) == window_of(labels, start, stop, RATE)
    assert mixer.window(index, 0, 0).shape == (0,)


def random_windows(rng, count):
    def draw(total):
        drawn = (np.sort(rng.integers(0, total + 1, 2)).tolist() for _ in range(count))
        return [(start, stop) for start, stop in drawn if start < stop]

    return draw


def test_whole_mixtures_and_windows_are_those_of_the_reference(opened):
    manifest, layout, store = opened
    mixer = Mixer(layout, store)
    windows = random_windows(np.random.default_rng(0), 12)
    for index, (name, mixture) in enumerate(manifest):
        assert layout.name(index) == name
        compare(mixer, index, mixture, windows)


def random_mixture(rng, files, name):
    """A mixture of anything that a manifest may say."""
    speakers = []
    for number in range(rng.integers(1, 5)):
        utts, own = [], rng.random() < 0.3
        for _ in range(rng.integers(1, 6)):
            which = int(rng.integers(6))
            utt = {"file": f"{files}/u{which}.wav"}
            if rng.random() < 0.5:
                first = round(float(rng.uniform(0, 0.3)), 5)
                utt |= {"start": first, "end": first + round(float(rng.uniform(0.0001, 0.1)), 5)}
            if own:
                utt |= {"label": f"l{which % 2}", "gain": round(float(rng.normal(0, 6)), 2)}
            elif rng.random() < 0.5:
                utt = [utt["file"], utt["start"], utt["end"]] if "start" in utt else utt["file"]
            utts.append(utt)
        silences = rng.exponential(0.3, len(utts)) * (rng.random(len(utts)) < 0.7)
        room = (None, f"{files}/bare.wav", f"{files}/early.wav")[rng.integers(3)]
        speakers.append({"spkid": f"s{number}", "rir": room, "utts": utts,
                         "intervals": silences.round(6).tolist()})  # fmt: skip
    noise = (None, f"{files}/short.wav", f"{files}/long.wav", f"{files}/silence.wav")
    out = {"speakers": speakers, "noise": noise[rng.integers(4)], "snr": 5.0, "recid": name}
    if rng.random() < 0.3:
        out["band"] = [200.0, float(rng.choice([3600.0, 7900.0]))]
    if rng.random() < 0.5:
        out["fade"] = float(rng.choice([0.0001, 0.005, 0.5]))
    return out


def test_random_manifests_are_mixed_as_the_reference_does(files, tmp_path):
    seed = int(os.environ.get("DIARIZE_SEED", np.random.SeedSequence().entropy % 2**32))
    print(f"DIARIZE_SEED={seed}")
    rng = np.random.default_rng(seed)
    mixtures = [random_mixture(rng, files, f"m{i:02d}") for i in range(25)]
    path = tmp_path / "random.scp"
    path.write_text("".join(f"{m['recid']} {json.dumps(m)}\n" for m in mixtures))
    mixer = Mixer(*open_layout(Manifest(path), tmp_path / "store", StoreOptions()))
    for index, mixture in enumerate(mixtures):
        compare(mixer, index, mixture, random_windows(rng, 5))


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
    _, layout, store = opened
    first = Mixer(layout, store)
    order = [(i, 1000 * i, layout.num_samples(i)) for i in range(len(layout))]
    one = {index: first.window(index, lo, hi) for index, lo, hi in order}
    again = {i: Mixer(layout, store).window(i, lo, hi) for i, lo, hi in reversed(order)}
    fresh_layout, fresh_store = open_layout(Manifest(manifest), tmp_path / "other", StoreOptions())
    assert fresh_layout.gains(1) is None
    with multiprocessing.get_context("fork").Pool(1) as pool:
        other = pool.apply_async(windows, (fresh_layout, fresh_store, order)).get(60)
    assert fresh_layout.gains(1) is not None  # what the worker found, this process sees
    for index, wave in one.items():
        np.testing.assert_array_equal(wave, again[index])
        np.testing.assert_array_equal(wave, other[index])


def windows(layout, store, order):
    mixer = Mixer(layout, store)
    return {index: mixer.window(index, lo, hi) for index, lo, hi in order}


def test_gains_are_kept_until_a_source_changes(opened, manifest, files, tmp_path):
    _, layout, store = opened
    wet, level = Mixer(layout, store).gains(1)
    assert level > 0
    assert np.flatnonzero(wet != 1).tolist() == [0, 1, 2, 5, 6]
    layout, _ = open_layout(Manifest(manifest), tmp_path / "store", StoreOptions())
    np.testing.assert_array_equal(layout.gains(1)[0], wet)
    held = (files / "short.wav").read_bytes()
    try:
        write_wav(files / "short.wav", noise(0.7, 99, 0.05), RATE)
        layout, store = open_layout(Manifest(manifest), tmp_path / "store", StoreOptions())
        assert layout.gains(1) is None
        assert Mixer(layout, store).gains(1)[1] > 1.5 * level
    finally:
        (files / "short.wav").write_bytes(held)


class PlainSource:
    """The mixtures of a manifest from the reference, as a source of crops."""

    def __init__(self, manifest):
        self.names = [name for name, _ in manifest]
        self.made = [plain_mixture(mixture) for _, mixture in manifest]

    def __len__(self):
        return len(self.names)

    def name(self, index):
        return self.names[index]

    def num_samples(self, index):
        return len(self.made[index][0])

    def evaluated(self, index):
        return None

    def read(self, index, start, stop):
        wave, labels = self.made[index]
        stop = min(stop, len(wave))
        return wave[start:stop].astype("f4"), window_of(labels, start, stop, RATE)


@pytest.mark.parametrize("speed", [None, (0.9, 1.1)])
def test_crops_are_those_of_the_reference(manifest, speed):
    sources = open_source(manifest, RATE), PlainSource(Manifest(manifest))
    pairs = [RandomCrops([source], CropOptions(1.0, speed), FrameGrid(), 3) for source in sources]
    for index in range(20):
        one, two = (crops[index] for crops in pairs)
        assert (one.name, one.labels) == (two.name, two.labels)
        np.testing.assert_array_equal(one.activity, two.activity)
        np.testing.assert_allclose(one.waveform, two.waveform, atol=1e-4)


def test_faults_are_those_of_the_reference(mixtures, files, tmp_path):
    def opened(name, mixture):
        path = tmp_path / f"{name}.scp"
        path.write_text(f"x {json.dumps(mixture | {'recid': 'x'})}\n")
        open_layout(Manifest(path), tmp_path / "store", StoreOptions())

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


@pytest.mark.parametrize("key", ["simulation", "arena_dir", "cache_mb"])
def test_options_that_are_gone_are_refused_by_name(key):
    with pytest.raises(DiarizeError, match=rf"train.yaml: data: unknown key '{key}'"):
        from_dict(SpeakerOptions, {"data": {key: 1}}, "conf/train.yaml")
