"""Files with samples beyond their first header: joined FLAC, Ogg and MP3, short WAV headers.

libsndfile reads such a file up to the length in its first header and reports no fault.
"""

import mmap
import os
import struct
from collections.abc import Iterator

Content = int | bytes  # a descriptor, or the bytes of the file

# Number of bytes after the samples of a WAV that is ignored, beginnings of tags, and chunks.
_FEW, _TAGS = 1024, (b"ID3", b"TAG", b"APETAGEX", b"\0" * 8)
_CHUNKS = (b"LIST", b"bext", b"iXML", b"JUNK", b"PAD ", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"fact")
_WINDOW = 1 << 16  # bytes that contain a FLAC frame if its size is not in the file
_SEARCHED = 1 << 22  # size up to which a search is faster than parsing frames
_JOINED = "files were joined byte by byte; join them by sox or ffmpeg instead"
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


def size_of(content: Content) -> int:
    """Return the number of bytes."""
    return len(content) if isinstance(content, bytes) else os.fstat(content).st_size


def part_of(content: Content, offset: int, size: int) -> bytes:
    """Return at most ``size`` bytes from ``offset``."""
    if isinstance(content, bytes):
        return content[offset : offset + size]
    return os.pread(content, size, offset)


def excess(content: Content, kind: str, quick: bool = False) -> str:
    """Return the fault of a file of format ``kind`` with samples after its end, '' for none.

    ``quick`` reads a few blocks of a FLAC file; joined short files of equal length pass.
    """
    if kind == "FLAC" and _second_flac(content, quick):
        return f"a second FLAC stream follows the first: {_JOINED}"
    if kind == "OGG" and _second_ogg(content):
        return f"a second Ogg stream follows the first: {_JOINED}"
    if kind in ("WAV", "WAVEX"):
        return _short_wav(content)
    return ""


def _second_flac(content: Content, quick: bool) -> bool:
    """Whether a stream marker and a STREAMINFO block (RFC 9639, section 8) follow the first.

    A large file is searched only if its frames do not lie in order up to the last sample.
    """
    if (quick or size_of(content) > _SEARCHED) and _flac_in_order(content):
        return False
    if isinstance(content, bytes):
        return _has_streaminfo(content)
    with mmap.mmap(content, 0, access=mmap.ACCESS_READ) as view:
        return _has_streaminfo(view)


def _has_streaminfo(data: bytes | mmap.mmap) -> bool:
    place = data.find(b"fLaC", 8)
    while place > 0:
        if data[place + 4 : place + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
            return True
        place = data.find(b"fLaC", place + 4)
    return False


def _flac_in_order(content: Content) -> bool:
    """Whether frames at three places of the file and its last one have ascending sample numbers.

    The last one must contain the last sample according to STREAMINFO.
    """
    info = part_of(content, 8, 34)
    if len(info) < 34:
        return False
    block, longest = int.from_bytes(info[:2], "big"), int.from_bytes(info[7:10], "big")
    total = int.from_bytes(info[10:18], "big") & (1 << 36) - 1
    start, last = 4, False
    while not last:  # the metadata blocks
        head = part_of(content, start, 4)
        if len(head) < 4:
            return False
        last = bool(head[0] & 0x80)
        start += 4 + int.from_bytes(head[1:], "big")
    like, size, window = part_of(content, start, 4), size_of(content), 2 * longest or _WINDOW
    at = -1
    for quarter in (1, 2, 3):
        found = _flac_frames(part_of(content, start + (size - start) * quarter // 4, window), like)
        number, _ = next(found, (at, 0))  # none: the last frame is a long one
        if number < at:
            return False
        at = number
    *_, (number, length) = ((-1, 0), *_flac_frames(
        part_of(content, max(start, size - window), window), like))  # fmt: skip
    first = number if like[1] & 1 else number * block
    return number >= 0 and first + length == total


def _flac_frames(data: bytes, like: bytes) -> Iterator[tuple[int, int]]:
    """Yield coded number and sample count of the frame headers in ``data`` (RFC 9639, 9.1).

    ``like`` is the beginning of the header of the first frame of the stream.
    """
    place = data.find(like[:2])
    while place >= 0:
        found = _flac_header(data[place : place + 16].ljust(16, b"\0"), like)
        if found:
            yield found
        place = data.find(like[:2], place + 1)


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
        check ^= byte
        for _ in range(8):
            check = check << 1 & 0xFF ^ (0x07 if check & 0x80 else 0)
    return (number, samples) if place < len(head) and check == head[place] else None


def _second_ogg(content: Content) -> bool:
    """Whether a page that begins a stream (RFC 3533, section 6) follows other pages."""
    place, size, others = 0, size_of(content), False
    while place + 27 <= size:
        head = part_of(content, place, 27 + 255)
        if head[:4] != b"OggS":
            return False
        begins = bool(head[5] & 2)
        if begins and others:
            return True
        others = others or not begins
        place += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return False


def _short_wav(content: Content) -> str:
    """Return the fault of a WAV whose samples continue after the length in its header."""
    place, end, samples = 12, size_of(content), None
    while place + 8 <= end:
        name, size = struct.unpack("<4sI", part_of(content, place, 8))
        known = name in _CHUNKS or (name.strip().isalnum() and place + 8 + size <= end)
        if samples is not None and samples % 2 and not known:
            samples, place = samples - 1, place - 1  # written without its padding
            continue
        if samples is not None and not known:
            rest = end - place
            if rest <= _FEW or part_of(content, place, 8).startswith(_TAGS):
                return ""
            return (
                f"the header promises {samples} bytes of samples, but {rest} bytes follow that are "
                "no chunk of a WAV file; mend it with 'sox --ignore-length IN OUT'"
            )
        if name == b"data":
            samples = size
        place += 8 + size + size % 2
    return ""


def mpeg_audio(content: Content) -> tuple[bytes | None, str]:
    """Return an MP3 file with the number of its frames in its header, and its fault ('' for none).

    The file is None if its own header has that number, so that libsndfile reads all of it.
    libsndfile estimates the length of files without such a header, and uses the header of the
    first of joined files.
    """
    data = part_of(content, 0, size_of(content))
    frames: list[tuple[int, int]] = []
    promised: list[int] = []
    end = 0
    for offset, size in _mpeg_frames(data):
        end = offset + size
        number = _xing_frames(data, offset)
        if number is None:
            frames.append((offset, size))
        else:
            promised.append(number)
    # Some encoders count the frame of the header itself.
    if end > len(data) or sum(promised) > len(frames) + len(promised):
        wanted = f"the header promises {sum(promised)} frames, {len(frames)} are there"
        return None, wanted if end <= len(data) else "the last MPEG frame is not complete"
    if not frames or (len(promised) == 1 and promised[0] - len(frames) in (0, 1)):
        return None, ""
    body = b"".join(data[offset : offset + size] for offset, size in frames)
    return _xing_header(data[frames[0][0] : frames[0][0] + 4], len(frames)) + body, ""


def _mpeg_frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and size of the MPEG frames; ID3 tags and bytes between them are skipped."""
    place, before = 0, b""
    while place + 4 <= len(data):
        if data[place : place + 3] == b"ID3" and place + 10 <= len(data):
            bits = data[place + 6 : place + 10]
            place += 10 + (bits[0] << 21 | bits[1] << 14 | bits[2] << 7 | bits[3])
            continue
        size = _mpeg_size(data[place : place + 4])
        # The first frame counts only if another one follows it.
        following = data[place + size : place + size + 4]
        alike = _kind(before) == _kind(data[place : place + 4]) if before else not following
        if size and (alike or (not before and _mpeg_size(following))):
            before = data[place : place + 4]
            yield place, size
            place += size
            continue
        found = data.find(b"\xff", place + 1)
        tag = data.find(b"ID3", place + 1, found if found > 0 else len(data))
        place = tag if tag > 0 else found
        if place < 0:
            return


def _kind(head: bytes) -> tuple[int, int]:
    """Return the common properties of all frames of a stream: version, layer, sample rate."""
    return head[1] & 0x1E, head[2] & 0x0C


def _mpeg_size(head: bytes) -> int:
    """Return the size of the frame with this header in bytes, 0 if it is no header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = _KBITS[version == 3, layer][bitrate - 1] * 1000
    if layer == 1:
        return (12 * bits // _RATES[version][rate] + padding) * 4
    slots = 72 if layer == 3 and version != 3 else 144
    return slots * bits // _RATES[version][rate] + padding


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
