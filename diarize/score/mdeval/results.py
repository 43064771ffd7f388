"""Sums of md-eval by file and channel: times, words, and speaker types."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from diarize.io.nist import Group
from diarize.score.der import ScoredIntervals
from diarize.score.jer import speaking_times
from diarize.score.mdeval.evaluation import MdEvaluation

UNKNOWN = "unknown"
MISS = "MISS"


@dataclass
class WordCounts:
    """Numbers of reference words, located by their middle.

    ``missed`` and ``error`` count scored words.
    """

    evaluated: int = 0
    scored: int = 0
    missed: int = 0
    error: int = 0

    def __add__(self, other: "WordCounts") -> "WordCounts":
        return WordCounts(
            self.evaluated + other.evaluated,
            self.scored + other.scored,
            self.missed + other.missed,
            self.error + other.error,
        )


@dataclass
class TypeMatrix:
    """Speakers or seconds by (reference type, system type or MISS), and false alarm by type."""

    cells: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(int))
    false_alarm: dict[str, float] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: "TypeMatrix") -> None:
        """Add the cells of another matrix."""
        for key, value in other.cells.items():
            self.cells[key] += value
        for name, value in other.false_alarm.items():
            self.false_alarm[name] += value


@dataclass
class GroupResult:
    """Results of one channel of one file; ``sums`` are in the order of TIME_FIELDS."""

    group: Group
    sums: list[float]
    words: WordCounts
    speakers: TypeMatrix
    seconds: TypeMatrix


def group_results(
    evaluated: MdEvaluation, collar: float, skip_overlap: bool
) -> list[GroupResult]:
    """Return the results of every group, sorted by file and channel."""
    evaluation = evaluated.evaluation
    sums = evaluation.sums(collar, skip_overlap).tolist()
    typed = bool(evaluated.ref.speaker_type or evaluated.sys.speaker_type)
    part = evaluation.scored_intervals(collar, skip_overlap)
    found = part.add(np.minimum(part.ref, part.sys), evaluation.num_groups).tolist()
    speakers = _speaker_matrices(evaluated)
    no_words = WordCounts()
    out = []
    for i, group in enumerate(evaluation.problem.groups):
        words = no_words
        if i in evaluated.words:
            words = _count_words(evaluated, i, part, collar, skip_overlap)
        if typed:
            seconds = _typed_seconds(evaluated, i, part, collar, skip_overlap)
        else:
            seconds = _untyped_seconds(found[i], *sums[i][1:3])
        out.append(GroupResult(group, sums[i], words, speakers[i], seconds))
    return out


def speaker_types(evaluated: MdEvaluation, reference: bool) -> list[str]:
    """Return the type of each speaker of one side."""
    data = evaluated.ref if reference else evaluated.sys
    side = evaluated.evaluation.problem.ref if reference else evaluated.evaluation.problem.sys
    groups = evaluated.evaluation.problem.groups
    known = data.speaker_type
    if not known:
        return [UNKNOWN] * len(side.speakers)
    return [
        known.get((*groups[g], name), UNKNOWN)
        for g, name in zip(side.speaker_group.tolist(), side.speakers, strict=True)
    ]


def _speaker_matrices(evaluated: MdEvaluation) -> list[TypeMatrix]:
    evaluation = evaluated.evaluation
    problem, line, mapping = evaluation.problem, evaluation.timeline, evaluation.mapping
    ref = np.flatnonzero(speaking_times(line, line.ref, len(problem.ref.speakers)) > 0)
    sys = np.flatnonzero(speaking_times(line, line.sys, len(problem.sys.speakers)) > 0)
    ref_types, sys_types = speaker_types(evaluated, True), speaker_types(evaluated, False)
    taken = np.zeros(len(sys_types) + 1, bool)
    taken[mapping] = True
    out = [TypeMatrix() for _ in problem.groups]
    columns = problem.ref.speaker_group[ref], ref, mapping[ref]
    for group, r, s in zip(*(column.tolist() for column in columns), strict=True):
        out[group].cells[ref_types[r], sys_types[s] if s >= 0 else MISS] += 1
    columns = problem.sys.speaker_group[sys], sys, ~taken[sys]
    for group, s, alarm in zip(*(column.tolist() for column in columns), strict=True):
        out[group].false_alarm[sys_types[s]] += alarm
    return out


def _count_words(
    evaluated: MdEvaluation, number: int, part: ScoredIntervals, collar: float, skip_overlap: bool
) -> WordCounts:
    regions = evaluated.evaluation.problem.regions
    mine = regions.group == number
    spans = list(zip(regions.start[mine].tolist(), regions.end[mine].tolist(), strict=True))
    line = evaluated.evaluation.scored_timeline(collar, skip_overlap)
    at = np.flatnonzero(part.group == number)
    begin = line.start[part.index[at]]
    end = begin + part.duration[at]
    out = WordCounts()
    for middle in evaluated.middles[number]:
        if not any(a <= middle <= b for a, b in spans):
            continue
        out.evaluated += 1
        hit = np.flatnonzero((begin <= middle) & (middle <= end))
        if not len(hit):
            continue
        k = at[int(hit[0])]
        out.scored += 1
        out.missed += int(part.sys[k] == 0)
        out.error += int(max(part.ref[k], part.sys[k]) > part.mapped[k])
    return out


def _typed_seconds(
    evaluated: MdEvaluation, number: int, part: ScoredIntervals, collar: float, skip_overlap: bool
) -> TypeMatrix:
    """Return seconds by type; unmapped speakers are paired in byte order."""
    evaluation = evaluated.evaluation
    line, mapping = evaluation.scored_timeline(collar, skip_overlap), evaluation.mapping
    names = speaker_types(evaluated, True), speaker_types(evaluated, False)
    at = np.flatnonzero(part.group == number)
    active: list[list[list[int]]] = []
    for runs, owner in ((line.ref, evaluation.problem.ref), (line.sys, evaluation.problem.sys)):
        lists: list[list[int]] = [[] for _ in at]
        place = part.index[at]
        for r in np.flatnonzero(owner.speaker_group[runs.speaker] == number).tolist():
            a, b = np.searchsorted(place, (runs.first[r], runs.last[r]))
            for k in range(a, b):
                lists[k].append(int(runs.speaker[r]))
        active.append(lists)
    out = TypeMatrix()
    for k, refs, syss in zip(at.tolist(), *active, strict=True):
        seconds = float(part.duration[k])
        here = set(syss)
        left = []
        for r in sorted(refs):
            s = int(mapping[r])
            if s in here:
                here.discard(s)
                out.cells[names[0][r], names[1][s]] += seconds
            else:
                left.append(r)
        rest = sorted(here)
        for r, s in zip(left, rest, strict=False):
            out.cells[names[0][r], names[1][s]] += seconds
        for r in left[len(rest) :]:
            out.cells[names[0][r], MISS] += seconds
        for s in rest[len(left) :]:
            out.false_alarm[names[1][s]] += seconds
    return out


def _untyped_seconds(found: float, miss: float, alarm: float) -> TypeMatrix:
    cells = {}
    if found > 0:
        cells[UNKNOWN, UNKNOWN] = found
    if miss > 0:
        cells[UNKNOWN, MISS] = miss
    return TypeMatrix(cells, {UNKNOWN: alarm} if alarm > 0 else {})
