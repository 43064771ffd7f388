"""Energy-based speech activity detection in recordings of one speaker.

It is meant for read speech near the microphone, such as LibriSpeech, whose files begin and end with
silence that a mixture must not label as speech.  It is not suited to real conversations.

Levels are those of frames of 25 ms every 10 ms, in dB below full scale, the mean removed.
The level of speech is the 95th percentile of an utterance's frames, its noise floor the 5th.
A frame is speech above a threshold that lies 70 % of the way from the level down to the floor,
but at least 15 dB and at most 35 dB below the level; so a quiet utterance is treated as a loud
one, a studio's digital silence does not make breath into speech, and an utterance without any
pause is kept whole.  Then bursts under 0.1 s are dropped (clicks), pauses under 0.3 s belong to
the speech around them (stops, weak fricatives), and 0.05 s are added at both ends (weak onsets,
decay).  All numbers are options.
"""

import math
from dataclasses import dataclass

import numpy as np

from diarize.checks import inner_fraction, non_negative, positive, require
from diarize.timebase import FrameGrid

_SILENCE = 1e-12  # added to the mean square: -120 dB
_LEVEL_PERCENTILE, _FLOOR_PERCENTILE = 95, 5


@dataclass(frozen=True)
class SadOptions:
    """Times in seconds, levels in dB.

    ``split_pause``: speech is cut at pauses of at least this length, what ``pad`` adds at both ends
    not counted; 0: never, so that an utterance has at most one stretch, from first to last.
    ``silent``: an utterance whose level is below holds no speech.  Raises DiarizeError for
    impossible values.
    """

    window: float = 0.025
    hop: float = 0.010
    depth: float = 0.7
    min_drop: float = 15.0
    max_drop: float = 35.0
    min_speech: float = 0.1
    min_pause: float = 0.3
    pad: float = 0.05
    split_pause: float = 0.0
    silent: float = -75.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(math.isfinite(value), name, value, "a finite number")
        positive(hop=self.hop, min_drop=self.min_drop)
        require(self.window >= self.hop, "window", self.window, f"the hop ({self.hop}) or more")
        inner_fraction(depth=self.depth)
        require(self.max_drop >= self.min_drop, "max_drop", self.max_drop,
                f"min_drop ({self.min_drop}) or more")
        non_negative(min_speech=self.min_speech, min_pause=self.min_pause)
        non_negative(pad=self.pad, split_pause=self.split_pause)


def energy_sad(
    wave: np.ndarray, sample_rate: int, options: SadOptions | None = None
) -> list[tuple[float, float]]:
    """Return the stretches of speech of ``wave`` (n,) as (start, end) seconds, in order.

    They lie within the audio and do not touch.  Without speech, or shorter than one frame,
    there are none.
    """
    options = options or SadOptions()
    levels = frame_levels(wave, sample_rate, options)
    if not len(levels):
        return []
    threshold = speech_threshold(levels, options)
    runs = _runs(levels > threshold)
    runs = runs[_lengths(runs) >= options.min_speech / options.hop - 1e-6]
    if not len(runs):
        return []
    grid = FrameGrid(sample_rate, max(1, round(options.hop * sample_rate)))
    # Each frame represents the hop in its middle, so that both ends are treated alike.
    lead = (round(options.window * sample_rate) - grid.hop) / 2 / sample_rate
    seconds = runs * (grid.hop / sample_rate) + lead
    seconds = _fill(seconds, options.min_pause)
    seconds[:, 0] -= options.pad
    seconds[:, 1] += options.pad
    np.clip(seconds, 0.0, len(wave) / sample_rate, out=seconds)
    # A pause is measured between the kept stretches; with 0 there is one.
    seconds = _fill(seconds, options.split_pause or math.inf)
    return [(float(start), float(end)) for start, end in seconds]


def frame_levels(wave: np.ndarray, sample_rate: int, options: SadOptions) -> np.ndarray:
    """Return the level of each whole frame of ``wave`` in dB, float64 (T,)."""
    size, hop = round(options.window * sample_rate), max(1, round(options.hop * sample_rate))
    if len(wave) < size:
        return np.zeros(0)
    wave = np.asarray(wave, dtype=np.float64)
    # Sums of frames as differences of one running sum: no frame is copied.
    total = np.concatenate(([0.0], np.cumsum((wave - wave.mean()) ** 2)))
    first = np.arange(0, len(wave) - size + 1, hop)
    return 10 * np.log10(np.maximum(total[first + size] - total[first], 0) / size + _SILENCE)


def speech_threshold(levels: np.ndarray, options: SadOptions) -> float:
    """Return the level in dB above which a frame of an utterance with ``levels`` is speech.

    Infinite where the utterance is silent.

    >>> speech_threshold(np.r_[np.full(50, -60.0), np.full(50, -20.0)], SadOptions())
    -48.0
    """
    floor, level = np.percentile(levels, [_FLOOR_PERCENTILE, _LEVEL_PERCENTILE])
    if level < options.silent:
        return math.inf
    drop = options.depth * (level - floor)
    return float(level - min(max(drop, options.min_drop), options.max_drop))


def _runs(active: np.ndarray) -> np.ndarray:
    """Return the runs of True as (first, behind the last), int (R, 2)."""
    steps = np.diff(np.concatenate(([0], active.astype(np.int8), [0])))
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)


def _lengths(runs: np.ndarray) -> np.ndarray:
    return runs[:, 1] - runs[:, 0]


def _fill(spans: np.ndarray, pause: float) -> np.ndarray:
    """Return ``spans`` (R, 2) with those joined that are less than ``pause`` apart."""
    apart = spans[1:, 0] - spans[:-1, 1] >= max(pause, 1e-6)
    return np.stack(
        [spans[np.r_[True, apart], 0], spans[np.r_[apart, True], 1]], axis=1
    )
