"""Recordings that are unlike the training data: level, noise, bandwidth."""

import numpy as np
import pytest

from diarize.infer.domain import Meter, differences, learn_domain, measure, measure_crops
from diarize.infer.recording import Recording
from diarize.timebase import FrameGrid

RATE = 16000


def talk(seed, level=0.1, floor=1e-3, cut=None, seconds=8):
    """Bursts of noise of half a second over a noise floor; ``cut``: no energy above it, in Hz."""
    rng = np.random.default_rng(seed)
    wave = rng.standard_normal(seconds * RATE)
    on = (np.arange(len(wave)) // (RATE // 2)) % 2 == 0
    wave *= np.where(on, level, floor)
    if cut:
        spectrum = np.fft.rfft(wave)
        spectrum[np.fft.rfftfreq(len(wave), 1 / RATE) > cut] = 0
        wave = np.fft.irfft(spectrum, len(wave))
    return wave.astype(np.float32)


DOMAIN = learn_domain(
    measure(talk(seed, level=0.1 * 1.2**seed, floor=1e-3 * 1.3**seed), RATE) for seed in range(8)
)


def test_measures_are_those_of_the_signal():
    values = measure(talk(0), RATE)
    assert values["level"] == pytest.approx(-20, abs=1)
    assert values["contrast"] == pytest.approx(40, abs=2)
    assert values["treble"] == pytest.approx(10 * np.log10(1 - 4200 / 8000), abs=0.3)


@pytest.mark.parametrize(
    ("name", "wave"),
    [
        ("level", talk(1, level=0.001, floor=1e-5)),
        ("pauses", talk(1, floor=0.09)),
        ("4.2 kHz", talk(1, cut=3400)),
        ("level", np.zeros(5 * RATE, np.float32)),
    ],
)
def test_another_recording_is_told_by_what_differs(name, wave):
    found = differences(measure(wave, RATE), DOMAIN)
    assert any(name in text for text in found)
    assert differences(measure(talk(3), RATE), DOMAIN) == []
    assert differences(measure(wave, RATE), None) == []


def test_blocks_and_whole_recording_have_the_same_measures():
    wave = np.concatenate([talk(seed) for seed in range(9)])  # 72 s: two blocks
    one = Recording("r", wave, FrameGrid())
    two = Recording("r", wave, FrameGrid())
    list(two.blocks())
    assert one.measures() == pytest.approx(two.measures(), abs=0.2)
    assert Meter(RATE).values() is None


def test_of_long_crops_few_are_read():
    drawn = []

    def crops():
        for seed in range(100):
            drawn.append(seed)
            yield np.zeros(600 * 100, np.float32)

    assert len(list(measure_crops(crops(), 100))) == 5 * 20
    assert drawn == [0, 1, 2, 3, 4]
