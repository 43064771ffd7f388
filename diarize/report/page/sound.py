"""Sound of a page: its waveform as a bounded number of points, and Ogg Opus in base64."""

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource, read_blocks

RATE = 16000
MOST_POINTS = 60000
# Points of 10 ms are reduced to the bounded number when the length is known.
_FINE = 160
_BLOCK_SECONDS = 60.0
# Formats (libsndfile) that browsers play.
_PLAYABLE = frozenset(("WAV", "WAVEX", "FLAC", "OGG", "MP3"))
_PLAYABLE_WAV = frozenset(("PCM_16", "PCM_24", "PCM_U8", "FLOAT"))


@dataclass(frozen=True)
class Sound:
    """Sound of a recording of ``seconds``.

    peaks: int8 (P, 2), the least and the greatest sample of each point, 127 for the loudest
    step: seconds of a point
    mode: embed (``opus``, base64 of Ogg Opus), link (``url``) or none
    """

    seconds: float
    peaks: np.ndarray
    step: float
    mode: str = "none"
    opus: str = ""
    url: str = ""


def read_sound(source: AudioSource, mode: str, page: Path) -> Sound:
    """Return the sound of ``source`` for the file ``page``; the audio is read once, in blocks.

    Channels are averaged, at 16 kHz.  A link is relative to the page.  Raises DiarizeError as
    `read_audio` does, and for a link to a format that browsers do not play.
    """
    url = _link(source, page) if mode == "link" else ""
    encoded, blocks, count = io.BytesIO(), [], 0
    encoder = None
    if mode == "embed":
        # libsndfile's default is about 25 kbit/s, which is transparent for speech at 16 kHz.
        encoder = soundfile.SoundFile(encoded, "w", RATE, 1, "OPUS", format="OGG")
    rest = np.zeros(0, np.float32)
    for block in read_blocks(source, RATE, _BLOCK_SECONDS):
        if encoder is not None:
            encoder.write(np.clip(block, -1.0, 1.0))
        count += len(block)
        samples = np.concatenate((rest, block))
        whole = len(samples) // _FINE * _FINE
        blocks.append(_extremes(samples[:whole].reshape(-1, _FINE)))
        rest = samples[whole:]
    if encoder is not None:
        encoder.close()
    if len(rest):
        blocks.append(_extremes(rest[None]))
    peaks, size = _reduced(np.concatenate(blocks))
    opus = base64.b64encode(encoded.getbuffer()).decode("ascii") if mode == "embed" else ""
    return Sound(count / RATE, peaks, size * _FINE / RATE, mode, opus, url)


def _extremes(points: np.ndarray) -> np.ndarray:
    """Return the least and the greatest value of each row, (P, 2)."""
    return np.stack([points.min(axis=1), points.max(axis=1)], axis=1)


def _reduced(fine: np.ndarray) -> tuple[np.ndarray, int]:
    """Return at most `MOST_POINTS` points as int8 (P, 2), and the fine points of each."""
    size = -(-len(fine) // MOST_POINTS)
    places = np.arange(0, len(fine), size)
    low = np.minimum.reduceat(fine[:, 0], places)
    high = np.maximum.reduceat(fine[:, 1], places)
    loudest = max(1e-6, float(np.abs(fine).max(initial=0.0)))
    peaks = np.stack([low, high], axis=1) * (127 / loudest)
    return np.rint(peaks).astype(np.int8), size


def _link(source: AudioSource, page: Path) -> str:
    """Return the relative URL of the audio file for ``page``."""
    if not source.is_seekable:
        raise DiarizeError(f"{source}: not a file, a page cannot link to it; use --audio embed")
    path = Path(source.resolved()).resolve()
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as err:
        raise DiarizeError(f"{source}: {err.error_string}") from err
    if info.format not in _PLAYABLE or (
        info.format in ("WAV", "WAVEX") and info.subtype not in _PLAYABLE_WAV
    ):
        raise DiarizeError(
            f"{source}: browsers do not play {info.format} {info.subtype}; use --audio embed"
        )
    return quote(Path(os.path.relpath(path, page.resolve().parent)).as_posix())
