"""Scoring problem: reference, system output and regions of all recordings, as columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from diarize.io.columns import NameColumn
from diarize.score.timeline import NO_SPANS, Spans, Turns
from diarize.segments import Regions, Segment, merge_segments

SegmentSet = Iterable[Segment] | Mapping[str, Iterable[Segment]]


@dataclass(frozen=True)
class Side:
    """Turns of one side; ``speakers`` names ``turns.speaker``, sorted by group and name."""

    turns: Turns
    speakers: list
    speaker_group: np.ndarray


@dataclass(frozen=True)
class Problem:
    """Reference, system output, evaluated regions and excluded zones of groups 0..G-1.

    A group is a recording, or a channel of one; ``groups`` holds the names.
    """

    groups: list
    ref: Side
    sys: Side
    regions: Spans
    zones: Spans = NO_SPANS


def make_side(group: np.ndarray, label: Sequence, start: np.ndarray, end: np.ndarray) -> Side:
    """Return a side from columns (n,); turns of group -1 are omitted."""
    group = np.asarray(group, np.int64)
    start, end = np.asarray(start, float), np.asarray(end, float)
    label = NameColumn.of(label)
    names = sorted(label.names)
    code = label.lookup({name: i for i, name in enumerate(names)})
    keep = group >= 0
    if not keep.all():
        group, code, start, end = group[keep], code[keep], start[keep], end[keep]
    known, speaker = distinct(group * max(len(names), 1) + code)
    owner, code = np.divmod(known, max(len(names), 1))
    return Side(Turns(group, speaker, start, end), [names[i] for i in code.tolist()], owner)


def distinct(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys of ``key`` (n,) int from 0, ascending, and the index of each."""
    top = int(key.max(initial=0)) + 1
    if top > 4 * len(key) + 1024:
        return np.unique(key, return_inverse=True)
    present = np.zeros(top, bool)
    present[key] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[key]


def extent(turns: Turns, num_groups: int) -> Spans:
    """Return the span from the first start to the last end of the turns of each group."""
    start = np.full(num_groups, np.inf)
    end = np.full(num_groups, -np.inf)
    np.minimum.at(start, turns.group, turns.start)
    np.maximum.at(end, turns.group, turns.end)
    group = np.flatnonzero(end >= start)
    return Spans(group, start[group], end[group])


def as_list(segments: SegmentSet) -> list[Segment]:
    """Return the segments of a set given as a list, or per recording."""
    if isinstance(segments, Mapping):
        return [segment for part in segments.values() for segment in part]
    return list(segments)


class TurnTable(Protocol):
    """Turns as columns of equal length, for example `diarize.io.rttm.TurnColumns`."""

    recording: Sequence[str]
    start: np.ndarray
    end: np.ndarray
    label: Sequence[str]


def problem_from_segments(
    ref: SegmentSet,
    sys: SegmentSet,
    uem: Mapping[str, Regions] | None = None,
    merge_turns: bool = False,
) -> Problem:
    """Return the scoring problem of the `scored_recordings`.

    A recording that ``uem`` lacks is evaluated over the extent of its reference, as md-eval
    does.  ``merge_turns`` first joins the turns of one speaker that overlap or abut, as dscore
    does.
    """
    return problem_from_turns(_table(as_list(ref)), _table(as_list(sys)), uem, merge_turns)


class _Table(NamedTuple):
    recording: Sequence[str] = ()
    start: Sequence[float] = ()
    end: Sequence[float] = ()
    label: Sequence[str] = ()


def _table(segments: Sequence[Segment]) -> _Table:
    return _Table(*zip(*segments, strict=True))


def _merged(turns: TurnTable) -> _Table:
    rows = zip(turns.recording, turns.start, turns.end, turns.label, strict=True)
    return _table(merge_segments(map(Segment._make, rows)))


def problem_from_turns(
    ref: TurnTable,
    sys: TurnTable,
    uem: Mapping[str, Regions] | None = None,
    merge_turns: bool = False,
) -> Problem:
    """Return the same as `problem_from_segments` from columns, which is faster."""
    if merge_turns:
        ref, sys = _merged(ref), _merged(sys)
    recordings = NameColumn.of(ref.recording), NameColumn.of(sys.recording)
    groups = scored_recordings(recordings[0].names, uem)
    number = {name: i for i, name in enumerate(groups)}
    sides = [
        make_side(column.lookup(number), table.label, table.start, table.end)
        for column, table in zip(recordings, (ref, sys), strict=True)
    ]
    return Problem(groups, *sides, regions_of(groups, uem or {}, sides[0].turns))


def scored_recordings(reference: Iterable[str], uem: Mapping[str, Regions] | None) -> list[str]:
    """Return the recordings that are scored, sorted: those of the reference and of the UEM.

    False alarm counts in a recording that is in the UEM, also where the reference has no speech
    in it.  Every command but ``md-eval`` scores by this rule; md-eval.pl ignores a recording
    without a reference turn.  Output for other recordings is ignored.

    >>> scored_recordings(["b"], {"a": [(0, 1)], "b": [(0, 1)]})
    ['a', 'b']
    """
    return sorted({*reference, *(uem or {})})


def regions_of(groups: Sequence, uem: Mapping[str, Regions], ref: Turns) -> Spans:
    """Return the evaluated regions: those of ``uem``, otherwise the extent of the reference."""
    rows = [(i, *span) for i, name in enumerate(groups) for span in uem.get(name, ())]
    given = np.array(rows, float).reshape(-1, 3)
    listed = given[:, 0].astype(np.int64)
    whole = extent(ref, len(groups))
    free = ~np.isin(whole.group, listed)
    return Spans(
        np.concatenate((listed, whole.group[free])),
        np.concatenate((given[:, 1], whole.start[free])),
        np.concatenate((given[:, 2], whole.end[free])),
    )
