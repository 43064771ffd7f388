"""Diarization error rate: exact, as md-eval computes it, for all recordings in one pass.

As in md-eval, speakers are mapped on the whole evaluated region.  Collars and, on request,
overlapped speech are removed from the scored time after that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from diarize.checks import non_negative
from diarize.score.columns import Problem, SegmentSet, problem_from_segments
from diarize.score.mapping import map_speakers, time_in_common
from diarize.score.timeline import EPSILON, Spans, Timeline, Turns, build_timeline, time_order
from diarize.score.times import TIME_FIELDS, ErrorTimes, Scores
from diarize.segments import Regions


@dataclass(frozen=True)
class ScoreOptions:
    """Options of the DER.

    ``collar``: seconds on both sides of each reference boundary that are not scored.
    ``skip_overlap``: score only where at most one reference turn is active (md-eval ``-1``).
    ``merge_turns``: first join turns of one speaker that overlap or abut, as dscore does.
    """

    collar: float = 0.0
    skip_overlap: bool = False
    merge_turns: bool = False

    def __post_init__(self) -> None:
        non_negative(collar=self.collar)


class Evaluation:
    """A scoring problem with its mapping, which is computed once for all collars."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.num_groups = len(problem.groups)
        self._last: tuple[tuple[float, bool], Timeline] | None = None
        self._intervals: tuple[Timeline, ScoredIntervals] | None = None

    @property
    def without_reference(self) -> tuple:
        """The groups in which the reference has no turn."""
        turns = np.bincount(self.problem.ref.turns.group, minlength=self.num_groups)
        return tuple(self.problem.groups[i] for i in np.flatnonzero(turns == 0).tolist())

    @cached_property
    def timeline(self) -> Timeline:
        """The timeline of the evaluated regions, nothing excluded."""
        return build_timeline(self.problem.ref.turns, self.problem.sys.turns, self.problem.regions)

    @cached_property
    def common(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of speakers with time in common: seconds, reference and system index, (n,) each."""
        line = self.timeline
        busy = (line.ref.count(len(line)) > 0) & (line.sys.count(len(line)) > 0)
        useful = np.flatnonzero(busy & line.inside & (line.duration > 0))
        groups = self.problem.ref.speaker_group, self.problem.sys.speaker_group
        return time_in_common(line, useful, *groups)

    @cached_property
    def mapping(self) -> np.ndarray:
        """The system speaker of each reference speaker, (num_ref,), -1 for none."""
        return map_speakers(*self.common, self.problem.ref.speaker_group)

    def scored_timeline(self, collar: float, skip_overlap: bool) -> Timeline:
        """Return the timeline without collars, zones and, on request, overlapped speech."""
        # The last one is kept, because reports use it several times.
        key = (collar, skip_overlap)
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = (key, self._build_scored_timeline(collar, skip_overlap))
        return self._last[1]

    def _build_scored_timeline(self, collar: float, skip_overlap: bool) -> Timeline:
        problem = self.problem
        zones = problem.zones
        if collar > 0:
            zones = zones.joined(collar_zones(problem.ref.turns, collar))
        if skip_overlap:
            zones = zones.joined(overlap_zones(problem.ref.turns))
        if not len(zones):
            return self.timeline
        return build_timeline(problem.ref.turns, problem.sys.turns, problem.regions, zones)

    def scored_intervals(self, collar: float, skip_overlap: bool) -> "ScoredIntervals":
        """Return the scored intervals at ``collar`` (seconds), with the mapping."""
        line = self.scored_timeline(collar, skip_overlap)
        if self._intervals is None or self._intervals[0] is not line:
            self._intervals = (line, intervals_of(line, self.mapping))
        return self._intervals[1]

    def sums(self, collar: float = 0.0, skip_overlap: bool = False) -> np.ndarray:
        """Return seconds per group, (num_groups, len(TIME_FIELDS))."""
        line = self.scored_timeline(collar, skip_overlap)
        part = self.scored_intervals(collar, skip_overlap)
        whole = part if line is self.timeline else intervals_of(self.timeline)
        ref, sys = part.ref, part.sys
        columns = {
            "scored_speech": part.add(ref, self.num_groups),
            "miss": part.add(np.maximum(ref - sys, 0), self.num_groups),
            "false_alarm": part.add(np.maximum(sys - ref, 0), self.num_groups),
            "confusion": part.add(np.minimum(ref, sys) - part.mapped, self.num_groups),
            "evaluated_time": whole.add(np.ones_like(whole.ref), self.num_groups),
            "evaluated_speech_time": whole.add(whole.ref > 0, self.num_groups),
            "scored_time": part.add(np.ones_like(ref), self.num_groups),
            "scored_speech_time": part.add(ref > 0, self.num_groups),
            "missed_speech_time": part.add((ref > 0) & (sys == 0), self.num_groups),
            "false_alarm_speech_time": part.add((ref == 0) & (sys > 0), self.num_groups),
        }
        return np.stack([columns[name] for name in TIME_FIELDS], axis=1)

    def scores(self, collar: float = 0.0, skip_overlap: bool = False) -> Scores:
        """Return the checked error times of every group, by its name."""
        rows = self.sums(collar, skip_overlap).tolist()
        named = zip(self.problem.groups, rows, strict=True)
        times = {name: ErrorTimes(*row).check(str(name)) for name, row in named}
        return Scores(times, self.without_reference)


@dataclass(frozen=True)
class ScoredIntervals:
    """Scored intervals of a timeline as columns (n,): group, seconds, and numbers of speakers.

    ``ref`` and ``sys`` count active speakers; ``mapped`` counts reference speakers whose mapped
    system speaker is active, too; ``index`` is the position on the timeline.
    """

    index: np.ndarray
    group: np.ndarray
    duration: np.ndarray
    ref: np.ndarray
    sys: np.ndarray
    mapped: np.ndarray

    def add(self, weight: np.ndarray, num_groups: int) -> np.ndarray:
        """Return the sum of seconds times ``weight`` per group, in the order of time."""
        return np.bincount(self.group, weights=self.duration * weight, minlength=num_groups)


def intervals_of(line: Timeline, mapping: np.ndarray | None = None) -> ScoredIntervals:
    """Return the scored intervals; ``mapping`` (num_ref,) is that of an Evaluation, or None."""
    index = np.flatnonzero(line.inside & (line.duration > 0))
    num = len(line)
    mapped = np.zeros(num, np.int64) if mapping is None else _mapped_count(line, mapping)
    return ScoredIntervals(
        index,
        line.group[index],
        line.duration[index],
        line.ref.count(num)[index],
        line.sys.count(num)[index],
        mapped[index],
    )


def _mapped_count(line: Timeline, mapping: np.ndarray) -> np.ndarray:
    """Return the number of mapped pairs that are active in each interval, (num_intervals,)."""
    num = len(line)
    partner = mapping[line.ref.speaker]
    taken = np.flatnonzero(partner >= 0)
    # Runs of one speaker never overlap.  Places where two runs of a pair overlap are therefore
    # their intersection, found by running counts over all starts and ends, pair by pair.
    speaker = np.concatenate((partner[taken], line.sys.speaker))
    first = np.concatenate((line.ref.first[taken], line.sys.first))
    last = np.concatenate((line.ref.last[taken], line.sys.last))
    key = np.concatenate((speaker * (num + 1) + first, speaker * (num + 1) + last))
    order = np.argsort(key, kind="stable")
    step = np.concatenate((np.ones(len(first), np.int64), -np.ones(len(last), np.int64)))[order]
    place = np.concatenate((first, last))[order]
    both = np.flatnonzero(np.cumsum(step) == 2)
    steps = np.bincount(place[both], minlength=num + 1)
    steps -= np.bincount(place[both + 1], minlength=num + 1)
    return np.cumsum(steps[:num])


def collar_zones(ref: Turns, collar: float) -> Spans:
    """Return the union of [t - collar, t + collar] around each turn's start and end."""
    group = np.concatenate((ref.group, ref.group))
    times = np.concatenate((ref.start, ref.end))
    order = time_order(times, group)
    group, times = group[order], times[order]
    start, end = times - collar, times + collar
    fresh = np.ones(len(times), bool)
    fresh[1:] = (group[1:] != group[:-1]) | (end[:-1] < start[1:] - EPSILON)
    head = np.flatnonzero(fresh)
    tail = np.append(head[1:], len(times))[: len(head)] - 1
    return Spans(group[head], start[head], end[tail])


def overlap_zones(ref: Turns) -> Spans:
    """Return where two or more reference turns are active, including two of one speaker.

    As in md-eval, boundaries coincide here only where they are equal.
    """
    real = np.flatnonzero(ref.end > ref.start)
    group = np.concatenate((ref.group[real], ref.group[real]))
    times = np.concatenate((ref.start[real], ref.end[real]))
    step = np.concatenate((np.ones(len(real), np.int64), -np.ones(len(real), np.int64)))
    order = np.lexsort((step, times, group))
    over = np.concatenate(([False], np.cumsum(step[order]) > 1))
    first = order[np.flatnonzero(over[1:] & ~over[:-1])]
    last = order[np.flatnonzero(over[:-1] & ~over[1:])]
    return Spans(group[first], times[first], times[last])


def score_files(
    ref: SegmentSet,
    sys: SegmentSet,
    uem: Mapping[str, Regions] | None = None,
    options: ScoreOptions | None = None,
) -> Scores:
    """Return the error times of every recording of the reference and the UEM, and so their sum.

    ``ref`` and ``sys`` are segments, as one list or per recording; ``uem`` gives the evaluated
    (start, end) seconds per recording: one that it lacks is evaluated over the extent of its
    reference.  Recordings that are only in ``sys`` are ignored.

    >>> from diarize.segments import Segment
    >>> scores = score_files([Segment("r", 0, 8, "a")], [Segment("r", 1, 9, "x")], {"r": [(0, 10)]})
    >>> scores.total.miss, scores.total.false_alarm, scores.total.der
    (1.0, 1.0, 0.25)
    """
    options = options or ScoreOptions()
    evaluation = Evaluation(problem_from_segments(ref, sys, uem, options.merge_turns))
    return evaluation.scores(options.collar, options.skip_overlap)
