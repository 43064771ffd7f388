"""Regions without the stretches that the reference excludes: NOSCORE, and NON-LEX noises.

The rules were found by experiment with md-eval 22.  A stretch grows on both sides by up to
``extend`` seconds, stopped by the boundaries of speakers and words, and by time 0.  It does not
grow where it begins or ends inside a word, nor backwards where a boundary stops it at just the
start of the region, or the end of the stretch before, and no collar lies over that.  One that no
boundary follows never ends.  Stretches at most ``2 * extend`` apart with no boundary between them
are one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from diarize.score.timeline import EPSILON
from diarize.segments import Regions


class Token(NamedTuple):
    """A stretch of the reference, in seconds; ``rank`` orders those of one file by start."""

    start: float
    end: float
    rank: int


def rank_tokens(spans: Sequence[tuple[float, float]]) -> list[Token]:
    """Return the spans, given in the file's order, as tokens ranked by start, in that order."""
    order = sorted(range(len(spans)), key=lambda i: spans[i][0])
    rank = {i: n for n, i in enumerate(order)}
    return [Token(start, end, rank[i]) for i, (start, end) in enumerate(spans)]


def cut_zones(
    regions: Regions,
    zones: Sequence[Token],
    speakers: Sequence[Token],
    words: Sequence[Token],
    extend: float = EPSILON,
    collar: float = 0.0,
) -> list[tuple[float, float]]:
    """Return the ``regions`` (sorted) without the ``zones``; see the module for the rules.

    ``collar``: seconds around speaker boundaries that are left out too, by the caller.
    """
    if not zones:
        return list(regions)
    cuts = _cuts(zones, [*speakers, *words], words, extend)
    out = []
    for start, end in regions:
        at, cut_short = start, True
        for cut in cuts:
            if cut.high <= at or cut.low >= end:
                continue
            if cut.low > at + EPSILON:
                out.append((at, cut.low))
            elif (
                cut_short
                and cut.stopped
                and at - EPSILON < cut.low < cut.start
                and not _in_collar(speakers, at, collar)
            ):
                out.append((at, min(cut.start, end)))
            at, cut_short = max(at, cut.high), cut.cut_short
        if at < end:
            out.append((at, end))
    return out


def _in_collar(speakers: Sequence[Token], t: float, collar: float) -> bool:
    """Return whether a boundary of a speaker is less than ``collar`` away."""
    return any(abs(x - t) < collar for turn in speakers for x in (turn.start, turn.end))


class _Cut(NamedTuple):
    """A zone from ``start``, grown to [low, high); whether a boundary stopped it on each side."""

    start: float
    low: float
    high: float
    stopped: bool
    cut_short: bool


def _cuts(
    zones: Sequence[Token], stops: Sequence[Token], words: Sequence[Token], extend: float
) -> list[_Cut]:
    """Return the joined zones in their order."""
    times = sorted(t for token in stops for t in (token.start, token.end))
    groups: list[list[Token]] = []
    reach = 0.0
    for zone in sorted(zones, key=lambda z: (z.start, z.rank)):
        near = groups and zone.start <= reach + 2 * extend + EPSILON
        if near and (
            zone.start <= reach + EPSILON
            or not (
                bisect_right(times, zone.start) > bisect_left(times, reach)
                or _inside(words, zone, at_end=False)
            )
        ):
            groups[-1].append(zone)
        else:
            groups.append([zone])
            reach = zone.end
        reach = max(reach, zone.end)
    out = []
    for i, group in enumerate(groups):
        first = group[0]
        last = max(group, key=lambda z: (z.end, z.rank))
        low, high = first.start, last.end
        if not _inside(words, first, at_end=False):
            # md-eval's choice changes with the rest of the file where a boundary falls on the
            # zone's start (its sort is inconsistent there); here such a boundary stops it.
            at = bisect_right(times, first.start + EPSILON)
            low = min(max([low - extend, 0.0, *times[max(at - 1, 0) : at]]), first.start)
        if not _inside(words, last, at_end=True):
            limits = _after(stops, times, last)
            limits += [later[0].start for later in groups[i + 1 : i + 2]]
            high = min(last.end + extend, *limits) if limits else float("inf")
        short = high < last.end + extend - EPSILON
        out.append(_Cut(first.start, low, high, low > first.start - extend, short))
    return out


def _inside(words: Sequence[Token], zone: Token, at_end: bool) -> bool:
    """Return whether the zone begins, or ends, while a word goes on."""
    t = zone.end if at_end else zone.start
    for word in words:
        tied = at_end and abs(word.end - t) <= EPSILON and word.rank > zone.rank
        if word.start < t - EPSILON and (word.end > t + EPSILON or tied):
            return True
    return False


def _after(stops: Sequence[Token], times: list[float], zone: Token) -> list[float]:
    """Return the boundaries that stop the zone's growth forwards: the next one is enough."""
    t = zone.end
    if any(abs(stop.start - t) <= EPSILON for stop in stops) or any(
        abs(stop.end - t) <= EPSILON and stop.rank > zone.rank for stop in stops
    ):
        return [t]
    at = bisect_right(times, t + EPSILON)
    return times[at : at + 1]
