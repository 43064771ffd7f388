"""ELAN's annotation format (``.eaf``, version 3.0): XML with times in milliseconds.

A tier is a speaker; its annotations are aligned to two time slots each.
"""

import re
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from diarize.errors import DiarizeError
from diarize.io.annotation import NO_MEDIA, Media
from diarize.io.markup import parse_xml
from diarize.io.numbers import MAX_SECONDS, parse_integer
from diarize.io.rttm import read_data
from diarize.segments import Segment, Turn, in_order

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="1970-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
"""
# Characters that XML 1.0 does not allow.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_eaf(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return an ELAN document with a tier per label, linked to the audio where it is known.

    The date is constant, so that equal turns are equal files.  The confidence is not written:
    the format has no place for it.
    """
    rows = in_order(turns)
    # Each annotation has two slots of its own, as ELAN itself writes them.
    times = sorted((round(1000 * t), i, end) for i, row in enumerate(rows)
                   for end, t in enumerate((row.start, row.end)))  # fmt: skip
    slot = {(i, end): f"ts{number}" for number, (_, i, end) in enumerate(times, 1)}
    out = [_HEAD, '    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n']
    if media.path:
        url = _attribute(Path(media.path).resolve().as_uri())
        out.append(f'        <MEDIA_DESCRIPTOR MEDIA_URL={url} MIME_TYPE="audio/x-wav"/>\n')
    out += ["    </HEADER>\n", "    <TIME_ORDER>\n"]
    out += [
        f'        <TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{value}"/>\n'
        for number, (value, _, _) in enumerate(times, 1)
    ]
    out.append("    </TIME_ORDER>\n")
    count = 0
    for label in sorted({row.label for row in rows}) or ["speech"]:
        name = _attribute(label)
        out.append(
            f'    <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT={name} TIER_ID={name}>\n'
        )
        for i, row in enumerate(rows):
            if row.label != label:
                continue
            count += 1
            first, last = slot[i, 0], slot[i, 1]
            out.append(
                f'        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{count}" '
                f'TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}">'
                f"<ANNOTATION_VALUE>{_content(label)}</ANNOTATION_VALUE>"
                "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
            )
        out.append("    </TIER>\n")
    out.append(
        '    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" '
        'TIME_ALIGNABLE="true"/>\n</ANNOTATION_DOCUMENT>\n'
    )
    return "".join(out)


def read_eaf(path: Path) -> list[Segment]:
    """Return the time-aligned annotations of an ELAN document; tiers are the labels.

    Annotations of slots without a time, and those that refer to others, are omitted.  Raises
    DiarizeError for a file that is not an ELAN document, naming the line.
    """
    root = parse_xml(read_data(path), path)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DiarizeError(f"{path}:1: not an ELAN document, but {root.tag}")
    times: dict[str, float] = {}
    for slot in root.iter("TIME_SLOT"):
        value = slot.get("TIME_VALUE")
        if value is not None:
            number = parse_integer(value, round(1000 * MAX_SECONDS))
            if number is None:
                name = slot.get("TIME_SLOT_ID", "?")
                raise DiarizeError(
                    f"{path}: time slot {name}: {value!r} is not a time in milliseconds"
                )
            times[slot.get("TIME_SLOT_ID", "")] = number / 1000
    out = []
    for tier in root.iter("TIER"):
        label = "_".join(tier.get("TIER_ID", "").split()) or "unnamed"
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            start, end = (times.get(one.get(f"TIME_SLOT_REF{i}", "")) for i in (1, 2))
            if start is None or end is None:
                continue
            if end < start:
                name = one.get("ANNOTATION_ID", "?")
                raise DiarizeError(f"{path}: annotation {name} ends ({end}) before it begins")
            out.append(Segment(path.stem, start, end, label))
    return sorted(out)


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _attribute(text: str) -> str:
    return quoteattr(_allowed(text))


def _content(text: str) -> str:
    return escape(_allowed(text))
