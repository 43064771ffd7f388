"""The exception for user errors and bad input."""


class DiarizeError(Exception):
    """Bad input, bad configuration or an unsuitable environment.

    The message names the file, the line or recording, and the remedy.  Commands
    print it on one line, without a traceback, and exit with status 1.
    """


class UnreadableAudio(DiarizeError):
    """Files that cannot be decoded; ``count`` is their number."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


def require_at_least(low: float, **values: float) -> None:
    """Raise ValueError, naming the option, for a value below ``low`` or NaN.

    >>> require_at_least(1, heads=4, layers=0)
    Traceback (most recent call last):
    ValueError: layers must be 1 or more, not 0
    """
    for name, value in values.items():
        if not value >= low:
            raise ValueError(f"{name} must be {low:g} or more, not {value}")
