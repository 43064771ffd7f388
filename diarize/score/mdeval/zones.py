"""Exclusion zones of the reference: NOSCORE, and NON-LEX noises.

The rules were determined by experiment with md-eval 22.  A zone grows on both sides by up to
``extend`` seconds and is stopped by the boundaries of speakers and words, and by time 0.  It does
not grow where it begins or ends inside a word.  It does not grow backwards where a boundary stops
it exactly at the start of the region or at the end of the preceding zone, unless a collar covers
that point.  A zone that no boundary follows never ends.  Zones at most ``2 * extend`` apart
without a boundary between them are joined.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from diarize.score.timeline import EPSILON
from diarize.segments import Regions


class Token(NamedTuple):
    """A span of the reference in seconds; ``rank`` is its order by start within the file."""

    start: float
    end: float
    rank: int


def rank_tokens(spans: Sequence[tuple[float, float]]) -> list[Token]:
    """Return the spans as tokens with ranks by start, in the order of the file."""
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
    """Return the ``regions`` (sorted) without the ``zones``, by the rules of the module.

    ``collar``: seconds around speaker boundaries that the caller excludes.
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
    """Return whether a speaker boundary is less than ``collar`` away."""
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
            # Where a boundary coincides with the start of the zone, the sort of md-eval is
            # inconsistent and its choice depends on the rest of the file; here it stops the zone.
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
    """Return whether the zone begins, or ends, during a word."""
    t = zone.end if at_end else zone.start
    for word in words:
        tied = at_end and abs(word.end - t) <= EPSILON and word.rank > zone.rank
        if word.start < t - EPSILON and (word.end > t + EPSILON or tied):
            return True
    return False


def _after(stops: Sequence[Token], times: list[float], zone: Token) -> list[float]:
    """Return the next boundary after the zone, which stops its growth; empty without any."""
    t = zone.end
    if any(abs(stop.start - t) <= EPSILON for stop in stops) or any(
        abs(stop.end - t) <= EPSILON and stop.rank > zone.rank for stop in stops
    ):
        return [t]
    at = bisect_right(times, t + EPSILON)
    return times[at : at + 1]
