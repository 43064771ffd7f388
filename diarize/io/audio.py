"""Audio by Kaldi's rxfilenames: a file, ``path:offset`` into an ark, or ``command |``.

Samples of all sources are one channel of float32 values in [-1, 1) at the requested rate.
"""

import io
import logging
import math
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from diarize.errors import DiarizeError
from diarize.io import audio_container, audio_streams
from diarize.io.atomic import atomic_write

_LOG = logging.getLogger(__name__)
_ARK = re.compile(r"(.+):(\d+)")
_UNKNOWN_LENGTH = 1 << 62
_INT16_SCALE = np.float32(1 / 32768)


@dataclass(frozen=True)
class AudioInfo:
    """Audio format of a recording: rate in Hz, samples per channel at that rate, channels."""

    sample_rate: int
    num_samples: int
    channels: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate

    def samples_at(self, sample_rate: int) -> int:
        """Return the number of samples of the whole recording in ``read_audio`` at this rate.

        >>> AudioInfo(44100, 44101, 2).samples_at(16000)
        16001
        """
        up, down = _ratio(self.sample_rate, sample_rate)
        return -(-self.num_samples * up // down)


@dataclass(frozen=True)
class AudioSource:
    """One entry of wav.scp.

    ``rxfilename`` is a path, ``path:offset`` into an ark of WAV files, or ``command |``,
    which runs in the shell and requires ``allow_pipes``.  A relative path refers to the
    current directory, as in Kaldi, and if it does not exist there, to ``base`` (the data
    directory).  ``recording`` is named in messages.
    """

    rxfilename: str
    allow_pipes: bool = False
    base: Path | None = None
    recording: str = ""

    def __str__(self) -> str:
        prefix = f"recording {self.recording}: " if self.recording else ""
        return prefix + self.rxfilename

    @property
    def is_pipe(self) -> bool:
        """Whether the samples come from a shell command."""
        return self.rxfilename.rstrip().endswith("|")

    @property
    def is_seekable(self) -> bool:
        """Whether a part can be read without the rest; not for pipes and members of an ark."""
        return not self.is_pipe and _ARK.fullmatch(self.rxfilename) is None

    def resolved(self) -> str:
        """Return the rxfilename in a form that can be opened without ``base``.

        A relative path that exists only below ``base`` is joined with it.  Raises DiarizeError
        if it exists at neither place.
        """
        name = self.rxfilename
        if self.is_pipe or os.path.isabs(name):
            return name
        ark = _ARK.fullmatch(name)
        path = ark[1] if ark else name
        if os.path.exists(path):
            return name
        if self.base is not None and os.path.exists(self.base / path):
            return os.path.join(self.base, name)
        raise DiarizeError(
            f"{self}: found neither from the current directory nor from {self.base}"
        )

    def info(self) -> AudioInfo:
        """Return rate, length and channels, from the header if there is one.

        Raises DiarizeError as ``read_audio`` does, also for a recording without samples.
        """
        if self.is_seekable:
            fd = _open_file(self, self.rxfilename)
            try:
                plain = audio_container.plain_header(fd)
                flac = plain is not None and os.pread(fd, 4, 0) == b"fLaC"
                more = audio_streams.excess(fd, "FLAC", quick=True) if flac else ""
            finally:
                os.close(fd)
            if more:
                raise DiarizeError(f"{self}: {more}")
            if plain is not None:
                return AudioInfo(*plain)
        with _opened(self) as handle:
            return AudioInfo(handle.samplerate, _num_frames(self, handle), handle.channels)


def read_audio(
    source: AudioSource | str | os.PathLike,
    start: int = 0,
    stop: int | None = None,
    sample_rate: int = 16000,
    allow_pipes: bool = False,
) -> np.ndarray:
    """Return the samples [start, stop) at ``sample_rate`` Hz, float32 of shape (n,).

    Channels are averaged.  Another rate is converted by a polyphase filter, with a notice;
    a part is then identical to the same cut of the whole.  Only the requested part is
    decoded, except from arks and pipes.  ``stop`` may lie beyond the end, ``start`` may not.
    Raises DiarizeError, naming the recording, if it is missing, truncated, empty, not audio,
    or has NaN or infinite samples.
    """
    if not isinstance(source, AudioSource):
        source = AudioSource(os.fspath(source), allow_pipes)
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"no samples in [{start}, {stop})")
    with _opened(source) as handle:
        return _read_part(source, handle, start, stop, sample_rate)


def read_blocks(
    source: AudioSource, sample_rate: int, seconds: float = 600.0
) -> Iterator[np.ndarray]:
    """Yield all samples at ``sample_rate`` Hz in blocks of ``seconds``, each float32 (n,).

    The source is opened once, so that a pipe runs once.  Samples and errors are those of
    `read_audio`.
    """
    block = round(seconds * sample_rate)
    with _opened(source) as handle:
        total = AudioInfo(handle.samplerate, _num_frames(source, handle), 1)
        for start in range(0, total.samples_at(sample_rate), block):
            yield _read_part(source, handle, start, start + block, sample_rate)


def _read_part(
    source: AudioSource,
    handle: soundfile.SoundFile,
    start: int,
    stop: int | None,
    sample_rate: int,
) -> np.ndarray:
    """Return samples [start, stop) of the open file at ``sample_rate`` Hz."""
    num_frames = _num_frames(source, handle)
    rate = handle.samplerate
    up, down = _ratio(rate, sample_rate)
    total = -(-num_frames * up // down)
    if start >= total:
        raise DiarizeError(
            f"{source}: the part from {start / sample_rate:.3f} s was asked for, but the "
            f"recording ends at {total / sample_rate:.3f} s; check segments and reco2dur"
        )
    stop = total if stop is None else min(stop, total)
    if rate == sample_rate:
        return _read_frames(source, handle, start, stop)
    _notice(rate, sample_rate)
    half = _half_length(up, down)
    # Output m lies at input m * down / up.  A start at a multiple of ``down`` aligns the
    # outputs of the part with those of the whole.
    first = max(0, (start * down - half) // up) // down * down
    last = min(num_frames, ((stop - 1) * down + half) // up + 1)
    part = _read_frames(source, handle, first, last)
    skip = first // down * up
    return resample(part, rate, sample_rate)[start - skip : stop - skip]


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Return float32 ``samples`` (n,) at ``to_rate`` Hz, shape (ceil(n * to_rate / from_rate),).

    >>> resample(np.zeros(442, np.float32), 44100, 16000).shape
    (161,)
    """
    if from_rate == to_rate:
        return samples
    # The import of scipy.signal takes a third of a second, and most corpora do not require it.
    from scipy.signal import resample_poly

    up, down = _ratio(from_rate, to_rate)
    return resample_poly(samples, up, down, window=_filter(up, down)).astype(np.float32, copy=False)


def write_wav(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> int:
    """Write ``samples`` (n,) as 16-bit mono WAV and return the number of clipped samples.

    Samples outside [-1, 1] are clipped.  The file is complete or absent.  Raises
    DiarizeError for NaN or infinite samples, or if it cannot be written.
    """
    if samples.ndim != 1:
        raise ValueError(f"one channel expected, not shape {samples.shape}")
    bad = np.flatnonzero(~np.isfinite(samples))
    if bad.size:
        raise DiarizeError(f"cannot write {path}: sample {bad[0]} is {samples[bad[0]]}")
    clipped = int(np.count_nonzero(np.abs(samples) > 1))
    data = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    if len(data) > 0xFFFFFFFF - 36:
        raise DiarizeError(f"cannot write {path}: more than 4 GiB do not fit into a WAV file")
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1),
        *(sample_rate, 2 * sample_rate, 2, 16, b"data", len(data)),
    )
    with atomic_write(path, "wb") as handle:
        handle.write(header)
        handle.write(data)
    return clipped


@contextmanager
def _opened(source: AudioSource) -> Iterator[soundfile.SoundFile]:
    """Yield the open sound file after a check of its length against its header."""
    if source.is_pipe:
        if not source.allow_pipes:
            raise DiarizeError(
                f"{source}: a shell command, and these are not run unless allowed "
                "(--allow-pipes); or write the audio to files first"
            )
        data = audio_container.pipe_output(source.rxfilename.rstrip()[:-1].strip(), str(source))
        with _sound_file(source, data) as handle:
            yield handle
        return
    ark = _ARK.fullmatch(source.rxfilename)
    fd = _open_file(source, ark[1] if ark else source.rxfilename)
    try:
        content = audio_container.ark_member(fd, int(ark[2]), str(source)) if ark else fd
        with _sound_file(source, content) as handle:
            yield handle
    finally:
        os.close(fd)


def _open_file(source: AudioSource, path: str) -> int:
    """Return a descriptor of the file, relative to the current directory, else to the base."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang
    try:
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            if source.base is None or os.path.isabs(path):
                raise
            fd = os.open(os.path.join(source.base, path), flags)
    except OSError as err:
        hint = ""
        if isinstance(err, FileNotFoundError):
            hint = "; relative paths begin at the current directory"
            hint += f" or at {source.base}" if source.base is not None else ""
        raise DiarizeError(f"{source}: cannot open it: {err.strerror}{hint}") from err
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        kind = "a directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "a device or FIFO"
        os.close(fd)
        raise DiarizeError(f"{source}: {kind}, not an audio file")
    return fd


@contextmanager
def _sound_file(source: AudioSource, content: int | bytes) -> Iterator[soundfile.SoundFile]:
    try:
        opened = content if isinstance(content, int) else io.BytesIO(content)
        handle = soundfile.SoundFile(opened, closefd=False)
    except soundfile.LibsndfileError as err:
        why = audio_container.explain(content, err.error_string)
        raise DiarizeError(f"{source}: {why}") from err
    with handle:
        fault = audio_container.find_truncation(handle, content)
        more = "" if fault else audio_streams.excess(content, handle.format)
        rebuilt = None
        if handle.format == "MP3":
            rebuilt, fault = audio_streams.mpeg_audio(content)
        if fault:
            raise DiarizeError(f"{source}: cut short: {fault}; fetch or write the file again")
        if more:
            raise DiarizeError(f"{source}: {more}")
        if rebuilt is None:
            yield handle
            return
    with soundfile.SoundFile(io.BytesIO(rebuilt)) as handle:
        yield handle


def _num_frames(source: AudioSource, handle: soundfile.SoundFile) -> int:
    num_frames = handle.frames
    if num_frames >= _UNKNOWN_LENGTH:
        raise DiarizeError(
            f"{source}: a {handle.format} stream that does not say how long it is; write it to "
            "a file again, for example with 'sox IN OUT.flac'"
        )
    if num_frames == 0:
        raise DiarizeError(f"{source}: holds no samples; remove it from wav.scp")
    return num_frames


def _read_frames(
    source: AudioSource, handle: soundfile.SoundFile, start: int, stop: int
) -> np.ndarray:
    """Return frames [start, stop) at the file's own rate as mono float32."""
    is_int16 = handle.subtype == "PCM_16"
    try:
        if handle.tell() != start:
            handle.seek(start)
        samples = handle.read(stop - start, dtype="int16" if is_int16 else "float32")
    except soundfile.LibsndfileError as err:
        raise DiarizeError(
            f"{source}: cannot be decoded ({err.error_string.strip()}): damaged or cut short; "
            "fetch or write the file again"
        ) from err
    if len(samples) < stop - start:
        raise DiarizeError(
            f"{source}: cut short: the header says {handle.frames} samples, but decoding ends "
            f"at {start + len(samples)}; fetch or write the file again"
        )
    if is_int16:
        # Twice as fast as libsndfile's own conversion, and the same values.
        samples = np.multiply(samples, _INT16_SCALE, dtype=np.float32)
    elif handle.subtype in ("FLOAT", "DOUBLE") and not np.isfinite(samples).all():
        finite = np.isfinite(samples)
        where = start + int(np.argmin(finite if samples.ndim == 1 else finite.all(axis=1)))
        raise DiarizeError(
            f"{source}: sample {where} ({where / handle.samplerate:.3f} s) is NaN or infinite; "
            "make the file again"
        )
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    return samples


def _ratio(from_rate: int, to_rate: int) -> tuple[int, int]:
    common = math.gcd(from_rate, to_rate)
    return to_rate // common, from_rate // common


def _half_length(up: int, down: int) -> int:
    return 10 * max(up, down)


@lru_cache(maxsize=16)
def _filter(up: int, down: int) -> np.ndarray:
    """Return the low-pass that scipy.signal.resample_poly would design in every call."""
    from scipy.signal import firwin

    taps = 2 * _half_length(up, down) + 1
    return firwin(taps, 1 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)


@lru_cache(maxsize=64)
def _notice(from_rate: int, to_rate: int) -> None:
    """Report the resampling of audio, once per process and pair of rates."""
    _LOG.warning("resampling audio of %d Hz to %d Hz (said once)", from_rate, to_rate)
