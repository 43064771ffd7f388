"""Audio that libsndfile cannot read, decoded by ffmpeg, and the suffixes of audio files.

The format is recognised by the first bytes.  ffmpeg runs without a shell, with one demuxer and
access to this one file, and writes 16-bit samples of the first audio stream to a temporary file.
"""

import os
import shutil
import subprocess
import threading
from collections import OrderedDict

from diarize.errors import DiarizeError
from diarize.io.audio_bytes import Content, Spool, part_of, size_of

# Suffixes of audio files in folders: read by libsndfile, and by ffmpeg.
LIBSNDFILE_SUFFIXES = (
    ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".nist", ".oga", ".ogg", ".opus",
    ".rf64", ".snd", ".sph", ".voc", ".w64", ".wav",
)  # fmt: skip
FFMPEG_SUFFIXES = (
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".flv", ".m4a", ".m4b", ".mka", ".mkv", ".mov",
    ".mp2", ".mp4", ".mpg", ".ts", ".webm", ".wma", ".wmv", ".wv",
)  # fmt: skip
AUDIO_SUFFIXES = tuple(sorted(LIBSNDFILE_SUFFIXES + FFMPEG_SUFFIXES))

# Demuxer of ffmpeg by the first bytes (at an offset) of a file.  Not of WAV and FLAC: where
# libsndfile refuses these, they are damaged.
_DEMUXERS = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"#!AMR", "amr"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"FLV", "flv"),
    (0, b"wvpk", "wv"),
    (0, b"MAC ", "ape"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (8, b"AVI ", "avi"),
    *((4, kind, "mov") for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
)
_KEPT = 4  # decoded files at a time
_decoded: OrderedDict[tuple, Spool] = OrderedDict()
_lock = threading.Lock()


def demuxer(content: Content) -> str:
    """Return ffmpeg's name of the format of ``content``, '' if it is not known."""
    head = part_of(content, 0, 189)
    for offset, mark, name in _DEMUXERS:
        if head[offset : offset + len(mark)] == mark:
            return name
    if len(head) == 189 and head[0] == head[188] == 0x47:
        return "mpegts"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    if head[:3] == b"ID3" and len(head) > 10:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        mark = part_of(content, 10 + size, 2)
        return "aac" if len(mark) == 2 and mark[0] == 0xFF and mark[1] & 0xF6 == 0xF0 else "mp3"
    return ""


def find_ffmpeg(kind: str, name: str) -> str:
    """Return the path of ffmpeg; DiarizeError if it is not installed."""
    path = shutil.which("ffmpeg")
    if path is None:
        raise DiarizeError(
            f"{name}: audio of the format {kind}, which requires ffmpeg: install it (apt-get "
            "install ffmpeg, or conda install -c conda-forge ffmpeg), or convert the file"
        )
    return path


def decoded(content: int | Spool, key: tuple, name: str) -> Spool:
    """Return a WAV with the samples of ``content``; the last few, by ``key``, are remembered.

    Raises DiarizeError if ffmpeg is not there or fails, or reports damage.
    """
    with _lock:
        if key not in _decoded:
            _decoded[key] = _decode(content, name)
            while len(_decoded) > _KEPT:
                _decoded.popitem(last=False)
        _decoded.move_to_end(key)
        return _decoded[key]


def _decode(content: int | Spool, name: str) -> Spool:
    kind = demuxer(content)
    ffmpeg = find_ffmpeg(kind, name)
    fd = content if isinstance(content, int) else content.fd
    out = Spool()
    command = [
        ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file",
        "-f", kind, "-i", f"file:/dev/fd/{fd}", "-map", "0:a:0", "-map_metadata", "-1",
        "-c:a", "pcm_s16le", "-bitexact", "-f", "wav", "pipe:1",
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out.fd, pass_fds=(fd,),
                          stderr=subprocess.PIPE, check=False)  # fmt: skip
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode or lines or not size_of(out):
        why = lines[0][-200:] if lines else f"status {done.returncode}"
        raise DiarizeError(
            f"{name}: cannot be decoded by ffmpeg ({why}): damaged, cut short or without audio; "
            "fetch or write the file again"
        )
    return out


def key_of(content: int | Spool) -> tuple[int, int, int, int]:
    """Return the identity of the content of a file: device, inode, size and time of change."""
    state = os.fstat(content if isinstance(content, int) else content.fd)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
