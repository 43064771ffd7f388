"""Reference and output as md-eval scores them: channels, NOSCORE, NON-LEX, regions without UEM."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from diarize.io.nist import METADATA, STATUS_OTHER, Group, NistData, RefusedError, show
from diarize.score.columns import Problem, make_side
from diarize.score.der import Evaluation
from diarize.score.mdeval.zones import cut_zones, rank_tokens
from diarize.score.timeline import EPSILON, Spans, Turns, time_order
from diarize.segments import Regions

# The most that a NON-LEX zone grows, seconds.
NON_LEX_EXTEND = 0.5

class MdEvaluation:
    """A reference and a system output with their evaluated regions at one collar."""

    def __init__(
        self,
        ref: NistData,
        sys: NistData,
        uem: Mapping[Group, Regions] | None,
        collar: float = 0.0,
    ) -> None:
        self.ref, self.sys, self.collar = ref, sys, collar
        columns = [data.file.column().paired(data.channel.column()) for data in (ref, sys)]
        groups = sorted(columns[0].names)
        self.number = {group: i for i, group in enumerate(groups)}
        sides = [
            make_side(column.lookup(self.number), data.speaker.column(), *data.columns())
            for column, data in zip(columns, (ref, sys), strict=True)
        ]
        self.words: dict[int, list] = defaultdict(list)
        self.middles: dict[int, list[float]] = defaultdict(list)
        self.excluded: dict[int, dict[bytes, list]] = defaultdict(lambda: defaultdict(list))
        self._sort_others()
        regions, scored = self._regions(groups, sides[0].turns, uem or {})
        problem = Problem(groups, sides[0], sides[1], regions, _left_out(regions, scored))
        self.evaluation = Evaluation(problem)

    def _sort_others(self) -> None:
        words = {record.group for record in self.ref.others if record.kind == b"LEXEME"}
        for record in self.ref.others:
            if record.kind in METADATA and record.group not in words:
                raise RefusedError(
                    f"\n\nFATAL ERROR:  no reference words for file '{show(record.group[0])}' and"
                    f" channel '{show(record.group[1])}'\n    ({show(record.kind)} records need"
                    " LEXEME records; only speakers are scored here: remove them)\n",
                    STATUS_OTHER,
                )
            number = self.number.get(record.group, -1)
            if record.kind == b"LEXEME":
                self.words[number].append((record.start, record.end))
                self.middles[number].append(record.middle)
            elif record.kind in (b"NOSCORE", b"NON-LEX"):
                self.excluded[number][record.kind].append((record.start, record.end))

    def _regions(
        self, groups: list[Group], turns: Turns, uem: Mapping[Group, Regions]
    ) -> tuple[Spans, Spans]:
        """Return the evaluated and the scored regions, before collars."""
        low, high = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
        np.minimum.at(low, turns.group, turns.start)
        np.maximum.at(high, turns.group, turns.end)
        for record in self.ref.others:
            number = self.number.get(record.group)
            if number is not None and record.has_extent:
                low[number] = min(low[number], record.start)
                high[number] = max(high[number], record.end)
        evaluated: list[tuple[int, float, float]] = []
        scored: list[tuple[int, float, float]] = []
        for i, group in enumerate(groups):
            regions = uem.get(group) or [(float(low[i]), float(high[i]))]
            kept = regions
            if i in self.excluded:
                mine = np.flatnonzero(turns.group == i)
                spans = zip(turns.start[mine].tolist(), turns.end[mine].tolist(), strict=True)
                regions, kept = self._cut(regions, list(spans), i)
            evaluated += [(i, *span) for span in regions]
            scored += [(i, *span) for span in kept]
        return _spans(evaluated), _spans(scored)

    def _cut(
        self, regions: Regions, speakers: list[tuple[float, float]], number: int
    ) -> tuple[Regions, Regions]:
        noscore = self.excluded[number][b"NOSCORE"]
        noise = self.excluded[number][b"NON-LEX"]
        words = self.words[number]
        tokens = iter(rank_tokens([*speakers, *noscore, *noise, *words]))
        lists = [[next(tokens) for _ in part] for part in (speakers, noscore, noise, words)]
        regions = cut_zones(regions, lists[1], lists[0], lists[3])
        speakers, words = lists[0], lists[3]
        kept = cut_zones(regions, lists[2], speakers, words, NON_LEX_EXTEND, self.collar)
        return regions, kept

    def speaks_twice(self) -> list[tuple[str, float]]:
        """Return (speaker, time) of turns that begin during a turn of the same speaker."""
        out = []
        for side in (self.evaluation.problem.ref, self.evaluation.problem.sys):
            turns = side.turns
            real = np.flatnonzero(turns.end > turns.start + EPSILON)
            order = real[time_order(turns.start[real], turns.speaker[real])]
            speaker, start, end = turns.speaker[order], turns.start[order], turns.end[order]
            if not len(order):
                continue
            reach = _running_latest(speaker, end)
            again = (
                np.flatnonzero((speaker[1:] == speaker[:-1]) & (start[1:] < reach[:-1] - EPSILON))
                + 1
            )
            numbers = speaker[again].tolist()
            shown = {number: show(side.speakers[number]) for number in set(numbers)}
            out += zip(map(shown.get, numbers), start[again].tolist(), strict=True)
        return out


def _running_latest(speaker: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the latest end so far of each speaker, (n,); ``speaker`` ascends."""
    by_end = np.argsort(end, kind="stable")
    rank = np.empty(len(end), np.int64)
    rank[by_end] = np.arange(len(end))
    base = speaker * len(end)
    return end[by_end[np.maximum.accumulate(base + rank) - base]]


def _spans(rows: list[tuple[int, float, float]]) -> Spans:
    table = np.array(rows, float).reshape(-1, 3)
    return Spans(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


def _left_out(regions: Spans, scored: Spans) -> Spans:
    """Return the parts of the regions outside ``scored``, which lies inside of them."""
    same = len(regions) == len(scored) and np.array_equal(regions.start, scored.start)
    if same and np.array_equal(regions.end, scored.end):
        return _spans([])
    rows = []
    for group, start, end in zip(regions.group, regions.start, regions.end, strict=True):
        at = start
        inside = (scored.group == group) & (scored.start >= start) & (scored.end <= end)
        for a, b in zip(scored.start[inside], scored.end[inside], strict=True):
            if a > at:
                rows.append((group, at, a))
            at = max(at, b)
        if at < end:
            rows.append((group, at, end))
    return _spans(rows)
