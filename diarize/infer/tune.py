"""Grid search of thresholds on the validation set, from stored posteriors.

The network is not required.  Every point of the grid query_threshold x mask_threshold x
median x min_duration is scored exactly (the scorer is an argument).  If two query thresholds
keep the same queries of a recording, it is scored once for both, which makes exact scoring fast
enough.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diarize.checks import require
from diarize.errors import DiarizeError
from diarize.infer.postprocess import (
    SPEAKER,
    PostprocessOptions,
    PostProcessor,
    check_output,
)
from diarize.segments import Regions, Segment
from diarize.timebase import FrameGrid

Errors = tuple[float, float, float, float]
# (reference, hypotheses, regions) of one recording -> for each hypothesis the seconds of miss,
# false alarm, confusion and reference speech.
Scorer = Callable[[Sequence[Segment], Sequence[list[Segment]], Regions], list[Errors]]


@dataclass(frozen=True)
class TuneOptions:
    """Values of the grid search, as in ``PostprocessOptions``."""

    query_threshold: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    """Values of ``postprocess.query_threshold``."""
    mask_threshold: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    """Values of ``postprocess.mask_threshold``."""
    median: tuple[int, ...] = (1, 11, 25)
    """Values of ``postprocess.median``."""
    min_duration: tuple[float, ...] = (0.0, 0.1, 0.2)
    """Values of ``postprocess.min_duration``."""

    def __post_init__(self) -> None:
        for name in GRID_NAMES:
            values = getattr(self, name)
            require(bool(values) and len(set(values)) == len(values), name, list(values),
                    "one or more different values")
            for value in values:
                PostprocessOptions(**{name: value})


GRID_NAMES = ("query_threshold", "mask_threshold", "median", "min_duration")


@dataclass(frozen=True)
class TuneRecording:
    """One recording of the validation set; ``num_speakers`` if it is known."""

    recording: str
    posteriors: np.ndarray
    activities: np.ndarray
    reference: Sequence[Segment]
    regions: Regions
    num_speakers: int | None = None


@dataclass(frozen=True)
class TunePoint:
    """One point of the grid and its pooled errors in seconds."""

    options: PostprocessOptions
    miss: float
    false_alarm: float
    confusion: float
    speech: float
    counts_right: int
    recordings: int

    @property
    def der(self) -> float:
        """Pooled diarization error rate, 1.0 for 100 %."""
        return (self.miss + self.false_alarm + self.confusion) / self.speech


def grid_options(
    base: PostprocessOptions, tune: TuneOptions, vary_query_threshold: bool = True
) -> list[PostprocessOptions]:
    """Return ``base`` with every combination of the values in ``tune``.

    If the number of speakers is given (in ``base``, or otherwise: ``vary_query_threshold``
    false), the query threshold has no effect and is not varied.
    """
    vary = vary_query_threshold and base.num_speakers is None
    query_thresholds = tune.query_threshold if vary else (base.query_threshold,)
    return [
        replace(base, **dict(zip(GRID_NAMES, values, strict=True)))
        for values in itertools.product(
            query_thresholds, tune.mask_threshold, tune.median, tune.min_duration
        )
    ]


def tune_postprocessing(
    recordings: Iterable[TuneRecording],
    points: Sequence[PostprocessOptions],
    grid: FrameGrid,
    score: Scorer,
    processor: PostProcessor = SPEAKER,
) -> list[TunePoint]:
    """Return every point with its pooled errors, in the order of ``points``.

    One recording is in memory at a time.  Raises DiarizeError for output that is not
    finite, and for a set without recordings or without reference speech.
    """
    sums = np.zeros((len(points), 4))
    right = np.zeros(len(points), dtype=int)
    count = 0
    for item in recordings:
        check_output(item.posteriors, item.activities, item.recording, processor.num_fixed)
        true_count = _count_in_regions(item.reference, item.regions)
        for index, errors, speakers in _score_recording(item, points, grid, score, processor):
            sums[index] += errors
            right[index] += speakers == true_count
        count += 1
    if count == 0:
        raise DiarizeError("no recording to tune on")
    if not sums[:, 3].all():
        raise DiarizeError("the reference has no speech in the scored regions: nothing to tune on")
    return [
        TunePoint(point, *(float(x) for x in sums[i]), int(right[i]), count)
        for i, point in enumerate(points)
    ]


def best_point(points: Sequence[TunePoint], default: PostprocessOptions) -> TunePoint:
    """Return the point of least DER; in a tie the one nearest to ``default``.

    Distance is compared in query_threshold, then in mask_threshold, median and min_duration.
    """

    def rank(point: TunePoint) -> tuple[float, ...]:
        far = (abs(getattr(point.options, n) - getattr(default, n)) for n in GRID_NAMES)
        # Sums of seconds differ in the last digits; 1e-9 is below any real difference.
        return (round(point.der, 9), *(round(x, 9) for x in far))

    return min(points, key=rank)


def values_at_edge(best: PostprocessOptions, tune: TuneOptions) -> list[str]:
    """Return the names of options whose best value is at the edge of the values tried.

    Values at a natural limit (median 1, min_duration 0) and lists of one do not count.
    """
    out = []
    for name in GRID_NAMES:
        values, value = getattr(tune, name), getattr(best, name)
        natural_end = {"median": 1, "min_duration": 0.0}.get(name)
        if len(values) > 1 and value in (min(values), max(values)) and value != natural_end:
            out.append(name)
    return out


def _score_recording(
    item: TuneRecording,
    points: Sequence[PostprocessOptions],
    grid: FrameGrid,
    score: Scorer,
    processor: PostProcessor,
) -> Iterator[tuple[int, Errors, int]]:
    """Yield (index of the point, errors, speakers found); equal results are scored once."""
    masks: dict[tuple, Any] = {}
    index: dict[tuple, int] = {}
    hypotheses: list[list[Segment]] = []
    of_point = []
    for point in points:
        options = point
        if item.num_speakers is not None:
            options = replace(
                point, num_speakers=item.num_speakers, min_speakers=None, max_speakers=None
            )
        mask_key = (options.mask_threshold, options.median)
        if mask_key not in masks:
            masks[mask_key] = processor.runs(item.posteriors, *mask_key)
        runs = masks[mask_key]
        queries = processor.choose(runs, item.activities, options)
        key = (mask_key, options.min_duration, tuple(queries))
        if key not in index:
            index[key] = len(hypotheses)
            found, _ = processor.assigned(runs, queries, item.recording, options, grid)
            hypotheses.append(found)
        of_point.append(index[key])
    errors = score(item.reference, hypotheses, item.regions)
    speakers = [_count_in_regions(segments, item.regions) for segments in hypotheses]
    for number, at in enumerate(of_point):
        yield number, errors[at], speakers[at]


def _count_in_regions(segments: Iterable[Segment], regions: Regions) -> int:
    return len(
        {s.label for s in segments if any(min(s.end, b) > max(s.start, a) for a, b in regions)}
    )
