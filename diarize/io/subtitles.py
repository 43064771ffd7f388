"""Subtitles with the speaker as their text: SubRip (``.srt``) and WebVTT (``.vtt``)."""

import html
import re
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.annotation import NO_MEDIA, Media, read_all_text
from diarize.io.numbers import parse_integer
from diarize.segments import Segment, Turn, in_order

_TIME = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)[.,](\d{3})"
_TIMES = re.compile(rf"\s*{_TIME}\s+-->\s+{_TIME}(\s.*)?")
_MOST_HOURS = 10**6
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_TAG = re.compile(r"</?(?:b|i|u|c|font)(?:[.\s][^>]*)?>")


def write_srt(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return SubRip subtitles, each with the label of its turn."""
    cues = (
        f"{number}\n{_clock(t.start, ',')} --> {_clock(t.end, ',')}\n{t.label}\n"
        for number, t in enumerate(in_order(turns), 1)
    )
    return "\n".join(cues)


def write_vtt(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return WebVTT cues, each with the label of its turn as the voice and as the text."""
    out = ["WEBVTT\n"]
    for t in in_order(turns):
        label = html.escape(t.label, quote=False)
        times = f"{_clock(t.start, '.')} --> {_clock(t.end, '.')}"
        out.append(f"{times}\n<v {label}>{label}</v>\n")
    return "\n".join(out)


def read_subtitles(path: Path) -> list[Segment]:
    """Return the cues of SubRip or WebVTT; the label is the voice, ``name:``, or else the text.

    Raises DiarizeError, naming file and line, for a cue without text or that ends before it
    begins, and for a file without cues.
    """
    lines = read_all_text(path).replace("\r\n", "\n").split("\n")
    out = []
    for number, line in enumerate(lines, 1):
        found = _TIMES.fullmatch(line)
        if found is None:
            continue
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:8])
        if start is None or end is None:
            raise DiarizeError(f"{path}:{number}: {line!r} has times out of range")
        if end < start:
            raise DiarizeError(f"{path}:{number}: ends before it begins")
        text = " ".join(_text_below(lines, number))
        voice = _VOICE.search(text)
        label = voice[1] if voice else _TAG.sub("", text)
        if not voice and re.match(r"[^\s:]+:(\s|$)", label):
            label = label.split(":", 1)[0]
        label = "_".join(html.unescape(label).split())
        if not label:
            raise DiarizeError(f"{path}:{number}: a cue without text, so without a speaker")
        out.append(Segment(path.stem, start, end, label))
    if not out and any(line.strip() for line in lines) and not lines[0].startswith("WEBVTT"):
        raise DiarizeError(f"{path}:1: not SubRip or WebVTT: no line 'start --> end'")
    return sorted(out)


def _text_below(lines: list[str], number: int) -> list[str]:
    """Return the lines of the cue whose times are in line ``number`` (from 1)."""
    out = []
    for line in lines[number:]:
        if not line.strip():
            break
        out.append(line)
    return out


def _clock(seconds: float, point: str) -> str:
    rest, ms = divmod(round(1000 * seconds), 1000)
    minutes, rest = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}{point}{ms:03d}"


def _seconds(parts: tuple[str | None, ...]) -> float | None:
    values = [parse_integer(part or "0", _MOST_HOURS) for part in parts]
    if None in values:
        return None
    hours, minutes, seconds, ms = values
    return 3600 * hours + 60 * minutes + seconds + ms / 1000
