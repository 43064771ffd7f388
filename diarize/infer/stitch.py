"""Stitching of overlapping windows of a long recording: one table of speakers.

The queries of a window are assigned to the speakers of the table in two steps.  The first step
uses the overlap of both windows: the assignment maximises the shared speech.  The second step
is for speakers who were silent in the overlap: the mask embedding that a speaker had in its
last window is applied to the frames of this one (eq. 2 of EEND-M2F), and the query with a
similar mask is assigned to that speaker.  The second step requires that the embeddings of a
voice agree between windows, for which the network was not trained.  A query that neither step
assigns becomes a new speaker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_LEVELS = 65535
_SILENT = 0.5  # frames


def plan_windows(
    num_frames: int, window: int, overlap: int, factor: int
) -> list[tuple[int, int]]:
    """Return windows [first, last) of equal length, at most ``window``, over ``num_frames``.

    Neighbours overlap by at least ``overlap`` frames; all begin at multiples of ``factor``.

    >>> plan_windows(1000, 500, 100, 10)
    [(0, 400), (300, 700), (600, 1000)]
    """
    if num_frames <= window:
        return [(0, num_frames)]
    count = -(-(num_frames - overlap) // (window - overlap))
    length = -(-(num_frames + (count - 1) * overlap) // count)
    step = (num_frames - length) / (count - 1)
    starts = [int(i * step) // factor * factor for i in range(count)]
    return [
        (start, num_frames if i == count - 1 else min(start + length, num_frames))
        for i, start in enumerate(starts)
    ]


@dataclass(frozen=True)
class Window:
    """Output of the network for the frames [first, last) of a recording.

    masks (T, K), activities (K,) and language_probs (K, C) as in Posteriors, the fixed queries
    first; embeddings (K, D) and coarse (T', D) are MLP(Q) and E at the encoder's rate.
    """

    first: int
    last: int
    masks: np.ndarray
    activities: np.ndarray
    embeddings: Tensor
    coarse: Tensor
    language_probs: np.ndarray | None = None


@dataclass
class Speaker:
    """One row of the table; sums are weighted by the speech of each window."""

    embedding: Tensor
    weight: float = 0.0
    activity: float = 0.0
    language_probs: np.ndarray | float = 0.0

    def add(self, window: Window, query: int, speech: float) -> None:
        """Add the output of a window for this speaker."""
        weight = speech + 1.0
        self.weight += weight
        self.activity += weight * float(window.activities[query])
        if window.language_probs is not None:
            self.language_probs = self.language_probs + weight * window.language_probs[query]
        self.embedding = window.embeddings[query]

    @property
    def mean_activity(self) -> float:
        """Mean probability, over the windows, that this is a speaker."""
        return self.activity / self.weight


@dataclass(frozen=True)
class StitchOptions:
    """Criteria by which two masks belong to one speaker.

    shared: minimum intersection over union of the masks in the overlap
    evidence: minimum common speech in the overlap, in frames
    recalled: minimum intersection over union of a query's mask and the mask from a speaker's
        last embedding
    most: size of the table; in a full table the least probable speaker is replaced
    """

    shared: float = 0.3
    evidence: float = 50.0
    recalled: float = 0.5
    most: int = 50


class StitchedMasks:
    """Masks (T, S) of a recording, two bytes per value, stored only where a window has them.

    Supports the indexing that post-processing requires: rows [a:b], columns [:, s].
    """

    ndim = 2

    def __init__(self, blocks: Sequence[tuple[int, np.ndarray, np.ndarray]], num_speakers: int):
        self._blocks = blocks  # first row, columns (K,), masks uint16 (rows, K)
        self.shape = (sum(len(masks) for _, _, masks in blocks), num_speakers)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: object) -> np.ndarray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError("masks in windows can be taken by slices of rows only")
        first, last, _ = rows.indices(self.shape[0])
        one = isinstance(columns, int | np.integer)
        wanted = np.arange(self.shape[1])[[columns] if one else columns]
        place = np.full(self.shape[1], -1)
        place[wanted] = np.arange(len(wanted))
        out = np.zeros((max(0, last - first), len(wanted)), dtype=np.float32)
        for start, speakers, masks in self._blocks:
            low, high = max(first, start), min(last, start + len(masks))
            at = place[speakers]
            if low < high and (at >= 0).any():
                part = masks[low - start : high - start, at >= 0]
                out[low - first : high - first, at[at >= 0]] = part * np.float32(1 / _LEVELS)
        return out[:, 0] if one else out

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


class Stitcher:
    """Table of speakers, updated with one window after the other."""

    def __init__(self, fixed: int = 0, options: StitchOptions | None = None) -> None:
        self.fixed = fixed
        self.options = options or StitchOptions()
        self._speakers: dict[int, Speaker] = {}
        self._count = 0
        self._blocks: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._before: tuple[Window, np.ndarray, int] | None = None

    def add(self, window: Window) -> None:
        """Assign the queries of ``window`` to speakers, and store the previous window."""
        speech = window.masks.sum(0, dtype=np.float64)  # (K,)
        links = np.full(len(speech), -1)
        links[: self.fixed] = np.arange(self.fixed)
        if self._before is not None:
            self._link_by_overlap(window, links)
            self._link_by_memory(window, links)
        for query in range(len(links)):
            # A query that is silent throughout is no speaker.
            silent = links[query] < 0 and speech[query] < _SILENT
            if not silent and links[query] not in self._speakers:
                links[query] = self._enter(window, query, links)
            if links[query] >= 0:
                self._speakers[links[query]].add(window, query, float(speech[query]))
        begin = 0
        if self._before is not None:
            begin = (window.first + self._before[0].last) // 2
            self._keep(begin)
        self._before = (window, links, begin)

    def finish(
        self, min_activity: float, min_queries: int
    ) -> tuple[StitchedMasks, np.ndarray, np.ndarray | None, np.ndarray]:
        """Return masks (T, S), activities (S,), language_probs (S, C) and embeddings (S, D).

        First the fixed speakers, then those of at least ``min_activity``, or the
        ``min_queries`` most active, in descending order.  The embedding is that of the last
        window of a speaker.
        """
        assert self._before is not None, "no window was added"
        self._keep(self._before[0].last)
        free = [s for s in self._speakers if s >= self.fixed]
        free.sort(key=lambda s: -self._speakers[s].mean_activity)
        kept = sum(self._speakers[s].mean_activity >= min_activity for s in free)
        order = [*range(self.fixed), *free[: max(kept, min_queries)]]
        column = np.full(self._count + 1, -1)
        column[order] = np.arange(len(order))
        blocks = []
        for first, links, masks in self._blocks:
            at = column[links]  # -1 stays -1: the last entry is no speaker
            blocks.append((first, at[at >= 0], masks[:, at >= 0]))
        self._blocks = []
        table = [self._speakers[s] for s in order]
        activities = np.array([s.mean_activity for s in table], dtype=np.float32)
        language_probs = None
        if table and isinstance(table[0].language_probs, np.ndarray):
            language_probs = np.stack([s.language_probs / s.weight for s in table])
            language_probs = language_probs.astype(np.float32)
        found = [s.embedding for s in table]
        embeddings = torch.stack(found) if found else self._before[0].embeddings[:0]
        embeddings = embeddings.float().cpu().numpy()
        return StitchedMasks(blocks, len(order)), activities, language_probs, embeddings

    def _keep(self, end: int) -> None:
        """Store the rows of the previous window, up to frame ``end``."""
        window, links, begin = self._before
        rows = window.masks[begin - window.first : end - window.first]
        coded = np.empty(rows.shape, dtype=np.uint16)
        for at in range(0, len(rows), 1 << 14):
            coded[at : at + (1 << 14)] = np.rint(rows[at : at + (1 << 14)] * _LEVELS)
        self._blocks.append((begin, links, coded))

    def _link_by_overlap(self, window: Window, links: np.ndarray) -> None:
        before, before_links, _ = self._before
        old = before.masks[window.first - before.first :]  # (O, K')
        new = window.masks[: before.last - window.first]  # (O, K)
        common = old.T @ new  # (K', K): frames of common speech
        union = old.sum(0)[:, None] + new.sum(0)[None] - common
        good = (common >= self.options.evidence) & (common > self.options.shared * union)
        good[before_links < self.fixed] = False  # no speaker, or fixed
        good[:, : self.fixed] = False
        worth = common * before.activities[:, None] * window.activities
        for i, k in zip(*linear_sum_assignment(np.where(good, worth, 0), True), strict=True):
            if good[i, k]:
                links[k] = before_links[i]

    def _link_by_memory(self, window: Window, links: np.ndarray) -> None:
        taken = set(links.tolist())
        absent = [s for s in self._speakers if s >= self.fixed and s not in taken]
        if not absent or (links >= 0).all():
            return
        embeddings = torch.stack([self._speakers[s].embedding for s in absent]).float()
        coarse = window.coarse.float()
        old = (coarse @ embeddings.T).sigmoid()  # (T', G)
        new = (coarse @ window.embeddings.float().T).sigmoid()  # (T', K)
        common = old.T @ new
        union = old.sum(0)[:, None] + new.sum(0)[None] - common
        similar = (common / union.clamp(min=1e-6)).cpu().numpy()  # (G, K)
        # An embedding that fits another speaker's query better does not discriminate voices.
        good = (similar > self.options.recalled) & (similar >= similar.max(1, keepdims=True))
        good[:, links >= 0] = False
        for g, k in zip(*linear_sum_assignment(np.where(good, similar, 0), True), strict=True):
            if good[g, k]:
                links[k] = absent[g]

    def _enter(self, window: Window, query: int, links: np.ndarray) -> int:
        """Return the number of a new speaker, -1 if all in a full table are more probable."""
        number = int(links[query])
        if number < 0:
            taken = set(links.tolist())
            free = {s: v.mean_activity for s, v in self._speakers.items() if s >= self.fixed}
            if len(free) >= self.options.most:
                absent = {s: p for s, p in free.items() if s not in taken}
                least = min(absent, key=absent.__getitem__, default=None)
                if least is None or absent[least] >= window.activities[query]:
                    return -1
                self._forget(least)
            number = max(self._count, self.fixed)
        self._count = max(self._count, number + 1)
        self._speakers[number] = Speaker(window.embeddings[query])
        return number

    def _forget(self, speaker: int) -> None:
        del self._speakers[speaker]
        for _, links, _ in self._blocks:
            links[links == speaker] = -1
        if self._before is not None:
            self._before[1][self._before[1] == speaker] = -1
