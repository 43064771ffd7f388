"""Bound of the size of a model, checked before anything is allocated."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from diarize.errors import DiarizeError

MAX_LAYERS = 1000
MAX_SIZE = 1_000_000
"""Largest dimension, kernel, stride, or number of heads or queries."""
MAX_WEIGHTS = 10**10
"""Largest product of the number of layers and of the two largest sizes; MMS 300M has 10^8."""


def check_model_size(options: Any, where: str) -> None:
    """Raise DiarizeError, beginning with ``where``, for options of an absurd model.

    ``options`` is the dataclass of a model.  A damaged or foreign file must not make the process
    reserve all memory, or build layers for hours.
    """
    layers, sizes = 0, [1, 1]
    for name, value in _integers(options, "model"):
        if name.endswith(".layers"):
            layers += value
            if layers > MAX_LAYERS:
                raise DiarizeError(f"{where}: {name} is {value}: at most {MAX_LAYERS} layers")
        elif value > MAX_SIZE:
            raise DiarizeError(f"{where}: {name} is {value}: at most {MAX_SIZE}")
        elif not name.endswith(".sample_rate"):
            sizes.append(value)
    largest, second = sorted(sizes)[-2:][::-1]
    if largest * second * max(1, layers) > MAX_WEIGHTS:
        raise DiarizeError(
            f"{where}: a model of {layers} layers with sizes {largest} and {second} is beyond "
            f"{MAX_WEIGHTS:.0e} weights; choose smaller sizes"
        )


def _integers(value: Any, name: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted name and the value of every integer of nested options."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _integers(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value
