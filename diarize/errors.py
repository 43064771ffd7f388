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
