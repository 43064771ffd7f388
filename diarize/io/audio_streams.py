"""Streams of FLAC and Ogg files: several in one file, without a length, damaged.

libsndfile reads a file up to the length in its first header and reports no fault.
"""

import mmap
import zlib
from collections.abc import Iterator

from diarize.io.audio_bytes import Content, Piece, Spool, part_of, size_of

_WINDOW = 1 << 16  # bytes that contain a FLAC frame if its size is not in the file
_SEARCHED = 1 << 22  # size up to which a search is faster than parsing frames
_MARKER = b"fLaC"


def flac_streams(content: Content) -> list[int]:
    """Return the offsets of the FLAC streams of the file, ascending.

    A stream begins with a marker and a STREAMINFO block (RFC 9639, section 8).
    """
    if size_of(content) > _SEARCHED and flac_in_order(content):
        return [0]
    if isinstance(content, int | Spool):
        fd = content if isinstance(content, int) else content.fd
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
            return list(_stream_offsets(view))
    return list(_stream_offsets(part_of(content, 0, size_of(content))))


def _stream_offsets(data: bytes | mmap.mmap) -> Iterator[int]:
    place = data.find(_MARKER)
    while place >= 0:
        if place == 0 or data[place + 4 : place + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
            yield place
        place = data.find(_MARKER, place + 4)


def flac_is_one_stream(content: Content) -> bool:
    """Whether a FLAC is one stream of the length in STREAMINFO, by a few blocks of the file."""
    size = size_of(content)
    if size <= _WINDOW // 4:
        return len(list(_stream_offsets(part_of(content, 0, size)))) == 1
    return flac_in_order(content)


def flac_with_length(content: Content) -> tuple[Piece, ...] | None:
    """Return the FLAC with its number of samples in STREAMINFO, None if it cannot be found.

    Encoders that write to a pipe leave it out.  It follows from the header of the last frame.
    """
    block, longest, _, start = _streaminfo(content)
    size, like = size_of(content), part_of(content, start, 4)
    reach = _reach(longest)
    found = _last_frame(part_of(content, max(start, size - reach), reach), like) if start else None
    if found is None:
        return None
    total = (found[0] if like[1] & 1 else found[0] * block) + found[1]
    packed = int.from_bytes(part_of(content, 18, 8), "big") | total
    return part_of(content, 0, 18) + packed.to_bytes(8, "big"), (26, size - 26)


def _streaminfo(content: Content) -> tuple[int, int, int, int]:
    """Return block size, size of the longest frame, number of samples, offset of the first frame.

    The last is 0 if the metadata blocks do not end in the file.
    """
    info = part_of(content, 8, 34).ljust(34, b"\0")
    start, last = 4, False
    while not last:
        head = part_of(content, start, 4)
        if len(head) < 4:
            return 0, 0, 0, 0
        last = bool(head[0] & 0x80)
        start += 4 + int.from_bytes(head[1:], "big")
    total = int.from_bytes(info[10:18], "big") & (1 << 36) - 1
    return int.from_bytes(info[:2], "big"), int.from_bytes(info[7:10], "big"), total, start


def _reach(longest: int) -> int:
    """Return the number of bytes that contain the header of a frame, wherever they begin."""
    return longest + 32 if longest else _WINDOW


def flac_in_order(content: Content) -> bool:
    """Whether frames at several places of the file and its last one have ascending numbers.

    The last one must contain the last sample according to STREAMINFO.  The places lie ever nearer
    to the beginning and the end, so that of two joined streams of any sizes each has one.
    """
    block, longest, total, start = _streaminfo(content)
    if not start:
        return False
    like, size, reach = part_of(content, start, 4), size_of(content), _reach(longest)
    length, below, above = size - start, [], []
    while length > reach:
        length //= 2
        below.append(start + length)
        above.append(size - length)
    head = part_of(content, start, reach)
    tail = part_of(content, max(start, size - reach), reach)
    last = _last_frame(tail, like)
    if last is None or _MARKER in head or _MARKER in tail:
        return False
    at = 0
    for place in [*reversed(below), *above[1:]]:
        number = _first_number(part_of(content, place, reach), like)
        if number is not None and number < at:
            return False
        at = at if number is None else number  # None: only the last frame is that long
    first = last[0] if like[1] & 1 else last[0] * block
    return at <= last[0] and first + last[1] == total


def _first_number(data: bytes, like: bytes) -> int | None:
    """Return the coded number of the first frame header (RFC 9639, 9.1) in ``data``.

    ``like`` is the beginning of the header of the first frame of the stream.
    """
    place = data.find(like[:2])
    while place >= 0:
        found = _flac_header(data[place : place + 16].ljust(16, b"\0"), like)
        if found:
            return found[0]
        place = data.find(like[:2], place + 1)
    return None


def _last_frame(data: bytes, like: bytes) -> tuple[int, int] | None:
    """Return coded number and sample count of the last frame header in ``data``."""
    place = data.rfind(like[:2])
    while place >= 0:
        found = _flac_header(data[place : place + 16].ljust(16, b"\0"), like)
        if found:
            return found
        place = data.rfind(like[:2], 0, place)
    return None


def _crc8(byte: int) -> int:
    """Return the checksum of FLAC frame headers (RFC 9639, section 9.1.8) of one byte."""
    for _ in range(8):
        byte = byte << 1 & 0xFF ^ (0x07 if byte & 0x80 else 0)
    return byte


_CRC8 = bytes(map(_crc8, range(256)))


def _flac_header(head: bytes, like: bytes) -> tuple[int, int] | None:
    """Return coded number and sample count of a frame header, None for other bytes."""
    code = head[2] >> 4
    if code == 0 or (head[2] ^ like[2]) & 0x0F or (head[3] ^ like[3]) & 0x0F:
        return None
    more = 8 - (head[4] ^ 0xFF).bit_length()  # ones at the front: bytes of the number
    if more in (1, 8):
        return None
    number, place = head[4] & (0xFF >> (more + 1)), 5
    for byte in head[5 : 4 + max(more, 1)]:
        if byte & 0xC0 != 0x80:
            return None
        number, place = number << 6 | byte & 0x3F, place + 1
    if code in (6, 7):
        samples = int.from_bytes(head[place : place + code - 5], "big") + 1
        place += code - 5
    else:
        samples = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    place += {12: 1, 13: 2, 14: 2}.get(head[2] & 0x0F, 0)
    check = 0
    for byte in head[:place]:
        check = _CRC8[check ^ byte]
    return (number, samples) if place < len(head) and check == head[place] else None


def ogg_streams(content: Content) -> tuple[list[int], str]:
    """Return the offsets of the chained streams of an Ogg file, and its fault ('' for none).

    Faults are a page (RFC 3533, section 6) that is incomplete or whose checksum is wrong, and
    a page that is missing.
    """
    starts, place, size, others = [0], 0, size_of(content), False
    pages: dict[bytes, int] = {}
    while place < size:
        head = part_of(content, place, 27 + 255)
        if head[:4] != b"OggS":
            rest = part_of(content, place, size - place)
            if rest.strip(b"\0") and not rest.startswith((b"TAG", b"ID3", b"APETAGEX")):
                return starts, f"damaged: no Ogg page at byte {place}"
            break
        length = 27 + head[26] + sum(head[27 : 27 + head[26]]) if len(head) >= 27 else size
        if place + length > size:
            return starts, "cut short: the last Ogg page is not complete"
        page = part_of(content, place, length)
        if _ogg_checksum(page) != page[22:26]:
            return starts, f"damaged: the Ogg page at byte {place} has a wrong checksum"
        if head[5] & 2 and others:
            starts.append(place)
            pages.clear()
        others = not head[5] & 2
        number = int.from_bytes(head[18:22], "little")
        if number != pages.get(head[14:18], number - 1) + 1:
            return starts, f"damaged: Ogg pages are missing before byte {place}"
        pages[head[14:18]] = number
        place += length
    return starts, ""


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> bytes:
    """Return the checksum of the page: the CRC of zlib with each byte's bits reversed, from 0."""
    data = (page[:22] + b"\0\0\0\0" + page[26:]).translate(_REVERSED)
    crc = zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_REVERSED)
