"""Training criterion of SAGE-LD: focal, focal Tversky and activity terms, by slots.

Slot 0 is speech (VAD) and always query 0; slot 1 is the matrix language, slots from 2 on are
embedded languages.  The languages are matched with the other queries.  All terms are computed at
every supervised layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from diarize.checks import fraction, non_negative, positive
from diarize.errors import DiarizeError
from diarize.losses import terms
from diarize.losses.criterion import Criterion
from diarize.losses.matcher import match
from diarize.nn.attention import length_mask
from diarize.nn.outputs import QueryPredictions

VAD_QUERY = 0


@dataclass(frozen=True)
class LanguageCriterionOptions:
    """Weights of the terms and slots; those of the slots are the paper's.

    A weight of 0 removes its term from the loss and the matching. The paper does not report the
    weights of the terms: the first three are EEND-M2F's.
    """

    focal: float = 5.0
    """Weight of the focal loss of the masks."""
    tversky: float = 5.0
    """Weight of the focal Tversky loss of the masks."""
    activity: float = 2.0
    """Weight of the query classification."""
    language_id: float = 1.0
    """Weight of the cross entropy of the language head on matched queries."""
    frame_language_id: float = 0.0
    """Weight of an extension: the cross entropy of the language head on the frames of the
    encoder's output, over frames with a known language.
    """
    focal_gamma: float = 0.25
    """Exponent: the loss of a frame is -alpha_t (1 - p_t)^gamma log p_t; 0.25 is that of the
    published code.
    """
    focal_alpha: float | None = None
    """Weight of active frames; null: both targets weigh the same."""
    tversky_exponent: float = 0.75
    """Exponent of 1 - TI, the focal Tversky loss."""
    tversky_smooth: float = 1.0
    """Smoothing of the Tversky index TI in frames, see `terms.Tversky`."""
    vad: float = 1.0
    """Weight of slot 0, speech, in both mask terms."""
    matrix: float = 1.0
    """Weight of slot 1, the matrix language."""
    embedded: float = 3.0
    """Weight of the slots of embedded languages."""
    false_alarm: float = 0.5
    """Weight of false positives in the Tversky index."""
    miss: float = 0.5
    """Weight of false negatives in the Tversky index."""
    embedded_false_alarm: float = 0.3
    """The same of embedded slots, for false positives."""
    embedded_miss: float = 0.7
    """The same of embedded slots, for false negatives."""
    negative_weight: float = 0.2
    """Weight of unmatched queries in the query classification."""
    label_smoothing: float = 0.0
    """Label smoothing of the query classification."""
    deep_supervision: bool = True
    """Sum the loss over all decoder layers; false: the last layer only."""

    def __post_init__(self) -> None:
        non_negative(**vars(self))
        if not self.focal and not self.tversky:
            raise DiarizeError("focal and tversky cannot both be 0: nothing would train the masks")
        positive(tversky_smooth=self.tversky_smooth, tversky_exponent=self.tversky_exponent)
        fraction(focal_alpha=self.focal_alpha)


class LanguageCriterion(Criterion):
    """Matching of queries and languages, and the loss of a batch.

    The number of speakers in `Criterion` is here the number of slots: VAD and the languages.
    """

    TERMS = ("focal", "tversky", "activity", "language_id", "frame_language_id")

    options: LanguageCriterionOptions

    def __init__(self, options: LanguageCriterionOptions) -> None:
        self.options = options

    def weights(self) -> list[float]:
        """Return the weight of each term."""
        o = self.options
        return [o.focal, o.tversky, o.activity, o.language_id, o.frame_language_id]

    def normalizers(
        self,
        lengths: Tensor,
        num_speakers: Sequence[int],
        queries: int,
        label_ids: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Return the denominators of the five terms over a batch, float64 (5,).

        ``lengths`` (B,) count the evaluated frames T; a recording without any is excluded.
        The denominators are sums of T S, of S (slots, without their weights: an embedded
        language counts three times), of the queries' weights, of the languages with a name, and,
        if ``targets`` (B, T, S) are passed, of the frames in such a language.
        """
        heard = lengths > 0
        counts = torch.as_tensor(num_speakers, dtype=torch.float64, device=lengths.device) * heard
        active = torch.where(counts > 1, counts, 0.0)
        weights = active + self.options.negative_weight * (queries * heard - active)
        named = frames = torch.zeros(())
        if label_ids is not None:
            named = (label_ids >= 0).sum()
            if targets is not None:
                frames = (frame_ids(targets, label_ids) >= 0).sum()
        parts = [(lengths * counts).sum(), counts.sum(), weights.sum(), named.to(counts)]
        return torch.stack([*parts, frames.to(counts)])

    def cost(
        self, predictions: QueryPredictions, logits: Tensor, targets: Tensor, valid: Tensor
    ) -> Tensor:
        """Return the pairwise matching costs from the terms of the loss, (L + 1, B, N, S).

        The activity cost is -p, as in EEND-M2F, eq. (7).  ``valid`` (1, B, T) is 1 in the
        frames that count, 0 elsewhere.
        """
        o = self.options
        slots = self.slot_weights(targets)
        activity = predictions.activity_logits
        cost = o.activity * terms.matching_class_cost(activity, targets.shape[-1])
        if o.focal:
            focal = terms.pairwise_focal(logits, targets, valid, o.focal_gamma, o.focal_alpha)
            cost = cost + o.focal * slots * focal
        if o.tversky:
            index = terms.pairwise_focal_tversky(logits, targets, valid, self.index(targets))
            cost = cost + o.tversky * slots * index
        return cost

    def assign(
        self, cost: Tensor, num_speakers: Sequence[int], names: Sequence[str] | None
    ) -> Tensor:
        """Return the query of each slot, int64 (L + 1, B, S); that of VAD is fixed."""
        languages = [count - 1 for count in num_speakers]
        what = "languages (its VAD slot aside)"
        best = match(cost[..., 1:, 1:], languages, names, what) + 1
        return F.pad(best, (1, 0), value=VAD_QUERY)

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
        """Return the numerators of the terms per supervised layer, (5, L + 1).

        The term ``frame_language_id`` does not depend on the layer and is in the last column.
        ``valid`` (1, B, T) is 1 in the frames that count, 0 elsewhere.
        """
        o = self.options
        counts = torch.as_tensor(num_speakers, device=logits.device)
        # The VAD slot of a recording without a valid frame is excluded as well.
        real = length_mask(counts, targets.shape[-1]).float() * valid[0].amax(-1, keepdim=True)
        slots = real * self.slot_weights(targets)
        chosen = self._chosen(logits, matching)
        focal = terms.matched_focal(chosen, targets, valid, slots, o.focal_gamma, o.focal_alpha)
        tversky = terms.matched_focal_tversky(chosen, targets, valid, slots, self.index(targets))
        # Without speech, the VAD query is negative as well.
        activity = self._query_term(predictions, matching, real * (counts > 1)[:, None], valid)
        language_id = self.language_id(predictions, matching, label_ids, focal)
        frames = torch.zeros_like(focal)
        frames[-1] = self.frame_language_id(predictions, targets, label_ids)
        return torch.stack([focal, tversky, activity, language_id, frames])

    @staticmethod
    def language_id(
        predictions: QueryPredictions, matching: Tensor, label_ids: Tensor | None, like: Tensor
    ) -> Tensor:
        """Return the cross entropy of the language head summed over named languages, (L + 1).

        ``label_ids`` (B, S) is -1 for a slot without a language or a name.
        """
        if predictions.label_logits is None:
            return torch.zeros_like(like)
        scores = predictions.label_logits  # (L1, B, N, C)
        if label_ids is None:
            return 0.0 * scores.sum((1, 2, 3))
        layers, classes = scores.shape[0], scores.shape[-1]
        index = matching[..., None].expand(*matching.shape, classes)
        chosen = scores.gather(2, index).flatten(1, 2)  # (L1, B S, C)
        wanted = label_ids.flatten().expand(layers, -1)
        loss = F.cross_entropy(
            chosen.transpose(1, 2), wanted, ignore_index=-1, reduction="none"
        )
        return loss.sum(1)

    def frame_language_id(
        self, predictions: QueryPredictions, targets: Tensor, label_ids: Tensor | None
    ) -> Tensor | float:
        """Return the cross entropy of the frames' languages, summed over frames with a name."""
        scores = predictions.frame_label_logits
        if scores is None or label_ids is None or not self.options.frame_language_id:
            return 0.0
        wanted = frame_ids(targets, label_ids)  # (B, T)
        return F.cross_entropy(
            scores.transpose(1, 2), wanted, ignore_index=-1, reduction="sum"
        )

    def slot_weights(self, targets: Tensor) -> Tensor:
        """Return the weight of each slot (S,)."""
        o = self.options
        return self._by_slot(targets, o.vad, o.matrix, o.embedded)

    def index(self, targets: Tensor) -> terms.Tversky:
        """Return the focal Tversky loss with the weights of each slot."""
        o = self.options
        return terms.Tversky(
            self._by_slot(targets, o.false_alarm, o.false_alarm, o.embedded_false_alarm),
            self._by_slot(targets, o.miss, o.miss, o.embedded_miss),
            o.tversky_exponent,
            o.tversky_smooth,
        )

    @staticmethod
    def _by_slot(targets: Tensor, vad: float, matrix: float, embedded: float) -> Tensor:
        slots = targets.shape[-1]
        return targets.new_tensor([vad, matrix, *[embedded] * slots][:slots])


def frame_ids(targets: Tensor, label_ids: Tensor) -> Tensor:
    """Return the index of each frame's language, int64 (B, T); -1 without a language or a name.

    ``targets`` are (B, T, S); ``label_ids`` (B, S) are -1 for slots without a name.
    """
    spoken = (targets > 0.5) & (label_ids >= 0)[:, None]
    return torch.where(spoken, label_ids[:, None], -1).amax(-1)
