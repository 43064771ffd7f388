"""Matrices and vectors in Kaldi's ark and scp files."""

import io
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import kaldiio
import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rxfilename import split_offset
from diarize.io.table import read_table

# Number of values that are processed at a time.
_BLOCK = 1 << 20
# Token of an array -> bytes per value.
_PLAIN = {b"FM": 4, b"DM": 8, b"FV": 4, b"DV": 8}
_COMPRESSED = {b"CM": 1, b"CM2": 2, b"CM3": 1}
_HEADER = 24  # bytes that contain the sizes of every form
_MOST_EMPTY = 10**8  # rows or columns of a matrix without values, which no byte confirms


class Rows(Protocol):
    """Matrix with the array interface that is required to write its rows."""

    shape: tuple[int, int]

    def __getitem__(self, rows: slice) -> np.ndarray: ...


class ArkWriter:
    """Writer of ``<directory>/<name>.ark`` and, when it is closed, of ``<name>.scp``.

    With ``job`` the files are ``<name>.<job>.ark`` and ``<name>.<job>.scp``, whose
    concatenation in C order is ``<name>.scp`` (``merge_scp``).  An earlier scp, also a
    merged one, is removed at once, and the new one is written last, so that an interrupted
    set is never mistaken for a complete one.  Use it in a ``with`` block: if the block ends
    by an error, or after `withhold`, there is no scp.

    ``kept`` are the arrays of an interrupted run that stay: their offsets by key, and the end of
    the last one, as `sync` has returned it.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        name: str,
        job: int | None = None,
        kept: tuple[Mapping[str, int], int] = ({}, 0),
    ) -> None:
        base = name if job is None else f"{name}.{job}"
        self.ark = Path(directory) / f"{base}.ark"
        self.scp = Path(directory) / f"{base}.scp"
        self._entries = dict(kept[0])
        self._withheld = False
        try:
            self.ark.parent.mkdir(parents=True, exist_ok=True)
            self.scp.unlink(missing_ok=True)
            # An earlier merged scp would point into the new ark of this job.
            self.scp.with_name(f"{name}.scp").unlink(missing_ok=True)
            file = io.FileIO(self.ark, "r+" if kept[1] else "w")
            if kept[1]:
                file.truncate(kept[1])
                file.seek(kept[1])
            self._handle = io.BufferedWriter(file)
        except OSError as err:
            raise DiarizeError(f"cannot write {err.filename}: {err.strerror}") from err

    def write(self, key: str, array: np.ndarray) -> None:
        """Append a float matrix (T, D) or vector (D,) as float32.

        Raises DiarizeError for a key with blanks, a repeated key, NaN or infinite values, and
        if the disk is full.
        """
        array = np.ascontiguousarray(array, dtype=np.float32)
        if array.ndim not in (1, 2):
            raise ValueError(f"{key}: a vector or matrix expected, not shape {array.shape}")
        if array.ndim == 2:
            self.write_rows(key, array)
            return
        array = self._finite(key, array)
        offset = self._begin(key)
        self._put(b"\0BFV \4" + struct.pack("<i", len(array)) + array.tobytes())
        self._entries[key] = offset

    def write_rows(self, key: str, rows: Rows, two_bytes: bool = False) -> None:
        """Append a float matrix (T, D), read and written by slices of rows.

        With ``two_bytes`` it is Kaldi's compressed matrix CM2 for values in [0, 1], of half the
        size, with an error of at most 1 / 131070.  Raises DiarizeError as ``write`` does.
        """
        offset = self._begin(key)
        num_rows, num_columns = rows.shape
        if two_bytes:
            # From 0, over a range of 1, in 65535 steps.
            self._put(b"\0BCM2 " + struct.pack("<ffii", 0.0, 1.0, num_rows, num_columns))
        else:
            self._put(b"\0BFM \4" + struct.pack("<ibi", num_rows, 4, num_columns))
        step = max(1, _BLOCK // max(1, num_columns))
        for first in range(0, num_rows, step):
            part = np.ascontiguousarray(rows[first : first + step], dtype=np.float32)
            part = self._finite(key, part)
            if two_bytes:
                part = np.rint(part.clip(0.0, 1.0) * np.float32(65535)).astype("<u2")
            self._put(part.data.cast("B") if part.size else b"")
        self._entries[key] = offset

    def _begin(self, key: str) -> int:
        """Write ``key`` and return the offset of its array."""
        if key.split() != [key]:
            raise DiarizeError(f"{self.ark}: key {key!r} is empty or contains blanks")
        if key in self._entries:
            raise DiarizeError(f"{self.ark}: key {key} is written twice")
        self._put(f"{key} ".encode())
        return self._handle.tell()

    def _finite(self, key: str, array: np.ndarray) -> np.ndarray:
        if not np.isfinite(array).all():
            raise DiarizeError(f"{self.ark}: {key} contains NaN or infinite values")
        return array

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._handle.write(data)
        except OSError as err:
            raise DiarizeError(f"cannot write {self.ark}: {err.strerror}") from err

    def sync(self) -> int:
        """Flush the written arrays to the disk; returns the size of the ark."""
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            return self._handle.tell()
        except OSError as err:
            raise DiarizeError(f"cannot write {self.ark}: {err.strerror}") from err

    def offset(self, key: str) -> int:
        """Return the offset of the array of ``key``."""
        return self._entries[key]

    def withhold(self) -> None:
        """Write no scp: the set is not complete."""
        self._withheld = True

    def close(self) -> None:
        """Finish the ark and write the scp, sorted by key."""
        if self._handle.closed:
            return
        self.sync()
        self._handle.close()
        if self._withheld:
            return
        with atomic_write(self.scp) as handle:
            for key in sorted(self._entries):
                handle.write(f"{key} {self.ark}:{self._entries[key]}\n")

    def __enter__(self) -> "ArkWriter":
        return self

    def __exit__(self, kind: type | None, *exc: object) -> None:
        if kind is None:
            self.close()
            return
        try:
            self._handle.close()
        except OSError:
            pass  # the error that ended the block is the one to report


class ArkTable(Mapping[str, np.ndarray]):
    """Arrays of an scp, each read on access."""

    def __init__(self, scp: str | os.PathLike) -> None:
        self.scp = Path(scp)
        self._entries = read_table(scp)

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the array of ``key``; KeyError without it, DiarizeError if it cannot be read."""
        path, offset = self._place(key)
        try:
            with open(path, "rb") as handle:
                handle.seek(min(offset, os.path.getsize(path)))
                head = handle.read(_HEADER)
                # kaldiio would also unpickle; only Kaldi's binary form is accepted.
                if not head.startswith(b"\0B"):
                    raise DiarizeError(
                        f"{self.scp}: {key}: no Kaldi matrix or vector at {self._entries[key]}"
                    )
                # kaldiio would reserve what a damaged header states, or shorten a vector.
                if not 0 < array_bytes(head) <= os.path.getsize(path) - offset:
                    raise self._damaged(key)
                handle.seek(offset)
                # A copy, because kaldiio may return a read-only array.
                return np.array(kaldiio.matio.read_kaldi(handle))
        except OSError as err:
            raise DiarizeError(f"{self.scp}: {key}: cannot read {path}: {err.strerror}") from err
        except (ValueError, AssertionError, struct.error, MemoryError) as err:
            raise self._damaged(key) from err

    def mapped(self, key: str) -> np.ndarray:
        """Return the matrix of ``key`` as a read-only memory map.

        Any form other than a plain float32 matrix is read as by ``[]``.
        """
        path, offset = self._place(key)
        try:
            with open(path, "rb") as handle:
                handle.seek(min(offset, os.path.getsize(path)))
                head = handle.read(_HEADER)
            if not head.startswith(b"\0BFM \4") or array_bytes(head) <= 15:
                return self[key]
            if array_bytes(head) > os.path.getsize(path) - offset:
                raise self._damaged(key)
            rows, _, columns = struct.unpack("<ibi", head[6:15])
            return np.memmap(path, np.float32, "r", offset + 15, (rows, columns))
        except OSError as err:
            raise DiarizeError(f"{self.scp}: {key}: cannot read {path}: {err.strerror}") from err
        except ValueError as err:
            raise self._damaged(key) from err

    def _place(self, key: str) -> tuple[str | Path, int]:
        entry = self._entries[key]
        path, offset = split_offset(entry) or (entry, 0)
        if not os.path.exists(path) and os.path.exists(self.scp.parent / Path(path).name):
            path = self.scp.parent / Path(path).name  # the directory was moved
        return path, offset

    def _damaged(self, key: str) -> DiarizeError:
        entry = self._entries[key]
        return DiarizeError(f"{self.scp}: {key}: {entry} is damaged or cut short; write it again")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries


def array_bytes(head: bytes) -> int:
    """Return the length in bytes of the array in Kaldi's binary form that begins with ``head``.

    0 for an unknown form, and for sizes that no array has.

    >>> array_bytes(b"\\0BFM \\4" + struct.pack("<ibi", 3, 4, 2))
    39
    """
    token, _, rest = head[2:].partition(b" ")
    try:
        if head[2:3] == b"\4":  # int32 vector, each value after its size
            rows, columns, first, each = struct.unpack("<i", head[3:7])[0], 1, 7, 5
        elif token in _PLAIN and rest[:1] == b"\4":
            rows, columns, first = struct.unpack("<i", rest[1:5])[0], 1, 10
            each = _PLAIN[token]
            if token.endswith(b"M"):
                if rest[5:6] != b"\4":
                    return 0
                columns, first = struct.unpack("<i", rest[6:10])[0], 15
        elif token in _COMPRESSED:
            rows, columns = struct.unpack("<ii", rest[8:16])
            first, each = 3 + len(token) + 16, _COMPRESSED[token]
            first += 8 * columns if token == b"CM" else 0
        else:
            return 0
    except struct.error:  # cut within the header
        return 0
    if min(rows, columns) < 0 or (0 in (rows, columns) and max(rows, columns) > _MOST_EMPTY):
        return 0
    return first + each * rows * columns


def read_scp(scp: str | os.PathLike) -> ArkTable:
    """Return a mapping from key to float array, which reads each array on access.

    An ark that is missing at the path in the scp is searched in the directory of the scp.
    """
    return ArkTable(scp)


def merge_scp(directory: str | os.PathLike, name: str, num_jobs: int) -> Path:
    """Return ``<name>.scp``, made of ``<name>.1.scp`` ... ``<name>.<num_jobs>.scp``, sorted.

    Raises DiarizeError if one is missing (that job failed) or two share a key.
    """
    merged: dict[str, str] = {}
    for job in range(1, num_jobs + 1):
        part = Path(directory) / f"{name}.{job}.scp"
        if not part.exists():
            raise DiarizeError(f"{part}: missing: job {job} did not finish; run it again")
        for key, value in read_table(part).items():
            if key in merged:
                raise DiarizeError(f"{part}: key {key} is also in an earlier part")
            merged[key] = value
    out = Path(directory) / f"{name}.scp"
    with atomic_write(out) as handle:
        handle.writelines(f"{key} {merged[key]}\n" for key in sorted(merged))
    return out
