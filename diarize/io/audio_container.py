"""Audio input beyond soundfile: pipes, members of arks, headers, and truncated files."""

import os
import re
import shutil
import struct
import subprocess
import sys
from functools import lru_cache

import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio_bytes import Content, Spool, part_of, size_of
from diarize.io.audio_wav import is_streaming_size

# Messages of libsndfile's log for samples that end before the size in the header.
_SHORT = {
    "RF64": re.compile(r"Riff size\s*: (\d+) \(should be (\d+)\)"),
    "W64": re.compile(r"^riff\s*: (\d+) \(should be (\d+)\)", re.M),
    "AIFF": re.compile(r"SSND\s*: (\d+) \(should be (\d+)\)"),
    "AU": re.compile(r"Data Size\s*: (\d+) \(should be (\d+)\)"),
}
_PLAIN_HEADER = 44
# Bytes per sample, where it is constant; chunks: first place, and see `_end_of_chunks`.
_WIDTHS = {"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4,
           "FLOAT": 4, "DOUBLE": 8}  # fmt: skip
_CHUNKS = {
    "AIFF": (12, 4, ">I", False, 2),
    "CAF": (8, 4, ">q", False, 1),
    "W64": (40, 16, "<Q", True, 8),
}
_FEW, _PADDING = 1024, 1 << 16  # bytes after the samples that are ignored; zeros that are


@lru_cache(maxsize=1)
def standard_input() -> Spool:
    """Return a temporary file with all of standard input, which is read once."""
    if sys.stdin is None or sys.stdin.isatty():
        raise DiarizeError("-: standard input is a terminal; pipe audio into it, or name a file")
    spool = Spool()
    with open(spool.fd, "wb", closefd=False) as out:
        shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
    return spool


@lru_cache(maxsize=1)
def pipe_output(command: str, name: str) -> Spool:
    """Return a temporary file with the standard output of ``command``, run by ``/bin/sh``.

    Its standard input is empty, so that it cannot block.  The last output is kept: reading a
    recording in parts runs the command once.  Raises DiarizeError with the end of its standard
    error if it fails or its output is empty.
    """
    spool = Spool()
    done = subprocess.run(
        command, shell=True, stdin=subprocess.DEVNULL, stdout=spool.fd, stderr=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    if done.returncode == 0 and size_of(spool):
        return spool
    what = f"ended with status {done.returncode}" if done.returncode else "wrote nothing"
    tail = " / ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:])[-300:]
    raise DiarizeError(f"{name}: the command {what}" + (f": {tail}" if tail else ""))


def ark_member(fd: int, offset: int, name: str) -> bytes:
    """Return the bytes of the WAV (or kaldiio AUDIO) that begins at ``offset`` of an ark."""
    with open(fd, "rb", closefd=False) as handle:
        there = os.fstat(fd).st_size
        handle.seek(min(offset, there))
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
        # A damaged size is no number of bytes to reserve.
        data = handle.read(min(size, there))
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


def find_truncation(handle: soundfile.SoundFile, content: Content) -> str:
    """Return a description of the missing part of an open sound file, '' if it is complete.

    ``content`` is the descriptor or the bytes from which it was opened.  libsndfile shortens
    a truncated file without an error.
    """
    kind = handle.format
    if kind in _SHORT:
        found = _SHORT[kind].search(handle.extra_info)
        promised, there = (int(found[1]), int(found[2])) if found else (0, 0)
        if there < promised and not is_streaming_size(promised):
            return f"the header promises {promised} bytes, {there} are there"
    elif kind == "NIST":
        count = sphere_samples(content)
        if count is not None and handle.frames < count:
            return f"the header promises {count} samples, {handle.frames} are there"
    return ""


def explain(content: Content, error: str) -> str:
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
        f"cannot be read as audio ({error.strip().rstrip('.')}): no audio, damaged, or of an "
        "unknown format; convert it to WAV or FLAC, for example with ffmpeg"
    )


def header_fault(content: Content) -> str:
    """Return the fault of the header of a CAF or SPHERE file, '' for none and other formats."""
    head, size = part_of(content, 0, 1024), size_of(content)
    if head.startswith(b"caff"):
        end = _end_of_chunks(content, *_CHUNKS["CAF"])
        if end > size:
            return f"cut short: the header promises {end} bytes, {size} are there"
    if head.startswith(b"NIST_1A") and b"\nend_head" not in head:
        return "damaged: the SPHERE header has no end_head"
    return ""


def sphere_samples(content: Content) -> int | None:
    """Return the number of samples that a SPHERE header states; libsndfile reads to the end."""
    found = re.search(rb"sample_count -i (\d+)", part_of(content, 0, 1024))
    return int(found[1]) if found else None


def find_excess(handle: soundfile.SoundFile, content: Content) -> str:
    """Return a description of bytes after the samples that are no chunk, '' if there are none.

    For open files in AIFF, AU, CAF and W64.
    """
    width, kind, end = _WIDTHS.get(handle.subtype), handle.format, size_of(content)
    if width is None or kind not in ("AIFF", "AU", "CAF", "W64"):
        return ""
    size = handle.frames * handle.channels * width
    head = part_of(content, 0, 16)
    if kind == "AU":
        rest = end - int.from_bytes(head[4:8], "big" if head[:4] == b".snd" else "little") - size
    else:
        rest = end - _end_of_chunks(content, *_CHUNKS[kind])
    if rest <= _FEW or (rest <= _PADDING and not any(part_of(content, end - rest, rest))):
        return ""
    more = rest / (handle.channels * width * handle.samplerate)
    # libsndfile reads a W64 file to the end.
    seconds = handle.frames / handle.samplerate - (more if kind == "W64" else 0)
    return f"the header states {seconds:.3f} s, but bytes for {more:.3f} s more follow"


def _end_of_chunks(
    content: Content, place: int, name: int, size: str, with_header: bool, align: int
) -> int:
    """Return where the chunks from ``place`` on end, which may be beyond the end of the file.

    A header is a name of ``name`` bytes and a size of the struct format ``size``, which counts the
    header if ``with_header`` is true.
    """
    length, end = name + struct.calcsize(size), size_of(content)
    while place + length <= end:
        head = part_of(content, place, length)
        if not all(32 <= byte < 127 for byte in head[:4]):
            break
        count = struct.unpack(size, head[name:])[0]
        if count <= 8 and head[:4] in (b"SSND", b"data"):  # written to a pipe: up to the end
            return end
        count += 0 if with_header else length
        place += max(length, count + -count % align)
    return place
