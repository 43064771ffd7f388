"""Training criterion of EEND-EDA: permutation-invariant cross entropy, existence of attractors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from diarize.checks import non_negative
from diarize.errors import DiarizeError
from diarize.losses import terms
from diarize.losses.criterion import Criterion
from diarize.losses.matcher import match
from diarize.nn.attention import length_mask
from diarize.nn.outputs import QueryPredictions


@dataclass(frozen=True)
class EdaCriterionOptions:
    """Weights of the terms; the defaults are those of the published trainings on mixtures."""

    existence: float = 1.0
    """Weight of the existence of attractors relative to the diarization loss; the published
    adaptation to real recordings has 0.01.
    """

    def __post_init__(self) -> None:
        non_negative(existence=self.existence)


class EdaCriterion(Criterion):
    """Diarization loss of the best permutation, and the existence loss of S + 1 attractors.

    Of a recording with S speakers the first S attractors are matched with the speakers; the
    permutation of least binary cross entropy is found as an assignment.  If S is the number of
    attractors, none is taught not to exist.
    """

    TERMS = ("bce", "existence")

    def weights(self) -> list[float]:
        """Return the weight of each term."""
        return [1.0, self.options.existence]

    def supervised(self, predictions: QueryPredictions) -> QueryPredictions:
        """Return the predictions, which have one layer."""
        return predictions

    def normalizers(self, lengths: Tensor, num_speakers: Sequence[int], queries: int) -> Tensor:
        """Return the denominators of both terms over a batch, float64 (2,).

        They are the evaluated frames of recordings with a speaker, of which ``lengths`` (B,) has
        the numbers, and the attractors of the existence loss.
        """
        counts = torch.as_tensor(num_speakers, dtype=torch.float64, device=lengths.device)
        taught = (counts + 1).clamp(max=queries) * (lengths > 0)
        return torch.stack([(lengths * (counts > 0)).sum().to(counts), taught.sum()])

    def cost(
        self, predictions: QueryPredictions, logits: Tensor, targets: Tensor, valid: Tensor
    ) -> Tensor:
        """Return the binary cross entropy of each attractor and speaker, (1, B, N, S)."""
        return terms.pairwise_bce(logits, targets, valid)

    def assign(
        self, cost: Tensor, num_speakers: Sequence[int], names: Sequence[str] | None
    ) -> Tensor:
        """Return the attractor of each speaker, int64 (1, B, S), one of the first S."""
        attractors = cost.shape[-2]
        for b, count in enumerate(num_speakers):
            if count > attractors:
                raise DiarizeError(
                    f"recording {names[b] if names else b} has {count} speakers, the model "
                    f"{attractors} attractors; raise model.max_speakers"
                )
        return match(cost, num_speakers, names, candidates=num_speakers)

    def sums(
        self,
        predictions: QueryPredictions,
        logits: Tensor,
        targets: Tensor,
        num_speakers: Sequence[int],
        matching: Tensor,
        valid: Tensor,
        label_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the numerators of both terms, (2, 1).

        ``valid`` (1, B, T) is 1 in the frames that count, 0 elsewhere.
        """
        counts = torch.as_tensor(num_speakers, device=logits.device)
        # The loss of a frame is the mean over the speakers of its recording.
        shares = length_mask(counts, targets.shape[-1]) / counts.clamp(min=1)[:, None]
        bce = terms.matched_bce(self._chosen(logits, matching), targets, valid, shares)
        existence = predictions.activity_logits  # (1, B, N)
        exists = length_mask(counts, existence.shape[-1]).float().expand_as(existence)
        loss = F.binary_cross_entropy_with_logits(existence, exists, reduction="none")
        taught = length_mask(counts + 1, existence.shape[-1]) * valid.amax(-1, keepdim=True)
        return torch.stack([bce, (loss * taught).sum((-1, -2))])
