"""Language diarization: labels, model, criterion and validation of SAGE-LD."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from diarize.data.examples import Batch, Example
from diarize.data.languages import make_language_example
from diarize.data.sources import DataDirSource
from diarize.errors import DiarizeError
from diarize.infer.languages import LANGUAGE
from diarize.losses.language import LanguageCriterion, LanguageCriterionOptions
from diarize.models.sage_ld import SageLd, SageLdOptions
from diarize.tasks.base import DataOptions, Forward, QueryTask
from diarize.tasks.validation import ValidOptions, ValidRecording


@dataclass(frozen=True)
class LanguageOptions:
    """Options of a training of SAGE-LD, except those of the optimisation."""

    model: SageLdOptions = field(default_factory=SageLdOptions)
    """Model."""
    criterion: LanguageCriterionOptions = field(default_factory=LanguageCriterionOptions)
    """Training criterion."""
    data: DataOptions = field(default_factory=lambda: DataOptions(crop_seconds=20.0))
    """Training crops."""
    valid: ValidOptions = field(default_factory=ValidOptions)
    """Validation."""


class LanguageTask(QueryTask):
    """Language diarization as a task of the trainer."""

    name = "language"
    labels = "language"
    postprocessor = LANGUAGE
    timed_mixtures = True
    make_example = staticmethod(make_language_example)

    def __init__(self, options: LanguageOptions, seed: int = 0) -> None:
        criterion = LanguageCriterion(options.criterion)
        super().__init__(options, build_model(options, seed), criterion, seed)
        self._ids = {name: i for i, name in enumerate(options.model.languages)}
        if self._ids:
            self.more = ("named",)

    @property
    def capacity(self) -> int:
        """Largest number of languages in a crop; query 0 is that of speech."""
        return super().capacity - 1

    def check_reference(self, source: DataDirSource) -> None:
        """Raise DiarizeError for a reference without speech, or of labels such as speakers."""
        super().check_reference(source)
        known = set(source.data.utt2lang.values())
        for segment in (s for found in source.reference.values() for s in found):
            if known and segment.label not in known:
                raise DiarizeError(
                    f"{source.data.rttm}: recording {segment.recording}: {segment.label} is not a "
                    "language of utt2lang, so this may be the RTTM of the speakers; make that of "
                    "the languages (utils/datadir.sh reference --labels language), or remove it"
                )

    def collate(self, examples: list[Example]) -> Batch:
        """Return the examples as one batch; language indices are added if the model has a head."""
        batch = super().collate(examples)
        if self._ids:
            batch.label_ids = torch.full((len(examples), batch.targets.shape[-1]), -1)
            for b, example in enumerate(examples):
                for s, label in enumerate(example.labels):
                    batch.label_ids[b, s] = self._ids.get(label, -1)
        return batch

    def normalizers(self, batch: Batch) -> Tensor:
        """Return the denominators of the loss terms, float64 (5,)."""
        queries = self.model.num_queries
        return self.criterion.normalizers(
            batch.num_evaluated, batch.num_speakers, queries, batch.label_ids, batch.targets
        )

    def loss(
        self, forward: Forward, batch: Batch, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of ``batch`` and its terms; ``forward`` is the (wrapped) model."""
        self.check_filled()
        predictions = forward(batch.waveforms, batch.num_samples)
        return self.criterion.loss(
            predictions, batch.targets, batch.num_speakers, normalizers, batch.names,
            batch.label_ids, batch.evaluated,
        )

    def more_counts(
        self, recording: ValidRecording, queries: Sequence[int], system: np.ndarray
    ) -> list[int]:
        """Return ``named``, the number of frames with the correct language name."""
        if not self._ids:
            return []
        found = np.where(system, recording.languages[list(queries)], -2)
        true = np.where(recording.reference, recording.labels, -1)
        right = found.max(axis=1, initial=-2) == true.max(axis=1, initial=-1)  # (T,)
        return [np.count_nonzero(right & recording.evaluated)]

    def summarize(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return `QueryTask.summarize`, and the error with the names of languages: ``named_der``.

        It has no collar; a language that is unknown to the head is always an error.
        """
        out = super().summarize(sums)
        if "named" in sums and not self.options.valid.collar:
            best = self.options.valid.query_thresholds.index(out["query_threshold"])
            scored, _, false_alarm, _ = sums["stats"][best].tolist()
            wrong = scored - float(sums["named"][best]) + false_alarm
            out["named_der"] = 100 * wrong / max(scored, 1.0)
        return out


def build_model(options: LanguageOptions, seed: int = 0) -> SageLd:
    """Return a freshly initialised SAGE-LD; the weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SageLd(options.model)
