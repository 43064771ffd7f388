"""Training criterion of EEND-M2F: eqs. (6) to (11) with deep supervision."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diarize.checks import fraction, non_negative
from diarize.errors import DiarizeError
from diarize.losses import terms
from diarize.losses.matcher import match
from diarize.nn.attention import length_mask
from diarize.nn.outputs import QueryPredictions
from diarize.nn.precision import float32_precision


@dataclass(frozen=True)
class CriterionOptions:
    """Weights of the terms; the defaults are the paper's (Table 2 and Section 3.6).

    A weight of 0 removes its term from the loss and the matching (Table 4).
    """

    bce: float = 5.0
    """Weight of the masks' binary cross entropy, eq. (9)."""
    dice: float = 5.0
    """Weight of the Dice loss, eq. (10)."""
    cls: float = 2.0
    """Weight of the query classification, eq. (11)."""
    negative_weight: float = 0.2
    """Weight of unmatched queries in eq. (11)."""
    label_smoothing: float = 0.0
    """Label smoothing of the query classification."""
    mask_label_smoothing: float = 0.0
    """Label smoothing of the masks' cross entropy; an extension."""
    deep_supervision: bool = True
    """Sum the loss over all decoder layers; false: the last layer only."""

    def __post_init__(self) -> None:
        non_negative(bce=self.bce, dice=self.dice, cls=self.cls)
        non_negative(negative_weight=self.negative_weight)
        if not self.bce and not self.dice:
            raise DiarizeError("bce and dice cannot both be 0: nothing would train the masks")
        fraction(label_smoothing=self.label_smoothing)
        fraction(mask_label_smoothing=self.mask_label_smoothing)


class Criterion:
    """Matching of queries and speakers, and the loss of a batch.

    The steps are cost, matching, numerators by term and layer, denominators, weighted sum.
    `LanguageCriterion` has the same steps with terms of its own.
    """

    TERMS = ("bce", "dice", "cls")

    def __init__(self, options: CriterionOptions) -> None:
        self.options = options

    def normalizers(self, lengths: Tensor, num_speakers: Sequence[int], queries: int) -> Tensor:
        """Return the denominators of the three terms over a batch, float64 (3,).

        ``lengths`` (B,) count the evaluated frames T.  The denominators are sums of T S, of S,
        and of the weights of eq. (11), known from the labels alone; add them over the parts of
        a batch (ranks, accumulation) before `loss`.
        """
        counts = torch.as_tensor(num_speakers, dtype=torch.float64, device=lengths.device)
        weights = counts + self.options.negative_weight * (queries - counts)
        weights = weights * (lengths > 0)
        return torch.stack([(lengths * counts).sum(), counts.sum(), weights.sum()])

    def cost(
        self, predictions: QueryPredictions, logits: Tensor, targets: Tensor, valid: Tensor
    ) -> Tensor:
        """Return the pairwise matching costs of eq. (6), (L + 1, B, N, S).

        ``valid`` (1, B, T) is 1 in the frames that count, 0 elsewhere.
        """
        o = self.options
        activity = predictions.activity_logits
        cost = o.cls * terms.matching_class_cost(activity, targets.shape[-1])
        if o.bce:
            cost = cost + o.bce * terms.pairwise_bce(logits, targets, valid)
        if o.dice:
            cost = cost + o.dice * terms.pairwise_dice(logits, targets, valid)
        return cost

    def loss(
        self,
        predictions: QueryPredictions,
        targets: Tensor,
        num_speakers: Sequence[int],
        normalizers: Tensor,
        names: Sequence[str] | None = None,
        label_ids: Tensor | None = None,
        evaluated: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return eq. (8) summed over the supervised predictions, and its terms (detached).

        ``targets`` (B, T, S) are float; recording b has the first ``num_speakers[b]`` columns,
        the others are 0.  ``label_ids`` (B, S) are for criteria with a classification of labels.
        Frames where ``evaluated``, bool (B, T), is False are treated as padding: they are in no
        term and not in the matching, and their targets are 0; None: all frames are evaluated.
        The terms are batch averages weighted by T S, S and the query weights (Section 3.6), here
        of the last layer.  All is computed in float32 for any precision of the predictions.
        """
        with float32_precision(predictions.frames.device):
            predictions, targets = self.supervised(predictions.float()), targets.float()
            logits = predictions.mask_logits()  # (L1, B, T, N)
            valid = self._valid(predictions, logits, evaluated)
            with torch.no_grad():
                cost = self.cost(predictions, logits, targets, valid)
                matching = self.assign(cost, num_speakers, names)  # (L1, B, S)
            sums = self.sums(
                predictions, logits, targets, num_speakers, matching, valid, label_ids
            )
            averages = sums / normalizers.clamp(min=1e-12).to(sums)[:, None]  # (terms, L1)
            weights = sums.new_tensor(self.weights())
            total = (weights[:, None] * averages).sum()
        stats = {name: averages[i, -1].detach() for i, name in enumerate(self.TERMS)}
        return total, stats

    def supervised(self, predictions: QueryPredictions) -> QueryPredictions:
        """Return the predictions of the layers that have a loss."""
        return predictions if self.options.deep_supervision else predictions.last()

    def weights(self) -> list[float]:
        """Return the weight of each term."""
        return [self.options.bce, self.options.dice, self.options.cls]

    def assign(
        self, cost: Tensor, num_speakers: Sequence[int], names: Sequence[str] | None
    ) -> Tensor:
        """Return the query of each speaker, int64 (L + 1, B, S)."""
        return match(cost, num_speakers, names)

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
        """Return the numerators of eqs. (9), (10), (11) per supervised layer, (3, L + 1).

        ``valid`` (1, B, T) is 1 in the frames that count, 0 elsewhere.
        """
        o = self.options
        counts = torch.as_tensor(num_speakers, device=logits.device)
        real = length_mask(counts, targets.shape[-1]).float()  # (B, S)
        chosen = self._chosen(logits, matching)
        smooth = o.mask_label_smoothing
        soft = targets * (1.0 - smooth) + 0.5 * smooth
        bce = terms.matched_bce(chosen, soft, valid, real)
        dice = terms.matched_dice(chosen, targets, valid, real)
        cls = self._query_term(predictions, matching, real, valid)
        return torch.stack([bce, dice, cls])

    @staticmethod
    def _chosen(logits: Tensor, matching: Tensor) -> Tensor:
        """Return the mask logits of the matched queries, (L + 1, B, T, S)."""
        return logits.gather(-1, matching[:, :, None].expand(-1, -1, logits.shape[2], -1))

    def _query_term(
        self, predictions: QueryPredictions, matching: Tensor, real: Tensor, valid: Tensor
    ) -> Tensor:
        """Return eq. (11) summed over queries and recordings, (L + 1,).

        A query is positive if it is matched to a column whose ``real`` (B, S) is 1.  A
        recording without a ``valid`` frame (1, B, T) is excluded.
        """
        logits = predictions.activity_logits
        matched = torch.zeros_like(logits)
        matched.scatter_add_(-1, matching, real.expand(len(logits), -1, -1))
        o = self.options
        loss = terms.query_bce(logits, matched, o.negative_weight, o.label_smoothing)
        return (loss * valid.amax(-1, keepdim=True)).sum((-1, -2))

    @staticmethod
    def _valid(
        predictions: QueryPredictions, logits: Tensor, evaluated: Tensor | None
    ) -> Tensor:
        """Return the mask of frames that are evaluated and not padding, float (1, B, T)."""
        inside = length_mask(predictions.lengths, logits.shape[-2])
        return (inside if evaluated is None else inside & evaluated)[None].float()
