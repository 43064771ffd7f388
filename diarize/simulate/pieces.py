"""The pieces of audio that a mixture is made of: how a manifest writes them, how they are heard.

A piece is a file name, ``[file, start, end]`` (both as hitachi-speech/EEND has them), or an
object that says more, as the simulation of code-switching needs::

    {"file": name, "start": s, "end": s, "label": language, "speaker": voice,
     "sentence": number, "gain": decibel}

Only ``file`` must be there.  ``label`` stands in the reference instead of the speaker's name,
and pieces of one label that abut are one segment.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError

_KEYS = frozenset(("file", "start", "end", "label", "speaker", "sentence", "gain"))
_FILTER_SECONDS = 0.05  # how much audio the band-pass sees: it falls off within about 60 Hz


class Piece(NamedTuple):
    """``source`` is a file name or [file, start, end]; what is not given is None or 0 dB."""

    source: str | list
    label: str | None = None
    voice: str | None = None
    sentence: int | None = None
    gain: float = 0.0


def parse_piece(utt: str | list | dict) -> Piece:
    """Return an utterance of a checked manifest as a piece."""
    if not isinstance(utt, dict):
        return Piece(utt)
    source = utt["file"]
    if "start" in utt:
        source = [source, utt["start"], utt["end"]]
    return Piece(
        source, utt.get("label"), utt.get("speaker"), utt.get("sentence"), utt.get("gain", 0.0)
    )


def check_piece(utt: object, where: str) -> None:
    """Raise DiarizeError, beginning with ``where``, unless ``utt`` is a piece."""
    if isinstance(utt, str) and utt:
        return
    if isinstance(utt, dict):
        _check_object(utt, where)
        if "start" not in utt and "end" not in utt:
            return
        utt = [utt["file"], utt.get("start"), utt.get("end")]
    if not (isinstance(utt, list) and len(utt) == 3 and isinstance(utt[0], str)):
        raise DiarizeError(f"{where}: utterance {utt!r} is no file and no [file, start, end]")
    if not (is_number(utt[1]) and is_number(utt[2]) and 0 <= utt[1] < utt[2]):
        raise DiarizeError(f"{where}: utterance {utt!r} needs 0 <= start < end")


def _check_object(utt: dict, where: str) -> None:
    unknown = utt.keys() - _KEYS
    if unknown:
        raise DiarizeError(f"{where}: utterance {utt!r} has the unknown key {min(unknown)!r}")
    checks = {
        "file": isinstance(utt.get("file"), str) and bool(utt["file"]),
        "label": _is_name_or_absent(utt.get("label")),
        "speaker": _is_name_or_absent(utt.get("speaker")),
        "sentence": isinstance(utt.get("sentence", 0), int),
        "gain": is_number(utt.get("gain", 0)),
    }
    for key, good in checks.items():
        if not good:
            raise DiarizeError(f"{where}: utterance {utt!r}: {key} cannot be {utt.get(key)!r}")


def _is_name_or_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.split() == [value])


def is_number(value: object) -> bool:
    """Return whether ``value`` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_shaping(mixture: dict, where: str) -> None:
    """Raise DiarizeError unless the optional ``band`` and ``fade`` of a mixture are possible."""
    band, fade = mixture.get("band"), mixture.get("fade", 0.0)
    if band is not None:
        good = isinstance(band, list) and len(band) == 2 and all(map(is_number, band))
        if not (good and 0 < band[0] < band[1]):
            raise DiarizeError(f"{where}: band must be [low, high] in Hz, not {band!r}")
    if not (is_number(fade) and fade >= 0):
        raise DiarizeError(f"{where}: fade must be 0 or more seconds, not {fade!r}")


def margin(sample_rate: int) -> int:
    """Return how many samples beside a piece its band-pass needs, to be as in the whole file."""
    return round(_FILTER_SECONDS * sample_rate) // 2


def band_pass(wave: np.ndarray, band: tuple[float, float], sample_rate: int) -> np.ndarray:
    """Return ``wave`` (n,) without what lies outside ``band`` (Hz), float32 (n,), no delay.

    A symmetric filter of 50 ms (6 dB down at both edges); outside ``wave`` there is silence.
    An upper edge near or over half the rate is none.
    """
    # scipy.signal takes most of a second to import, and speaker mixtures never need it.
    from scipy.signal import oaconvolve

    taps = _filter(tuple(band), sample_rate)
    return oaconvolve(wave, taps, mode="same") if len(wave) >= len(taps) else _short(wave, taps)


def _short(wave: np.ndarray, taps: np.ndarray) -> np.ndarray:
    half = len(taps) // 2
    return np.convolve(wave, taps)[half : half + len(wave)]


@lru_cache(maxsize=8)
def _filter(band: tuple[float, float], sample_rate: int) -> np.ndarray:
    from scipy.signal import firwin

    low, high = band
    edges = [low, high] if high < 0.47 * sample_rate else low
    if low >= 0.47 * sample_rate:
        raise DiarizeError(f"a band from {low} Hz leaves nothing at {sample_rate} Hz")
    count = 2 * margin(sample_rate) + 1
    return firwin(count, edges, pass_zero=False, fs=sample_rate).astype(np.float32)


def fade_ends(wave: np.ndarray, samples: int) -> np.ndarray:
    """Return ``wave`` with its first and last ``samples`` samples raised and lowered smoothly."""
    count = min(samples, len(wave) // 2)
    if count == 0:
        return wave
    rise = np.sin(np.pi / 2 * (np.arange(count, dtype=np.float32) + 0.5) / count) ** 2
    out = wave.copy()
    out[:count] *= rise
    out[-count:] *= rise[::-1]
    return out
