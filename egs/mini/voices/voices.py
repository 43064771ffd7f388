"""Random speakers: voice files for eSpeak NG, and a measure of how far two of them are apart."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import get_window

F0_RANGE = (76.0, 291.0)  # Hz, over which eSpeak NG still sounds like a person
_BANDS = 32
_FRAME, _HOP = 512, 160  # at 16 kHz


@dataclass(frozen=True)
class Voice:
    """One speaker: the text of the ``variant`` file, and parameters of eSpeak NG for each call."""

    name: str
    gender: str
    pitch: float  # Hz, the middle of the range
    rate: int  # words a minute
    level: float  # dB relative to the corpus level
    variant: str


def random_voice(name: str, rng: np.random.Generator) -> Voice:
    """Return a voice drawn at random: F0, formants, breath, tone, stress, rate and level.

    The formants follow the pitch loosely, as vocal tracts do.
    """
    gender = "male" if rng.random() < 0.5 else "female"
    low, high = (F0_RANGE[0], 175.0) if gender == "male" else (140.0, F0_RANGE[1])
    pitch = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    scale = (97.0 if gender == "male" else 112.0) * float(np.exp(rng.normal(0.0, 0.05)))
    spread = rng.uniform(0.08, 0.28)  # half the range of the intonation
    lines = [
        "language variant",
        f"name {name}",
        f"gender {gender}",
        f"pitch {pitch * (1 - spread):.0f} {pitch * (1 + spread):.0f}",
        f"flutter {rng.integers(1, 6)}",
        f"roughness {rng.integers(0, 4)}",
        f"voicing {rng.integers(70, 121)}",
        f"consonants {rng.integers(60, 131)} {rng.integers(60, 131)}",
    ]
    for formant in range(9):
        shift = rng.normal(0.0, 4.0) if 1 <= formant <= 5 else 0.0
        frequency = np.clip(scale + shift, 80, 135)
        height, width = rng.integers(65, 131), rng.integers(75, 151)
        lines.append(f"formant {formant} {frequency:.0f} {height} {width}")
    if rng.random() < 0.4:
        breath = " ".join(str(value) for value in rng.integers(0, 12, size=6))
        lines.append(f"breath {breath}")
    tilt = rng.uniform(0.3, 1.0, size=3)
    lines.append(
        f"tone 100 {255 * tilt[0]:.0f} 600 255 1500 {255 * tilt[1]:.0f} 4000 {255 * tilt[2]:.0f}"
    )
    lines.append("stressAdd " + " ".join(str(v) for v in rng.integers(-20, 31, size=8)))
    if rng.random() < 0.2:
        lines.append(f"klatt {rng.integers(1, 6)}")
    return Voice(
        name, gender, pitch, int(rng.integers(140, 206)), float(rng.uniform(-3.0, 3.0)),
        "\n".join(lines) + "\n",
    )


def voice_print(samples: np.ndarray) -> np.ndarray:
    """Return a description (65,) of the sound of a voice, float64, independent of text and level.

    ``samples`` are some seconds of speech at 16 kHz.  32 mean log energies of bands on a mel
    scale (dB, their mean removed), their 32 standard deviations (dB), and the median F0 in
    semitones above 50 Hz.
    """
    wave = np.asarray(samples, np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[::_HOP]
    power = np.abs(np.fft.rfft(frames * get_window("hann", _FRAME), axis=1)) ** 2
    loud = power.sum(1) > 1e-3 * np.quantile(power.sum(1), 0.95)
    bands = 10 * np.log10(power[loud] @ _mel_bands().T + 1e-9 * power.max())
    mean = bands.mean(0)
    return np.concatenate([mean - mean.mean(), bands.std(0), [_median_pitch(frames[loud])]])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two voice prints are apart: dB of spectrum and semitones of F0 together."""
    difference = one - other
    spectrum = np.sqrt(np.mean(difference[:-1] ** 2))
    return float(np.hypot(spectrum, difference[-1]))


def _mel_bands() -> np.ndarray:
    """Return (32, 257) triangular weights from 100 Hz to 7.6 kHz."""
    edges = np.linspace(*(2595 * np.log10(1 + np.array([100.0, 7600.0]) / 700)), _BANDS + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    frequency = np.fft.rfftfreq(_FRAME, 1 / 16000)
    rise = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def _median_pitch(frames: np.ndarray) -> float:
    """Return the median F0 of the well voiced frames by autocorrelation, semitones over 50 Hz."""
    window = get_window("hann", _FRAME)
    spectrum = np.abs(np.fft.rfft((frames - frames.mean(1, keepdims=True)) * window, 1024)) ** 2
    correlation = np.fft.irfft(spectrum)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 1024)) ** 2)
    normal = correlation[:, :256] / (correlation[:, :1] + 1e-9) / (own[:256] / own[0])
    lags = np.arange(16000 // 400, 16000 // 65)
    # A peak at one period is also there at two: the slope prefers the shorter one.
    peak = normal[:, lags] - 0.0008 * lags
    best = peak.argmax(1)
    strength = peak[np.arange(len(peak)), best]
    voiced = strength >= np.median(strength)
    return float(np.median(12 * np.log2(16000 / lags[best[voiced]] / 50)))
