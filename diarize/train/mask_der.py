"""Diarization error of masks: EEND-M2F, Listing 1, for whole batches."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def collar_mask(ref: Tensor, lengths: Tensor, collar_frames: int) -> Tensor:
    """Return the mask of scored frames, bool (B, T): outside the collars of the reference.

    ``ref`` is bool (B, T, S).  A collar of c frames excludes c frames on each side of every
    start and end of every speaker's turns, as in md-eval (Appendix A).
    """
    frames = ref.shape[1]
    inside = torch.arange(frames, device=ref.device) < lengths[:, None]
    if collar_frames <= 0:
        return inside
    padded = torch.nn.functional.pad((ref & inside[..., None]).to(torch.int8), (0, 0, 1, 1))
    edge = (padded[:, 1:] != padded[:, :-1]).any(-1)  # (B, T + 1): boundary before t
    total = torch.nn.functional.pad(edge.cumsum(1), (1, 0))  # total[k] = edges before index k
    t = torch.arange(frames, device=ref.device)
    # Frame t is in the collars of the boundaries t - c + 1 ... t + c.
    low = (t - collar_frames + 1).clamp(min=0)
    high = (t + collar_frames + 1).clamp(max=frames + 1)
    return inside & (total[:, high] - total[:, low] == 0)


def mask_der_stats(
    system: Tensor,
    reference: Tensor,
    lengths: Tensor,
    collar_frames: int = 0,
    evaluated: Tensor | None = None,
) -> Tensor:
    """Return frames [scored, missed, false alarm, confused] per recording, float64 (B, 4).

    ``system`` is bool (B, T, N), ``reference`` bool (B, T, S).  The first ``lengths`` (B,)
    frames count, and of these only the ``evaluated`` frames, bool (B, T), as in a UEM; None:
    all.  DER is (missed + false alarm + confused) / scored.  The mapping of speakers is optimal
    (Proposition A.1) and computed before the collar is excluded, as in md-eval, so that the
    result is that of the segment scorer.  The N x S overlaps of all recordings are copied to
    the host at once.  All counts are exact: integers, and products in float64, which autocast
    does not change.
    """
    inside = collar_mask(reference, lengths, 0)
    # Turn boundaries outside the evaluated frames have a collar as well.
    scored = collar_mask(reference, lengths, collar_frames)
    if evaluated is not None:
        inside, scored = inside & evaluated, scored & evaluated
    inside, scored = inside[..., None], scored[..., None]
    overlap = _overlap(system & inside, reference & inside)  # (B, N, S)
    sys, ref = system & scored, reference & scored
    correct = _overlap(sys, ref) if collar_frames > 0 else overlap
    overlap, correct = torch.stack([overlap, correct]).cpu().numpy()
    matched = [
        c[linear_sum_assignment(o, maximize=True)].sum()
        for o, c in zip(overlap, correct, strict=True)
    ]
    num_sys, num_ref = sys.sum(-1), ref.sum(-1)  # int64 (B, T)
    stats = torch.stack(
        [
            num_ref.sum(1),
            (num_ref - num_sys).clamp(min=0).sum(1),
            (num_sys - num_ref).clamp(min=0).sum(1),
            torch.minimum(num_ref, num_sys).sum(1),
        ],
        dim=1,
    ).double()
    stats[:, 3] -= torch.tensor(matched, dtype=torch.float64, device=stats.device)
    return stats


def _overlap(system: Tensor, reference: Tensor) -> Tensor:
    """Return the overlaps in frames of all pairs of masks, bool (B, T, N), (B, T, S): (B, N, S)."""
    return system.double().transpose(1, 2) @ reference.double()
