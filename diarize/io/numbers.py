"""Numbers in text files, within stated bounds.

Files from elsewhere may contain numbers of thousands of digits, which ``int`` refuses by a
ValueError, or numbers whose sums and products overflow.  All readers of text use these functions.
"""

import math

from diarize.errors import DiarizeError

MAX_SECONDS = 1e10
"""Largest time in files, 317 years: above Unix time in seconds, and exact to 2 microseconds."""
MAX_INTEGER = 2**53
"""Largest integer in files: up to it, integers are exact as double, too."""


def parse_integer(text: str, largest: int = MAX_INTEGER) -> int | None:
    """Return ``text`` as an integer from 0 to ``largest``; None for any other text.

    Only the ASCII digits are accepted, unlike by ``int`` and ``str.isdigit``.

    >>> parse_integer("0042"), parse_integer("-1"), parse_integer("9" * 5000)
    (42, None, None)
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(largest)):
        return None
    value = int(digits)
    return value if value <= largest else None


def is_finite(value: object) -> bool:
    """Return whether ``value`` is a finite int or float; an int beyond the floats is not.

    >>> is_finite(1), is_finite(True), is_finite(10**400), is_finite(float("inf"))
    (True, False, False, False)
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def parse_seconds(text: str, name: str, where: str) -> float:
    """Return ``text`` as seconds; DiarizeError names ``where`` and the field ``name``.

    The absolute value is at most `MAX_SECONDS`, so that sums of times are finite.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # float() also accepts "1_0", unlike other readers of these files.
    if not math.isfinite(value) or "_" in text:
        raise DiarizeError(f"{where}: {name} {text!r} is not a number of seconds")
    if abs(value) > MAX_SECONDS:
        raise DiarizeError(
            f"{where}: {name} {text!r} is out of range: times are in seconds, up to "
            f"{MAX_SECONDS:.0e}"
        )
    return value
