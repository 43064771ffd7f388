"""Matrices and vectors on disk as Kaldi's ark and scp."""

import io
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import kaldiio
import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import read_table

_OFFSET = re.compile(r"(.+):(\d+)")


class ArkWriter:
    """Writes ``<directory>/<name>.ark`` and, when it is closed, ``<name>.scp``.

    With ``job`` the files are ``<name>.<job>.ark`` and ``<name>.<job>.scp``, whose
    concatenation in C order is ``<name>.scp`` (``merge_scp``).  An scp of before, also
    a merged one, is removed at once and the new one appears only when everything is
    written, so that a set that was interrupted is never taken for whole.  Use it in a
    ``with`` block: where that ends by an error there is no scp.
    """

    def __init__(self, directory: str | os.PathLike, name: str, job: int | None = None) -> None:
        base = name if job is None else f"{name}.{job}"
        self.ark = Path(directory) / f"{base}.ark"
        self.scp = Path(directory) / f"{base}.scp"
        self._entries: dict[str, int] = {}
        try:
            self.ark.parent.mkdir(parents=True, exist_ok=True)
            self.scp.unlink(missing_ok=True)
            # What was merged of before would soon point into this job's new ark.
            self.scp.with_name(f"{name}.scp").unlink(missing_ok=True)
            self._handle = io.BufferedWriter(io.FileIO(self.ark, "w"))
        except OSError as err:
            raise DiarizeError(f"cannot write {err.filename}: {err.strerror}") from err

    def write(self, key: str, array: np.ndarray) -> None:
        """Append a float matrix (T, D) or vector (D,) as float32.

        Raises DiarizeError for a key with blanks or a second time, values that are NaN or
        infinite, or where the disk is full.
        """
        array = np.ascontiguousarray(array, dtype=np.float32)
        if array.ndim not in (1, 2):
            raise ValueError(f"{key}: a vector or matrix expected, not shape {array.shape}")
        if key.split() != [key]:
            raise DiarizeError(f"{self.ark}: key {key!r} is empty or holds blanks")
        if key in self._entries:
            raise DiarizeError(f"{self.ark}: key {key} is written twice")
        if not np.isfinite(array).all():
            raise DiarizeError(f"{self.ark}: {key} holds NaN or infinite values")
        try:
            self._handle.write(f"{key} ".encode())
            offset = self._handle.tell()
            kaldiio.matio.write_array(self._handle, array)
        except OSError as err:
            raise DiarizeError(f"cannot write {self.ark}: {err.strerror}") from err
        self._entries[key] = offset

    def close(self) -> None:
        """Finish the ark and write the scp, sorted by key."""
        if self._handle.closed:
            return
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()
        except OSError as err:
            raise DiarizeError(f"cannot write {self.ark}: {err.strerror}") from err
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
    """The arrays of an scp, each read when it is asked for."""

    def __init__(self, scp: str | os.PathLike) -> None:
        self.scp = Path(scp)
        self._entries = read_table(scp)

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the array of ``key``; KeyError without it, DiarizeError if it cannot be read."""
        entry = self._entries[key]
        match = _OFFSET.fullmatch(entry)
        path, offset = (match[1], int(match[2])) if match else (entry, 0)
        if not os.path.exists(path) and (self.scp.parent / Path(path).name).exists():
            path = self.scp.parent / Path(path).name  # the folder has been moved
        try:
            with open(path, "rb") as handle:
                handle.seek(offset)
                # kaldiio would also unpickle what it finds; only Kaldi's binary form is data.
                if handle.read(2) != b"\0B":
                    raise DiarizeError(f"{self.scp}: {key}: no Kaldi matrix or vector at {entry}")
                handle.seek(offset)
                # A copy, because what kaldiio gives may be read only.
                return np.array(kaldiio.matio.read_kaldi(handle))
        except OSError as err:
            raise DiarizeError(f"{self.scp}: {key}: cannot read {path}: {err.strerror}") from err
        except (ValueError, AssertionError, struct.error) as err:
            raise DiarizeError(
                f"{self.scp}: {key}: {entry} is damaged or cut short; write it again"
            ) from err

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries


def read_scp(scp: str | os.PathLike) -> ArkTable:
    """Return a mapping from key to float array, which reads each array when it is asked for.

    An ark that is not where the scp says is looked for beside the scp.
    """
    return ArkTable(scp)


def merge_scp(directory: str | os.PathLike, name: str, num_jobs: int) -> Path:
    """Return ``<name>.scp``, made of ``<name>.1.scp`` ... ``<name>.<num_jobs>.scp``, sorted.

    Raises DiarizeError where one is missing (that job did not end well) or two share a key.
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
