"""Reliability of confidences: the share of each turn's time that is right, by confidence."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.segments import Regions, Segment, Turn, by_recording, merge_segments

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class TurnScore(NamedTuple):
    """A turn of system output: its confidence, its scored seconds, and those that are right."""

    confidence: float | None
    seconds: float
    correct: float


class Bin(NamedTuple):
    """Turns with a confidence in [low, high): their number, seconds, mean confidence and share.

    Means are weighted by the seconds; ``share`` of the time is right.
    """

    low: float
    high: float
    turns: int
    seconds: float
    confidence: float
    share: float


def score_turns(
    ref: Sequence[Segment], sys: Sequence[Turn], uem: Mapping[str, Regions] | None = None
) -> list[TurnScore]:
    """Return the score of each turn in ``sys`` of a scored recording, in their order.

    A moment of a turn is right if the reference speaker to whom its label is mapped speaks.  The
    mapping is that of the DER without collar; only time in the evaluated regions counts.
    """
    evaluation = Evaluation(problem_from_segments(ref, [turn.segment for turn in sys], uem))
    problem = evaluation.problem
    spans = problem.regions
    regions: dict[str, list[tuple[float, float]]] = {}
    for group, start, end in zip(spans.group.tolist(), spans.start, spans.end, strict=True):
        regions.setdefault(problem.groups[group], []).append((float(start), float(end)))
    partner = {}
    for number, other in enumerate(evaluation.mapping.tolist()):
        if other >= 0:
            group = problem.groups[problem.ref.speaker_group[number]]
            partner[group, problem.sys.speakers[other]] = problem.ref.speakers[number]
    own: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for recording, segments in by_recording(ref).items():
        for s in merge_segments(segments):
            own.setdefault((recording, s.label), []).append((s.start, s.end))
    out = []
    for turn in sys:
        if turn.recording not in regions:
            continue
        scored = _common([(turn.start, turn.end)], regions[turn.recording])
        speaker = partner.get((turn.recording, turn.label))
        right = _common(scored, own.get((turn.recording, speaker), ()))
        out.append(TurnScore(turn.confidence, _length(scored), _length(right)))
    return out


def reliability(scores: Sequence[TurnScore], edges: Sequence[float] = EDGES) -> list[Bin]:
    """Return the bins that have turns with a confidence and scored time; the last has its end."""
    bins = []
    for low, high in itertools.pairwise(edges):
        inside = [
            s for s in scores
            if s.confidence is not None and s.seconds > 0
            and (low <= s.confidence < high or s.confidence == high == edges[-1])
        ]  # fmt: skip
        seconds = sum(s.seconds for s in inside)
        if inside:
            mean = sum(s.seconds * s.confidence for s in inside) / seconds
            share = sum(s.correct for s in inside) / seconds
            bins.append(Bin(low, high, len(inside), seconds, mean, share))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean difference of confidence and share, weighted by the seconds of the bins."""
    total = sum(b.seconds for b in bins)
    return sum(b.seconds * abs(b.confidence - b.share) for b in bins) / total if total else 0.0


def _common(
    spans: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the intersections of ``spans`` with ``others``, each without overlap in itself."""
    cut = [(max(a, c), min(b, d)) for a, b in spans for c, d in others]
    return [(a, b) for a, b in cut if b > a]


def _length(spans: Sequence[tuple[float, float]]) -> float:
    return sum(b - a for a, b in spans)
