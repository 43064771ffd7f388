"""Length of a WAV whose header is wrong.

The size of the samples in the header is trusted if the samples are followed by chunks, a tag or a
few bytes.  It is not believed, and the samples continue to the end of the file, if

* it is 0 or a value near 2 or 4 GiB, as programs write to pipes, or into a file whose size does
  not fit into 32 bits;
* other bytes follow the samples: the header was not finished, or its size is that of more than
  4 GiB, modulo 2^32;
* it exceeds the file, and the size of the whole in the first 12 bytes is that of the file.

It is an error if it exceeds the file otherwise: the file is cut short.
"""

import struct
from typing import NamedTuple

from diarize.io.audio_bytes import Content, Piece, part_of, size_of

# Number of bytes after the samples that is ignored, beginnings of tags, and chunks.
_FEW, _PADDING, _TAGS = 1024, 1 << 16, (b"ID3", b"TAG", b"APETAGEX")
_CHUNKS = (b"LIST", b"bext", b"iXML", b"JUNK", b"PAD ", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"fact")
_MPEG_TAGS = (0x50, 0x55)
_MAX_RIFF = 0xFFFFFFFF


class WavSize(NamedTuple):
    """Place of the samples in a WAV: ``size`` bytes from ``start``, ``stated`` by the header.

    ``format`` is the content of the chunk 'fmt '.  ``unknown``: the header states no size.
    """

    format: bytes
    start: int
    size: int
    stated: int
    unknown: bool = False
    fault: str = ""

    @property
    def is_mpeg(self) -> bool:
        """Whether the samples are an MPEG audio stream."""
        return struct.unpack_from("<H", self.format)[0] in _MPEG_TAGS

    @property
    def byte_rate(self) -> int:
        """Bytes per second by the header, at least 1."""
        return max(1, struct.unpack_from("<I", self.format, 8)[0])

    def pieces(self) -> tuple[Piece, ...]:
        """Return the WAV with the right sizes, as RF64 (EBU Tech 3306) above 4 GiB."""
        size = self.size - self.size % max(1, struct.unpack_from("<H", self.format, 12)[0])
        fmt = b"fmt " + struct.pack("<I", len(self.format)) + self.format
        riff = 4 + len(fmt) + 8 + size
        if riff <= _MAX_RIFF:
            head = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + fmt
            head += struct.pack("<4sI", b"data", size)
        else:
            block = max(1, struct.unpack_from("<H", self.format, 12)[0])
            head = struct.pack("<4sI4s", b"RF64", _MAX_RIFF, b"WAVE")
            head += struct.pack("<4sIQQQI", b"ds64", 28, riff + 36, size, size // block, 0)
            head += fmt + struct.pack("<4sI", b"data", _MAX_RIFF)
        return head, (self.start, size)


def wav_size(content: Content) -> WavSize | None:
    """Return the place of the samples; None without the chunks 'fmt ' and 'data'."""
    end, place, fmt = size_of(content), 12, b""
    riff = struct.unpack("<I", part_of(content, 4, 4))[0] + 8
    while place + 8 <= end:
        name, size = struct.unpack("<4sI", part_of(content, place, 8))
        if name == b"data" and len(fmt) >= 16:
            return _samples(content, fmt, place + 8, size, riff)
        if name == b"fmt ":
            fmt = part_of(content, place + 8, min(size, 1024))
        place += 8 + size + size % 2
    return None


def _samples(content: Content, fmt: bytes, start: int, stated: int, riff: int) -> WavSize:
    there = size_of(content) - start
    whole = WavSize(fmt, start, there, stated)
    if is_streaming_size(stated) and stated > there:
        return whole._replace(unknown=True)
    if stated == 0 and there and not _is_chunk(content, start):
        return whole._replace(unknown=riff >= size_of(content))
    if stated > there:
        # A size of the whole that is right, up to the byte of padding.
        if 0 <= riff - size_of(content) <= 1:
            return whole
        return whole._replace(fault=f"the header promises {stated} bytes, {there} are there")
    if _samples_follow(content, start + stated, stated % 2):
        return whole
    return whole._replace(size=stated)


def _is_chunk(content: Content, place: int) -> bool:
    head = part_of(content, place, 8)
    if len(head) < 8:
        return False
    name, size = struct.unpack("<4sI", head)
    inside = place + 8 + size <= size_of(content) and name.isascii()
    return name in _CHUNKS or (inside and name.strip().isalnum())


def _samples_follow(content: Content, place: int, odd: int) -> bool:
    """Whether bytes follow from ``place`` on that are no chunks, tag, padding or a few bytes."""
    end = size_of(content)
    if odd and _is_chunk(content, place + 1):
        place += 1  # the byte of padding; some writers leave it out
    while place + 8 <= end and _is_chunk(content, place):
        size = struct.unpack("<I", part_of(content, place + 4, 4))[0]
        place += 8 + size + size % 2
    rest = end - place
    if rest <= _FEW or part_of(content, place, 8).startswith(_TAGS):
        return False
    # Some tools fill a file up to a block of the disk or of a tape.
    return rest > _PADDING or any(part_of(content, place, rest))


def is_streaming_size(size: int) -> bool:
    """Whether a data size means 'unknown', as sox, ffmpeg and others write to pipes."""
    return 0x7FFFF000 <= size <= 0x80000100 or size >= 0xFFFFF000
