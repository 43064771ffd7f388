"""Diarization error on masks: EEND-M2F, Listing 1, for whole batches."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def collar_mask(ref: Tensor, lengths: Tensor, collar_frames: int) -> Tensor:
    """Return which frames are scored, bool (B, T): not within the collar of a reference boundary.

    ``ref`` is bool (B, T, S).  A collar of c frames takes out the c frames on each side of
    every start and end of every speaker's turns, as md-eval does (Appendix A).
    """
    batch, frames, _ = ref.shape
    inside = torch.arange(frames, device=ref.device) < lengths[:, None]
    if collar_frames <= 0:
        return inside
    padded = torch.nn.functional.pad((ref & inside[..., None]).to(torch.int8), (0, 0, 1, 1))
    edge = (padded[:, 1:] != padded[:, :-1]).any(-1).float()  # (B, T + 1): boundary before t
    total = torch.nn.functional.pad(edge.cumsum(1), (1, 0))  # total[k] = edges before index k
    t = torch.arange(frames, device=ref.device)
    # Frame t is hit by the boundaries t - c + 1 ... t + c.
    low = (t - collar_frames + 1).clamp(min=0)
    high = (t + collar_frames + 1).clamp(max=frames + 1)
    return inside & (total[:, high] - total[:, low] == 0)


def mask_der_stats(
    system: Tensor, reference: Tensor, lengths: Tensor, collar_frames: int = 0
) -> Tensor:
    """Return frames [scored, missed, false alarm, confused] per recording, float64 (B, 4).

    ``system`` is bool (B, T, N), ``reference`` bool (B, T, S), ``lengths`` (B,) frames
    count.  DER is (missed + false alarm + confused) / scored; the mapping of speakers is
    the optimal one (Proposition A.1).  The N x S overlaps of all recordings go to the host
    at once.
    """
    scored = collar_mask(reference, lengths, collar_frames)[..., None]
    # float32 counts frames exactly up to 2^24, 46 hours at 10 ms.
    sys = (system & scored).float()
    ref = (reference & scored).float()
    num_sys, num_ref = sys.sum(-1), ref.sum(-1)  # (B, T)
    correct = (sys.transpose(1, 2) @ ref).cpu().numpy()  # (B, N, S)
    matched = np.array([c[linear_sum_assignment(c, maximize=True)].sum() for c in correct])
    stats = torch.stack(
        [
            num_ref.double().sum(1),
            (num_ref - num_sys).clamp(min=0).double().sum(1),
            (num_sys - num_ref).clamp(min=0).double().sum(1),
            torch.minimum(num_ref, num_sys).double().sum(1),
        ],
        dim=1,
    )
    stats[:, 3] -= torch.as_tensor(matched, dtype=torch.float64, device=stats.device)
    return stats
