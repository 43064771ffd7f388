"""Level, noise and bandwidth of recordings, compared with those of the training data.

A model hears recordings unlike those of its training with more errors, and nothing in its output
shows it.  Three numbers describe a recording, from frames of 32 ms, eight in a second:

* ``level``: the 95th percentile of the frames' levels, in dB below full scale;
* ``contrast``: this level less the 10th percentile, in dB: low if noise fills the pauses, high if
  they are digital silence;
* ``treble``: the part of the energy of the louder half of the frames above 4.2 kHz, in dB: low
  for telephone speech.

A training stores the 1st and 99th percentiles over its crops with the model, under ``domain``.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_log = logging.getLogger(__name__)

PIECE = 30.0
"""Longest part of a training crop that is measured as a recording, in seconds."""

MOST_CROPS, MOST_SECONDS = 100, 3000.0
"""Training crops that are measured: so many, or about so many seconds."""

_FRAME, _STEP = 0.032, 0.128  # s
_EDGE = 4200.0  # Hz: above all that 8 kHz can hold
_FLOOR = 1e-10  # power, -100 dB
_SHARES = (0.01, 0.99)
_WORDS = {
    "level": "level of speech {value:.0f} dB, in training {low:.0f} to {high:.0f} dB",
    "contrast": "pauses {value:.0f} dB below speech, in training {low:.0f} to {high:.0f} dB",
    "treble": "energy above 4.2 kHz {value:.0f} dB, in training {low:.0f} to {high:.0f} dB",
}
# dB outside of the training's range that are not reported.
_MARGINS = {"level": 6.0, "contrast": 3.0, "treble": 3.0}


class Meter:
    """Measurement of a recording from its consecutive blocks of samples."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._powers: list[np.ndarray] = []
        self._high: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Add a block of samples, float32 (n,)."""
        size, step = (round(seconds * self.sample_rate) for seconds in (_FRAME, _STEP))
        if len(samples) < size:
            return
        frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
        spectra = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2  # (T, size / 2 + 1)
        first = int(np.ceil(_EDGE * size / self.sample_rate))
        total = spectra.sum(1)
        share = spectra[:, first:].sum(1) / np.maximum(total, 1e-30)
        self._powers.append(np.mean(frames.astype(np.float64) ** 2, axis=1))
        self._high.append(share)

    def values(self) -> dict[str, float] | None:
        """Return the measures in dB, by name; None without a frame."""
        if not self._powers:
            return None
        powers, high = np.concatenate(self._powers), np.concatenate(self._high)
        levels = 10 * np.log10(np.maximum(powers, _FLOOR))
        quiet, loud = np.quantile(levels, [0.1, 0.95])
        chosen = powers >= np.median(powers)
        part = (powers * high)[chosen].sum() / max(float(powers[chosen].sum()), 1e-30)
        return {
            "level": float(loud),
            "contrast": float(loud - quiet),
            "treble": float(10 * np.log10(max(part, _FLOOR))),
        }


def measure(samples: np.ndarray, sample_rate: int) -> dict[str, float] | None:
    """Return the measures of a whole recording, float32 (n,); None if it is under a frame."""
    meter = Meter(sample_rate)
    meter.add(samples)
    return meter.values()


def measure_crops(crops: Iterable[np.ndarray], sample_rate: int) -> Iterator[dict[str, float]]:
    """Yield the measures of the first ``crops``, in pieces; the last one may be short."""
    left, size = MOST_SECONDS * sample_rate, round(PIECE * sample_rate)
    for crop in itertools.islice(crops, MOST_CROPS):
        for start in range(0, len(crop), size):
            values = measure(crop[start : start + size], sample_rate)
            if values is not None:
                yield values
        left -= len(crop)
        if left <= 0:
            return


def learn_domain(found: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return [low, high] of each measure over pieces of training crops; {} if there is none.

    >>> learn_domain([{"level": -30.0}, {"level": -20.0}])
    {'level': [-29.9, -20.1]}
    """
    rows = list(found)
    names = rows[0].keys() if rows else ()
    ranges = {name: np.quantile([row[name] for row in rows], _SHARES) for name in names}
    return {name: [round(float(x), 2) for x in pair] for name, pair in ranges.items()}


def differences(
    values: Mapping[str, float] | None, domain: Mapping[str, Any] | None
) -> list[str]:
    """Return a text for each measure that is outside of the ``domain`` of a model."""
    out = []
    for name, words in _WORDS.items():
        if values is None or not domain or name not in domain:
            continue
        low, high = domain[name]
        if not low - _MARGINS[name] <= values[name] <= high + _MARGINS[name]:
            out.append(words.format(value=values[name], low=low, high=high))
    return out


def warn_of_other_domain(
    recording: str, values: Mapping[str, float] | None, domain: Mapping[str, Any] | None
) -> None:
    """Warn if a recording is unlike those of the training."""
    found = differences(values, domain)
    if found:
        _log.warning(
            "recording %s is unlike the training data (%s); expect more errors, or finetune the "
            "model on such recordings", recording, "; ".join(found),
        )  # fmt: skip
