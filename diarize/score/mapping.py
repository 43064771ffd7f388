"""Mapping of reference speakers to system speakers: one to one, with the most time in common.

Ties are resolved as md-eval resolves them.  Its matching is the shortest-augmenting-path
("Hungarian") method in the form of D. E. Knuth, *The Stanford GraphBase* (1993), chapter
ASSIGN_LISA.  Which of several optima it finds depends on the order of rows and columns and on the
cost of staying unmatched.  Both were determined by experiment: names in byte order; a square matrix
with at least one dummy row and column; the larger side as rows; staying unmatched costs a relative
1e-12 more than a match without time in common.
"""

import numpy as np

from diarize.score.timeline import Runs, Timeline

# The extra cost of staying unmatched, relative to the largest time in common of the recording.
NO_MATCH_SURPLUS = 1e-12
# A lead below this (seconds) may be a rounding error: then the exact method decides.
CLEAR_LEAD = 1e-6
_PAIRS_AT_ONCE = 1 << 20
_LARGEST_TABLE = 1 << 24  # cells


def map_speakers(
    common: np.ndarray, ref_index: np.ndarray, sys_index: np.ndarray, ref_group: np.ndarray
) -> np.ndarray:
    """Return the system speaker of each reference speaker, (num_ref,) int, -1 for none.

    ``common`` (n,) holds the positive times in common of the pairs ``ref_index``, ``sys_index``
    (n,), which are indices over all groups, sorted by both; ``ref_group`` (num_ref,) ascends.
    """
    out = np.full(len(ref_group), -1, np.int64)
    if not len(common):
        return out
    num_sys = int(sys_index.max()) + 1
    group = ref_group[ref_index]
    num_groups = int(ref_group[-1]) + 1
    settled = np.zeros(num_groups, bool)
    for own, other, num_own, num_other in (
        (ref_index, sys_index, len(ref_group), num_sys),
        (sys_index, ref_index, num_sys, len(ref_group)),
    ):
        best = np.zeros(num_own)
        np.maximum.at(best, own, common)
        lead = np.flatnonzero(common > best[own] - CLEAR_LEAD)
        tied = np.bincount(own[lead], minlength=num_own)[own[lead]] > 1
        tied |= np.bincount(other[lead], minlength=num_other)[other[lead]] > 1
        clear = np.ones(num_groups, bool)
        clear[group[lead[tied]]] = False
        take = lead[clear[group[lead]] & ~settled[group[lead]]]
        out[ref_index[take]] = sys_index[take]
        settled |= clear
    bounds = np.flatnonzero(np.diff(group, prepend=-1, append=num_groups))
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if settled[group[first]]:
            continue
        rows, cols = ref_index[first:last].tolist(), sys_index[first:last].tolist()
        refs, syss = sorted(set(rows)), sorted(set(cols))
        row_of = {ref: row for row, ref in enumerate(refs)}
        col_of = {sys: col for col, sys in enumerate(syss)}
        matrix = np.zeros((len(refs), len(syss)))
        matrix[[row_of[r] for r in rows], [col_of[s] for s in cols]] = common[first:last]
        for row, col in match(matrix):
            out[refs[row]] = syss[col]
    return out


def match(common: np.ndarray) -> list[tuple[int, int]]:
    """Return the matched (row, column) pairs of ``common`` (R, S), seconds, 0 where none.

    Pairs without time in common are omitted.  The cost is cubic in the larger side.

    >>> match(np.array([[6.0, 4.0], [8.0, 0.0]]))
    [(0, 1), (1, 0)]
    """
    num_rows, num_cols = common.shape
    turned = num_rows < num_cols
    matrix = common.T if turned else common
    top = float(common.max())
    no_match = top * (1 + NO_MATCH_SURPLUS)
    size = max(common.shape) + 1
    cost = np.full((size, size), no_match)
    cost[: matrix.shape[0], : matrix.shape[1]] = np.where(matrix > 0, top - matrix, no_match)
    cost -= cost.min(axis=0)
    pairs = enumerate(_assign(cost.tolist()))
    cells = [(b, a) if turned else (a, b) for a, b in pairs]
    return sorted((r, s) for r, s in cells if r < num_rows and s < num_cols and common[r, s] > 0)


def _assign(cost: list[list[float]]) -> list[int]:
    """Return the column of each row in a perfect matching of least cost of a square matrix."""
    size = len(cost)
    mate_of_row, mate_of_col = [-1] * size, [-1] * size
    row_less = [min(row) for row in cost]
    col_more = [0.0] * size
    for k, row in enumerate(cost):
        for col, value in enumerate(row):
            if value == row_less[k] and mate_of_col[col] < 0:
                mate_of_row[k], mate_of_col[col] = col, k
                break
    for _ in range(mate_of_row.count(-1)):
        parent, k, col = _augmenting_path(cost, mate_of_row, mate_of_col, row_less, col_more)
        while True:
            freed = mate_of_row[k]
            mate_of_row[k], mate_of_col[col] = col, k
            if freed < 0:
                break
            k, col = parent[freed], freed
    return mate_of_row


def _augmenting_path(
    cost: list[list[float]],
    mate_of_row: list[int],
    mate_of_col: list[int],
    row_less: list[float],
    col_more: list[float],
) -> tuple[list[int], int, int]:
    """Return (parent row of each column, last row, free column); updates the dual variables.

    The forest grows from all free rows at once, breadth first, with columns in their order.
    """
    size = len(cost)
    parent, slack_row = [-1] * size, [-1] * size
    slack = [np.inf] * size
    queue = [k for k in range(size) if mate_of_row[k] < 0]
    done = 0
    while True:
        while done < len(queue):
            k = queue[done]
            row, less = cost[k], row_less[k]
            for col in range(size):
                if not slack[col]:
                    continue
                value = row[col] - less + col_more[col]
                if value >= slack[col]:
                    continue
                if value:
                    slack[col], slack_row[col] = value, k
                    continue
                if mate_of_col[col] < 0:
                    return parent, k, col
                slack[col], parent[col] = 0.0, k
                queue.append(mate_of_col[col])
            done += 1
        step = min(value for value in slack if value)
        for k in queue:
            row_less[k] += step
        for col in range(size):
            if not slack[col]:
                col_more[col] += step
                continue
            slack[col] -= step
            if slack[col]:
                continue
            k = slack_row[col]
            if mate_of_col[col] < 0:
                for later in range(col + 1, size):
                    if not slack[later]:
                        col_more[later] += step
                return parent, k, col
            parent[col] = k
            queue.append(mate_of_col[col])


def time_in_common(
    line: Timeline, useful: np.ndarray, ref_group: np.ndarray, sys_group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the seconds that pairs of speakers share: (time, ref_index, sys_index), each (n,).

    Only the intervals ``useful`` (m,) int, ascending, are considered; the groups of all speakers,
    (num_ref,) and (num_sys,), ascend.  Pairs are sorted by both indices.  Each pair's time is
    summed in the order of time.
    """
    # A pair is a cell of a table with a row for each reference speaker and a column for each
    # system speaker of the same group.
    width = int(np.bincount(sys_group, minlength=1).max())
    offset = np.arange(len(ref_group)) * width - np.searchsorted(sys_group, ref_group)
    # The intervals of a speaker are in the order of time; the other side is found by interval.
    ref_place, ref = _expand(line.ref, useful, len(line))
    sys_place, sys = _expand(line.sys, useful, len(line))
    sys = sys[np.argsort(sys_place, kind="stable")]
    sys_count = np.bincount(sys_place, minlength=len(useful))
    sys_head = np.cumsum(sys_count) - sys_count
    weight = line.duration[useful]
    partners = sys_count[ref_place]
    reach = np.cumsum(partners)
    totals = _Totals(len(ref_group) * width)
    first = 0
    while first < len(partners):
        goal = (reach[first - 1] if first else 0) + _PAIRS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(reach, goal, side="right")))
        interval, count = ref_place[first:last], partners[first:last]
        nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        partner = sys[np.repeat(sys_head[interval], count) + nth]
        cell = np.repeat(offset[ref[first:last]], count) + partner
        totals.add(cell, np.repeat(weight[interval], count))
        first = last
    cells, seconds = totals.positive()
    rows = cells // max(width, 1)
    return seconds, rows, cells - offset[rows]


class _Totals:
    """Sums by cell, in the order of the calls; for large tables only the used cells are stored."""

    def __init__(self, size: int) -> None:
        self.whole = np.zeros(size) if size <= _LARGEST_TABLE else None
        self.cells, self.totals = np.zeros(0, np.int64), np.zeros(0)

    def add(self, cell: np.ndarray, weight: np.ndarray) -> None:
        """Add weights to cells, in order."""
        if self.whole is not None:
            np.add.at(self.whole, cell, weight)
            return
        cells = np.union1d(self.cells, cell)
        totals = np.zeros(len(cells))
        totals[np.searchsorted(cells, self.cells)] = self.totals
        np.add.at(totals, np.searchsorted(cells, cell), weight)
        self.cells, self.totals = cells, totals

    def positive(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells above 0, ascending, and their sums."""
        if self.whole is not None:
            cells = np.flatnonzero(self.whole > 0)
            return cells, self.whole[cells]
        keep = self.totals > 0
        return self.cells[keep], self.totals[keep]


def _expand(runs: Runs, useful: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (index into ``useful``, speaker) of the intervals of each run, in their order."""
    rank = _rank(useful, num)
    first, last = rank[runs.first], rank[runs.last]
    count = last - first
    nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(first, count) + nth, np.repeat(runs.speaker, count)


def _rank(useful: np.ndarray, num: int) -> np.ndarray:
    """Return the number of useful intervals before each of the ``num`` + 1 places."""
    flags = np.zeros(num + 1, np.int64)
    flags[useful + 1] = 1
    return np.cumsum(flags)
