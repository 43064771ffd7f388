"""Errors of a validation recording, decided by the post-processor of the task as in inference."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from diarize.checks import inner_fraction, non_negative, require
from diarize.data.examples import Batch
from diarize.infer.postprocess import PostprocessOptions, PostProcessor
from diarize.nn.outputs import QueryPredictions
from diarize.train.mask_der import mask_der_stats


@dataclass(frozen=True)
class ValidOptions:
    """Options of the validation DER by which checkpoints are selected.

    Errors are counted in the regions of the data directory's UEM.
    """

    query_thresholds: list[float] = field(default_factory=lambda: [0.3, 0.5, 0.7, 0.8, 0.9])
    """Thresholds of the query activity; the lowest DER over them counts, since the class head is
    calibrated later than the masks.
    """
    mask_threshold: float = 0.5
    """Mask probability of an active frame."""
    collar: float = 0.0
    """Collar (s) around reference boundaries."""
    batch_seconds: float = 600.0
    """Padded length (s) of a batch of recordings."""
    max_seconds: float = 0.0
    """Length (s) used of each recording, from its first evaluated stretch on; 0: all."""
    max_recordings: int = 0
    """Number of recordings used; 0: all."""

    def __post_init__(self) -> None:
        require(
            bool(self.query_thresholds) and all(0 <= t < 1 for t in self.query_thresholds),
            "query_thresholds", self.query_thresholds, "one or more probabilities below 1",
        )  # fmt: skip
        inner_fraction(mask_threshold=self.mask_threshold)
        non_negative(collar=self.collar, batch_seconds=self.batch_seconds)
        non_negative(max_seconds=self.max_seconds, max_recordings=self.max_recordings)

class ValidRecording(NamedTuple):
    """Output of the network for a validation recording, and its reference, on the host.

    masks (T, N), activities (N,): probabilities, as `PostProcessor` requires them
    languages: the most probable language of each query, int (N,); None without a language head
    reference: activity of each label, bool (T, S)
    labels: index of each label in the list of the language head, -1: not in it, int (S,); None
        without a language head
    evaluated: frames that errors are counted in, bool (T,)
    """

    masks: np.ndarray
    activities: np.ndarray
    languages: np.ndarray | None
    reference: np.ndarray
    labels: np.ndarray | None
    evaluated: np.ndarray


# (recording, queries, masks (T, K) of these queries) -> further counts of a task.
MoreCounts = Callable[[ValidRecording, Sequence[int], np.ndarray], list[int]]


def valid_recordings(
    predictions: QueryPredictions, batch: Batch, num_fixed: int
) -> Iterator[ValidRecording]:
    """Yield the recordings of ``batch``, which is on the host, without padding.

    The first ``num_fixed`` columns of the reference are those of slots with a fixed meaning, and
    are left out.
    """
    predictions = predictions.last().float()
    masks = predictions.mask_logits()[0].sigmoid().cpu().numpy()  # (B, T, N)
    activities = predictions.activity_logits[0].sigmoid().cpu().numpy()  # (B, N)
    reference = (batch.targets[..., num_fixed:] > 0.5).numpy()  # (B, T, S)
    evaluated = batch.evaluated_frames().numpy()  # (B, T)
    languages: Any = [None] * len(masks)
    if predictions.label_logits is not None:
        languages = predictions.label_logits[0].argmax(-1).cpu().numpy()  # (B, N)
    labels: Any = [None] * len(masks)
    if batch.label_ids is not None:
        labels = batch.label_ids[:, num_fixed:].numpy()  # (B, S)
    for b, frames in enumerate(batch.num_frames.numpy()):
        yield ValidRecording(
            masks[b, :frames], activities[b], languages[b],
            reference[b, :frames], labels[b], evaluated[b, :frames],
        )  # fmt: skip


def count_errors(
    recording: ValidRecording,
    processor: PostProcessor,
    options: ValidOptions,
    collar_frames: int,
    more: MoreCounts,
) -> np.ndarray:
    """Return the counts of a recording for each of the Q query thresholds, float64 (Q, 5 + …).

    They are those of `mask_der_stats`, 1 if the number of speakers in the evaluated frames is
    right, and those of ``more``.
    """
    reference, inside = recording.reference, recording.evaluated
    speakers = np.count_nonzero(reference[inside].any(axis=0))
    runs = processor.runs(recording.masks, options.mask_threshold, median=1)
    counts: dict[tuple[int, ...], list[int]] = {}
    chosen = []
    for threshold in options.query_thresholds:
        point = PostprocessOptions(threshold, options.mask_threshold)
        queries = tuple(processor.choose(runs, recording.activities, point))
        chosen.append(queries)
        if queries not in counts:
            system = processor.masks(runs, queries)
            found = np.count_nonzero(system[inside].any(axis=0))
            errors = mask_der_stats(system, reference, collar_frames, inside)
            counts[queries] = [*errors, found == speakers, *more(recording, queries, system)]
    return np.array([counts[queries] for queries in chosen], dtype=np.float64)
