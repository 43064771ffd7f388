"""Errors of one recording over time, and the mapping of its speakers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.score.timeline import EPSILON
from diarize.score.times import ErrorTimes
from diarize.segments import Segment

Region = tuple[float, float]


@dataclass(frozen=True)
class ErrorSpan:
    """[start, end) seconds with constant numbers of missed, false and confused speakers."""

    start: float
    end: float
    miss: int
    false_alarm: int
    confusion: int


@dataclass(frozen=True)
class RecordingErrors:
    """Errors of one recording, scored without collar.

    ``mapping``: hypothesis label -> reference label; ``spans``: the errors over time; ``times``:
    their sums in seconds.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    spans: Sequence[ErrorSpan] = ()
    times: ErrorTimes = field(default_factory=ErrorTimes)


def score_one(
    reference: Iterable[Segment], hypothesis: Iterable[Segment], regions: Sequence[Region]
) -> RecordingErrors:
    """Return the errors of the segments of one recording inside ``regions`` (seconds)."""
    ref = [segment._replace(recording="") for segment in reference]
    hyp = [segment._replace(recording="") for segment in hypothesis]
    if not regions:
        return RecordingErrors()
    evaluation = Evaluation(problem_from_segments(ref, hyp, {"": regions}))
    names_ref, names_hyp = evaluation.problem.ref.speakers, evaluation.problem.sys.speakers
    mapping = {
        names_hyp[partner]: names_ref[number]
        for number, partner in enumerate(evaluation.mapping.tolist())
        if partner >= 0
    }
    return RecordingErrors(mapping, error_spans(evaluation), evaluation.scores().total)


def error_spans(
    evaluation: Evaluation, collar: float = 0.0, skip_overlap: bool = False
) -> list[ErrorSpan]:
    """Return the spans with errors, sorted by time; equal adjoining spans are joined.

    As in the DER, with R reference and H hypothesis speakers: misses are max(0, R - H), false
    alarms max(0, H - R), confusions min(R, H) minus the mapped pairs that are both active.
    Their sums are those of `Evaluation.scores` with the same options.
    """
    part = evaluation.scored_intervals(collar, skip_overlap)
    begin = evaluation.scored_timeline(collar, skip_overlap).start[part.index]
    columns = (begin, begin + part.duration, part.ref, part.sys, part.mapped)
    spans: list[ErrorSpan] = []
    for lo, hi, ref, sys, mapped in zip(*(column.tolist() for column in columns), strict=True):
        counts = (max(0, ref - sys), max(0, sys - ref), min(ref, sys) - mapped)
        if not any(counts):
            continue
        last = spans[-1] if spans else None
        near = last is not None and lo - last.end < EPSILON
        if near and (last.miss, last.false_alarm, last.confusion) == counts:
            spans[-1] = ErrorSpan(last.start, hi, *counts)
        else:
            spans.append(ErrorSpan(lo, hi, *counts))
    return spans


def scored_spans(
    evaluation: Evaluation, collar: float = 0.0, skip_overlap: bool = False
) -> list[Region]:
    """Return the scored (start, end) seconds, sorted by time; adjoining ones are joined."""
    part = evaluation.scored_intervals(collar, skip_overlap)
    begin = evaluation.scored_timeline(collar, skip_overlap).start[part.index]
    spans: list[Region] = []
    for lo, hi in zip(begin.tolist(), (begin + part.duration).tolist(), strict=True):
        if spans and lo - spans[-1][1] < EPSILON:
            spans[-1] = (spans[-1][0], hi)
        else:
            spans.append((lo, hi))
    return spans
