"""Kaldi's rxfilenames of a part of a file: ``path:offset``."""

import re

# 18 digits: below 2^63, the largest offset of a file.
_OFFSET = re.compile(r"(.+):([0-9]{1,18})", re.DOTALL)


def split_offset(name: str) -> tuple[str, int] | None:
    """Return path and offset of ``path:offset``; None for any other name.

    >>> split_offset("feats.ark:12"), split_offset("a.wav")
    (('feats.ark', 12), None)
    """
    found = _OFFSET.fullmatch(name)
    return (found[1], int(found[2])) if found else None
