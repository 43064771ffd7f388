"""The exception for user errors and bad input."""

import unicodedata

_LONGEST = 1500  # characters of a message
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # Unicode categories: controls, formats, ends of lines


class DiarizeError(Exception):
    """Bad input, bad configuration or an unsuitable environment.

    The message names the file, the line or recording, and the remedy.  Commands
    print it on one line, without a traceback, and exit with status 1.

    Parts of it come from files, so that line ends, control characters and overlong values are
    replaced (`one_line`).
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """Return the text in one line of at most 1500 characters, without control characters.

    Line ends become blanks, other control characters their escapes, and the middle of an overlong
    text is omitted: the beginning names the file, the end the remedy.

    >>> one_line("a.yaml is invalid:\\n  \\x1b[2J")
    'a.yaml is invalid: \\\\x1b[2J'
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 500]} ... {text[-490:]}"
    if text.isprintable():
        return text
    line = " ".join(part.strip() for part in text.splitlines()).strip()
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _UNSEEN else char for char in line
    )


class UnreadableAudio(DiarizeError):
    """Files that cannot be decoded; ``count`` is their number."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count
