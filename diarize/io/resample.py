"""Conversion of the sample rate by a polyphase filter, as a whole or in part."""

import logging
import math
from functools import lru_cache

import numpy as np

_LOG = logging.getLogger(__name__)


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Return float32 ``samples`` (n,) at ``to_rate`` Hz, shape (ceil(n * to_rate / from_rate),).

    >>> resample(np.zeros(442, np.float32), 44100, 16000).shape
    (161,)
    """
    if from_rate == to_rate:
        return samples
    # The import of scipy.signal takes a third of a second, and most corpora do not require it.
    from scipy.signal import resample_poly

    up, down = ratio(from_rate, to_rate)
    return resample_poly(samples, up, down, window=_filter(up, down)).astype(np.float32, copy=False)


def ratio(from_rate: int, to_rate: int) -> tuple[int, int]:
    """Return the factors of the conversion, up and down."""
    common = math.gcd(from_rate, to_rate)
    return to_rate // common, from_rate // common


def half_length(up: int, down: int) -> int:
    """Return half the length of the filter, in samples of the rate that is ``up`` times higher."""
    return 10 * max(up, down)


@lru_cache(maxsize=16)
def _filter(up: int, down: int) -> np.ndarray:
    """Return the low-pass that scipy.signal.resample_poly would design in every call."""
    from scipy.signal import firwin

    taps = 2 * half_length(up, down) + 1
    return firwin(taps, 1 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)


@lru_cache(maxsize=64)
def notice(from_rate: int, to_rate: int) -> None:
    """Report the resampling of audio, once per process and pair of rates."""
    _LOG.warning("resampling audio of %d Hz to %d Hz (shown once)", from_rate, to_rate)
