"""Common base of the tasks: data, batches, and a validation DER over thresholds."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diarize.data.capacity import crowded_recordings
from diarize.data.crops import (
    CropOptions,
    MakeExample,
    RandomCrops,
    make_example,
    regions_to_mask,
)
from diarize.data.examples import Batch, Example, collate
from diarize.data.sources import DataDirSource, Source, open_source
from diarize.data.stretches import clip_stretches
from diarize.errors import DiarizeError, UnreadableAudio
from diarize.infer.postprocess import PostProcessor
from diarize.losses.criterion import Criterion
from diarize.nn.outputs import QueryPredictions
from diarize.segments import Segment
from diarize.tasks.validation import ValidRecording, count_errors, valid_recordings

# The model, plain or wrapped for several processes: (waveforms, lengths, ...) -> predictions.
Forward = Callable[..., QueryPredictions]


@dataclass(frozen=True)
class DataOptions(CropOptions):
    """Options of the training crops (`CropOptions`) and of the store of decoded audio."""

    store: bool = True
    """Decode all real recordings once into the audio store; false: each crop from its file.
    Manifests always use the store.
    """
    store_dir: str | None = None
    """Directory of the store; null: ``store`` beside a manifest or in a data directory."""


class QueryTask:
    """Interface between the trainer and a task whose model predicts the masks of queries.

    ``options`` has the sections ``model``, ``data`` and ``valid``; ``model`` has a
    ``grid``.  ``domain`` is that of the training data, if a saved model has it
    (:mod:`diarize.infer.domain`).  A task defines its labels and its post-processor, which
    validation uses as well.
    """

    name = ""
    labels = "speaker"
    timed_mixtures = False  # whether simulate.conf contains the lengths of its mixtures
    postprocessor: PostProcessor
    more: tuple[str, ...] = ()
    make_example: MakeExample = staticmethod(make_example)

    def __init__(self, options: Any, model: nn.Module, criterion: Criterion, seed: int) -> None:
        self.options = options
        self.seed = seed
        self.model = model
        self.grid = model.grid
        self.criterion = criterion
        self._crops: RandomCrops | None = None
        self._valid: DataDirSource | None = None
        self._filled = False
        self.notices: list[str] = []
        self.left_out: list[list[str]] = []
        self.domain: dict[str, Any] | None = None

    def load_data(
        self,
        train: list[str],
        valid: str | None,
        allow_pipes: bool = False,
        weights: list[float] | None = None,
        skip_bad: int = 0,
    ) -> None:
        """Open the training sources (manifests or data directories) and the validation set.

        The pretrained weights of the front-end are loaded, too.

        ``weights`` are the shares of the sources in the examples.  Audio from a command
        requires ``allow_pipes``.  Raises DiarizeError for more than ``skip_bad`` training
        recordings that cannot be decoded or have more labels in a crop than the model has
        queries for, and for any such file of the validation set.  Afterwards ``left_out`` has the
        names of these recordings for each source, and ``notices`` a line for each of them, and
        for each data directory that is, or may be, annotated in part only.
        """
        data = self.options.data
        sources, skipped = self.open_training(train, allow_pipes, skip_bad)
        self._crops = RandomCrops(
            sources, data, self.grid, self.seed, self.make_example, weights
        )
        if valid is not None:
            self._valid = self.open_validation(valid, allow_pipes)
        real = [s for s in [*sources, self._valid] if isinstance(s, DataDirSource)]
        self.notices = list(dict.fromkeys(line for s in real if (line := s.notice())))
        self.notices += skipped
        self.model.features.load_pretrained()

    def open_training(
        self, train: list[str], allow_pipes: bool = False, skip_bad: int = 0
    ) -> tuple[list[Source], list[str]]:
        """Return the training sources without unusable recordings, and a line for each of these.

        Errors are those of `load_data`.
        """
        data, rate = self.options.data, self.grid.sample_rate
        try:
            sources = [
                open_source(
                    path, rate, allow_pipes, self.labels, data.store_dir, data.store, skip_bad
                )
                for path in train
            ]
        except UnreadableAudio as err:
            raise DiarizeError(_skip_hint(str(err), err.count)) from err
        skipped = self._leave_out(list(zip(train, sources, strict=True)), skip_bad)
        for source in sources:
            if isinstance(source, DataDirSource):
                self.check_reference(source)
        return sources, skipped

    def open_validation(self, valid: str, allow_pipes: bool = False) -> DataDirSource:
        """Return the source of the validation set; all of its recordings must be usable."""
        data = self.options.data
        if not Path(valid).is_dir():
            raise DiarizeError(f"{valid}: no such data directory")
        source = open_source(
            valid, self.grid.sample_rate, allow_pipes, self.labels, data.store_dir, data.store
        )
        self.check_reference(source)
        return source

    def check_reference(self, source: DataDirSource) -> None:
        """Raise DiarizeError for a reference without speech in the evaluated regions."""
        if not source.has_speech():
            raise DiarizeError(
                f"{source.data.path}: no speech in its reference, within its uem; correct the "
                "reference, or leave out the set"
            )

    def _leave_out(self, sources: list[tuple[str, Source]], skip_bad: int) -> list[str]:
        """Take unusable recordings out of ``sources``; return a line for each of them."""
        lines, self.left_out = [], []
        for path, source in sources:
            bad = dict(source.faults)
            source.leave_out(bad)
            bad |= crowded_recordings(
                source, self.options.data, self.grid, self.capacity, f"{self.labels}s",
                self.model.capacity_option,
            )
            source.leave_out(bad)
            self.left_out.append(sorted(bad))
            lines += [f"{path}: {_named(name, why)}" for name, why in sorted(bad.items())]
        if len(lines) <= skip_bad:
            return [f"LEFT OUT of the training data: {line}" for line in lines]
        if lines[1:]:
            print(*lines, sep="\n", file=sys.stderr)
        more = f" (and {len(lines) - 1} more recordings, named above)" if lines[1:] else ""
        raise DiarizeError(_skip_hint(lines[0] + more, len(lines)))

    @property
    def capacity(self) -> int:
        """Largest number of labels in a crop that the queries can be matched with."""
        return self.model.num_queries

    def example(self, index: int) -> Example:
        """Return training example ``index``: a function of the seed and ``index`` alone."""
        example = self._crops[index]
        # Here and not in the matching, so that all ranks of a training know of it.
        if example.activity.shape[1] > self.model.num_queries:
            raise DiarizeError(
                f"recording {example.name}: {len(example.labels)} labels in one crop, the model "
                f"has queries for {self.capacity}; raise {self.model.capacity_option}"
            )
        return example

    def collate(self, examples: list[Example]) -> Batch:
        """Return the examples as one batch."""
        return collate(examples, self.grid.sample_rate)

    def largest(self, examples: int) -> Batch:
        """Return a batch of ``examples`` crops of noise, as large as any of the training.

        They have the length of a crop and the maximum number of labels that can be matched;
        the model receives their lengths, as for padded crops.
        """
        seconds = self.options.data.crop_seconds
        samples = self.grid.to_samples(seconds)
        waveform = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        count = max(1, self.model.num_queries - 1)
        each = seconds / count
        segments = [Segment("probe", i * each, (i + 1) * each, f"{i:04d}") for i in range(count)]
        example = self.make_example("probe", 0.1 * waveform, segments, self.grid)
        return replace(self.collate([example] * examples), unpadded=False)

    def normalizers(self, batch: Batch) -> Tensor:
        """Return the denominators of the loss terms, float64 (terms,)."""
        return self.criterion.normalizers(
            batch.num_evaluated, batch.num_speakers, self.model.num_queries
        )

    def loss(
        self, forward: Forward, batch: Batch, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of ``batch`` and its terms; ``forward`` is the (wrapped) model."""
        self.check_filled()
        predictions = self.predict(forward, batch)
        return self.criterion.loss(
            predictions, batch.targets, batch.num_speakers, normalizers, batch.names,
            evaluated=batch.evaluated,
        )

    def predict(self, forward: Forward, batch: Batch) -> QueryPredictions:
        """Return the predictions of a training step; ``forward`` is the (wrapped) model."""
        # Attention without a mask, possible without padding, allocates no T x T matrix on a GPU.
        return forward(batch.waveforms, None if batch.unpadded else batch.num_samples)

    def check_filled(self) -> None:
        """Raise DiarizeError if the front-end is frozen and still random, at the first call.

        That of the first loss: the weights may come from an initial model.
        """
        if not self._filled:
            self.model.features.check_filled()
            self._filled = True

    def more_counts(
        self, recording: ValidRecording, queries: Sequence[int], system: np.ndarray
    ) -> list[int]:
        """Return the task's counts ``more`` for the masks ``system`` (T, K) of ``queries``."""
        return []

    @torch.no_grad()
    def count_errors(
        self, forward: Forward, batch: Batch, device: torch.device
    ) -> np.ndarray:
        """Return the sums of `diarize.tasks.validation.count_errors` over ``batch``."""
        predictions = forward(batch.waveforms.to(device), batch.num_samples.to(device))
        collar = self.grid.to_frame(self.options.valid.collar)
        recordings = valid_recordings(predictions, batch, self.postprocessor.num_fixed)
        return sum(
            count_errors(r, self.postprocessor, self.options.valid, collar, self.more_counts)
            for r in recordings
        )

    def validate(
        self, forward: Forward, device: torch.device, rank: int = 0, world: int = 1
    ) -> dict[str, Tensor]:
        """Return sums over every ``world``-th validation recording, from ``rank`` on.

        ``stats`` (Q, 4) contains frames scored, missed, false and confused for each of the Q
        query thresholds, ``counted`` (Q,) the number of recordings with the correct number of
        speakers, ``recordings`` the number of all.
        """
        sums = np.zeros((len(self.options.valid.query_thresholds), 5 + len(self.more)))
        recordings = 0
        for batch in self._valid_batches(rank, world):
            sums += self.count_errors(forward, batch, device)
            recordings += len(batch.names)
        further = zip(("counted", *self.more), sums[:, 4:].T, strict=True)
        return {
            "stats": torch.tensor(sums[:, :4]),
            **{key: torch.tensor(column) for key, column in further},
            "recordings": torch.tensor(recordings, dtype=torch.float64),
        }

    def summarize(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return DER and its parts in percent at the best query threshold, and the count accuracy.

        Raises DiarizeError if no reference speech was scored.
        """
        stats, counted = sums["stats"], sums["counted"]
        if not stats[0, 0]:
            raise DiarizeError(
                "the scored part of the validation set contains no speech, so there is no DER; "
                "correct its rttm, or the section valid of the configuration"
            )
        errors = stats[:, 1:].sum(1)
        best = int(errors.argmin())
        scored = float(stats[best, 0])
        miss, false_alarm, confusion = (100 * float(x) / scored for x in stats[best, 1:])
        return {
            "der": miss + false_alarm + confusion,
            "miss": miss,
            "fa": false_alarm,
            "conf": confusion,
            "query_threshold": self.options.valid.query_thresholds[best],
            "count_acc": 100 * float(counted[best]) / float(sums["recordings"]),
        }

    def _valid_span(self, index: int) -> tuple[int, int]:
        """Return the samples [start, stop) of a recording that validation uses."""
        total = self._valid.num_samples(index)
        if not self.options.valid.max_seconds:
            return 0, total
        stretches = self._valid.evaluated(index)
        start = stretches[0][0] if stretches else 0
        return start, min(total, start + self.grid.to_samples(self.options.valid.max_seconds))

    def _valid_example(self, index: int, start: int, stop: int) -> Example:
        """Return a validation example, with the activity of the reference also outside the UEM.

        The DER is computed in the evaluated frames; collars are those of all turns, as in scoring.
        """
        waveform, segments = self._valid.read(index, start, stop)
        example = self.make_example(self._valid.name(index), waveform, segments, self.grid)
        stretches = clip_stretches(self._valid.evaluated(index) or [(start, stop)], start, stop)
        if stretches == [(0, stop - start)]:
            return example
        rate = self.grid.sample_rate
        regions = [(a / rate, b / rate) for a, b in stretches]
        known = regions_to_mask(regions, len(example.activity), self.grid)
        return replace(example, evaluated=known)

    def _valid_batches(self, rank: int, world: int) -> Iterator[Batch]:
        source, o = self._valid, self.options.valid
        count = min(len(source), o.max_recordings) if o.max_recordings else len(source)
        spans = [self._valid_span(i) for i in range(count)]
        order = sorted(range(count), key=lambda i: (spans[i][0] - spans[i][1], i))[rank::world]
        waiting: list[Example] = []
        for i in order:
            waiting.append(self._valid_example(i, *spans[i]))
            longest = len(waiting[0].waveform) / self.grid.sample_rate
            if longest * (len(waiting) + 1) > o.batch_seconds:
                yield self.collate(waiting)
                waiting = []
        if waiting:
            yield self.collate(waiting)


def _skip_hint(text: str, count: int) -> str:
    return f"{text}; or train without {'them' if count > 1 else 'it'} by --skip-bad {count}"


def _named(name: str, why: str) -> str:
    """Return the message ``why`` of a recording, which may begin with its name already."""
    return why if why.startswith(f"recording {name}:") else f"recording {name}: {why}"
