"""Diarization error of masks: EEND-M2F, Listing 1."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def collar_mask(reference: np.ndarray, collar_frames: int) -> np.ndarray:
    """Return the scored frames, bool (T,): those outside the collars of the reference.

    ``reference`` is bool (T, S).  A collar of c frames excludes c frames on each side of every
    start and end of every speaker's turns, as in md-eval (Appendix A).
    """
    frames = len(reference)
    if collar_frames <= 0:
        return np.ones(frames, dtype=bool)
    changes = np.diff(reference.astype(np.int8), axis=0, prepend=0, append=0)
    edge = changes.any(axis=1)  # (T + 1,): boundary before frame t
    total = np.concatenate([[0], edge.cumsum()])  # total[k]: boundaries before index k
    t = np.arange(frames)
    # Frame t is in the collars of the boundaries t - c + 1 ... t + c.
    low = np.maximum(t - collar_frames + 1, 0)
    high = np.minimum(t + collar_frames + 1, frames + 1)
    return total[high] == total[low]


def mask_der_stats(
    system: np.ndarray,
    reference: np.ndarray,
    collar_frames: int = 0,
    evaluated: np.ndarray | None = None,
) -> np.ndarray:
    """Return the frames [scored, missed, false alarm, confused] of a recording, int64 (4,).

    ``system`` is bool (T, N), ``reference`` bool (T, S).  Only the ``evaluated`` frames, bool
    (T,), count, as in a UEM; None: all.  DER is (missed + false alarm + confused) / scored.  The
    mapping of speakers is optimal (Proposition A.1) and computed before the collar is excluded,
    as in md-eval, so that the result is that of the segment scorer.
    """
    inside = np.ones(len(reference), dtype=bool) if evaluated is None else evaluated
    # Turn boundaries outside the evaluated frames have a collar as well.
    scored = collar_mask(reference, collar_frames) & inside
    mapping = linear_sum_assignment(_overlap(system[inside], reference[inside]), maximize=True)
    system, reference = system[scored], reference[scored]
    matched = _overlap(system, reference)[mapping].sum()
    num_sys, num_ref = system.sum(axis=1), reference.sum(axis=1)
    both = np.minimum(num_ref, num_sys).sum()
    return np.array(
        [num_ref.sum(), num_ref.sum() - both, num_sys.sum() - both, both - matched],
        dtype=np.int64,
    )


def _overlap(system: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the overlaps in frames of all pairs of masks, int64 (N, S)."""
    # float64 uses BLAS, and is exact for any number of frames.
    return (system.T.astype(np.float64) @ reference.astype(np.float64)).astype(np.int64)
