"""Post-processing: segments from the output of the network (EEND-M2F, Section 3.3).

The paper keeps the queries with an activity above 0.8 and thresholds their masks at
0.5.  Median filter, minimum duration, gap filling and the limits on the number of speakers
are customary additions, off by default.  ``merge_iou`` is an extension of this
toolkit, NOT in the paper, for a class head that has not yet learned to stop duplicates.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from diarize.checks import fraction, inner_fraction, non_negative, require
from diarize.errors import DiarizeError
from diarize.infer.confidence import calibrated, turn_probabilities
from diarize.infer.masks import QueryRuns, clean_runs
from diarize.segments import Segment, Turn
from diarize.timebase import FrameGrid

# Probabilities (N, C) of the language head, and the names of its C languages.
LanguageId = tuple[np.ndarray, Sequence[str]]
# The segments of a recording, sorted by time, and the queries of each of their labels.
Assigned = tuple[list[Segment], dict[str, list[int]]]

_BLOCK = 1 << 16  # frames per check


@dataclass(frozen=True)
class PostprocessOptions:
    """Options of the post-processing; seconds are rounded to frames of the grid in use."""

    query_threshold: float = 0.8
    """A query is a speaker if its activity is above this, theta of the paper."""
    mask_threshold: float = 0.5
    """A speaker is active in the frames whose mask probability is above this."""
    median: int = 1
    """Length of the median filter in frames, odd; 1: off."""
    min_duration: float = 0.0
    """Turns shorter than this (s) are dropped, after gaps are filled; 0: off."""
    min_gap: float = 0.0
    """Pauses of one speaker shorter than this (s) are filled; 0: off."""
    num_speakers: int | None = None
    """Exactly this number of speakers, regardless of ``query_threshold``."""
    min_speakers: int | None = None
    """Lower limit on the number that ``query_threshold`` yields."""
    max_speakers: int | None = None
    """Upper limit on the number that ``query_threshold`` yields."""
    merge_iou: float | None = None
    """Of queries whose masks overlap with an intersection over union above this, only the most
    active one is kept (extension, not in the paper); null: off.
    """
    language_id_threshold: float | None = None
    """The label of a language is its name if the probability of the name is above this,
    else L1, L2, ...; null: no names.
    """
    confidence: tuple[float, float] | None = None
    """Slope and offset of the calibration of a turn's confidence (`diarize.infer.confidence`), from
    tuning; null: not calibrated.
    """

    def __post_init__(self) -> None:
        fraction(query_threshold=self.query_threshold, mask_threshold=self.mask_threshold)
        fraction(language_id_threshold=self.language_id_threshold)
        inner_fraction(merge_iou=self.merge_iou)
        require(self.median > 0 and self.median % 2 == 1, "median", self.median,
                "an odd number of frames (1: no filter)")
        low, high = self.min_speakers, self.max_speakers
        non_negative(min_duration=self.min_duration, min_gap=self.min_gap)
        non_negative(num_speakers=self.num_speakers, min_speakers=low, max_speakers=high)
        if self.num_speakers is not None and (low, high) != (None, None):
            raise DiarizeError("num_speakers excludes min_speakers and max_speakers; use one")
        if None not in (low, high):
            require(low <= high, "min_speakers", low, f"max_speakers ({high}) or less")


def select_queries(
    activities: np.ndarray,
    options: PostprocessOptions,
    is_duplicate: Callable[[int, list[int]], bool] | None = None,
) -> list[int]:
    """Return the indices of the queries that are speakers, the most active one first.

    Queries are selected in descending order of their ``activities`` (N,), the lower index
    first in a tie, while the activity is above ``query_threshold``; ``num_speakers``,
    ``min_speakers`` and ``max_speakers`` override it.  A query for which
    ``is_duplicate(query, taken)`` is true is skipped and not counted.  Raises DiarizeError if
    more speakers than queries are requested.
    """
    upper, lower = options.max_speakers, options.min_speakers or 0
    if options.num_speakers is not None:
        upper = lower = options.num_speakers
    if lower > len(activities):
        raise DiarizeError(
            f"at least {lower} speakers were asked for, but there are only {len(activities)} "
            "queries; ask for fewer or keep more (network: min_queries)"
        )
    taken: list[int] = []
    for query in np.argsort(-np.asarray(activities, dtype=np.float64), kind="stable").tolist():
        if upper is not None and len(taken) >= upper:
            break
        if len(taken) >= lower and not activities[query] > options.query_threshold:
            break
        if is_duplicate is None or not is_duplicate(query, taken):
            taken.append(query)
    return taken


def check_output(
    posteriors: np.ndarray, activities: np.ndarray, recording: str, num_fixed: int = 0
) -> None:
    """Raise DiarizeError naming ``recording`` unless shapes are (T, N), (N,) and values finite.

    N must be above ``num_fixed``, the number of slots with a fixed meaning.
    """
    if posteriors.ndim != 2 or activities.shape != posteriors.shape[1:]:
        raise DiarizeError(
            f"recording {recording}: posteriors {posteriors.shape} and activities "
            f"{activities.shape} do not belong together: expected (T, N) and (N,)"
        )
    if num_fixed and len(activities) <= num_fixed:
        raise DiarizeError(f"recording {recording}: no query besides the VAD slot")
    # In blocks: posteriors may not fit into memory.
    blocks = (posteriors[i : i + _BLOCK] for i in range(0, len(posteriors), _BLOCK))
    if not (all(np.isfinite(p).all() for p in blocks) and np.isfinite(activities).all()):
        raise DiarizeError(
            f"recording {recording}: posteriors or activities contain NaN or Inf; "
            "check the audio and the model, then run inference again"
        )


class Decision(NamedTuple):
    """Turns of a recording, sorted by time, and the queries behind each of their labels."""

    turns: list[Turn]
    queries: dict[str, list[int]]


class PostProcessor(ABC):
    """Post-processing of a task: from posteriors to segments, in three steps.

    The steps are `runs`, `choose` and `assigned`; `decide` runs all of them.  Tuning repeats only
    those that an option affects; validation of a training scores the masks of the first two.  The
    first ``num_fixed`` queries are slots with a fixed meaning, which are never selected.  With
    ``named``, labels mean the same in all recordings, so that they are scored by name, too.
    """

    num_fixed = 0
    named = False

    @abstractmethod
    def runs(self, posteriors: np.ndarray, mask_threshold: float, median: int) -> Any:
        """Return the decisions of a recording, (T, N), for any choice of queries."""

    @abstractmethod
    def choose(
        self, runs: Any, activities: np.ndarray, options: PostprocessOptions
    ) -> list[int]:
        """Return the queries that are kept, the most active one first."""

    @abstractmethod
    def masks(self, runs: Any, queries: Sequence[int]) -> np.ndarray:
        """Return the frames in which each of the kept ``queries`` is active, bool (T, K)."""

    @abstractmethod
    def assigned(
        self,
        runs: Any,
        queries: list[int],
        recording: str,
        options: PostprocessOptions,
        grid: FrameGrid,
        names: Mapping[int, str] | None = None,
    ) -> Assigned:
        """Return the turns of ``queries``, sorted by time, and the queries of each label.

        ``names`` are labels of queries.
        """

    def decide(
        self,
        posteriors: np.ndarray,
        activities: np.ndarray,
        recording: str,
        options: PostprocessOptions,
        grid: FrameGrid,
        language_id: LanguageId | None = None,
    ) -> Decision:
        """Return the turns of a recording, sorted by time, and the queries of each label.

        posteriors: (T, N) mask probabilities on the frames of ``grid``
        activities: (N,) probabilities that a query is active
        language_id: probabilities (N, C) of the language head and its C names
        The confidence of a turn is that of `diarize.infer.confidence`.  Without a query above the
        threshold there are no turns.  Raises DiarizeError, naming ``recording``, for shapes that
        do not fit and NaN or Inf.
        """
        check_output(posteriors, activities, recording, self.num_fixed)
        runs = self.runs(posteriors, options.mask_threshold, options.median)
        try:
            kept = self.choose(runs, activities, options)
        except DiarizeError as err:
            raise DiarizeError(f"recording {recording}: {err}") from err
        names = self.name(kept, activities, recording, options, language_id)
        found, queries = self.assigned(runs, kept, recording, options, grid, names)
        means = turn_probabilities(posteriors, activities, found, queries, grid)
        turns = [
            Turn(*segment, calibrated(mean, options.confidence))
            for segment, mean in zip(found, means, strict=True)
        ]
        return Decision(turns, queries)

    def name(
        self,
        queries: list[int],
        activities: np.ndarray,
        recording: str,
        options: PostprocessOptions,
        language_id: LanguageId | None,
    ) -> Mapping[int, str]:
        """Return the labels of the queries that have a name; by default none."""
        return {}


class SpeakerPostProcessor(PostProcessor):
    """Thresholded masks of the queries with an activity above the query threshold (Section 3.3)."""

    def runs(self, posteriors: np.ndarray, mask_threshold: float, median: int) -> QueryRuns:
        return QueryRuns(posteriors, mask_threshold, median)

    def choose(
        self, runs: QueryRuns, activities: np.ndarray, options: PostprocessOptions
    ) -> list[int]:
        limit = options.merge_iou
        is_duplicate = None if limit is None else runs.overlaps(limit)
        return select_queries(activities, options, is_duplicate)

    def masks(self, runs: QueryRuns, queries: Sequence[int]) -> np.ndarray:
        out = np.empty((len(runs.posteriors), len(queries)), dtype=bool)
        for column, query in enumerate(queries):
            out[:, column] = runs.mask(query)
        return out

    def assigned(
        self,
        runs: QueryRuns,
        queries: list[int],
        recording: str,
        options: PostprocessOptions,
        grid: FrameGrid,
        names: Mapping[int, str] | None = None,
    ) -> Assigned:
        """Return the cleaned runs of ``queries`` as segments of spk1, spk2, …; see `assigned`.

        Speakers are numbered in the order in which they first speak, the more active query
        (the earlier one in ``queries``) first if two begin in the same frame.  A query with an
        empty mask has no segment and no number.
        """
        gap, shortest = grid.to_frame(options.min_gap), grid.to_frame(options.min_duration)
        cleaned = [(query, clean_runs(runs.runs(query), gap, shortest)) for query in queries]
        speaking = sorted((item for item in cleaned if len(item[1])), key=lambda x: x[1][0, 0])
        labels = {query: f"spk{number}" for number, (query, _) in enumerate(speaking, start=1)}
        found = sorted(
            Segment(recording, grid.to_seconds(lo), grid.to_seconds(hi), labels[query])
            for query, rows in speaking
            for lo, hi in rows.tolist()
        )
        return found, {label: [query] for query, label in labels.items()}


SPEAKER = SpeakerPostProcessor()
