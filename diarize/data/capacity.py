"""Recordings with more labels in one crop than a model has queries for."""

from collections.abc import Sequence

import numpy as np

from diarize.data.crops import CropOptions
from diarize.data.sources import Source
from diarize.data.stretches import Stretches, crop_bounds
from diarize.segments import Segment
from diarize.timebase import FrameGrid


def crowded_recordings(
    source: Source, options: CropOptions, grid: FrameGrid, capacity: int, noun: str, key: str
) -> dict[str, str]:
    """Return a message for each recording with more than ``capacity`` labels in any crop.

    ``noun`` is the word for the labels, ``key`` the option that raises the capacity.  Turns
    shorter than a frame at an edge of the crop do not count: they have no frame in it.
    """
    out = {}
    factor = 1.0 if options.speed is None else options.speed[1]
    wanted = round(grid.to_samples(options.crop_seconds) * factor)
    for index in np.flatnonzero(source.label_counts() > capacity).tolist():
        total = source.num_samples(index)
        stretches = source.evaluated(index) or [(0, total)]
        count, start = most_labels(
            source.segments(index), stretches, total, wanted, (grid.sample_rate, grid.hop)
        )
        if count > capacity:
            seconds = min(wanted, total) / grid.sample_rate
            out[source.name(index)] = (
                f"{count} {noun} in the {seconds:g} s from {max(0.0, start):.1f} s on, the model "
                f"has queries for {capacity}: raise {key}, or lower data.crop_seconds"
            )
    return out


def most_labels(
    segments: Sequence[Segment], stretches: Stretches, total: int, wanted: int,
    grid: tuple[int, int],
) -> tuple[int, float]:
    """Return the largest number of labels in a crop of ``wanted`` samples, and its start in s.

    ``segments`` are in seconds, ``stretches`` the evaluated samples, ``grid`` the sample rate and
    the samples of a frame.

    >>> talk = [Segment("r", i, i + 1.0, "abca"[i]) for i in range(4)]
    >>> [most_labels(talk, [(0, 400)], 400, n, (100, 1))[0] for n in (100, 150, 250, 400)]
    [2, 3, 3, 3]
    """
    rate, hop = grid
    inside: dict[str, list[tuple[float, float]]] = {}
    for segment in segments:
        for first, last in stretches:
            start, end = max(segment.start * rate, first), min(segment.end * rate, last)
            if end > start:
                inside.setdefault(segment.label, []).append((start, end))
    # A label is in the crop from s on if s is in one of its spans; each label counts once.
    spans = [span for held in inside.values() for span in _spans(held, wanted - hop)]
    begins = np.sort([begin for begin, _ in spans])
    ends = np.sort([end for _, end in spans])
    best = (0, 0.0)
    for stretch in stretches:
        low, high = (edge + hop / 2 for edge in crop_bounds(stretch, total, wanted))
        places = np.append(begins[(begins > low) & (begins < high)], low)
        counts = np.searchsorted(begins, places, "right") - np.searchsorted(ends, places, "right")
        place = int(np.argmax(counts))
        best = max(best, (int(counts[place]), float(places[place] - hop / 2) / rate))
    return best


def _spans(inside: list[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """Return the starts of windows of ``length`` that meet an interval, as separate intervals."""
    out: list[tuple[float, float]] = []
    for start, end in sorted(inside):
        if out and start - length <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], end)
        else:
            out.append((start - length, end))
    return out
