"""Scores of one recording, for tuning and for RESULTS.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from diarize.plot.errors import error_seconds, error_spans, map_speakers, shared_seconds
from diarize.segments import Segment, clip_segments, merge_segments

Regions = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Errors:
    """Seconds of missed, false and confused speech, and of reference speech."""

    miss: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    speech: float = 0.0

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.miss + other.miss,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.speech + other.speech,
        )

    def percent(self) -> dict[str, float | None]:
        """Return der, miss, fa and conf in percent of the speech; None where there is none."""
        parts = {"miss": self.miss, "fa": self.false_alarm, "conf": self.confusion}
        parts = {"der": sum(parts.values()), **parts}
        return {k: 100 * v / self.speech if self.speech > 0 else None for k, v in parts.items()}


def score_recording(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    regions: Regions,
    collar: float = 0.0,
) -> Errors:
    """Return the errors of one recording inside ``regions``, overlap scored, as md-eval does.

    Speakers are mapped in the whole of ``regions``, before ``collar`` seconds on each side
    of every reference boundary are taken out.
    """
    mapping = map_speakers(reference, hypothesis, regions)
    scored = outside_collars(reference, regions, collar) if collar else regions
    errors = error_seconds(error_spans(reference, hypothesis, scored, mapping))
    return Errors(*errors, error_seconds(error_spans(reference, [], scored, {}))[0])


def outside_collars(
    reference: Sequence[Segment], regions: Regions, collar: float
) -> list[tuple[float, float]]:
    """Return ``regions`` without [t - collar, t + collar] of every reference boundary t."""
    boundaries = sorted({t for s in reference if s.end > s.start for t in (s.start, s.end)})
    left = []
    for start, end in sorted(regions):
        at = start
        for t in boundaries:
            if t + collar <= at:
                continue
            if t - collar >= end:
                break
            if t - collar > at:
                left.append((at, t - collar))
            at = t + collar
        if at < end:
            left.append((at, end))
    return left


def jaccard_error(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], regions: Regions
) -> tuple[float, int]:
    """Return the Jaccard errors (0..1) summed over the reference speakers, and their number.

    A speaker's error is 1 less the time in common with the hypothesis speaker over the time
    of either, 1 where none is mapped; speakers are mapped so that the sum is least (DIHARD
    II evaluation plan).
    """
    ref, hyp = (_speech_by_label(segments, regions) for segments in (reference, hypothesis))
    if not ref or not hyp:
        return float(len(ref)), len(ref)
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    index = np.zeros((len(ref), len(hyp)))
    for i, one in enumerate(ref.values()):
        for j, other in enumerate(hyp.values()):
            both = shared_seconds(one, other)
            either = sum(b - a for a, b in one + other) - both
            index[i, j] = both / either
    return len(ref) - float(index[linear_sum_assignment(-index)].sum()), len(ref)


def _speech_by_label(
    segments: Sequence[Segment], regions: Regions
) -> dict[str, list[tuple[float, float]]]:
    out: dict[str, list[tuple[float, float]]] = {}
    for start, end in sorted(regions):
        for seg in merge_segments(clip_segments(segments, start, end)):
            out.setdefault(seg.label, []).append((seg.start, seg.end))
    return out
