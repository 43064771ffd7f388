"""RTTM: who is active when, one ``SPEAKER`` (or ``LANGUAGE``) line per segment.

A line has 9 or 10 fields separated by blanks or tabs::

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <label> <NA> [<NA>]

Times are seconds.  ``;;`` and ``#`` begin a comment.  What NIST's scorer makes of the other
record types (``NOSCORE``, ``NON-LEX``, ``LEXEME``, ...) is read by `diarize.io.nist`.
"""

import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.segments import Segment

# Record types of the RTTM-13 evaluation plan that hold no segment of a speaker or language.
OTHER_TYPES = frozenset(
    "SEGMENT NOSCORE NO_RT_METADATA LEXEME NON-LEX NON-SPEECH FILLER EDIT IP SU CB A/P"
    " SPKR-INFO NOEVAL".split()
)
SEGMENT_TYPES = frozenset(("SPEAKER", "LANGUAGE"))


def read_lines(path: str | os.PathLike) -> list[str]:
    """Return the lines of a UTF-8 text file without their line ends; ``-`` is standard input.

    Raises DiarizeError, naming the file and line, where it cannot be read or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror}") from err
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise DiarizeError(f"{path}:{line}: not UTF-8 text; convert the file") from None
    # Not splitlines(): that would also break at form feeds and Unicode separators.
    return text.replace("\r\n", "\n").split("\n")


def data_lines(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, fields) of each line that is neither blank nor a comment."""
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if fields and not fields[0].startswith((";", "#")):
            yield number, fields


def parse_seconds(text: str, name: str, where: str) -> float:
    """Return ``text`` as seconds; DiarizeError names ``where`` and the field ``name``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # float() also takes "1_0", which no other reader of these files does.
    if not math.isfinite(value) or "_" in text:
        raise DiarizeError(f"{where}: {name} {text!r} is not a number of seconds")
    return value


def parse_rttm_fields(fields: list[str], where: str) -> Segment | None:
    """Return the segment of one RTTM line, or None for a record type without one.

    ``where`` (``file:line``) begins the message of the DiarizeError for a bad line.

    >>> parse_rttm_fields("SPEAKER r 1 0.5 2 <NA> <NA> ann <NA> <NA>".split(), "x:1")
    Segment(recording='r', start=0.5, end=2.5, label='ann')
    """
    kind = fields[0].upper()
    if kind not in SEGMENT_TYPES:
        if kind in OTHER_TYPES:
            return None
        raise DiarizeError(
            f"{where}: field 1 (type) {fields[0]!r} is not an RTTM type; expected SPEAKER"
        )
    if len(fields) not in (9, 10):
        raise DiarizeError(
            f"{where}: {len(fields)} fields where RTTM has 9 or 10"
            " (is there a blank inside a name?)"
        )
    start = parse_seconds(fields[3], "field 4 (start)", where)
    duration = parse_seconds(fields[4], "field 5 (duration)", where)
    if duration < 0:
        raise DiarizeError(f"{where}: field 5 (duration) is negative: {fields[4]}")
    return Segment(fields[1], start, start + duration, fields[7])


def read_rttm(path: str | os.PathLike) -> list[Segment]:
    """Return the segments of the SPEAKER and LANGUAGE lines of ``path``, in the file's order.

    Zero-length segments are kept.  Raises DiarizeError naming file, line and field.
    """
    out = []
    for number, fields in data_lines(path):
        segment = parse_rttm_fields(fields, f"{path}:{number}")
        if segment is not None:
            out.append(segment)
    return out


def format_rttm_line(segment: Segment, kind: str = "SPEAKER") -> str:
    """Return the RTTM line of ``segment``: 10 fields, channel 1, 3 decimals, no line end.

    The end is rounded, not the duration, so that segments that abut stay so.

    >>> format_rttm_line(Segment("r", 0.5, 2.5, "ann"))
    'SPEAKER r 1 0.500 2.000 <NA> <NA> ann <NA> <NA>'
    """
    for name in (segment.recording, segment.label):
        if not name or name.split() != [name]:
            raise DiarizeError(f"{name!r} cannot stand in an RTTM file: empty or with a blank")
    start = round(segment.start * 1000)
    duration = round(segment.end * 1000) - start
    if duration < 0:
        raise DiarizeError(f"{segment.recording}: segment of {segment.label} ends before it begins")
    return (
        f"{kind} {segment.recording} 1 {start / 1000:.3f} {duration / 1000:.3f}"
        f" <NA> <NA> {segment.label} <NA> <NA>"
    )


def write_rttm(path: str | os.PathLike | IO[str], segments: Iterable[Segment]) -> None:
    """Write the segments in the given order, to a file (whole or not at all) or an open handle."""
    text = "".join(format_rttm_line(segment) + "\n" for segment in segments)
    if isinstance(path, str | os.PathLike):
        with atomic_write(path) as handle:
            handle.write(text)
    else:
        path.write(text)
