"""Band-pass filter of utterances."""

from functools import lru_cache

import numpy as np

from diarize.errors import DiarizeError

_SECONDS = 0.05  # length of the impulse response: it falls off within about 60 Hz


def band_pass(wave: np.ndarray, band: tuple[float, float], sample_rate: int) -> np.ndarray:
    """Return ``wave`` (n,) restricted to ``band`` (low, high) in Hz, float32 (n,), without delay.

    The filter is symmetric, lasts 50 ms and attenuates by 6 dB at both edges; ``wave`` is
    extended by silence.  An upper edge near or above half the sample rate is ignored.
    """
    # Importing scipy.signal lasts most of a second, and speaker mixtures do not require it.
    from scipy.signal import oaconvolve

    taps = _filter(tuple(band), sample_rate)
    if len(wave) >= len(taps):
        return oaconvolve(wave, taps, mode="same")
    half = len(taps) // 2
    return np.convolve(wave, taps)[half : half + len(wave)]


@lru_cache(maxsize=8)
def _filter(band: tuple[float, float], sample_rate: int) -> np.ndarray:
    from scipy.signal import firwin

    low, high = band
    edges = [low, high] if high < 0.47 * sample_rate else low
    if low >= 0.47 * sample_rate:
        raise DiarizeError(f"a band from {low} Hz is empty at a sample rate of {sample_rate} Hz")
    count = 2 * (round(_SECONDS * sample_rate) // 2) + 1
    return firwin(count, edges, pass_zero=False, fs=sample_rate).astype(np.float32)
