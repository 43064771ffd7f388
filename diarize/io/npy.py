"""Arrays in files of numpy."""

import os
import tokenize

import numpy as np

from diarize.errors import DiarizeError

# Errors of np.load for bytes that are no array; a header is parsed as Python literals.
_FAULTS = (
    OSError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, MemoryError,
    SyntaxError, RecursionError, tokenize.TokenError,
)  # fmt: skip


def load_array(path: str | os.PathLike, mode: str | None = None) -> np.ndarray:
    """Return the array in the file ``path`` of ``np.save``, mapped into memory with ``mode``.

    Nothing is unpickled.  Raises DiarizeError, naming ``path``, for a file that is missing,
    damaged, or larger by its header than it is.
    """
    try:
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive")
        return array
    except _FAULTS as err:
        raise DiarizeError(f"{path} is damaged ({err or type(err).__name__}): remove it") from err
