"""Bytes of audio: a file, a part of one, or one put together from parts, as a file object.

Reading uses positions of its own (pread), so that several threads may read one file.
"""

import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

Piece = bytes | tuple[int, int]  # bytes, or (offset, size) of a part of the file below


class Spool:
    """A temporary file without a name, of the descriptor ``fd``; it exists as long as this object.

    It lies in the directory of the environment variable TMPDIR.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as handle:
            self.fd = os.dup(handle.fileno())

    def __del__(self) -> None:
        os.close(self.fd)


class PiecedFile(io.RawIOBase):
    """Read-only file of ``pieces`` of ``below``, by default all of it."""

    def __init__(self, below: "Content", pieces: Sequence[Piece] | None = None) -> None:
        self._below = below
        self._pieces = list(pieces) if pieces is not None else [(0, size_of(below))]
        sizes = [len(p) if isinstance(p, bytes) else p[1] for p in self._pieces]
        self._starts = [0, *accumulate(sizes)]
        self._position = 0

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self._starts[-1]

    def part(self, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes from ``offset``."""
        out = []
        number = bisect_right(self._starts, offset) - 1
        while size > 0 and number < len(self._pieces):
            piece, inside = self._pieces[number], offset - self._starts[number]
            length = min(size, self._starts[number + 1] - offset)
            if isinstance(piece, bytes):
                data = piece[inside : inside + length]
            else:
                data = part_of(self._below, piece[0] + inside, length)
            if length and not data:
                break
            out.append(data)
            offset, size = offset + len(data), size - len(data)
            number += offset >= self._starts[number + 1]
        return b"".join(out)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer) -> int:
        """Fill ``buffer`` and return the number of bytes read; an error of reading ends the file.

        libsndfile calls this and cannot pass an exception on.
        """
        try:
            data = self.part(self._position, len(buffer))
        except OSError:
            data = b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set and return the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


Content = int | bytes | Spool | PiecedFile  # int: a descriptor


def size_of(content: Content) -> int:
    """Return the number of bytes."""
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, PiecedFile):
        return content.size
    return os.fstat(content.fd if isinstance(content, Spool) else content).st_size


def part_of(content: Content, offset: int, size: int) -> bytes:
    """Return at most ``size`` bytes from ``offset``."""
    if isinstance(content, bytes):
        return content[offset : offset + size]
    if isinstance(content, PiecedFile):
        return content.part(offset, size)
    return os.pread(content.fd if isinstance(content, Spool) else content, size, offset)


def opener(content: Content) -> int | io.RawIOBase:
    """Return the object that soundfile opens: the rewound descriptor, or a file object."""
    if isinstance(content, int):
        os.lseek(content, 0, os.SEEK_SET)
        return content
    return PiecedFile(content)
