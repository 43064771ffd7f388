"""Rules of mixing: labels, levels, rooms, noise and windows of single mixtures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.segments import Segment
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions

sys.path.insert(0, str(Path(__file__).parent))
from reference import plain_mixture

RATE = 16000


def noise(seconds, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal(int(RATE * seconds))


def energy(wave):
    return float(np.sum(np.square(wave, dtype=np.float64)))


@pytest.fixture
def busy(waves):
    """A mixture with rooms, noise shorter than it, segments and whole files."""
    rng = np.random.default_rng(5)
    decay = np.exp(-np.arange(4000) / 800) * rng.standard_normal(4000)
    room = np.concatenate([np.zeros(50), [4.0], decay])
    waves.add(**{f"u{i}": noise(0.5 + 0.3 * i, i) for i in range(5)}, room=room, hum=noise(1.7, 9))
    return waves.mixture(
        waves.speaker("a", ["u0", ["u4", 0.2, 1.1], "u2"], [0.3, 0.5, 0.02], "room"),
        waves.speaker("b", ["u3", "u1"], [1.0, 0.0]),
        waves.speaker("c", ["u1", ["u3", 0.1, 0.4]], [0.0, 1.5], "room"),
        noise="hum",
        snr=10,
    )


def test_labels_are_the_samples_with_energy(waves, render):
    waves.add(**{f"u{n}": 0.25 * (-1.0) ** np.arange(n) for n in (4001, 777, 12345)})
    silences = [0.5, 0.123456, 1.00003]
    mix = waves.mixture(waves.speaker("a", ["u4001", "u777", "u12345"], silences))
    wave, segments = render(mix)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.abs(wave) > 0, [0]]).astype(int)))
    times = np.array([[s.start, s.end] for s in segments]) * RATE
    np.testing.assert_array_equal(np.rint(times).astype(int), edges.reshape(-1, 2))
    np.testing.assert_allclose(times, np.rint(times), atol=1e-6)
    assert segments[0] == Segment("mix", 0.5, (8000 + 4001) / RATE, "a")
    assert len(wave) == edges[-1]
    assert wave.dtype == np.float32


def test_speakers_add_up_and_the_shorter_is_padded(waves, render):
    waves.add(x=noise(1.0, 1), y=noise(0.4, 2))
    a, b = waves.speaker("a", ["x"], [0.1]), waves.speaker("b", ["y"], [0.2])
    both, segments = render(waves.mixture(a, b))
    first, second = (render(waves.mixture(s)).waveform for s in (a, b))
    first[: len(second)] += second
    np.testing.assert_array_equal(both, first)
    assert [s.label for s in segments] == ["a", "b"]


@pytest.mark.parametrize("seconds", [1.1, 30.0])
@pytest.mark.parametrize("snr", [-5, 5, 20])
def test_snr_is_exact(busy, waves, render, seconds, snr):
    waves["hum"] = noise(seconds, 3, level=0.2)
    noisy = render({**busy, "snr": snr}).waveform
    clean = render({**busy, "noise": None}).waveform
    ratio = 10 * np.log10(energy(clean) / energy(noisy - clean))
    assert ratio == pytest.approx(snr, abs=1e-3)


def test_repeated_noise_has_no_jump(busy, waves, render):
    # 1.7 s of a 101.5 Hz tone end elsewhere than they begin.
    waves["hum"] = 0.9 * np.sin(2 * np.pi * 101.5 * np.arange(27200) / RATE)
    clean = render({**busy, "noise": None}).waveform
    hum = render({**busy, "snr": 0}).waveform - clean
    slope = 2 * np.pi * 101.5 / RATE
    assert np.max(np.abs(np.diff(hum))) < 1.5 * slope * np.max(np.abs(hum))


def test_silent_speech_or_noise_gives_no_nan(busy, waves, render):
    waves["hum"] = np.zeros(100)
    assert np.isfinite(render(busy).waveform).all()
    for i in range(5):
        waves[f"u{i}"] = np.zeros_like(waves[f"u{i}"])
    waves["hum"] = np.full(100, 0.5)
    assert not render(busy).waveform.any()


@pytest.mark.parametrize(("delay", "gain"), [(0, 1.0), (0, 0.2), (700, 1.0), (700, -0.5)])
def test_delta_as_room_changes_nothing(waves, render, delay, gain):
    room = np.zeros(1000)
    room[delay] = gain
    waves.add(u=noise(0.7), v=noise(0.3, 1), room=room)
    dry = render(waves.mixture(waves.speaker("a", ["u", "v"], [0.1, 0.01])))
    wet = render(waves.mixture(waves.speaker("a", ["u", "v"], [0.1, 0.01], "room")))
    np.testing.assert_allclose(wet.waveform, np.sign(gain) * dry.waveform, atol=1e-6)
    assert wet.segments == dry.segments


def test_tail_is_heard_and_not_labelled_and_the_level_stays(waves, render):
    room = np.zeros(8001)
    room[20], room[8000] = 1.0, 0.5
    waves.add(u=noise(0.5), room=room)
    wave, segments = render(waves.mixture(waves.speaker("a", ["u", "u"], [0.0, 2.0], "room")))
    assert [(s.start, s.end) for s in segments] == [(0.0, 0.5), (2.5, 3.0)]
    assert len(wave) == 3 * RATE
    u = waves["u"]
    expected = np.concatenate([u, np.zeros(7980)])
    expected[7980:] += 0.5 * u
    expected *= np.sqrt(energy(u) / energy(expected))
    np.testing.assert_allclose(wave[: len(expected)], expected, atol=1e-6)
    assert energy(wave[: 2 * RATE]) == pytest.approx(energy(u), rel=1e-5)
    np.testing.assert_allclose(wave[len(expected) : 40000 - 20], 0, atol=1e-7)


def test_bad_windows_are_refused(busy, render):
    total = len(render(busy).waveform)
    for start, stop in ((-1, 5), (0, total + 1), (7, 6)):
        with pytest.raises(ValueError, match="window"):
            render(busy, start, stop)


def test_other_rate_and_pipes(waves, render):
    path = waves.path("a")
    write_wav(path, noise(1.0).astype(np.float32), 8000)
    mix = waves.mixture(waves.speaker("a", ["a"], [0.5]))
    assert render(mix).waveform.shape == (8000 + 32000,)
    assert render(mix, sample_rate=8000).segments == [Segment("mix", 0.5, 2.5, "a")]
    piped = waves.mixture({**mix["speakers"][0], "utts": [f"cat {path} |"]})
    with pytest.raises(DiarizeError, match=rf"cat {path}.*--allow-pipes"):
        render(piped)
    wave = render(piped, allow_pipes=True).waveform
    np.testing.assert_array_equal(wave, render(mix).waveform)


def test_segment_that_passes_the_end(waves, render):
    waves.add(u=noise(1.0))
    wave, segments = render(waves.mixture(waves.speaker("a", [["u", 0.2, 1.4]], [0.0])))
    assert len(wave) == int(0.8 * RATE)
    assert segments == [Segment("mix", 0.0, 0.8, "a")]
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker a: .*u\.wav: .*ends 0\.60 s"):
        render(waves.mixture(waves.speaker("a", [["u", 0.2, 1.6]], [0.0])))
    with pytest.raises(DiarizeError, match=r"mixture mix, speaker a: .*u\.wav: .*no samples"):
        render(waves.mixture(waves.speaker("a", [["u", 1.1, 1.2]], [0.0])))


def test_errors_name_the_file(busy, waves, render):
    with pytest.raises(DiarizeError, match=r"gone\.wav"):
        render(waves.mixture(waves.speaker("a", ["gone"], [0.0])))
    with pytest.raises(DiarizeError, match=r"gone\.wav"):
        render({**busy, "noise": waves.path("gone")})
    waves["room"] = np.zeros(100)
    with pytest.raises(DiarizeError, match=r"room\.wav: the impulse response is silent"):
        render(busy)
    waves["u1"] = noise(1.0)
    with open(waves.path("u1"), "r+b") as handle:
        handle.truncate(9000)
    with pytest.raises(DiarizeError, match=r"u1\.wav.*cut short"):
        render(busy)


def test_drawn_from_segments_equals_the_recordings(make_corpus, render):
    data = make_corpus(segments=True)
    options = MixtureOptions(3, 2, 0.5, min_utts=2, max_utts=4)
    for _, mix in make_manifest(data, options):
        wave, segments = render(mix)
        assert len(segments) == sum(len(s["utts"]) for s in mix["speakers"])
        assert max(s.end for s in segments) * RATE == pytest.approx(len(wave))


def test_digital_silence_is_not_labelled_as_speech(waves, tmp_path, caplog):
    """Whole utterances and edges of half a second; shorter zeros stay, and so do all times."""
    zeros, speech = np.zeros(RATE), noise(1.0)
    waves.add(
        silent=zeros,
        head=np.concatenate([zeros, speech]),
        tail=np.concatenate([speech, zeros[:8000]]),
        gap=np.concatenate([zeros[:7999], speech, zeros, speech, zeros[:7999]]),
        u=speech,
        room=np.exp(-np.arange(4000) / 500),
    )
    dry = waves.speaker("a", ["silent", "head", "silent", "gap"], [0.5, 0.0, 0.25, 0.0])
    wet = waves.speaker("b", ["tail", "u", ["head", 0.0, 0.9], "silent"], [0.0] * 4, "room")
    mixtures = [waves.mixture(dry, wet) | {"recid": name} for name in ("m1", "m2")]
    path = tmp_path / "mixture.scp"
    path.write_text("".join(f"{m['recid']} {json.dumps(m)}\n" for m in mixtures))
    for opened in range(2):
        layout, store = open_layout(Manifest(path), tmp_path / "store", StoreOptions())
        lines = [r.getMessage() for r in caplog.records]
        assert len(lines) == 1 or opened
    assert "2 of 6 utterances are digital silence and 2 begin or end" in lines[0]
    assert layout.num_samples(1) == round(8.75 * RATE) - 2
    assert layout.segments(1, 0, layout.num_samples(1)) == [
        Segment("m2", 0.0, 1.0, "b"),
        Segment("m2", 1.5, 2.5, "b"),
        Segment("m2", 2.5, 3.5, "a"),
        Segment("m2", 4.75, 4.75 + 4 - 2 / RATE, "a"),
    ]
    expected, labels = plain_mixture(mixtures[1])
    got = Mixer(layout, store).window(1, 0, layout.num_samples(1))
    np.testing.assert_allclose(got, expected, atol=4e-6, rtol=0)
    assert labels == layout.segments(1, 0, layout.num_samples(1))
