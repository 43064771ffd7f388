"""Piecewise processing of long sequences without gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

# Frames per piece: on a CPU the output of a feed-forward block stays in the cache, on a GPU
# every core is used.
CPU_PIECE = 2048
GPU_PIECE = 1 << 16


def piece_size(x: Tensor) -> int:
    """Return the number of frames of ``x`` (B, T, D) per piece."""
    return max(1, (GPU_PIECE if x.is_cuda else CPU_PIECE) // max(1, x.shape[0]))


def in_pieces(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)`` (B, T, D') for ``x`` (B, T, D) and a function of single frames.

    Without gradients it is applied to one piece after the other, so that intermediate results
    are never held for the whole of a long recording.
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
