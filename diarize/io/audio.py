"""Audio by Kaldi's rxfilenames: a file, ``path:offset`` into an ark, or ``command |``.

Samples of all sources are one channel of float32 values in [-1, 1) at the requested rate.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io import audio_container
from diarize.io.atomic import atomic_write
from diarize.io.audio_bytes import Content
from diarize.io.audio_open import check_sound, open_sound
from diarize.io.audio_sound import Channel, Sound
from diarize.io.audio_streams import flac_is_one_stream
from diarize.io.resample import half_length, notice, ratio, resample
from diarize.io.rxfilename import split_offset


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
        up, down = ratio(self.sample_rate, sample_rate)
        return -(-self.num_samples * up // down)


@dataclass(frozen=True)
class AudioSource:
    """One entry of wav.scp.

    ``rxfilename`` is a path, ``path:offset`` into an ark of WAV files, ``-`` for standard
    input, or ``command |``, which runs in the shell and requires ``allow_pipes``.  A relative
    path refers to the current directory, as in Kaldi, and if it does not exist there, to
    ``base`` (the data directory).  ``recording`` is named in messages.

    ``channel`` is the number of a channel, from 1, or "mix": the mean of the channels, or the
    louder one with a warning if they cancel each other.
    """

    rxfilename: str
    allow_pipes: bool = False
    base: Path | None = None
    recording: str = ""
    channel: Channel = "mix"

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
        return not self.is_pipe and split_offset(self.rxfilename) is None

    def resolved(self) -> str:
        """Return the rxfilename in a form that can be opened without ``base``.

        A relative path that exists only below ``base`` is joined with it.  Raises DiarizeError
        if it exists at neither place.
        """
        name = self.rxfilename
        if self.is_pipe or name == "-" or os.path.isabs(name):
            return name
        ark = split_offset(name)
        path = ark[0] if ark else name
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
        if self.is_seekable and self.rxfilename != "-":
            fd = _open_file(self, self.rxfilename)
            try:
                plain = audio_container.plain_header(fd)
                if plain and os.pread(fd, 4, 0) == b"fLaC" and not flac_is_one_stream(fd):
                    plain = None
            finally:
                os.close(fd)
            if plain:
                return AudioInfo(*plain)
        with _opened(self) as sound:
            return AudioInfo(sound.sample_rate, sound.num_frames, sound.channels)

    def check(self) -> None:
        """Raise the DiarizeError of `info` as far as it is known without decoding.

        For audio that requires ffmpeg, this is whether ffmpeg is installed.  Commands are not
        run; standard input is read.
        """
        if self.is_pipe and self.allow_pipes:
            return
        with _content(self) as content:
            check_sound(content, str(self))

    def each_channel(self) -> list["AudioSource"]:
        """Return one source per channel, in their order."""
        return [replace(self, channel=i + 1) for i in range(self.info().channels)]


def read_audio(
    source: AudioSource | str | os.PathLike,
    start: int = 0,
    stop: int | None = None,
    sample_rate: int = 16000,
    allow_pipes: bool = False,
) -> np.ndarray:
    """Return the samples [start, stop) at ``sample_rate`` Hz, float32 of shape (n,).

    Channels are averaged, or the one of the source is read.  Another rate is converted by a
    polyphase filter, with a notice; a part is then identical to the same cut of the whole.  Only
    the requested part is decoded.  ``stop`` may lie beyond the end, ``start`` may not.
    Raises DiarizeError, naming the recording, if it is missing, truncated, empty, not audio,
    or has NaN or infinite samples, or samples beyond 2^31.
    """
    if not isinstance(source, AudioSource):
        source = AudioSource(os.fspath(source), allow_pipes)
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"no samples in [{start}, {stop})")
    with _opened(source) as sound:
        return _read_part(source, sound, start, stop, sample_rate)


def read_blocks(
    source: AudioSource, sample_rate: int, seconds: float = 600.0
) -> Iterator[np.ndarray]:
    """Yield all samples at ``sample_rate`` Hz in blocks of ``seconds``, each float32 (n,).

    The source is opened once, so that a pipe runs once.  Samples and errors are those of
    `read_audio`.
    """
    block = round(seconds * sample_rate)
    with _opened(source) as sound:
        total = AudioInfo(sound.sample_rate, sound.num_frames, 1)
        for start in range(0, total.samples_at(sample_rate), block):
            yield _read_part(source, sound, start, start + block, sample_rate)


def read_channels(source: AudioSource, block: int = 1 << 18) -> Iterator[np.ndarray]:
    """Yield the samples of all channels at the rate of the file, in blocks float32 (n, channels).

    Errors are those of `read_audio`.
    """
    with _opened(source) as sound:
        total = sound.num_frames
        for start in range(0, total, block):
            samples = sound.read_channels(start, min(start + block, total))
            yield samples.reshape(len(samples), -1)


def _read_part(
    source: AudioSource,
    sound: Sound,
    start: int,
    stop: int | None,
    sample_rate: int,
) -> np.ndarray:
    """Return samples [start, stop) of the open file at ``sample_rate`` Hz."""
    num_frames, rate = sound.num_frames, sound.sample_rate
    up, down = ratio(rate, sample_rate)
    total = -(-num_frames * up // down)
    if start >= total:
        raise DiarizeError(
            f"{source}: the part from {start / sample_rate:.3f} s was asked for, but the "
            f"recording ends at {total / sample_rate:.3f} s; check segments and reco2dur"
        )
    stop = total if stop is None else min(stop, total)
    if rate == sample_rate:
        return sound.read(start, stop, source.channel)
    notice(rate, sample_rate)
    half = half_length(up, down)
    # Output m lies at input m * down / up.  A start at a multiple of ``down`` aligns the
    # outputs of the part with those of the whole.
    first = max(0, (start * down - half) // up) // down * down
    last = min(num_frames, ((stop - 1) * down + half) // up + 1)
    part = sound.read(first, last, source.channel)
    skip = first // down * up
    return resample(part, rate, sample_rate)[start - skip : stop - skip]


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
def _opened(source: AudioSource) -> Iterator[Sound]:
    """Yield the open audio of its true length."""
    with _content(source) as content, open_sound(content, str(source)) as sound:
        yield sound


@contextmanager
def _content(source: AudioSource) -> Iterator[Content]:
    """Yield the content of the source: a descriptor, a temporary file, or bytes of an ark."""
    name = str(source)
    if source.rxfilename == "-":
        yield audio_container.standard_input()
        return
    if source.is_pipe:
        if not source.allow_pipes:
            raise DiarizeError(
                f"{name}: a shell command, and these are not run unless allowed "
                "(--allow-pipes); or write the audio to files first"
            )
        yield audio_container.pipe_output(source.rxfilename.rstrip()[:-1].strip(), name)
        return
    ark = split_offset(source.rxfilename)
    fd = _open_file(source, ark[0] if ark else source.rxfilename)
    try:
        yield audio_container.ark_member(fd, ark[1], name) if ark else fd
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
