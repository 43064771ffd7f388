"""What a picture shows of one recording: who is who, and where the errors lie."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diarize.segments import Segment, clip_segments, merge_segments

Region = tuple[float, float]


@dataclass(frozen=True)
class ErrorSpan:
    """[start, end) seconds in which the numbers of missed, false and confused speakers hold."""

    start: float
    end: float
    miss: int
    false_alarm: int
    confusion: int


def error_spans(
    reference: Iterable[Segment],
    hypothesis: Iterable[Segment],
    regions: Sequence[Region],
    mapping: Mapping[str, str],
) -> list[ErrorSpan]:
    """Return where, inside ``regions``, the hypothesis errs, sorted; adjoining equal spans joined.

    reference, hypothesis: the segments of one recording
    mapping: hypothesis label -> reference label, one to one; others match nobody
    Per span, as in the DER: misses are max(0, R - H), false alarms max(0, H - R),
    confusions min(R, H) less the speakers that agree (no collar).
    """
    events: list[tuple[float, int, str, int]] = []
    for side, segments in ((0, reference), (1, hypothesis)):
        for seg in merge_segments(segments):
            label = mapping.get(seg.label, f"\0{seg.label}") if side else seg.label
            events += [(seg.start, side, label, 1), (seg.end, side, label, -1)]
    cuts = sorted({t for t, *_ in events} | {t for region in regions for t in region})
    events.sort(key=lambda event: event[0])
    active: tuple[set[str], set[str]] = (set(), set())
    spans: list[ErrorSpan] = []
    done = 0
    for lo, hi in itertools.pairwise(cuts):
        while done < len(events) and events[done][0] <= lo:
            _, side, label, step = events[done]
            (active[side].add if step > 0 else active[side].discard)(label)
            done += 1
        if not any(a <= lo and hi <= b for a, b in regions):
            continue
        ref, hyp = active
        counts = (
            max(0, len(ref) - len(hyp)),
            max(0, len(hyp) - len(ref)),
            min(len(ref), len(hyp)) - len(ref & hyp),
        )
        if not any(counts):
            continue
        last = spans[-1] if spans else None
        if last and last.end == lo and (last.miss, last.false_alarm, last.confusion) == counts:
            spans[-1] = ErrorSpan(last.start, hi, *counts)
        else:
            spans.append(ErrorSpan(lo, hi, *counts))
    return spans


def error_seconds(spans: Iterable[ErrorSpan]) -> tuple[float, float, float]:
    """Return the speaker seconds of miss, false alarm and confusion in ``spans``."""
    miss = false_alarm = confusion = 0.0
    for span in spans:
        length = span.end - span.start
        miss += length * span.miss
        false_alarm += length * span.false_alarm
        confusion += length * span.confusion
    return miss, false_alarm, confusion


def map_speakers(
    reference: Iterable[Segment], hypothesis: Iterable[Segment], regions: Sequence[Region]
) -> dict[str, str]:
    """Return hypothesis label -> reference label, one to one, of most time in common.

    Only time inside ``regions`` counts, and pairs without any are left out.
    """
    from scipy.optimize import linear_sum_assignment

    sides = []
    for segments in (reference, hypothesis):
        spans: dict[str, list[Region]] = {}
        for start, end in regions:
            for seg in merge_segments(clip_segments(segments, start, end)):
                spans.setdefault(seg.label, []).append((seg.start, seg.end))
        sides.append(dict(sorted(spans.items())))
    ref, hyp = sides
    together = np.array([[shared_seconds(r, h) for r in ref.values()] for h in hyp.values()])
    if not together.size:
        return {}
    names_ref, names_hyp = list(ref), list(hyp)
    return {
        names_hyp[i]: names_ref[j]
        for i, j in zip(*linear_sum_assignment(-together), strict=True)
        if together[i, j] > 0
    }


def shared_seconds(one: Sequence[Region], other: Sequence[Region]) -> float:
    """Return the seconds that two sorted lists of disjoint spans have in common."""
    total, i, j = 0.0, 0, 0
    while i < len(one) and j < len(other):
        total += max(0.0, min(one[i][1], other[j][1]) - max(one[i][0], other[j][0]))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total
