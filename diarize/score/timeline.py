"""Timeline: the boundaries of all recordings on one sorted axis.

Speakers do not change between two neighbouring boundaries, so every error time is an exact sum over
intervals.  Recordings (or channels of recordings: *groups*) follow one another, so that a whole set
is scored in one pass of a few array operations.
"""

from dataclasses import dataclass

import numpy as np

# Boundaries nearer than this (seconds) are one, as in md-eval.
EPSILON = 1e-8
# After this many rounds of exchanging neighbours a full sort is faster.
_ROUNDS = 32

# The order of coinciding boundaries, (start, end) of reference turns, system turns, regions and
# zones: ends first.  md-eval cuts zones out of the regions: where a zone begins, a region ends.
_RANKS = ((4, 1), (5, 2), (6, 0), (0, 6))


@dataclass(frozen=True)
class Turns:
    """Speaker turns as columns of equal length, in any order.

    ``group`` (n,) int is the recording's (and channel's) index, ``speaker`` (n,) int an index
    that is unique over all groups and ascends with them, ``start`` and ``end`` (n,) are seconds.
    """

    group: np.ndarray
    speaker: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def of_some_length(self) -> "Turns":
        """Return the turns that end after their start."""
        real = self.start < self.end
        if real.all():
            return self
        return Turns(self.group[real], self.speaker[real], self.start[real], self.end[real])


@dataclass(frozen=True)
class Spans:
    """Time spans of groups: ``group`` (n,) int, ``start`` and ``end`` (n,) seconds."""

    group: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def joined(self, other: "Spans") -> "Spans":
        """Return the spans of both."""
        return Spans(
            np.concatenate((self.group, other.group)),
            np.concatenate((self.start, other.start)),
            np.concatenate((self.end, other.end)),
        )


NO_SPANS = Spans(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Runs:
    """Activity of speakers: ``speaker`` is active in the intervals [first, last) of a timeline."""

    speaker: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def count(self, num_intervals: int) -> np.ndarray:
        """Return the number of runs that cover each interval, (num_intervals,) int."""
        return _coverage(self.first, self.last, num_intervals)


@dataclass(frozen=True)
class Timeline:
    """ScoredIntervals between neighbouring boundaries, in the order of groups and time.

    ``group``, ``start``, ``duration``: (n,); ``inside`` (n,) bool: in an evaluated region and in
    no excluded zone; ``ref`` and ``sys``: the speakers' runs.
    """

    group: np.ndarray
    start: np.ndarray
    duration: np.ndarray
    inside: np.ndarray
    ref: Runs
    sys: Runs

    def __len__(self) -> int:
        return len(self.duration)


def build_timeline(ref: Turns, sys: Turns, regions: Spans, zones: Spans = NO_SPANS) -> Timeline:
    """Return the timeline of two sides, evaluated in ``regions`` outside ``zones``."""
    ref, sys = ref.of_some_length(), sys.of_some_length()
    parts = (ref, sys, regions, zones)
    times = np.concatenate([x for part in parts for x in (part.start, part.end)])
    groups = np.concatenate([x for part in parts for x in (part.group, part.group)])
    ranks = np.concatenate(
        [np.full(len(part), r) for part, pair in zip(parts, _RANKS, strict=True) for r in pair]
    )
    order = _boundary_order(times, groups, ranks)
    times, groups = times[order], groups[order]
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))

    firsts, lasts, at = [], [], 0
    for part in parts:
        n = len(part)
        firsts.append(position[at : at + n])
        lasts.append(position[at + n : at + 2 * n])
        at += 2 * n
    times = _running_maximum(times, groups, np.concatenate((firsts[2], lasts[3])))
    duration = np.zeros(len(times))
    if len(times) > 1:
        later = (groups[1:] == groups[:-1]) & (times[1:] > times[:-1])
        duration[:-1] = np.where(later, times[1:] - times[:-1], 0.0)
    num = len(times)
    inside = _coverage(firsts[2], lasts[2], num) > 0
    if len(zones):
        inside &= _coverage(firsts[3], lasts[3], num) == 0
    return Timeline(
        group=groups,
        start=times,
        duration=duration,
        inside=inside,
        ref=_runs(ref.speaker, firsts[0], lasts[0]),
        sys=_runs(sys.speaker, firsts[1], lasts[1]),
    )


def time_order(times: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the order by group and time, (n,) int, by one sort of nanoseconds where they fit."""
    if not len(times):
        return np.zeros(0, np.int64)
    low, high = float(times.min()), float(times.max())
    if (high - low + 1) * 1e9 * (int(groups.max()) + 1) >= 2.0**62:
        return np.lexsort((times, groups))
    key = np.rint((times - low) * 1e9).astype(np.int64)
    key += groups * (int(key.max()) + 1)
    order = np.argsort(key, kind="stable")
    # Times of equal nanoseconds may differ by rounding errors: neighbours are exchanged until all
    # are in order.  Such runs are short, so this takes few rounds.
    t, equal = times[order], np.diff(key[order]) == 0
    for _ in range(_ROUNDS):
        wrong = np.flatnonzero(equal & (t[1:] < t[:-1]))
        if not len(wrong):
            return order
        wrong = wrong[np.diff(wrong, prepend=-2) > 1]
        for values in (order, t):
            values[wrong], values[wrong + 1] = values[wrong + 1], values[wrong].copy()
    return np.lexsort((times, groups))


def _boundary_order(times: np.ndarray, groups: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the order by group and time; coinciding boundaries are ordered by ``ranks``."""
    order = time_order(times, groups)
    t, g = times[order], groups[order]
    if len(t) < 2:
        return order
    fresh = np.ones(len(t), bool)
    fresh[1:] = (g[1:] != g[:-1]) | (t[:-1] < t[1:] - EPSILON)
    key = np.cumsum(fresh) * len(_RANKS) * 2 + ranks[order]
    if np.all(key[1:] >= key[:-1]):
        return order
    return order[np.argsort(key, kind="stable")]


def _running_maximum(times: np.ndarray, groups: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Return ``times`` made ascending in each group; they decrease only by rounding errors.

    Those at the positions ``begins``, where the evaluation begins, remain, as in md-eval: the last
    digit of a sum of exactly half a hundredth depends on them.
    """
    back = np.flatnonzero((times[1:] < times[:-1]) & (groups[1:] == groups[:-1])) + 1
    if not len(back):
        return times
    times = times.copy()
    free = np.ones(len(times), bool)
    free[begins] = False
    while len(back := back[free[back]]):
        times[back] = times[back - 1]
        follow = back[back + 1 < len(times)] + 1
        back = follow[(times[follow] < times[follow - 1]) & (groups[follow] == groups[follow - 1])]
    return times


def _coverage(first: np.ndarray, last: np.ndarray, num: int) -> np.ndarray:
    """Return the number of ranges [first, last) over each of ``num`` places, (num,) int."""
    good = last > first
    steps = np.bincount(first[good], minlength=num + 1)
    steps -= np.bincount(last[good], minlength=num + 1)
    return np.cumsum(steps[:num])


def _runs(speaker: np.ndarray, first: np.ndarray, last: np.ndarray) -> Runs:
    """Return the union of the turns of each speaker, sorted by speaker and time."""
    good = np.flatnonzero(last > first)
    speaker, first, last = speaker[good], first[good], last[good]
    if not len(good):
        return Runs(speaker, first, last)
    size = int(last.max()) + 1
    order = np.argsort(speaker * size + first, kind="stable")
    speaker, first, last = speaker[order], first[order], last[order]
    reach = np.maximum.accumulate(speaker * size + last)
    fresh = np.ones(len(first), bool)
    fresh[1:] = speaker[1:] * size + first[1:] >= reach[:-1]
    head = np.flatnonzero(fresh)
    tail = np.append(head[1:], len(first)) - 1
    return Runs(speaker[head], first[head], reach[tail] - speaker[head] * size)
