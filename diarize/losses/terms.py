"""Loss terms: pairwise for matching, and summed for training.

Arguments are stacks of recordings: ``logits`` (..., T, N), ``targets`` (..., T, S), and
``valid`` (..., T) of 0 and 1, which is 0 at padding.  All are float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def pairwise_bce(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Return H averaged over time between each query and speaker, (..., N, S): in eq. (6).

    H(p, q) = -q log p - (1 - q) log(1 - p) with p = sigmoid(x) is softplus(x) - q x, so
    that one matrix product computes all pairs.
    """
    frames = valid.sum(-1).clamp(min=1.0)[..., None, None]
    silent = (F.softplus(logits) * valid[..., None]).sum(-2)  # (..., N)
    spoken = logits.transpose(-1, -2) @ (targets * valid[..., None])  # (..., N, S)
    return (silent[..., None] - spoken) / frames


def pairwise_dice(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Return 1 - dice between each query and speaker, (..., N, S): in eqs. (6) and (10)."""
    targets = targets * valid[..., None]
    masks = logits.sigmoid() * valid[..., None]
    both = masks.transpose(-1, -2) @ targets  # (..., N, S)
    total = masks.sum(-2)[..., None] + targets.sum(-2)[..., None, :]
    return 1.0 - 2.0 * both / total.clamp(min=torch.finfo(total.dtype).tiny)


def matching_class_cost(activity_logits: Tensor, num_speakers: int) -> Tensor:
    """Return -p of each query for each speaker, (..., N, S): the summands of eq. (7)."""
    return -activity_logits.sigmoid()[..., None].expand(
        *activity_logits.shape, num_speakers
    )


def query_bce(
    activity_logits: Tensor, matched: Tensor, negative_weight: float, label_smoothing: float = 0.0
) -> Tensor:
    """Return the weighted cross entropy of each query (..., N): the summands of eq. (11).

    ``matched`` (..., N) is 1 for queries matched to a speaker.  Smoothing moves the targets
    towards 1/2; the weights are those of the unsmoothed targets.
    """
    targets = matched * (1.0 - label_smoothing) + 0.5 * label_smoothing
    weights = query_weights(matched, negative_weight)
    return weights * F.binary_cross_entropy_with_logits(activity_logits, targets, reduction="none")


def query_weights(matched: Tensor, negative_weight: float) -> Tensor:
    """Return 1 for matched queries and ``negative_weight`` for the others: in eq. (11)."""
    return matched + negative_weight * (1.0 - matched)


def matched_bce(logits: Tensor, targets: Tensor, valid: Tensor, real: Tensor) -> Tensor:
    """Return eq. (9) summed over the recordings, (...): the last three axes are B, T, S.

    ``real`` (B, S) is 1 for the speakers that a recording has.
    """
    loss = F.binary_cross_entropy_with_logits(
        logits, targets.expand_as(logits), reduction="none"
    )
    return (loss * valid[..., None] * real[:, None, :]).sum((-1, -2, -3))


def matched_dice(logits: Tensor, targets: Tensor, valid: Tensor, real: Tensor) -> Tensor:
    """Return S times eq. (10) summed over the recordings, (...): the last axes are B, T, S."""
    targets = targets * valid[..., None]
    masks = logits.sigmoid() * valid[..., None]
    both = (masks * targets).sum(-2)  # (..., B, S)
    total = masks.sum(-2) + targets.sum(-2)
    dice = 2.0 * both / total.clamp(min=torch.finfo(total.dtype).tiny)
    return ((1.0 - dice) * real).sum((-1, -2))


def focal_parts(
    logits: Tensor, gamma: float, alpha: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the focal loss of each logit for target 1 and for target 0 (Lin et al. 2017, eq. 5).

    It is -alpha_t (1 - p_t)^gamma log p_t.  The weight of target 1 is alpha, that of target 0
    is 1 - alpha; None: both are 1.  1 - p_t is computed as exp(-softplus), so that the gradient
    is finite for any logit, also for ``gamma`` below 1.
    """
    up, down = F.softplus(logits), F.softplus(-logits)
    positive, negative = down * torch.exp(-gamma * up), up * torch.exp(-gamma * down)
    if alpha is None:
        return positive, negative
    return alpha * positive, (1.0 - alpha) * negative


def pairwise_focal(
    logits: Tensor, targets: Tensor, valid: Tensor, gamma: float, alpha: float | None = None
) -> Tensor:
    """Return the focal loss, averaged over time, of each query and language, (..., N, S)."""
    frames = valid.sum(-1).clamp(min=1.0)[..., None, None]
    positive, negative = focal_parts(logits, gamma, alpha)
    silent = (negative * valid[..., None]).sum(-2)  # (..., N)
    difference = (positive - negative).transpose(-1, -2)
    return (silent[..., None] + difference @ (targets * valid[..., None])) / frames


def matched_focal(
    logits: Tensor,
    targets: Tensor,
    valid: Tensor,
    weights: Tensor,
    gamma: float,
    alpha: float | None = None,
) -> Tensor:
    """Return the focal loss summed over frames, slots and recordings, (...).

    The last axes are B, T, S; ``weights`` (B, S) are those of the slots, 0 for slots that a
    recording does not have.
    """
    positive, negative = focal_parts(logits, gamma, alpha)
    loss = negative + (positive - negative) * targets
    return (loss * valid[..., None] * weights[:, None, :]).sum((-1, -2, -3))


@dataclass(frozen=True)
class Tversky:
    """Focal Tversky loss (Abraham and Khan 2019): (1 - TI)^exponent.

    TI = (TP + smooth) / (TP + a FP + b FN + smooth), with TP, FP and FN sums of
    probabilities over time, in frames.  ``false_alarm`` a and ``miss`` b are tensors (S,),
    one weight for each slot.  ``smooth`` above 0 defines TI for a silent slot, and moves its
    mask towards 0.
    """

    false_alarm: Tensor
    miss: Tensor
    exponent: float = 0.75
    smooth: float = 1.0

    def loss(self, both: Tensor, masks: Tensor, targets: Tensor) -> Tensor:
        """Return the loss (..., S) from the sums over time of p y, of p and of y."""
        wrong = self.false_alarm * (masks - both) + self.miss * (targets - both)
        # The slope of the root is unbounded at 0, which a perfect mask would reach.
        rest = (wrong / (both + wrong + self.smooth)).clamp(min=1e-6)
        return rest.pow(self.exponent)


def pairwise_focal_tversky(
    logits: Tensor, targets: Tensor, valid: Tensor, tversky: Tversky
) -> Tensor:
    """Return the focal Tversky loss of each query and language, (..., N, S)."""
    targets = targets * valid[..., None]
    masks = logits.sigmoid() * valid[..., None]
    both = masks.transpose(-1, -2) @ targets  # (..., N, S)
    return tversky.loss(both, masks.sum(-2)[..., None], targets.sum(-2)[..., None, :])


def matched_focal_tversky(
    logits: Tensor, targets: Tensor, valid: Tensor, weights: Tensor, tversky: Tversky
) -> Tensor:
    """Return the focal Tversky loss summed over slots and recordings, (...).

    The last axes are B, T, S; ``weights`` (B, S) as in `matched_focal`.
    """
    targets = targets * valid[..., None]
    masks = logits.sigmoid() * valid[..., None]
    both = (masks * targets).sum(-2)  # (..., B, S)
    return (tversky.loss(both, masks.sum(-2), targets.sum(-2)) * weights).sum((-1, -2))
