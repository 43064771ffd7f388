"""Fast reader of plain RTTM lines in columns: a few array operations for all lines.

This makes reading as fast as scoring.  All other lines are left to readers that parse each line.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from diarize.io.numbers import MAX_SECONDS

# Longer numbers may be inexact as integer / power of ten; longer names are not plain.
_MOST_DIGITS = 15
_LONGEST_NAME = 256
_POWERS = np.array([float(10**k) for k in range(_MOST_DIGITS + 1)])
# Bit masks for the first n of 8 bytes, read as one big-endian number.
_KEEP = np.array([(1 << 64) - (1 << (64 - 8 * n)) for n in range(9)], np.uint64)


class NameColumn(Sequence):
    """A column of names: row i is ``names[code[i]]``.  Names are distinct, and each is used."""

    def __init__(self, names: list, code: np.ndarray) -> None:
        self.names, self.code = names, code

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, i):
        return self.names[self.code[i]]

    def __iter__(self) -> Iterator:
        return map(self.names.__getitem__, self.code.tolist())

    @classmethod
    def of(cls, column: Sequence) -> "NameColumn":
        """Return the column of a sequence of names."""
        if isinstance(column, cls):
            return column
        builder = NameBuilder()
        builder.add(column)
        return builder.column()

    def paired(self, other: "NameColumn") -> "NameColumn":
        """Return the column of the tuples (name, other's name)."""
        key, code = np.unique(self.code * len(other.names) + other.code, return_inverse=True)
        one, two = np.divmod(key, max(len(other.names), 1))
        rows = zip(one.tolist(), two.tolist(), strict=True)
        return NameColumn([(self.names[i], other.names[k]) for i, k in rows], code)

    def lookup(self, number: dict) -> np.ndarray:
        """Return ``number[name]`` of each row, (n,) int, -1 for a missing name."""
        found = [number.get(name, -1) for name in self.names]
        return np.array(found, np.int64)[self.code]


class NameBuilder:
    """Concatenation of columns of names."""

    def __init__(self) -> None:
        self._number: dict = {}
        self._codes: list[np.ndarray] = []

    def add(self, names: Iterable, code: np.ndarray | None = None) -> None:
        """Add the rows ``names``; with ``code`` (n,) int the rows are ``names[code]``."""
        number = self._number
        new = np.array([number.setdefault(name, len(number)) for name in names], np.int64)
        self._codes.append(new if code is None else new[code])

    def column(self) -> NameColumn:
        """Return all added rows."""
        return NameColumn(list(self._number), np.concatenate([_NO_CODES, *self._codes]))


_NO_CODES = np.zeros(0, np.int64)


class PlainTurns(NamedTuple):
    """SPEAKER lines as columns; ``start`` and ``duration`` are seconds, (n,) each.

    ``subtype``: whether any seventh field differs from ``<NA>``.
    """

    recording: NameColumn
    channel: NameColumn
    start: np.ndarray
    duration: np.ndarray
    label: NameColumn
    subtype: bool


def plain_turns(block: bytes) -> PlainTurns | None:
    """Return the columns of plain lines, names as bytes, or None for any other block.

    In a plain block each line is a SPEAKER record, and all have 9 or all have 10 fields.
    """
    if not block.startswith(b"SPEAKER") or b"\0" in block:
        return None
    if not block.endswith(b"\n"):
        block += b"\n"
    fields = _Fields.split(block)
    if fields is None or not fields.all_are(0, b"SPEAKER"):
        return None
    start, duration = fields.seconds(3), fields.seconds(4)
    if start is None or duration is None:
        return None
    if max(np.abs(start).max(), np.abs(duration).max()) > MAX_SECONDS:
        return None
    if fields.length[:, [1, 2, 7]].max() > _LONGEST_NAME:
        return None
    recording, channel, label = (fields.names(k) for k in (1, 2, 7))
    return PlainTurns(recording, channel, start, duration, label, not fields.all_are(6, b"<NA>"))


class _Fields:
    """Offsets and lengths of the fields of a block of n lines: (n, 9 or 10) int each."""

    def __init__(self, block: bytes, start: np.ndarray, length: np.ndarray) -> None:
        self.block, self.start, self.length = block, start, length
        padded = block + bytes(_MOST_DIGITS)
        self.bytes = np.frombuffer(padded, np.uint8)
        # The 8 bytes from each position on as a number with the same sort order.
        self.words = np.ndarray((len(padded) - 7,), ">u8", padded, strides=(1,))

    @classmethod
    def split(cls, block: bytes) -> "_Fields | None":
        """Return the fields; None unless all lines have 9, or all have 10 fields."""
        text = np.frombuffer(block, np.uint8)
        # Unsigned, so that only tab, line end, \v, \f and \r are at most 4.
        blank = (text == ord(" ")) | (text - np.uint8(ord("\t")) <= 4)
        line_end = np.flatnonzero(text == ord("\n"))
        change = np.flatnonzero(blank[1:] != blank[:-1]) + 1
        num = len(line_end)
        if len(change) + 1 not in (18 * num, 20 * num):
            return None
        bounds = np.concatenate(([0], change)).reshape(num, -1, 2)
        start, end = bounds[:, :, 0], bounds[:, :, 1]
        if (start[1:, 0] < line_end[:-1]).any() or (end[:, -1] > line_end).any():
            return None
        return cls(block, start, end - start)

    def word(self, column: int, first: int = 0) -> np.ndarray:
        """Return the 8 bytes from ``first`` on of each field, zeros after its end, (n,)."""
        place = np.minimum(self.start[:, column] + first, len(self.words) - 1)
        keep = _KEEP[np.clip(self.length[:, column] - first, 0, 8)]
        return self.words[place].astype(np.uint64) & keep

    def all_are(self, column: int, text: bytes) -> bool:
        """Return whether each field of a column is ``text`` of at most 7 bytes."""
        word = int.from_bytes(text.ljust(8, b"\0"), "big")
        return bool((self.word(column) == np.uint64(word)).all())

    def names(self, column: int) -> NameColumn:
        """Return a column of names; they contain no zero bytes."""
        words = [self.word(column, k) for k in range(0, int(self.length[:, column].max()), 8)]
        fresh = np.ones(len(self.start), bool)
        fresh[1:] = np.any([word[1:] != word[:-1] for word in words], axis=0)
        head = np.flatnonzero(fresh)
        code = np.zeros(len(head), np.int64)
        for word in words:
            known, part = np.unique(word[head], return_inverse=True)
            code = np.unique(code * len(known) + part, return_inverse=True)[1]
        row = np.zeros(int(code.max()) + 1, np.int64)
        row[code] = head
        names = self._texts(column, row)
        return NameColumn(names, code[np.cumsum(fresh) - 1])

    def seconds(self, column: int) -> np.ndarray | None:
        """Return a column as seconds, None if any is not a plain finite number."""
        first, length = self.start[:, column], self.length[:, column]
        width = int(length.max())
        if width > _MOST_DIGITS:
            return self._any_seconds(column)
        whole = np.zeros(len(first), np.int64)
        point = length.copy()
        for k in range(width):
            char = self.bytes[first + k]
            inside = length > k
            is_point = inside & (char == ord("."))
            digit = char - np.uint8(ord("0"))
            inside &= ~is_point
            if (digit[inside] > 9).any() or (point[is_point] < k).any():
                return self._any_seconds(column)
            point[is_point] = k
            whole = np.where(inside, 10 * whole + digit, whole)
        if (length - (point < length) < 1).any():
            return None
        # Both are exact, so that their quotient is the double nearest to the decimal number.
        return whole / _POWERS[np.maximum(length - point - 1, 0)]

    def _any_seconds(self, column: int) -> np.ndarray | None:
        texts = self._texts(column, np.arange(len(self.start)))
        try:
            values = np.array(list(map(float, texts)))
        except ValueError:
            return None
        # float() also accepts "1_0", unlike other readers of these files.
        return None if b"_" in b" ".join(texts) or not np.isfinite(values).all() else values

    def _texts(self, column: int, rows: np.ndarray) -> list[bytes]:
        first = self.start[rows, column]
        last = first + self.length[rows, column]
        return [self.block[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
