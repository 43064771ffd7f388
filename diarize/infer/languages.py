"""Post-processing for languages: the best kept query in each frame that the VAD calls speech.

SAGE-LD keeps the queries with an activity above 0.8; query 0 is the VAD slot and is
always kept.  Median filter, minimum duration and gap filling are additions, off by default.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from diarize.errors import DiarizeError
from diarize.infer.masks import binary_median
from diarize.infer.postprocess import (
    Assigned,
    LanguageId,
    PostprocessOptions,
    PostProcessor,
    select_queries,
)
from diarize.segments import Segment
from diarize.timebase import FrameGrid

VAD_QUERY = 0
SILENCE = -1


class LanguageRuns:
    """Decisions of one recording for any choice of queries, each computed once."""

    def __init__(self, posteriors: np.ndarray, mask_threshold: float, median: int) -> None:
        self.posteriors = posteriors
        self.median = median
        self.speech = binary_median(posteriors[:, VAD_QUERY] > mask_threshold, median)
        self._decisions: dict[tuple[int, ...], np.ndarray] = {}

    def decision(self, queries: Sequence[int]) -> np.ndarray:
        """Return the query of each frame, int (T,), SILENCE in frames without speech.

        It is the one of ``queries`` with the greatest probability; with a median filter,
        the most frequent one in the speech frames of the window (in a tie the frame's own).
        """
        key = tuple(queries)
        if key not in self._decisions:
            self._decisions[key] = self._decide(key)
        return self._decisions[key]

    def _decide(self, queries: tuple[int, ...]) -> np.ndarray:
        if not queries:
            return np.full(len(self.speech), SILENCE)
        columns = np.array(queries)
        best = self.posteriors[:, columns].argmax(1)  # (T,), in a tie the more active
        if self.median > 1 and len(queries) > 1:
            own = (best[:, None] == np.arange(len(queries))) & self.speech[:, None]  # (T, K)
            half = self.median // 2
            total = np.zeros((len(best) + 1, len(queries)), dtype=np.int64)
            np.cumsum(own, axis=0, out=total[1:])
            frames = np.arange(len(best))
            high = np.minimum(frames + half + 1, len(best))
            votes = total[high] - total[np.maximum(frames - half, 0)]
            best = (2 * votes + own).argmax(1)
        return np.where(self.speech, columns[best], SILENCE)


def smooth(decision: np.ndarray, min_gap: int, min_duration: int) -> list[tuple[int, int, int]]:
    """Return the runs (first, last + 1, query) of ``decision`` (T,) without silence, in frames.

    A pause below ``min_gap`` is assigned to the preceding language.  Speech below
    ``min_duration`` is dropped; a shorter turn within longer speech is assigned to the
    preceding turn, or at the start of speech to the next one: dropping it would only turn
    confusion into a miss.

    >>> smooth(np.array([-1, 1, 1, 1, 2, 1, 1, -1, 2, -1]), 0, 2)
    [(1, 7, 1)]
    """
    edges = np.flatnonzero(np.diff(decision, prepend=SILENCE - 1, append=SILENCE - 1))
    spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    islands: list[list[tuple[int, int, int]]] = []
    for lo, hi in spans:
        query = int(decision[lo])
        if query == SILENCE:
            continue
        last = islands[-1][-1] if islands else None
        if last is not None and lo - last[1] < min_gap:
            islands[-1][-1] = (last[0], lo, last[2])
        if last is not None and (lo == last[1] or lo - last[1] < min_gap):
            islands[-1].append((lo, hi, query))
        else:
            islands.append([(lo, hi, query)])
    out = []
    for island in islands:
        if island[-1][1] - island[0][0] >= min_duration:
            out += _absorb(island, min_duration)
    return out


def _absorb(island: list[tuple[int, int, int]], shortest: int) -> list[tuple[int, int, int]]:
    """Return the turns of one stretch of speech, short turns merged into their neighbours."""
    out: list[tuple[int, int, int]] = []
    begin = island[0][0]
    for _, hi, query in island:
        if hi - begin < shortest and not out:
            continue  # too short at the start: merged into the next turn
        if out and (hi - begin < shortest or query == out[-1][2]):
            out[-1] = (out[-1][0], hi, out[-1][2])
        else:
            out.append((begin, hi, query))
        begin = hi
    return out


def identify_queries(
    probabilities: np.ndarray, queries: Sequence[int], names: Sequence[str], threshold: float
) -> dict[int, str]:
    """Return the names of the ``queries`` that are known languages.

    ``probabilities`` (N, C) are the output of the language head.  Each query has the most
    probable name, or none (an unknown language) if its probability is at most ``threshold``.
    Queries of one name are one language that the network has split.
    """
    best = {query: int(probabilities[query].argmax()) for query in queries}
    return {q: names[c] for q, c in best.items() if probabilities[q, c] > threshold}


class LanguagePostProcessor(PostProcessor):
    """Most probable kept language of each speech frame; query 0 decides about speech."""

    num_fixed = 1
    named = True

    def runs(self, posteriors: np.ndarray, mask_threshold: float, median: int) -> LanguageRuns:
        return LanguageRuns(posteriors, mask_threshold, median)

    def choose(
        self, runs: LanguageRuns, activities: np.ndarray, options: PostprocessOptions
    ) -> list[int]:
        """Return the queries that are languages, the most active one first; never the VAD slot."""
        return [query + 1 for query in select_queries(activities[1:], options)]

    def masks(self, runs: LanguageRuns, queries: Sequence[int]) -> np.ndarray:
        return runs.decision(queries)[:, None] == np.array(queries, dtype=int)

    def assigned(
        self,
        runs: LanguageRuns,
        queries: list[int],
        recording: str,
        options: PostprocessOptions,
        grid: FrameGrid,
        names: Mapping[int, str] | None = None,
    ) -> Assigned:
        """Return the turns of ``queries``, sorted by time, and the queries of each label.

        The label of a query is its name, else L1, L2, … in the order of the first turns.
        Adjacent turns of one label are joined.
        """
        gap, shortest = grid.to_frame(options.min_gap), grid.to_frame(options.min_duration)
        labels = dict(names or {})
        unnamed = 0
        out: list[Segment] = []
        by_label: dict[str, list[int]] = {}
        for lo, hi, query in smooth(runs.decision(queries), gap, shortest):
            if query not in labels:
                unnamed += 1
                labels[query] = f"L{unnamed}"
            start, end = grid.to_seconds(lo), grid.to_seconds(hi)
            if out and (out[-1].end, out[-1].label) == (start, labels[query]):
                start = out.pop().start
            out.append(Segment(recording, start, end, labels[query]))
            of_label = by_label.setdefault(labels[query], [])
            if query not in of_label:
                of_label.append(query)
        return out, by_label

    def name(
        self,
        queries: list[int],
        activities: np.ndarray,
        recording: str,
        options: PostprocessOptions,
        language_id: LanguageId | None,
    ) -> Mapping[int, str]:
        """Return the names of known languages; none without ``options.language_id_threshold``."""
        if language_id is None or options.language_id_threshold is None or not queries:
            return {}
        probabilities, known = language_id
        if probabilities.shape != (len(activities), len(known)):
            raise DiarizeError(
                f"recording {recording}: {probabilities.shape} probabilities for "
                f"{len(activities)} queries and {len(known)} names"
            )
        return identify_queries(probabilities, queries, known, options.language_id_threshold)


LANGUAGE = LanguagePostProcessor()
