"""The Hungarian matching of queries and speakers: EEND-M2F, Section 3.5."""

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
) -> Tensor:
    """Return the optimal query of each speaker, int64 (..., B, S) on the device of ``cost``.

    ``cost`` is (..., B, N, S); recording b has the first ``num_speakers[b]`` columns, and
    the entries of the others are 0; ``what`` they are is said in errors.  The costs of all
    layers and recordings go to the host at once.  Raises DiarizeError, naming the recording,
    if a cost is not finite or there are more speakers than queries.
    """
    *stack, batch, queries, speakers = cost.shape
    layers = math.prod(stack)  # -1 would be ambiguous where nobody speaks in the whole batch
    host = cost.detach().reshape(layers, batch, queries, speakers)
    host = host.to("cpu", torch.float64).numpy()
    out = np.zeros((layers, batch, speakers), dtype=np.int64)
    for b, count in enumerate(num_speakers):
        name = names[b] if names is not None else f"number {b} of the batch"
        if count > queries:
            raise DiarizeError(
                f"recording {name} has {count} {what} but the model has {queries} queries; "
                "raise decoder.queries"
            )
        if not np.isfinite(host[:, b, :, :count]).all():
            raise DiarizeError(
                f"recording {name}: the matching cost is not finite; the training diverged "
                "or the input is broken (lower the learning rate, look at the audio)"
            )
        for layer in range(layers):
            rows, cols = linear_sum_assignment(host[layer, b, :, :count])
            out[layer, b, cols] = rows
    return torch.from_numpy(out).to(cost.device).reshape(*stack, batch, speakers)
