"""Length of MPEG audio (MP3), by counting its frames.

libsndfile estimates the length of a stream without a header of its number of frames (Xing, Info or
VBRI), and uses the header of the first of joined files.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from diarize.io.audio_bytes import Content, Piece, Spool, part_of, size_of

# MPEG audio (ISO 11172-3 and 13818-3): kbit/s by (MPEG-1 or not, layer), Hz by version.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_TAGS = (b"ID3", b"TAG", b"APETAGEX")
# Bytes that are neither frames nor tags: a number that is ignored, and a share that is a fault.
_FEW, _LOST = 128, 0.01


class MpegStream(NamedTuple):
    """Frames of a stream: ``pieces`` of the file, with a header of the right number of frames.

    ``pieces`` is None if the file has such a header itself.  ``stated`` is the length in seconds by
    its own header, None without one.  Layers 1 and 2 (``layer``) have no such header.
    """

    pieces: tuple[Piece, ...] | None = None
    stated: float | None = None
    fault: str = ""
    note: str = ""
    layer: int = 3


def mpeg_stream(content: Content, start: int = 0, stop: int | None = None) -> MpegStream:
    """Return the frames in the bytes [start, stop) of an MP3, a file of several MP3, or a WAV."""
    stop = size_of(content) if stop is None else stop
    with _view(content) as data:
        return _index(data, start, stop)


@contextmanager
def _view(content: Content) -> Iterator[bytes | mmap.mmap]:
    fd = content.fd if isinstance(content, Spool) else content
    if isinstance(fd, int):
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
            yield view
    else:
        yield part_of(content, 0, size_of(content))


def _index(data: bytes | mmap.mmap, start: int, stop: int) -> MpegStream:
    runs: list[tuple[int, int]] = []
    promised: list[int] = []
    number = lost = last = at = 0
    intact = True
    first = b""
    for offset, size, junk in _mpeg_frames(data, start, stop):
        lost, at = lost + junk, at or (offset if junk else 0)
        if not size:
            break
        last = offset + size
        count = _xing_frames(data, offset)
        if count is not None:
            promised.append(count)
            intact = intact and _is_intact(data, offset)
            continue
        first = first or data[offset : offset + 4]
        number += 1
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + size)
        else:
            runs.append((offset, size))
    if last > stop:
        return MpegStream(fault="the last MPEG frame is not complete")
    # Some encoders count the frame of the header itself.
    if sum(promised) > number + len(promised):
        fault = f"the header promises {sum(promised)} frames, {number} are there"
        return MpegStream(fault=fault)
    note = f"{lost} bytes are no MPEG frames, the first before byte {at}" if lost > _FEW else ""
    if note and lost > _LOST * (stop - start):
        return MpegStream(fault=note)
    if first and _layer(first) != 3:
        return MpegStream(note=note, layer=_layer(first))
    if not runs or (intact and len(promised) == 1 and promised[0] - number in (0, 1)):
        return MpegStream(((start, stop - start),) if start else None, note=note)
    stated = promised[0] * _frame_seconds(first) if promised else None
    return MpegStream((_xing_header(first, number), *runs), stated, note=note)


def _mpeg_frames(
    data: bytes | mmap.mmap, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield offset and size of the MPEG frames, and the number of other bytes before each.

    Tags do not count.  Other bytes at the end are yielded with size 0.
    """
    place, before, junk = start, b"", 0
    stop = len(data) if stop is None else stop
    while place + 4 <= stop:
        tag = _tag_size(data, place)
        if tag:
            place += tag
            continue
        head = data[place : place + 4]
        size = _mpeg_size(head)
        # The first frame counts only if another one follows it.
        following = data[place + size : min(place + size + 4, stop)]
        alike = _kind(before) == _kind(head) if before else not following
        if size and (alike or (not before and _mpeg_size(following))):
            yield place, size, junk
            before, junk = head, 0
            place += size
            continue
        beyond = data.find(b"\xff", place + 1, stop)
        beyond = stop if beyond < 0 else beyond
        tags = [data.find(tag, place + 1, beyond) for tag in _TAGS]
        beyond = min([beyond, *(tag for tag in tags if tag > 0)])
        junk, place = junk + beyond - place, beyond
    if junk:
        yield min(place, stop), 0, junk


def _tag_size(data: bytes | mmap.mmap, place: int) -> int:
    """Return the size of the tag that begins at ``place`` (ID3v2, ID3v1 or APE), 0 without one."""
    head = data[place : place + 32]
    if head.startswith(b"ID3") and len(head) >= 10 and not any(byte & 0x80 for byte in head[6:10]):
        return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"APETAGEX") and len(head) == 32:
        size, _, flags = struct.unpack_from("<III", head, 12)
        header = flags >> 29 & 1  # else the footer, after which nothing of it follows
        return 32 + size if header else 32
    return 0


def _frame_seconds(head: bytes) -> float:
    """Return the length of a frame in seconds."""
    version, layer = head[1] >> 3 & 3, _layer(head)
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    return samples / _RATES[version][head[2] >> 2 & 3]


def _kind(head: bytes) -> tuple[int, int]:
    """Return the common properties of all frames of a stream: version, layer, sample rate."""
    return head[1] & 0x1E, head[2] & 0x0C


def _mpeg_size(head: bytes) -> int:
    """Return the size of the frame with this header in bytes, 0 if it is no header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, _layer(head)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = _KBITS[version == 3, layer][bitrate - 1] * 1000
    if layer == 1:
        return (12 * bits // _RATES[version][rate] + padding) * 4
    slots = 72 if layer == 3 and version != 3 else 144
    return slots * bits // _RATES[version][rate] + padding


def _layer(head: bytes) -> int:
    return 4 - (head[1] >> 1 & 3)


def _side_info(head: bytes) -> int:
    """Return the size of the layer III side information, between header and tag of a Xing frame."""
    mono, first = head[3] >> 6 == 3, head[1] >> 3 & 3 == 3
    return (17 if mono else 32) if first else (9 if mono else 17)


def _xing_frames(data: bytes, offset: int) -> int | None:
    """Return the number of frames in the Xing, Info or VBRI header at ``offset``, else None."""
    for check in (0, 2):  # bytes of a checksum
        place = offset + 4 + check + _side_info(data[offset : offset + 4])
        if data[place : place + 4] in (b"Xing", b"Info"):
            flags, number = struct.unpack(">II", data[place + 4 : place + 12].ljust(8, b"\0"))
            return number if flags & 1 else 0
    if data[offset + 36 : offset + 40] == b"VBRI":
        return struct.unpack(">I", data[offset + 50 : offset + 54])[0]
    return None


def _is_intact(data: bytes | mmap.mmap, offset: int) -> bool:
    """Whether the Xing header at ``offset`` has the checksum (CRC-16) of its LAME extension.

    Its encoder delay and padding are then right, which libsndfile removes.  True without one.
    """
    for check in (0, 2):
        place = offset + 4 + check + _side_info(data[offset : offset + 4])
        if data[place : place + 4] in (b"Xing", b"Info"):
            # The fields of Xing and LAME up to the checksum are 154 bytes.
            stated = int.from_bytes(data[place + 154 : place + 156], "big")
            return stated in (0, _crc16(data[offset : place + 154]))
    return True


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _xing_header(head: bytes, number: int) -> bytes:
    """Return a Xing frame with the header ``head`` for ``number`` following frames."""
    for bitrate in range(1, 15):  # the lowest with space for the tag
        own = bytes([head[0], head[1] | 1, bitrate << 4 | head[2] & 0x0C, head[3]])
        size, place = _mpeg_size(own), 4 + _side_info(own)
        if size >= place + 12:
            break
    frame = bytearray(own.ljust(size, b"\0"))
    frame[place : place + 12] = b"Xing" + struct.pack(">II", 1, number)
    return bytes(frame)
