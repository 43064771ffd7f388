"""Hungarian matching of queries and speakers: EEND-M2F, Section 3.5."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from diarize.errors import DiarizeError


def match(
    cost: Tensor,
    num_speakers: Sequence[int],
    names: Sequence[str] | None = None,
    what: str = "speakers",
    candidates: Sequence[int] | None = None,
) -> Tensor:
    """Return the optimal query of each speaker, int64 (..., B, S) on the device of ``cost``.

    ``cost`` is (..., B, N, S); recording b has the first ``num_speakers[b]`` columns, and the
    entries of the others are 0.  ``what`` is the noun for columns in errors.  Only the first
    ``candidates[b]`` queries of recording b are matched; None: any.  The costs of all layers and
    recordings are copied to the host at once.  Raises DiarizeError, with the
    recording, if a cost is not finite or there are more speakers than queries.
    """
    *stack, batch, queries, speakers = cost.shape
    layers = math.prod(stack)  # -1 would be ambiguous for a batch without speakers
    host = cost.detach().reshape(layers, batch, queries, speakers)
    # Transposed, each problem is contiguous, as the solver requires.
    host = host.transpose(-1, -2).to("cpu", torch.float64).contiguous().numpy()
    _check(host, num_speakers, names, what)
    out = np.zeros((layers, batch, speakers), dtype=np.int64)
    for b, count in enumerate(num_speakers):
        most = queries if candidates is None else candidates[b]
        for layer in range(layers if count else 0):
            out[layer, b, :count] = linear_sum_assignment(host[layer, b, :count, :most])[1]
    return torch.from_numpy(out).to(cost.device).reshape(*stack, batch, speakers)


def _check(
    host: np.ndarray, num_speakers: Sequence[int], names: Sequence[str] | None, what: str
) -> None:
    """Raise DiarizeError for costs (layers, B, S, N) that have no assignment."""
    queries, speakers = host.shape[-1], host.shape[-2]
    finite = np.isfinite(host).all(axis=(0, 3))  # (B, S)
    finite |= np.arange(speakers) >= np.asarray(num_speakers, dtype=np.int64)[:, None]
    if finite.all() and max(num_speakers, default=0) <= queries:
        return
    for b, count in enumerate(num_speakers):
        name = names[b] if names is not None else f"number {b} of the batch"
        if count > queries:
            raise DiarizeError(
                f"recording {name} has {count} {what} but the model has {queries} queries; "
                "raise decoder.queries"
            )
        if not finite[b].all():
            raise DiarizeError(
                f"recording {name}: the matching cost is not finite; the training diverged "
                "or the input is broken (lower the learning rate, look at the audio)"
            )
