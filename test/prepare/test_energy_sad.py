"""Speech bounds by energy: signals with known bounds, and LibriSpeech."""

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.prepare.energy_sad import SadOptions, energy_sad, frame_levels

RATE = 16000


def signal(spans, seconds=6.0, floor=-60.0, level=-20.0, rate=RATE, seed=0):
    """Noise at ``floor`` dB with noise at ``level`` dB in ``spans``."""
    rng = np.random.default_rng(seed)
    wave = 10 ** (floor / 20) * rng.standard_normal(int(seconds * rate))
    for start, end in spans:
        part = slice(int(start * rate), int(end * rate))
        wave[part] += 10 ** (level / 20) * rng.standard_normal(part.stop - part.start)
    return wave.astype(np.float32)


def assert_bounds(found, expected, pad=0.05, slack=0.02):
    assert len(found) == len(expected), found
    for (start, end), (first, last) in zip(found, expected, strict=True):
        assert start == pytest.approx(max(first - pad, 0), abs=slack)
        assert end == pytest.approx(last + pad, abs=slack)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("level", [-10.0, -20.0, -35.0])
def test_known_bounds(rate, level):
    wave = signal([(0.7, 2.3), (2.45, 4.1)], level=level, floor=level - 40, rate=rate)
    assert_bounds(energy_sad(wave, rate), [(0.7, 4.1)])


def test_bounds_do_not_depend_on_level_or_offset():
    wave = signal([(0.7, 2.3), (3.0, 4.1)])
    options = SadOptions(split_pause=0.5)
    expected = energy_sad(wave, RATE, options)
    assert_bounds(expected, [(0.7, 2.3), (3.0, 4.1)])
    for other in (wave * np.float32(0.1), wave + np.float32(0.2)):
        assert np.array(energy_sad(other, RATE, options)) == pytest.approx(np.array(expected))


def test_pauses_are_kept_filled_or_cut():
    wave = signal([(0.5, 1.5), (1.7, 2.5), (3.1, 4.0)])  # pauses of 0.2 and 0.6 s
    assert_bounds(energy_sad(wave, RATE), [(0.5, 4.0)])
    assert_bounds(
        energy_sad(wave, RATE, SadOptions(split_pause=0.3)), [(0.5, 2.5), (3.1, 4.0)]
    )
    # The pads are 0.05 s on both sides: what is left of 0.6 s is 0.5 s.
    assert len(energy_sad(wave, RATE, SadOptions(split_pause=0.55))) == 1
    assert len(energy_sad(wave, RATE, SadOptions(min_pause=0.1, split_pause=0.05))) == 3


def test_a_click_is_no_speech():
    wave = signal([(2.0, 4.0), (0.5, 0.53), (5.2, 5.24)])
    assert_bounds(energy_sad(wave, RATE), [(2.0, 4.0)])
    assert energy_sad(signal([(2.0, 2.05)], floor=-80.0), RATE) == []


def test_digital_silence_does_not_make_breath_into_speech():
    """A threshold that follows the floor alone would take what is 50 dB under the speech."""
    wave = signal([(1.0, 3.0)], floor=-300.0)
    wave[int(4 * RATE) : int(5 * RATE)] += signal([], 1.0, floor=-70.0)
    assert_bounds(energy_sad(wave, RATE), [(1.0, 3.0)])


def test_without_any_pause_all_is_speech():
    rng = np.random.default_rng(1)
    swell = 1 + 0.5 * np.sin(np.arange(3 * RATE) / RATE * 2 * np.pi * 4)
    wave = (0.1 * swell * rng.standard_normal(3 * RATE)).astype(np.float32)
    ((start, end),) = energy_sad(wave, RATE)
    assert start == pytest.approx(0, abs=0.02)
    assert end == pytest.approx(3.0, abs=0.02)


def test_loud_background():
    assert_bounds(energy_sad(signal([(1.0, 4.0)], floor=-40.0), RATE), [(1.0, 4.0)])


@pytest.mark.parametrize("wave", [np.zeros(RATE), 1e-5 * np.ones(RATE), np.zeros(399), np.zeros(0)])
def test_nothing_in_silence(wave):
    assert energy_sad(wave.astype(np.float32), RATE) == []


def test_levels_of_a_sine():
    wave = np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE)
    levels = frame_levels(wave, RATE, SadOptions())
    assert levels.shape == ((RATE - 400) // 160 + 1,)
    assert levels == pytest.approx(10 * np.log10(0.5), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hop", 0.0), ("window", 0.005), ("depth", 1.0), ("max_drop", 1.0), ("pad", float("nan")),
     ("split_pause", -1.0)],
)  # fmt: skip
def test_impossible_options(name, value):
    with pytest.raises(DiarizeError, match=name):
        SadOptions(**{name: value})


def test_librispeech_is_trimmed_at_both_ends(shared_data):
    """Its files begin and end with some tenths of a second of silence, hardly ever none."""
    files = sorted((shared_data / "libri_small/LibriSpeech").rglob("*.flac"))[::6]
    heads, tails, kept, total = [], [], 0.0, 0.0
    for path in files:
        wave = read_audio(path)
        seconds = len(wave) / RATE
        ((start, end),) = energy_sad(wave, RATE)
        heads.append(start)
        tails.append(seconds - end)
        parts = energy_sad(wave, RATE, SadOptions(split_pause=0.5))
        assert (parts[0][0], parts[-1][1]) == (start, end)
        kept += sum(b - a for a, b in parts)
        total += seconds
    assert 0.15 < np.median(heads) < 0.45
    assert 0.1 < np.median(tails) < 0.4
    assert max(heads + tails) < 2.0
    assert 0.75 < kept / total < 0.95
