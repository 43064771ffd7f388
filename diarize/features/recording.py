"""What a front-end wants of a recording that is not read at once."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Samples(Protocol):
    """One recording at the model's rate, float32, on the model's device.

    num_samples: how many samples it has
    blocks: them all, in consecutive pieces (n,)
    read: the samples [start, stop), (stop - start,)
    """

    num_samples: int

    def blocks(self) -> Iterator[Tensor]: ...

    def read(self, start: int, stop: int) -> Tensor: ...
