"""Where a mixture's audio comes from, and what is remembered of it."""

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np

from diarize.io.audio import AudioSource, read_audio

_ENTRY_BYTES = 256
_INT16_SCALE = np.float32(1 / 32768)


class Gains:
    """The noise gains of the last ``max_entries`` mixtures (about 0.2 kB each)."""

    def __init__(self, max_entries: int = 500_000) -> None:
        self.max_entries = max_entries
        self._gains: dict[bytes, float] = {}

    def get(self, key: bytes) -> float | None:
        """Return the gain of the mixture with this key, or None."""
        return self._gains.get(key)

    def put(self, key: bytes, gain: float) -> None:
        """Remember ``gain``; the oldest is forgotten where there is no room."""
        if len(self._gains) >= self.max_entries:
            del self._gains[next(iter(self._gains))]
        self._gains[key] = gain


class Reader(Protocol):
    """What :func:`diarize.simulate.render.render` needs of a source of audio."""

    gains: Gains

    def __call__(self, name: str, start: int, stop: int | None, sample_rate: int) -> np.ndarray:
        """Return samples [start, stop) of file ``name``, float32 (n,), not to be written to."""

    def window(self, name: str, start: int, stop: int, sample_rate: int) -> np.ndarray:
        """Return the same for a part that will hardly be asked for again."""

    def num_samples(self, name: str, sample_rate: int) -> int:
        """Return the length of file ``name`` at ``sample_rate`` Hz."""


class FileReader:
    """Reads from files each time, and remembers nothing but their lengths.

    ``read`` has the arguments of :func:`diarize.io.audio.read_audio`.  With
    ``allow_pipes``, names of the form ``command |`` run in the shell.
    """

    def __init__(self, read: Callable | None = None, allow_pipes: bool = False) -> None:
        self.read = read or read_audio
        self.allow_pipes = allow_pipes
        self.gains = Gains(max_entries=1)
        self._lengths: dict[tuple[str, int], int] = {}

    def __call__(
        self, name: str, start: int = 0, stop: int | None = None, sample_rate: int = 16000
    ) -> np.ndarray:
        """Return samples [start, stop) of ``name``, float32 of shape (n,)."""
        if self.read is read_audio:
            return read_audio(name, start, stop, sample_rate, allow_pipes=self.allow_pipes)
        return self.read(name, start, stop, sample_rate)

    def window(self, name: str, start: int, stop: int, sample_rate: int) -> np.ndarray:
        """Return the same as a call: nothing is kept either way."""
        return self(name, start, stop, sample_rate)

    def num_samples(self, name: str, sample_rate: int) -> int:
        """Return the length of ``name`` at ``sample_rate`` Hz, from its header where it has one."""
        key = (name, sample_rate)
        if key not in self._lengths:
            if self.read is read_audio:
                length = AudioSource(name, self.allow_pipes).info().samples_at(sample_rate)
            else:
                length = len(self.read(name, 0, None, sample_rate))
            self._lengths[key] = length
        return self._lengths[key]


class UtteranceCache:
    """A reader that keeps decoded audio, the longest unused given up first.

    At most ``max_bytes`` of samples are held; 16-bit audio takes 2 bytes a sample, so a
    corpus of up to 9 h fits into 1 GB and is decoded once.  What is kept is exactly
    what was read.  Each process of a data loader has its own copy, so give each its
    share of the memory.  ``allow_pipes`` is handed to ``read_audio``.

    >>> cache = UtteranceCache(lambda name, start, stop, rate: np.zeros(4, np.float32))
    >>> [cache("a.wav").shape, cache("a.wav").shape, cache.hits, cache.misses]
    [(4,), (4,), 1, 1]
    """

    def __init__(
        self,
        reader: Callable | None = None,
        max_bytes: int = 1 << 30,
        allow_pipes: bool = False,
    ) -> None:
        self.reader = as_reader(reader, allow_pipes)
        self.max_bytes = max_bytes
        self.gains = Gains()
        self.hits = self.misses = self.held_bytes = 0
        self._kept: OrderedDict[tuple, np.ndarray] = OrderedDict()

    def __call__(
        self, name: str, start: int = 0, stop: int | None = None, sample_rate: int = 16000
    ) -> np.ndarray:
        """Return samples [start, stop) of ``name``, float32 of shape (n,), and keep them."""
        key = (name, start, stop, sample_rate)
        kept = self._kept.get(key)
        if kept is not None:
            self.hits += 1
            self._kept.move_to_end(key)
            return _unpack(kept)
        self.misses += 1
        wave = self.reader(name, start, stop, sample_rate)
        self._keep(key, _pack(wave))
        return wave

    def window(self, name: str, start: int, stop: int, sample_rate: int) -> np.ndarray:
        """Return the same, but keep nothing; taken from the whole file where that is kept."""
        kept = self._kept.get((name, 0, None, sample_rate))
        if kept is not None:
            return _unpack(kept[start:stop])
        return self.reader.window(name, start, stop, sample_rate)

    def num_samples(self, name: str, sample_rate: int) -> int:
        """Return the length of ``name`` at ``sample_rate`` Hz."""
        return self.reader.num_samples(name, sample_rate)

    def _keep(self, key: tuple, packed: np.ndarray) -> None:
        size = packed.nbytes + _ENTRY_BYTES
        if size > self.max_bytes:
            return
        self.held_bytes += size
        self._kept[key] = packed
        while self.held_bytes > self.max_bytes:
            _, old = self._kept.popitem(last=False)
            self.held_bytes -= old.nbytes + _ENTRY_BYTES


def as_reader(reader: Callable | None, allow_pipes: bool = False) -> Reader:
    """Return ``reader`` itself if it knows lengths and windows, else wrapped so that it does."""
    if isinstance(reader, FileReader | UtteranceCache):
        return reader
    return FileReader(reader, allow_pipes)


def is_pipe(name: str | os.PathLike) -> bool:
    """Return whether ``name`` is a shell command, whose length is not to be had cheaply."""
    return os.fspath(name).rstrip().endswith("|")


def _pack(wave: np.ndarray) -> np.ndarray:
    """Return 16-bit samples where these hold ``wave`` exactly, else a copy of it."""
    scaled = wave * np.float32(32768)
    packed = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return packed if np.array_equal(packed, scaled) else wave.copy()


def _unpack(kept: np.ndarray) -> np.ndarray:
    if kept.dtype != np.int16:
        return kept.copy()
    return np.multiply(kept, _INT16_SCALE, dtype=np.float32)
