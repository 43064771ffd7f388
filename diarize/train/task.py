"""Interface of a task, as the trainer uses it."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Task(Protocol):
    """Interface of a task, as the trainer uses it.

    ``batch`` is a result of ``collate`` with ``to(device, non_blocking=...)``, ``names`` (one
    recording name per example), and optionally ``seconds`` (audio in total) and
    ``pin_memory()``.
    """

    name: str
    model: nn.Module

    def example(self, index: int) -> Any:
        """Return training example ``index`` (any number from 0), a function of it alone."""

    def collate(self, examples: list) -> Any:
        """Return the examples as one batch."""

    def normalizers(self, batch: Any) -> Tensor:
        """Return the denominators (K,) of the loss terms on the host, from labels alone.

        The sum over the parts of a batch must be that of the batch.
        """

    def loss(
        self, forward: Callable, batch: Any, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms, each divided by the normalizers of the whole step.

        ``forward`` is the (wrapped) model.  The terms are scalars that are added over the parts
        of a batch; ``x_num`` and ``x_den`` are reported as their ratio ``x`` (the DER in
        percent: ``der_num`` is 100 times the wrong frames, ``der_den`` the scored frames).
        """

    def validate(
        self, forward: Callable, device: torch.device, rank: int, world: int
    ) -> dict[str, Tensor]:
        """Return sums over this rank's share of the validation set."""

    def largest(self, examples: int) -> Any:
        """Return a batch of ``examples`` examples of the largest size in the training."""

    def summarize(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the figures of the added sums; ``der`` (percent) selects checkpoints."""
