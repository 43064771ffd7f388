"""Opening of audio by its content: the true length, regardless of the header.

A length is believed where the format states it exactly.  Otherwise:

* MP3 (also in a WAV): the frames are counted, once per file and process.
* WAV: see `diarize.io.audio_wav`; FLAC without a length: that of its last frame.
* FLAC and Ogg files of several streams, as ``cat`` joins them: one stream after another.
* A file that is shorter than its header states, or damaged, is an error.
* A file that is longer than its header states is read whole, with a warning that states both
  lengths; AIFF, AU, CAF and W64 files, whose true end is not known, are refused with both.
* Formats unknown to libsndfile are decoded by ffmpeg.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import soundfile

from diarize.errors import DiarizeError
from diarize.io import audio_container, audio_ffmpeg
from diarize.io.audio_bytes import Content, Piece, PiecedFile, Spool, opener, part_of, size_of
from diarize.io.audio_mpeg import mpeg_stream
from diarize.io.audio_sound import Sound
from diarize.io.audio_streams import flac_streams, flac_with_length, ogg_streams
from diarize.io.audio_wav import wav_size

_LOG = logging.getLogger(__name__)
_UNKNOWN_LENGTH = 1 << 62
_RATES = (100, 768000)  # Hz; below and above, a header is damaged
_AGAIN = "fetch or write the file again"


@dataclass(frozen=True)
class _Plan:
    """How a file is opened: the pieces of each stream, None for the file as it is.

    ``stated``: seconds by a header that is wrong; ``joined``: the header is that of the first of
    several streams; ``note``: further warning; ``foreign``: libsndfile does not know the length.
    """

    streams: tuple[tuple[Piece, ...] | None, ...] = (None,)
    stated: float | None = None
    joined: bool = False
    fault: str = ""
    note: str = ""
    foreign: bool = False


_plans: dict[tuple, _Plan] = {}


@contextmanager
def open_sound(content: Content, name: str) -> Iterator[Sound]:
    """Yield the open audio of ``content``; ``name`` is that of messages.

    Raises DiarizeError for files that are no audio, cut short or damaged, or require ffmpeg if it
    is not installed.
    """
    key = audio_ffmpeg.key_of(content) if isinstance(content, int | Spool) else None
    with ExitStack() as stack:
        sound = _open(content, key, name, stack)
        if sound is None:
            assert key is not None
            decoded = audio_ffmpeg.decoded(content, key, name)
            sound = _open(decoded, audio_ffmpeg.key_of(decoded), name, stack)
        assert sound is not None
        yield sound


def check_sound(content: Content, name: str) -> None:
    """Raise the error of `open_sound` as far as it is known without decoding by ffmpeg."""
    key = audio_ffmpeg.key_of(content) if isinstance(content, int | Spool) else None
    with ExitStack() as stack:
        sound = _open(content, key, name, stack)
        if sound is None:
            audio_ffmpeg.find_ffmpeg(audio_ffmpeg.demuxer(content), name)
        else:
            _ = sound.num_frames


def _open(content: Content, key: tuple | None, name: str, stack: ExitStack) -> Sound | None:
    """Return the open audio, None for a file that ffmpeg has to decode."""
    try:
        plan = _plan_of(content, key)
        if plan.fault:
            raise DiarizeError(f"{name}: {plan.fault}; {_AGAIN}")
        if plan.foreign and key is not None:
            return None
        streams = []
        for pieces in plan.streams:
            opened = opener(content) if pieces is None else PiecedFile(content, pieces)
            handle = stack.enter_context(soundfile.SoundFile(opened, closefd=False))
            _check(handle, content if pieces is None else None, name)
            streams.append(handle)
    except soundfile.LibsndfileError as err:
        if key is not None and audio_ffmpeg.demuxer(content):
            return None
        why = audio_container.explain(content, err.error_string)
        raise DiarizeError(f"{name}: {why}") from err
    _report(plan, streams, name)
    return Sound(streams, name, key)


def _plan_of(content: Content, key: tuple | None) -> _Plan:
    if key is None:
        return _make_plan(content)
    if key not in _plans:
        if len(_plans) > 1 << 16:
            _plans.clear()
        _plans[key] = _make_plan(content)
    return _plans[key]


def _make_plan(content: Content) -> _Plan:
    """Return how to open the file; soundfile.LibsndfileError if libsndfile does not know it."""
    head = part_of(content, 0, 12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return _wav_plan(content)
    if head[:4] == b"OggS":
        return _ogg_plan(content)
    if head[:4] == b"fLaC":
        return _flac_plan(content)
    fault = audio_container.header_fault(content)
    if fault:
        return _Plan(fault=fault)
    if audio_ffmpeg.demuxer(content) == "mp3":
        plan = _mpeg_plan(content)
        if plan != _Plan():
            return plan
    with soundfile.SoundFile(opener(content), closefd=False) as handle:
        kind, rate = handle.format, handle.samplerate
    if kind == "NIST":
        count = audio_container.sphere_samples(content)
        return _Plan(stated=None if count is None else count / rate)
    return _mpeg_plan(content) if kind == "MP3" else _Plan()


def _mpeg_plan(content: Content, start: int = 0, stop: int | None = None) -> _Plan:
    found = mpeg_stream(content, start, stop)
    fault = f"cut short: {found.fault}" if found.fault else ""
    return _Plan((found.pieces,), found.stated, False, fault, found.note, found.layer != 3)


def _wav_plan(content: Content) -> _Plan:
    size = wav_size(content)
    if size is None:
        return _Plan()
    if size.fault:
        return _Plan(fault=f"cut short: {size.fault}")
    if size.is_mpeg:
        return _mpeg_plan(content, size.start, size.start + size.size)
    if size.size == size.stated:
        return _Plan()
    return _Plan((size.pieces(),), None if size.unknown else size.stated / size.byte_rate)


def _ogg_plan(content: Content) -> _Plan:
    starts, fault = ogg_streams(content)
    if fault or len(starts) == 1:
        return _Plan(fault=fault)
    return _Plan(_split(content, starts), joined=True)


def _flac_plan(content: Content) -> _Plan:
    starts = flac_streams(content)
    streams = [_flac_pieces(content, *pieces[0]) for pieces in _split(content, starts)]
    return _Plan(tuple(streams), joined=len(starts) > 1)


def _flac_pieces(content: Content, start: int, size: int) -> tuple[Piece, ...] | None:
    """Return the pieces of one FLAC stream of ``size`` bytes from ``start``, None for the file."""
    stream = PiecedFile(content, [(start, size)])
    if int.from_bytes(stream.part(18, 8), "big") & (1 << 36) - 1 == 0:
        finished = flac_with_length(stream)
        if finished:
            head, (place, length) = finished
            return head, (start + place, length)
    return None if size == size_of(content) else ((start, size),)


def _split(content: Content, starts: list[int]) -> tuple[tuple[Piece, ...], ...]:
    ends = [*starts[1:], size_of(content)]
    return tuple(((start, end - start),) for start, end in zip(starts, ends, strict=True))


def _check(handle: soundfile.SoundFile, content: Content | None, name: str) -> None:
    """Raise DiarizeError if the file ends before or after the length in its header."""
    if handle.frames >= _UNKNOWN_LENGTH:
        raise DiarizeError(
            f"{name}: a {handle.format} stream without its length; write it to a "
            "file again, for example with 'sox IN OUT.flac'"
        )
    if not _RATES[0] <= handle.samplerate <= _RATES[1]:
        raise DiarizeError(
            f"{name}: damaged: the header states a sample rate of {handle.samplerate} Hz; {_AGAIN}"
        )
    if content is None:
        return
    fault = audio_container.find_truncation(handle, content)
    if fault:
        raise DiarizeError(f"{name}: cut short: {fault}; {_AGAIN}")
    more = audio_container.find_excess(handle, content)
    if more:
        raise DiarizeError(f"{name}: {more}; convert it by sox or ffmpeg, or {_AGAIN}")


def _report(plan: _Plan, streams: list[soundfile.SoundFile], name: str) -> None:
    """Warn, once, about a header that is wrong; with both lengths."""
    if plan.note:
        _tell(f"{name}: damaged: {plan.note}")
    if plan.stated is None and not plan.joined:
        return
    lengths = [stream.frames / stream.samplerate for stream in streams]
    if plan.joined:
        _tell(f"{name}: {len(streams)} streams were joined byte by byte: {lengths[0]:.3f} s in the "
              f"first, {sum(lengths):.3f} s in all, which are read")  # fmt: skip
    elif abs(sum(lengths) - plan.stated) > 0.1:
        _tell(f"{name}: the header states {plan.stated:.3f} s, but {sum(lengths):.3f} s are there, "
              "which are read")  # fmt: skip


@lru_cache(maxsize=1 << 12)
def _tell(message: str) -> None:
    """Log a warning once per process."""
    _LOG.warning("%s", message)
