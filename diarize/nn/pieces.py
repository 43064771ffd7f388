"""Long sequences a piece at a time, where no gradient is kept."""

from collections.abc import Callable

import torch
from torch import Tensor

# Frames per piece: on a CPU what a feed-forward block makes of them stays in the cache, on a
# GPU there is work for every core.
CPU_PIECE = 2048
GPU_PIECE = 1 << 16


def piece_size(x: Tensor) -> int:
    """Return how many frames of ``x`` (B, T, D) to take at a time."""
    return max(1, (GPU_PIECE if x.is_cuda else CPU_PIECE) // max(1, x.shape[0]))


def in_pieces(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)`` (B, T, D') for ``x`` (B, T, D) of which it treats each frame alone.

    Without gradients it is applied piece by piece, so that what lies between input and output
    is never there for the whole of a long recording.
    """
    size = piece_size(x)
    if torch.is_grad_enabled() or x.shape[1] <= size:
        return function(x)
    out = None
    for first in range(0, x.shape[1], size):
        part = function(x[:, first : first + size])
        if out is None:
            out = part.new_empty((*x.shape[:2], *part.shape[2:]))
        out[:, first : first + size] = part
    return out
