"""Audio input beyond soundfile: pipes, members of arks, headers, and truncated files."""

import os
import re
import struct
import subprocess
from functools import lru_cache

import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio_streams import part_of, size_of

# Messages of libsndfile's log for samples that end before the size in the header.
_SHORT = {
    "WAV": re.compile(r"^data\s*: (\d+) \(should be (\d+)\)", re.M),
    "WAVEX": re.compile(r"^data\s*: (\d+) \(should be (\d+)\)", re.M),
    "RF64": re.compile(r"Riff size\s*: (\d+) \(should be (\d+)\)"),
    "W64": re.compile(r"^riff\s*: (\d+) \(should be (\d+)\)", re.M),
    "AIFF": re.compile(r"SSND\s*: (\d+) \(should be (\d+)\)"),
    "AU": re.compile(r"Data Size\s*: (\d+) \(should be (\d+)\)"),
}
_PLAIN_HEADER = 44
_MAX_OGG_PAGE = 27 + 255 + 255 * 255


@lru_cache(maxsize=1)
def pipe_output(command: str, name: str) -> bytes:
    """Return the standard output of ``command``, run by ``/bin/sh``.

    Its standard input is empty, so that it cannot block.  The last output is cached:
    reading a recording in parts runs the command once.  Raises DiarizeError with the end
    of its standard error if it fails or its output is empty.
    """
    done = subprocess.run(
        command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode == 0 and done.stdout:
        return _finish_wav_header(done.stdout)
    what = f"ended with status {done.returncode}" if done.returncode else "wrote nothing"
    tail = " / ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:])[-300:]
    raise DiarizeError(f"{name}: the command {what}" + (f": {tail}" if tail else ""))


def ark_member(fd: int, offset: int, name: str) -> bytes:
    """Return the bytes of the WAV (or kaldiio AUDIO) that begins at ``offset`` of an ark."""
    with open(fd, "rb", closefd=False) as handle:
        handle.seek(offset)
        head = handle.read(8)
        if head[:4] == b"RIFF" and len(head) == 8:
            size = 8 + struct.unpack("<I", head[4:])[0]
            handle.seek(offset)
        elif head[:5] == b"AUDIO" and len(head) == 8:
            handle.seek(offset + 6)
            size = int.from_bytes(handle.read(head[5]), "little")
        else:
            raise DiarizeError(
                f"{name}: no WAV begins at this offset of the ark; make the scp again"
            )
        data = handle.read(size)
    if len(data) < size:
        raise DiarizeError(
            f"{name}: cut short: {size} bytes expected, the ark ends after {len(data)}; "
            "write the ark again"
        )
    return data


def plain_header(fd: int) -> tuple[int, int, int] | None:
    """Return rate, frames and channels of a FLAC, or a WAV of 16 bits in its simplest form.

    None for all other files and for unusual headers, which are left to libsndfile.  libsndfile
    takes five times as long to open a file, which matters for 100,000 files.
    """
    head = os.pread(fd, _PLAIN_HEADER, 0)
    if len(head) < _PLAIN_HEADER:
        return None
    if head[:4] == b"fLaC":
        # STREAMINFO (RFC 9639, section 8.2) comes first: 20 bits of rate, 3 of channels - 1, 5 of
        # bits - 1, 36 of samples.
        packed = int.from_bytes(head[18:26], "big")
        rate, channels, frames = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
        usual = head[4] & 0x7F == 0 and head[5:8] == b"\0\0\x22" and rate and frames
        return (rate, frames, channels) if usual else None
    riff, size, wave, fmt, length, form, channels, rate, _, block, bits, data, count = (
        struct.unpack("<4sI4s4sIHHIIHH4sI", head)
    )
    usual = (riff, wave, fmt, data) == (b"RIFF", b"WAVE", b"fmt ", b"data")
    usual = usual and (length, form, bits) == (16, 1, 16) and channels and rate and count
    usual = usual and block == 2 * channels and count % block == 0
    # No data after the samples: neither other chunks nor samples beyond the header's length.
    whole = size + 8 == os.fstat(fd).st_size and count + 36 == size
    return (rate, count // block, channels) if usual and whole else None


def find_truncation(handle: soundfile.SoundFile, content: int | bytes) -> str:
    """Return a description of the missing part of an open sound file, '' if it is complete.

    ``content`` is the descriptor or the bytes from which it was opened.  libsndfile shortens
    a truncated file without an error.
    """
    kind = handle.format
    if kind == "FLAC":
        return ""  # the decoder itself fails for missing frames
    if kind in _SHORT:
        found = _SHORT[kind].search(handle.extra_info)
        if found and not _is_streaming_size(int(found[1])):
            return f"the header promises {found[1]} bytes, {found[2]} are there"
        if handle.frames == 0 and kind == "WAV":
            data = part_of(content, 0, size_of(content))
            if _finish_wav_header(data) is not data:
                return "the header promises 0 bytes though some follow, so it was never finished"
    elif kind == "OGG":
        if _ogg_is_cut(_tail(content, _MAX_OGG_PAGE)):
            return "the last Ogg page is not complete"
    elif kind == "NIST":
        found = re.search(rb"sample_count -i (\d+)", part_of(content, 0, 1024))
        if found and handle.frames < int(found[1]):
            return f"the header promises {int(found[1])} samples, {handle.frames} are there"
    return ""


def explain(content: int | bytes, error: str) -> str:
    """Return fault and remedy for ``content`` refused by soundfile, from its first bytes."""
    head = part_of(content, 0, 1024)
    if not head:
        return "an empty file; fetch or write it again"
    if head.startswith(b"NIST_1A") and b"shorten" in head:
        return (
            "SPHERE compressed by shorten, which cannot be read; use "
            "'sph2pipe -f wav FILE |' in wav.scp, or convert it with sph2pipe"
        )
    return (
        f"cannot be read as audio ({error.strip().rstrip('.')}); WAV, FLAC, OGG and SPHERE "
        "can: convert it, for example with sox or ffmpeg"
    )


def _is_streaming_size(size: int) -> bool:
    """Whether a data size means 'unknown', as sox, ffmpeg and others write to pipes."""
    return 0x7FFFF000 <= size <= 0x80000100 or size >= 0xFFFFF000


def _finish_wav_header(data: bytes) -> bytes:
    """Return the WAV with its actual data size in place of 0, which also means 'unknown'."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return data
    position = 12
    while position + 8 <= len(data):
        size = struct.unpack_from("<I", data, position + 4)[0]
        if data[position : position + 4] == b"data":
            rest = len(data) - position - 8
            finished = struct.unpack_from("<I", data, 4)[0] + 8 >= len(data)
            if size or finished or rest > 0xFFFFFFFF:
                return data
            return data[: position + 4] + struct.pack("<I", rest) + data[position + 8 :]
        position += 8 + size + size % 2
    return data


def _ogg_is_cut(tail: bytes) -> bool:
    """Whether the last Ogg page (RFC 3533, section 6) is truncated."""
    page = tail.rfind(b"OggS\0")
    if page < 0:
        return False
    if len(tail) < page + 27:
        return True
    table = tail[page + 27 : page + 27 + tail[page + 26]]
    return len(table) < tail[page + 26] or len(tail) < page + 27 + len(table) + sum(table)


def _tail(content: int | bytes, size: int) -> bytes:
    return part_of(content, max(0, size_of(content) - size), size)
