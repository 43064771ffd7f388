"""RTTM: segments of speakers or languages, one ``SPEAKER`` or ``LANGUAGE`` line each.

A line has 9 or 10 fields separated by blanks or tabs::

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <label> <confidence> [<NA>]

Times are in seconds; an unknown confidence is ``<NA>``.  ``;;`` and ``#`` begin a comment.  Other
record types (``NOSCORE``, ``NON-LEX``, ``LEXEME``, ...) are read by `diarize.io.nist`, as NIST's
scorer does.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.columns import NameBuilder, NameColumn, plain_turns
from diarize.io.names import normal_names
from diarize.io.numbers import parse_seconds
from diarize.segments import Segment, Turn, as_turn

# Record types of the RTTM-13 evaluation plan without a segment of a speaker or language.
OTHER_TYPES = frozenset(
    "SEGMENT NOSCORE NO_RT_METADATA LEXEME NON-LEX NON-SPEECH FILLER EDIT IP SU CB A/P"
    " SPKR-INFO NOEVAL".split()
)
SEGMENT_TYPES = frozenset(("SPEAKER", "LANGUAGE"))


class TurnColumns(NamedTuple):
    """The segments of an RTTM file as columns of equal length, in the file's order."""

    recording: NameColumn
    channel: NameColumn
    start: np.ndarray
    end: np.ndarray
    label: NameColumn

    def segments(self) -> list[Segment]:
        """Return the rows as segments."""
        times = self.start.tolist(), self.end.tolist()
        rows = zip(self.recording, *times, self.label, strict=True)
        return list(map(Segment._make, rows))


def read_data(path: str | os.PathLike) -> bytes:
    """Return the bytes of a file without a byte order mark; ``-`` is standard input."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror}") from err
    return data.removeprefix(b"\xef\xbb\xbf")


def data_lines(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, fields) of each line that is neither blank nor a comment.

    Raises DiarizeError, naming the file and line, if it is not UTF-8.
    """
    for number, line in enumerate(read_data(path).split(b"\n"), 1):
        fields = line.split()
        if fields and not fields[0].startswith((b";", b"#")):
            yield number, decode_fields(fields, f"{path}:{number}")


def decode_fields(fields: Iterable[bytes], where: str) -> list[str]:
    """Return the fields as text; DiarizeError, beginning with ``where``, if not UTF-8."""
    try:
        return [field.decode() for field in fields]
    except UnicodeDecodeError:
        raise DiarizeError(f"{where}: not UTF-8 text; convert the file") from None


def blocks_of_lines(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield the data in blocks of whole lines of about ``size`` bytes, to bound the memory."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start + size) + 1
        yield data[start : stop or len(data)]
        start = stop or len(data)


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
            " (a name with a blank, for example)"
        )
    start = parse_seconds(fields[3], "field 4 (start)", where)
    duration = parse_seconds(fields[4], "field 5 (duration)", where)
    if duration < 0:
        raise DiarizeError(f"{where}: field 5 (duration) is negative: {fields[4]}")
    return Segment(fields[1], start, start + duration, fields[7])


def read_turns(path: str | os.PathLike) -> TurnColumns:
    """Return the SPEAKER and LANGUAGE lines of ``path`` as columns, in the file's order.

    Zero-length segments are kept.  Raises DiarizeError naming file, line and field.
    """
    names = NameBuilder(), NameBuilder(), NameBuilder()
    times = []
    number = 1
    for block in blocks_of_lines(read_data(path)):
        plain = plain_turns(block)
        if plain is None or (plain.duration < 0).any():
            part, start, end = _read_block(block, f"{path}", number)
            for builder, column in zip(names, part, strict=True):
                builder.add(column)
        else:
            where = f"{path}:{number} or below"
            columns = plain.recording, plain.channel, plain.label
            for builder, column in zip(names, columns, strict=True):
                builder.add(decode_fields(column.names, where), column.code)
            start, end = plain.start, plain.start + plain.duration
        times.append((start, end))
        number += block.count(b"\n")
    start, end = (np.concatenate(x) for x in zip(*times, strict=True)) if times else _NO_TIMES
    recording, channel, label = (_normal(builder.column(), path) for builder in names)
    return TurnColumns(recording, channel, start, end, label)


def _normal(column: NameColumn, path: str | os.PathLike) -> NameColumn:
    if "".join(column.names).isascii():  # fields have no blanks
        return column
    builder = NameBuilder()
    builder.add(normal_names(column.names, path), column.code)
    return builder.column()


_NO_TIMES = (np.zeros(0), np.zeros(0))


def _read_block(block: bytes, path: str, first: int) -> tuple[list[list[str]], np.ndarray, ...]:
    """Return ([recordings, channels, labels], starts, ends) of lines of any kind."""
    rows = []
    for number, line in enumerate(block.split(b"\n"), first):
        fields = line.split()
        if not fields or fields[0].startswith((b";", b"#")):
            continue
        where = f"{path}:{number}"
        words = decode_fields(fields, where)
        segment = parse_rttm_fields(words, where)
        if segment is not None:
            rows.append((segment.recording, words[2], segment.label, segment.start, segment.end))
    names = [[row[k] for row in rows] for k in range(3)]
    times = np.array([row[3:] for row in rows], float).reshape(-1, 2)
    return names, times[:, 0], times[:, 1]


def read_rttm(path: str | os.PathLike) -> list[Segment]:
    """Return the segments of the SPEAKER and LANGUAGE lines of ``path``, in the file's order.

    Zero-length segments are kept.  Raises DiarizeError naming file, line and field.
    """
    return read_turns(path).segments()


def read_rttm_with_confidence(path: str | os.PathLike) -> list[Turn]:
    """Return the segments of `read_rttm` with their channels and confidences.

    A confidence that is not a number from 0 to 1 is None.
    """
    out = []
    for number, fields in data_lines(path):
        segment = parse_rttm_fields(fields, f"{path}:{number}")
        if segment is not None:
            out.append(Turn(*segment, parse_confidence(fields[8]), fields[2]))
    return out


def parse_confidence(text: object) -> float | None:
    """Return ``text`` as a confidence, None for anything but a number from 0 to 1.

    >>> parse_confidence("0.75"), parse_confidence("<NA>")
    (0.75, None)
    """
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def format_rttm_line(segment: Segment | Turn, kind: str = "SPEAKER") -> str:
    """Return the RTTM line of ``segment``: 10 fields, 3 decimals, no line end.

    Channel and confidence are those of a `Turn`.  The end is rounded, not the duration, so that
    adjacent segments remain adjacent.

    >>> format_rttm_line(Segment("r", 0.5, 2.5, "ann"))
    'SPEAKER r 1 0.500 2.000 <NA> <NA> ann <NA> <NA>'
    >>> format_rttm_line(Turn("r", 0.5, 2.5, "ann", 0.9125, "2"))
    'SPEAKER r 2 0.500 2.000 <NA> <NA> ann 0.912 <NA>'
    """
    turn = as_turn(segment)
    for name in (turn.recording, turn.label, turn.channel):
        if not name or name.split() != [name]:
            raise DiarizeError(f"{name!r} cannot be written to an RTTM file: empty or with a blank")
    start = round(segment.start * 1000)
    duration = round(segment.end * 1000) - start
    if duration < 0:
        raise DiarizeError(f"{segment.recording}: segment of {segment.label} ends before it begins")
    confidence = "<NA>" if turn.confidence is None else f"{turn.confidence:.3f}"
    return (
        f"{kind} {turn.recording} {turn.channel} {start / 1000:.3f} {duration / 1000:.3f}"
        f" <NA> <NA> {turn.label} {confidence} <NA>"
    )


def write_rttm(path: str | os.PathLike | IO[str], segments: Iterable[Segment | Turn]) -> None:
    """Write the segments in the given order, atomically to a file, or to an open handle."""
    text = "".join(format_rttm_line(segment) + "\n" for segment in segments)
    if isinstance(path, str | os.PathLike):
        with atomic_write(path) as handle:
            handle.write(text)
    else:
        path.write(text)
