"""Posteriors of a page: the masks of the active queries over time, at a bounded resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diarize.segments import Segment

MOST_COLUMNS = 20000
MOST_QUERIES = 24
# Queries below this activity are left out, and pairs of a query and a label with less in common.
LEAST_ACTIVITY = 0.05
LEAST_OVERLAP = 0.2
_BLOCK = 1 << 16  # frames


@dataclass(frozen=True)
class Posteriors:
    """Output of the network for a recording.

    masks: (T, N) probabilities on frames of ``frame_seconds``
    activities: (N,) probabilities that a query is active
    vad_slot: query 0 is the speech detector of a language model
    """

    masks: np.ndarray
    activities: np.ndarray
    frame_seconds: float
    vad_slot: bool = False


@dataclass(frozen=True)
class Heat:
    """Strips of queries: ``values`` uint8 (Q, C), 255 for 1, in columns of ``step`` seconds.

    queries: their numbers in the network's output; labels: the label of each that its mask
    agrees with, None for no label
    """

    values: np.ndarray
    step: float
    queries: list[int]
    activities: list[float]
    labels: list[str | None]


def make_heat(posteriors: Posteriors, output: Sequence[Segment], seconds: float) -> Heat:
    """Return the strips of the active queries, the most active one first, VAD slot before them."""
    activities = np.asarray(posteriors.activities, float)
    order = np.argsort(-activities, kind="stable").tolist()
    queries = [q for q in order if activities[q] > LEAST_ACTIVITY][:MOST_QUERIES] or order[:1]
    if posteriors.vad_slot:
        queries = [0, *(q for q in queries if q != 0)][:MOST_QUERIES]
    means, size = _pooled(posteriors.masks, queries)
    step = size * posteriors.frame_seconds
    means = means[:, : max(1, int(np.ceil(seconds / step - 1e-6)))]
    labels = sorted({segment.label for segment in output})
    active = np.stack([_coverage(output, label, means.shape[1], step) for label in labels] or
                      [np.zeros(means.shape[1])])  # fmt: skip
    partners = [_partner(row, active, labels) for row in means]
    if posteriors.vad_slot:
        partners[0] = None
    return Heat(
        np.rint(255 * means.clip(0, 1)).astype(np.uint8), step, queries,
        [float(activities[q]) for q in queries], partners,
    )  # fmt: skip


def _pooled(masks: np.ndarray, queries: list[int]) -> tuple[np.ndarray, int]:
    """Return the mean masks of ``queries`` in at most `MOST_COLUMNS` columns, and their frames."""
    size = max(1, -(-len(masks) // MOST_COLUMNS))
    step = max(1, _BLOCK // size) * size
    parts = []
    for first in range(0, len(masks), step):
        block = np.asarray(masks[first : first + step], np.float32)[:, queries]
        places = np.arange(0, len(block), size)
        count = np.diff(np.append(places, len(block)))
        parts.append(np.add.reduceat(block, places, axis=0) / count[:, None])
    return np.concatenate(parts).T if parts else np.zeros((len(queries), 0), np.float32), size


def _coverage(segments: Sequence[Segment], label: str, columns: int, step: float) -> np.ndarray:
    """Return the share of each column in which ``label`` is active, (C,)."""
    edges = np.zeros(columns + 1)
    for segment in segments:
        if segment.label == label:
            # The integral of the activity up to each edge of the columns.
            edges += np.clip(np.arange(columns + 1) * step, segment.start, segment.end)
    return np.clip(np.diff(edges) / step, 0.0, 1.0)


def _partner(mask: np.ndarray, active: np.ndarray, labels: list[str]) -> str | None:
    """Return the label whose activity has the largest intersection over union with the mask."""
    both = np.minimum(active, mask).sum(axis=1)
    either = np.maximum(active, mask).sum(axis=1)
    share = both / np.maximum(either, 1e-9)
    best = int(share.argmax())
    return labels[best] if labels and share[best] >= LEAST_OVERLAP else None
