"""Interface between front-ends and recordings that are read in parts."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Samples(Protocol):
    """One recording at the model's rate, float32, on the model's device.

    num_samples: number of samples
    blocks: all samples, in consecutive blocks (n,)
    read: the samples [start, stop), (stop - start,)
    """

    num_samples: int

    def blocks(self) -> Iterator[Tensor]: ...

    def read(self, start: int, stop: int) -> Tensor: ...
