"""Language diarization: labels, model, criterion and validation of SAGE-LD."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from diarize.data.examples import Batch, Example
from diarize.data.languages import make_language_example
from diarize.infer.languages import LANGUAGE
from diarize.losses.language import LanguageCriterion, LanguageCriterionOptions
from diarize.models.sage_ld import SageLd, SageLdOptions
from diarize.nn.outputs import QueryPredictions
from diarize.tasks.base import DataOptions, Forward, QueryTask, ValidOptions


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
    make_example = staticmethod(make_language_example)

    def __init__(self, options: LanguageOptions, seed: int = 0) -> None:
        criterion = LanguageCriterion(options.criterion)
        super().__init__(options, build_model(options, seed), criterion, seed)
        self._ids = {name: i for i, name in enumerate(options.model.languages)}
        self._filled = False
        if self._ids:
            self.more = ("named",)

    def load_data(
        self,
        train: list[str],
        valid: str | None,
        allow_pipes: bool = False,
        weights: list[float] | None = None,
        skip_bad: int = 0,
    ) -> None:
        """Open training and validation data, and the front-end's pretrained weights."""
        super().load_data(train, valid, allow_pipes, weights, skip_bad)
        self.model.load_pretrained()

    @property
    def capacity(self) -> int:
        """Largest number of languages in a crop; query 0 is that of speech."""
        return super().capacity - 1

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
        queries = self.options.model.decoder.queries
        return self.criterion.normalizers(
            batch.num_evaluated, batch.num_speakers, queries, batch.label_ids, batch.targets
        )

    def loss(
        self, forward: Forward, batch: Batch, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of ``batch`` and its terms; ``forward`` is the (wrapped) model."""
        if not self._filled:
            # Not earlier: the weights may come from an initial model.
            self.model.check_filled()
            self._filled = True
        predictions = forward(batch.waveforms, batch.num_samples)
        return self.criterion.loss(
            predictions, batch.targets, batch.num_speakers, normalizers, batch.names,
            batch.label_ids, batch.evaluated,
        )

    def reference(self, batch: Batch) -> Tensor:
        """Return the reference activity of each language, bool (B, T, S), without VAD slot."""
        return batch.targets[..., 1:] > 0.5

    def decide(self, masks: Tensor, kept: Tensor, mask_threshold: float) -> tuple[Tensor, Tensor]:
        """Return the best kept language of speech frames, bool (B, T, N - 1), and those found.

        ``masks`` (B, T, N) are probabilities, ``kept`` (B, N) the queries above the threshold;
        query 0 is the VAD slot.
        """
        kept = kept[:, 1:]
        scores = masks[..., 1:].masked_fill(~kept[:, None, :], -1.0)
        best = torch.zeros_like(scores, dtype=torch.bool)
        best.scatter_(-1, scores.argmax(-1, keepdim=True), True)
        speech = masks[..., :1] > mask_threshold
        system = best & speech & kept[:, None, :]
        return system, system.any(1)

    def more_stats(
        self, predictions: QueryPredictions, system: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """Return ``named``, the number of frames with the correct language name."""
        if not self._ids:
            return {}
        named = predictions.label_logits[0, :, 1:].argmax(-1)  # (B, N - 1)
        found = torch.where(system, named[:, None], -2).amax(-1)  # (B, T)
        reference = self.reference(batch)
        true = torch.where(reference, batch.label_ids[:, None, 1:], -1)
        true = true.amax(-1) if true.shape[-1] else torch.full_like(found, -1)
        return {"named": ((found == true) & batch.evaluated_frames()).sum().double()}

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
