"""What a picture shows of one recording: who is who, and where the errors lie."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.segments import Segment, merge_segments

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
    """Return hypothesis label -> reference label, one to one, as the scorer maps them.

    Only time inside ``regions`` counts, and pairs without any are left out.
    """
    ref = [segment._replace(recording="") for segment in reference]
    hyp = [segment._replace(recording="") for segment in hypothesis]
    if not (ref and regions):
        return {}
    evaluation = Evaluation(problem_from_segments(ref, hyp, {"": regions}))
    names_ref, names_hyp = evaluation.problem.ref.speakers, evaluation.problem.sys.speakers
    return {
        names_hyp[partner]: names_ref[number]
        for number, partner in enumerate(evaluation.mapping.tolist())
        if partner >= 0
    }
