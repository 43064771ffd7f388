"""Files of tensors from anywhere: read without running code, and within the size of the file.

``torch.load(weights_only=True)`` refuses every other type, but fails for damaged bytes with almost
any error, and a packed entry may grow without bound.
"""

import argparse
import contextlib
import os
import pickle
import struct
import zipfile
from collections.abc import Collection, Mapping
from typing import Any

import torch

from diarize.errors import DiarizeError

ZIP = b"PK\x03\x04"  # first bytes of a file of torch.save
LFS_POINTER = b"version https://git-lfs"
MAX_VALUES = 100_000
"""Largest number of values of plain data, each counted as often as it occurs."""
# Errors of torch.load for bytes that are no checkpoint (RuntimeError includes RecursionError).
_FAULTS = (
    RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError,
    AttributeError, AssertionError, ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
_PLAIN = (str, int, float, bool, bytes, type(None))


def read_torch(path: str | os.PathLike, remedy: str, old: bool = False) -> Any:
    """Return the content of a file of ``torch.save``, tensors on the CPU.

    With ``old``, files of torch before 1.6 are accepted, too, and the command line that old
    fairseq checkpoints contain, which is plain data.  Raises DiarizeError, with ``remedy``, for a
    damaged file and for one with other types than tensors and plain values.
    """
    try:
        with open(path, "rb") as handle:
            head = handle.read(len(LFS_POINTER))
            if head == LFS_POINTER:
                raise DiarizeError(
                    f"{path} is a Git LFS pointer, not the model itself: run 'git lfs pull'"
                )
            if head.startswith(ZIP):
                _check_sizes(handle)
            elif not old:
                raise DiarizeError(f"{path} is damaged or no model file: {remedy}")
        # torch 2.4 has no safe_globals.
        allow = getattr(torch.serialization, "safe_globals", contextlib.nullcontext)
        with allow([argparse.Namespace] if old else []):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror or err}") from err
    except _FAULTS as err:
        reason = " ".join(str(err).split())[:160] or type(err).__name__
        raise DiarizeError(
            f"{path} is damaged, or contains more than tensors and plain values and is not opened "
            f"for safety ({reason}): {remedy}"
        ) from err


def _check_sizes(handle: Any) -> None:
    """Raise ValueError if the entries of a zip file are larger than the file: none is packed."""
    with zipfile.ZipFile(handle) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
    if total > os.fstat(handle.fileno()).st_size:
        raise ValueError(f"its entries have {total} bytes, more than the file")


def check_dense(path: str | os.PathLike, state: Any) -> None:
    """Raise DiarizeError, naming ``path``, unless ``state`` maps names to dense tensors.

    A tensor with more elements than its storage, as by a stride of 0, would grow when copied.
    """
    if not isinstance(state, dict):
        raise DiarizeError(f"{path} is damaged: its weights are no mapping of names to tensors")
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise DiarizeError(f"{path} is damaged: {name!r:.80} is no name of a tensor")
        if not isinstance(tensor, torch.Tensor) or not _is_dense(tensor):
            raise DiarizeError(f"{path} is damaged: {name:.80} is no dense tensor")


def _is_dense(tensor: torch.Tensor) -> bool:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def check_plain(path: str | os.PathLike, value: Any, others: Collection[type] = ()) -> None:
    """Raise DiarizeError, naming ``path``, unless ``value`` is a tree of plain values.

    Containers are mappings with plain keys, lists, tuples and sets.  Contents are counted as often
    as they occur: ten nested lists, each with ten times the next one, would take every function
    that walks over them for ever.
    """
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise DiarizeError(f"{path} is damaged: more than {MAX_VALUES} values besides tensors")
        if isinstance(item, Mapping):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif not isinstance(item, (*_PLAIN, *others)):
            raise DiarizeError(
                f"{path} is damaged: a value of type {type(item).__name__} is not expected"
            )
