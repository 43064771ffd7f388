"""Masks of queries: median filter, runs of active frames, overlap."""

from collections.abc import Callable

import numpy as np


def binary_median(mask: np.ndarray, length: int) -> np.ndarray:
    """Return ``mask`` (T,) after a median filter of ``length`` frames; outside is silence.

    The median of an odd number of bits is their majority, so a running sum suffices.

    >>> binary_median(np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=bool), 3).astype(int)
    array([0, 1, 1, 1, 0, 0, 0, 0])
    """
    if length <= 1:
        return mask
    half = length // 2
    total = np.zeros(len(mask) + 1, dtype=np.int32)
    np.cumsum(mask, out=total[1:])
    frames = np.arange(len(mask))
    hi = np.minimum(frames + half + 1, len(mask))
    lo = np.maximum(frames - half, 0)
    return total[hi] - total[lo] > half


def mask_runs(mask: np.ndarray) -> np.ndarray:
    """Return the runs of True in ``mask`` (T,) as frames [first, last + 1), int (R, 2).

    >>> mask_runs(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2)


def clean_runs(runs: np.ndarray, min_gap: int, min_duration: int) -> np.ndarray:
    """Return ``runs`` (R, 2) with gaps below ``min_gap`` filled, then short runs dropped (frames).

    >>> clean_runs(np.array([[0, 4], [6, 9], [20, 22]]), 3, 3).tolist()
    [[0, 9]]
    """
    if min_gap > 1 and len(runs) > 1:
        wide = runs[1:, 0] - runs[:-1, 1] >= min_gap
        first = np.concatenate([[True], wide])
        last = np.concatenate([wide, [True]])
        runs = np.stack([runs[first, 0], runs[last, 1]], axis=1)
    if min_duration > 1:
        runs = runs[runs[:, 1] - runs[:, 0] >= min_duration]
    return runs


class QueryRuns:
    """Runs of each query of one recording, computed once, on first use.

    One object serves every query threshold and minimum duration, so a grid search filters each
    mask once.
    """

    def __init__(self, posteriors: np.ndarray, mask_threshold: float, median: int) -> None:
        self.posteriors = posteriors
        self.mask_threshold = mask_threshold
        self.median = median
        self._masks: dict[int, np.ndarray] = {}
        self._runs: dict[int, np.ndarray] = {}

    def mask(self, query: int) -> np.ndarray:
        """Return the activity of ``query`` after the median filter, bool (T,)."""
        if query not in self._masks:
            above = self.posteriors[:, query] > self.mask_threshold
            self._masks[query] = binary_median(above, self.median)
        return self._masks[query]

    def runs(self, query: int) -> np.ndarray:
        """Return the runs of ``mask(query)``, int (R, 2)."""
        if query not in self._runs:
            self._runs[query] = mask_runs(self.mask(query))
        return self._runs[query]

    def overlaps(self, limit: float) -> Callable[[int, list[int]], bool]:
        """Return ``is_duplicate`` for select_queries: a mask IoU above ``limit`` with one taken."""

        def is_duplicate(query: int, taken: list[int]) -> bool:
            mask = self.mask(query)
            for other in taken:
                union = np.count_nonzero(mask | self.mask(other))
                if union and np.count_nonzero(mask & self.mask(other)) > limit * union:
                    return True
            return False

        return is_duplicate
