"""Checks of configuration values and of command line options.

A check receives values under the names of their options.  It raises DiarizeError with name,
value and allowed range for the first value outside; None, an option without a value, passes.
The types of command line options convert and check a text, for ``type=`` of argparse.
"""

import argparse
import functools
import math
from collections.abc import Callable, Collection
from typing import Any

from diarize.errors import DiarizeError

LARGEST = 2**32 - 1
"""Largest absolute value of an integer option: contains every seed of 32 bits."""
RATES = (1000, 768000)
"""Lowest and highest sampling rate of an option, in Hz."""


def require(good: bool, name: str, value: object, allowed: str) -> None:
    """Raise DiarizeError unless ``good``.

    >>> require(False, "kernel", 4, "odd")
    Traceback (most recent call last):
    diarize.errors.DiarizeError: kernel must be odd, not 4
    """
    if not good:
        raise DiarizeError(f"{name} must be {allowed}, not {value!r}")


def at_least(low: float, **values: float | None) -> None:
    """Require finite values of ``low`` or more."""
    for name, value in values.items():
        require(value is None or low <= value < math.inf, name, value, f"{low:g} or more")


def at_most(high: float, **values: float | None) -> None:
    """Require values of ``high`` or less."""
    for name, value in values.items():
        require(value is None or value <= high, name, value, f"{high:g} or less")


def non_negative(**values: float | None) -> None:
    """Require finite values of 0 or more.

    >>> non_negative(layers=6, dropout=-0.1)
    Traceback (most recent call last):
    diarize.errors.DiarizeError: dropout must be 0 or more, not -0.1
    """
    at_least(0, **values)


def positive(**values: float | None) -> None:
    """Require finite values above 0."""
    for name, value in values.items():
        require(value is None or 0 < value < math.inf, name, value, "above 0")


def fraction(**values: float | None) -> None:
    """Require values from 0 to 1, such as probabilities."""
    for name, value in values.items():
        require(value is None or 0 <= value <= 1, name, value, "between 0 and 1")


def inner_fraction(**values: float | None) -> None:
    """Require values above 0 and below 1."""
    for name, value in values.items():
        require(value is None or 0 < value < 1, name, value, "above 0 and below 1")


def one_of(choices: Collection[str], **values: str | None) -> None:
    """Require values among ``choices``."""
    for name, value in values.items():
        require(value is None or value in choices, name, value, f"one of {', '.join(choices)}")


def integer(text: str) -> int:
    """Return the integer of an option; replaces ``type=int`` in all commands."""
    value = int(text)
    if abs(value) > LARGEST:
        raise argparse.ArgumentTypeError(f"{text} is out of range; at most {LARGEST}")
    return value


def finite(text: str) -> float:
    """Return the finite number of an option; replaces ``type=float`` in all commands."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def limit(text: str) -> float:
    """Return the number of an option that may be infinite, such as a last second."""
    value = float(text)
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def sample_rate(text: str) -> int:
    """Return the sampling rate of an option, in Hz."""
    value = int(text)
    if not RATES[0] <= value <= RATES[1]:
        raise argparse.ArgumentTypeError(
            f"{text} is not a sampling rate; {RATES[0]} to {RATES[1]} Hz are possible"
        )
    return value


def number_type(
    name: str, convert: Callable[[str], Any], check: Callable[..., None]
) -> Callable[[str], Any]:
    """Return a type of options: ``convert``, then ``check``; argparse prints ``name`` in errors.

    >>> number_type("count", integer, functools.partial(at_least, 1))("3")
    3
    """

    def convert_and_check(text: str) -> Any:
        value = convert(text)
        try:
            check(value=value)
        except DiarizeError as err:
            raise argparse.ArgumentTypeError(str(err).removeprefix("value ")) from None
        return value

    convert_and_check.__name__ = name
    return convert_and_check


count = number_type("count", integer, functools.partial(at_least, 1))
"""Number of things, 1 or more."""
natural = number_type("integer", integer, non_negative)
"""Integer of 0 or more, such as a seed."""
amount = number_type("number", finite, non_negative)
"""Number of 0 or more, such as seconds."""
size = number_type("number", finite, positive)
"""Number above 0, such as a length."""
probability = number_type("number", finite, fraction)
"""Number from 0 to 1."""


def number_range(
    convert: Callable[[str], Any], low: float = -math.inf
) -> Callable[[str], tuple[Any, Any]]:
    """Return the type of a range ``LOW-HIGH``, or of a number, from ``low``: a pair.

    >>> number_range(integer, 1)("2-4"), number_range(finite)("5")
    ((2, 4), (5.0, 5.0))
    """

    def convert_range(text: str) -> tuple[Any, Any]:
        middle = text.find("-", 1)  # the first character may be a sign
        first, last = (text, text) if middle < 0 else (text[:middle], text[middle + 1 :])
        try:
            found = convert(first), convert(last)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number and not a range LOW-HIGH"
            ) from None
        if not low <= found[0] <= found[1]:
            start = "" if low == -math.inf else f" of {low:g} or more"
            raise argparse.ArgumentTypeError(f"must be a range LOW-HIGH{start}, not {text!r}")
        return found

    return convert_range
