"""Precision of the forward pass: bfloat16 autocast around the network and nothing else.

Losses, matching and counts are exact: they are computed outside of these contexts, from
predictions in float32.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Return whether ``precision`` (auto, fp32, bf16) is bfloat16 on ``device``.

    ``auto`` is bfloat16 on a GPU that computes in it, float32 everywhere else.
    """
    if precision != "auto":
        return precision == "bf16"
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def network_precision(device: torch.device, bf16: bool) -> AbstractContextManager:
    """Return the context of a forward pass on ``device``: autocast to bfloat16, or none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def float32_precision(device: torch.device) -> AbstractContextManager:
    """Return the context of exact computations on ``device``: no autocast."""
    return torch.autocast(device.type, enabled=False)


def with_precision(model: Callable, device: torch.device, bf16: bool) -> Callable[..., Any]:
    """Return ``model`` as a function that computes in the precision of `network_precision`.

    The backward pass and all uses of its predictions are outside of the context.
    """

    def forward(*args: Any) -> Any:
        with network_precision(device, bf16):
            return model(*args)

    return forward
