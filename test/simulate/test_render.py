"""Waveform and labels of a mixture: sample-exact, aligned, at the right level."""

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.segments import Segment
from diarize.simulate.cache import UtteranceCache
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.render import mixture_length, render

RATE = 16000


class Store:
    """Audio by name, as a reader; ``calls`` is what was read."""

    def __init__(self, **waves: np.ndarray) -> None:
        self.waves = {name: wave.astype(np.float32) for name, wave in waves.items()}
        self.calls: list[str] = []

    def __call__(self, name, start, stop, sample_rate):
        self.calls.append(name)
        return self.waves[name][start:stop]


def speaker(name, utts, intervals, rir=None):
    return {"spkid": name, "rir": rir, "utts": utts, "intervals": intervals}


def mixture(*speakers, noise=None, snr=None):
    return {"speakers": list(speakers), "noise": noise, "snr": snr, "recid": "mix"}


def noise(seconds, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal(int(RATE * seconds))


def energy(wave):
    return float(np.sum(np.square(wave, dtype=np.float64)))


@pytest.fixture
def busy():
    """A mixture with rooms, noise shorter than it, segments and whole files; and its reader."""
    rng = np.random.default_rng(5)
    decay = np.exp(-np.arange(4000) / 800) * rng.standard_normal(4000)
    room = np.concatenate([np.zeros(50), [4.0], decay])
    store = Store(
        **{f"u{i}": noise(0.5 + 0.3 * i, i) for i in range(5)}, room=room, hum=noise(1.7, 9)
    )
    mix = mixture(
        speaker("a", ["u0", ["u4", 0.2, 1.1], "u2"], [0.3, 0.5, 0.02], "room"),
        speaker("b", ["u3", "u1"], [1.0, 0.0]),
        speaker("c", ["u1", ["u3", 0.1, 0.4]], [0.0, 1.5], "room"),
        noise="hum",
        snr=10,
    )
    return mix, store


def test_labels_are_the_samples_with_energy():
    tones = {f"u{n}": 0.25 * (-1.0) ** np.arange(n) for n in (4001, 777, 12345)}
    mix = mixture(speaker("a", ["u4001", "u777", "u12345"], [0.5, 0.123456, 1.00003]))
    wave, segments = render(mix, reader=Store(**tones))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.abs(wave) > 0, [0]]).astype(int)))
    times = np.array([[s.start, s.end] for s in segments]) * RATE
    np.testing.assert_array_equal(np.rint(times).astype(int), edges.reshape(-1, 2))
    np.testing.assert_allclose(times, np.rint(times), atol=1e-6)
    assert segments[0] == Segment("mix", 0.5, (8000 + 4001) / RATE, "a")
    assert len(wave) == edges[-1] == mixture_length(mix, Store(**tones))
    assert wave.dtype == np.float32


def test_speakers_add_up_and_the_shorter_is_padded():
    store = Store(x=noise(1.0, 1), y=noise(0.4, 2))
    a, b = speaker("a", ["x"], [0.1]), speaker("b", ["y"], [0.2])
    both, segments = render(mixture(a, b), reader=store)
    first, second = (render(mixture(s), reader=store).waveform for s in (a, b))
    first[: len(second)] += second
    np.testing.assert_array_equal(both, first)
    assert [s.label for s in segments] == ["a", "b"]


@pytest.mark.parametrize("seconds", [1.1, 30.0])
@pytest.mark.parametrize("snr", [-5, 5, 20])
def test_snr_is_exact(busy, seconds, snr):
    mix, store = busy
    store.waves["hum"] = noise(seconds, 3, level=0.7).astype(np.float32)
    noisy = render({**mix, "snr": snr}, reader=store).waveform
    clean = render({**mix, "noise": None}, reader=store).waveform
    ratio = 10 * np.log10(energy(clean) / energy(noisy - clean))
    assert ratio == pytest.approx(snr, abs=1e-3)


def test_repeated_noise_has_no_jump(busy):
    mix, store = busy
    # 1.7 s of a 101.5 Hz tone end elsewhere than they begin.
    store.waves["hum"] = np.sin(2 * np.pi * 101.5 * np.arange(27200) / RATE).astype(np.float32)
    clean = render({**mix, "noise": None}, reader=store).waveform
    hum = render({**mix, "snr": 0}, reader=store).waveform - clean
    slope = 2 * np.pi * 101.5 / RATE
    assert np.max(np.abs(np.diff(hum))) < 1.5 * slope * np.max(np.abs(hum))


def test_silent_speech_or_noise_gives_no_nan(busy):
    mix, store = busy
    store.waves["hum"] = np.zeros(100, np.float32)
    assert np.isfinite(render(mix, reader=store).waveform).all()
    for name in ("u0", "u1", "u2", "u3", "u4"):
        store.waves[name][:] = 0
    store.waves["hum"] = np.ones(100, np.float32)
    assert not render(mix, reader=store).waveform.any()


@pytest.mark.parametrize(("delay", "gain"), [(0, 1.0), (0, 0.2), (700, 1.0), (700, -0.5)])
def test_delta_as_room_changes_nothing(delay, gain):
    room = np.zeros(1000)
    room[delay] = gain
    store = Store(u=noise(0.7), v=noise(0.3, 1), room=room)
    dry = render(mixture(speaker("a", ["u", "v"], [0.1, 0.01])), reader=store)
    wet = render(mixture(speaker("a", ["u", "v"], [0.1, 0.01], "room")), reader=store)
    np.testing.assert_allclose(wet.waveform, np.sign(gain) * dry.waveform, atol=1e-6)
    assert wet.segments == dry.segments


def test_tail_is_heard_and_not_labelled_and_the_level_stays():
    room = np.zeros(8001)
    room[20], room[8000] = 1.0, 0.5
    store = Store(u=noise(0.5), room=room)
    mix = mixture(speaker("a", ["u", "u"], [0.0, 2.0], "room"))
    wave, segments = render(mix, reader=store)
    assert [(s.start, s.end) for s in segments] == [(0.0, 0.5), (2.5, 3.0)]
    assert len(wave) == 3 * RATE
    u = store.waves["u"]
    expected = np.concatenate([u, np.zeros(7980)])
    expected[7980:] += 0.5 * u
    expected *= np.sqrt(energy(u) / energy(expected))
    np.testing.assert_allclose(wave[: len(expected)], expected, atol=1e-6)
    assert energy(wave[: 2 * RATE]) == pytest.approx(energy(u), rel=1e-5)
    assert not wave[len(expected) : 40000 - 20].any()


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("with_noise", [False, True])
def test_window_is_the_cut_of_the_whole(busy, cached, with_noise):
    mix, store = busy
    if not with_noise:
        mix = {**mix, "noise": None}
    wave, segments = render(mix, reader=store)
    reader = UtteranceCache(store) if cached else store
    rng = np.random.default_rng(1)
    for _ in range(25):
        lo, hi = np.sort(rng.integers(0, len(wave) + 1, size=2)).tolist()
        part = render(mix, reader=reader, start=lo, stop=hi)
        assert part.waveform.shape == (hi - lo,)
        np.testing.assert_allclose(part.waveform, wave[lo:hi], atol=1e-6)
        cut = [
            (max(s.start, lo / RATE) - lo / RATE, min(s.end, hi / RATE) - lo / RATE, s.label)
            for s in segments
            if s.end * RATE > lo and s.start * RATE < hi and hi > lo
        ]
        found = [tuple(s[1:]) for s in part.segments]
        assert [s[2] for s in found] == [s[2] for s in sorted(cut)]
        np.testing.assert_allclose([s[:2] for s in found], [s[:2] for s in sorted(cut)], atol=1e-9)


def test_window_past_the_end_and_bad_windows(busy):
    mix, store = busy
    wave = render(mix, reader=store).waveform
    part = render(mix, reader=store, start=1000, stop=10**9).waveform
    np.testing.assert_array_equal(part, wave[1000:])
    with pytest.raises(ValueError, match="window"):
        render(mix, reader=store, start=-1)
    with pytest.raises(ValueError, match="window"):
        render(mix, reader=store, start=len(wave) + 1)


def test_window_reads_only_what_is_heard(tmp_path):
    names = []
    for i in range(4):
        names.append(str(tmp_path / f"{i}.wav"))
        write_wav(names[-1], noise(1.0, i).astype(np.float32), RATE)
    read = []

    def reader(name, start, stop, sample_rate):
        read.append(name)
        return noise(1.0, int(name[-5])).astype(np.float32)[start:stop]

    spans = [[name, 0.0, 1.0] for name in names]
    cache = UtteranceCache(reader)
    mix = mixture(speaker("a", spans, [0.0] * 4))
    for name in names:
        cache.num_samples(name, RATE)  # a header, were it a file
    read.clear()
    part = render(mix, reader=cache, start=RATE + 100, stop=3 * RATE)
    assert read == names[1:3]
    assert part.waveform.shape == (2 * RATE - 100,)


def test_noise_gain_is_remembered_by_the_cache(busy):
    mix, store = busy
    store.waves["hum"] = noise(20, 4).astype(np.float32)
    cache = UtteranceCache(store)
    render(mix, reader=cache, start=0, stop=100)
    store.calls.clear()
    render(mix, reader=cache, start=0, stop=100)
    assert store.calls == ["hum"]  # a window of it; all else is in the cache
    louder = render({**mix, "snr": 0}, reader=cache).waveform
    np.testing.assert_allclose(louder, render({**mix, "snr": 0}, reader=store).waveform, atol=1e-6)


def test_other_rate_and_pipes(tmp_path):
    path = str(tmp_path / "a.wav")
    write_wav(path, noise(1.0).astype(np.float32), 8000)
    mix = mixture(speaker("a", [path], [0.5]))
    assert render(mix).waveform.shape == (8000 + 32000,)
    assert render(mix, sample_rate=8000).segments == [Segment("mix", 0.5, 2.5, "a")]
    piped = mixture(speaker("a", [f"cat {path} |"], [0.5]))
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker a: .*allow"):
        render(piped)
    wave = render(piped, reader=UtteranceCache(allow_pipes=True)).waveform
    np.testing.assert_array_equal(wave, render(mix).waveform)


def test_segment_that_passes_the_end():
    store = Store(u=noise(1.0))
    wave, segments = render(mixture(speaker("a", [["u", 0.2, 1.4]], [0.0])), reader=store)
    assert len(wave) == int(0.8 * RATE)
    assert segments == [Segment("mix", 0.0, 0.8, "a")]
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker a: u: .*ends 0\.60 s after"):
        render(mixture(speaker("a", [["u", 0.2, 1.6]], [0.0])), reader=store)
    with pytest.raises(DiarizeError, match="holds no samples"):
        render(mixture(speaker("a", [["u", 1.1, 1.2]], [0.0])), reader=store)


def test_errors_name_mixture_speaker_and_file(tmp_path, busy):
    gone = str(tmp_path / "gone.wav")
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker a: .*gone\.wav"):
        render(mixture(speaker("a", [gone], [0.0])))
    broken = tmp_path / "broken.wav"
    write_wav(broken, noise(1.0).astype(np.float32), RATE)
    broken.write_bytes(broken.read_bytes()[:9000])
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker b: .*broken\.wav"):
        render(mixture(speaker("b", [str(broken)], [0.0])))
    mix, store = busy
    store.waves["room"][:] = 0
    with pytest.raises(DiarizeError, match="speaker a: room: the impulse response is silent"):
        render(mix, reader=store)
    write_wav(broken, noise(1.0).astype(np.float32), RATE)
    with pytest.raises(DiarizeError, match=r"mixture mix, noise: .*gone\.wav"):
        render(mixture(speaker("b", [str(broken)], [0.0]), noise=gone, snr=5))


def test_drawn_from_segments_equals_the_recordings(make_corpus):
    data = make_corpus(segments=True)
    options = MixtureOptions(3, 2, 0.5, min_utts=2, max_utts=4)
    for _, mix in make_manifest(data, options):
        wave, segments = render(mix)
        assert len(segments) == sum(len(s["utts"]) for s in mix["speakers"])
        assert max(s.end for s in segments) * RATE == pytest.approx(len(wave))
