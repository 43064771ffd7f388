"""Speaker diarization as md-eval scores it: several channels, excluded zones, words, types."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from diarize.io.nist import METADATA, STATUS_OTHER, Group, NistData, RefusedError, show
from diarize.score.columns import Problem, make_side
from diarize.score.der import Evaluation, Pieces
from diarize.score.jer import speaking_times
from diarize.score.timeline import EPSILON, Spans, time_order
from diarize.score.zones import Regions, cut_zones, rank_tokens

# The most that a NON-LEX zone grows, seconds.
NON_LEX_EXTEND = 0.5
UNKNOWN = "unknown"
MISS = "MISS"

Uem = dict[Group, list[tuple[float, float]]]


@dataclass
class WordCounts:
    """Reference words by their middle: evaluated, scored, of these missed, and with an error."""

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
    """Speakers (int), or seconds, by (reference, system type or MISS), and false alarm by type."""

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
    """What md-eval reports of one channel of one file: sums in the order of TIME_FIELDS."""

    group: Group
    sums: list[float]
    words: WordCounts
    speakers: TypeMatrix
    seconds: TypeMatrix


class Setting:
    """A reference and a system output with their regions, ready to be scored at a collar."""

    def __init__(self, ref: NistData, sys: NistData, uem: Uem | None, collar: float = 0.0) -> None:
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
                    " LEXEME records; only speakers are scored here: leave them out)\n",
                    STATUS_OTHER,
                )
            number = self.number.get(record.group, -1)
            if record.kind == b"LEXEME":
                self.words[number].append((record.start, record.end))
                self.middles[number].append(record.middle)
            elif record.kind in (b"NOSCORE", b"NON-LEX"):
                self.excluded[number][record.kind].append((record.start, record.end))

    def _regions(self, groups: list[Group], turns, uem: Uem) -> tuple[Spans, Spans]:
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
        """Return (speaker, time) of turns that begin while the same speaker talks already."""
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

    def results(self, collar: float, skip_overlap: bool) -> list[GroupResult]:
        """Return the results of every group, sorted by file and channel."""
        evaluation = self.evaluation
        sums = evaluation.sums(collar, skip_overlap).tolist()
        typed = bool(self.ref.speaker_type or self.sys.speaker_type)
        part = evaluation.pieces(collar, skip_overlap)
        found = part.add(np.minimum(part.ref, part.sys), evaluation.num_groups).tolist()
        speakers = self._speaker_matrices()
        no_words = WordCounts()
        out = []
        for i, group in enumerate(evaluation.problem.groups):
            words = no_words
            if i in self.words:
                words = self._count_words(i, part, collar, skip_overlap)
            if typed:
                seconds = self._typed_seconds(i, part, collar, skip_overlap)
            else:
                seconds = _untyped_seconds(found[i], *sums[i][1:3])
            out.append(GroupResult(group, sums[i], words, speakers[i], seconds))
        return out

    def types(self, reference: bool) -> list[str]:
        """Return the type of each speaker of one side."""
        data = self.ref if reference else self.sys
        side = self.evaluation.problem.ref if reference else self.evaluation.problem.sys
        groups = self.evaluation.problem.groups
        known = data.speaker_type
        if not known:
            return [UNKNOWN] * len(side.speakers)
        return [
            known.get((*groups[g], name), UNKNOWN)
            for g, name in zip(side.speaker_group.tolist(), side.speakers, strict=True)
        ]

    def _speaker_matrices(self) -> list[TypeMatrix]:
        evaluation = self.evaluation
        problem, line, mapping = evaluation.problem, evaluation.line, evaluation.mapping
        ref = np.flatnonzero(speaking_times(line, line.ref, len(problem.ref.speakers)) > 0)
        sys = np.flatnonzero(speaking_times(line, line.sys, len(problem.sys.speakers)) > 0)
        ref_types, sys_types = self.types(True), self.types(False)
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
        self, number: int, part: Pieces, collar: float, skip_overlap: bool
    ) -> WordCounts:
        regions = self.evaluation.problem.regions
        mine = regions.group == number
        spans = list(zip(regions.start[mine].tolist(), regions.end[mine].tolist(), strict=True))
        line = self.evaluation.scored_line(collar, skip_overlap)
        at = np.flatnonzero(part.group == number)
        begin = line.start[part.index[at]]
        end = begin + part.duration[at]
        out = WordCounts()
        for middle in self.middles[number]:
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
        self, number: int, part: Pieces, collar: float, skip_overlap: bool
    ) -> TypeMatrix:
        """Return seconds by type; speakers who are not matched are paired in byte order."""
        evaluation = self.evaluation
        line, mapping = evaluation.scored_line(collar, skip_overlap), evaluation.mapping
        names = self.types(True), self.types(False)
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


def _running_latest(speaker: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the latest end so far of each speaker, (n,); ``speaker`` ascends."""
    by_end = np.argsort(end, kind="stable")
    rank = np.empty(len(end), np.int64)
    rank[by_end] = np.arange(len(end))
    base = speaker * len(end)
    return end[by_end[np.maximum.accumulate(base + rank) - base]]


def _untyped_seconds(found: float, miss: float, alarm: float) -> TypeMatrix:
    cells = {}
    if found > 0:
        cells[UNKNOWN, UNKNOWN] = found
    if miss > 0:
        cells[UNKNOWN, MISS] = miss
    return TypeMatrix(cells, {UNKNOWN: alarm} if alarm > 0 else {})


def _spans(rows: list[tuple[int, float, float]]) -> Spans:
    table = np.array(rows, float).reshape(-1, 3)
    return Spans(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


def _left_out(regions: Spans, scored: Spans) -> Spans:
    """Return what of the regions is not in ``scored``, which lies inside of them."""
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
