"""RTTM and UEM as NIST's md-eval 22 reads them: more kinds of record, more tolerant numbers.

All text is bytes, as in md-eval: blanks are ASCII, names are case-sensitive, channels and types
are not.  Input refused by md-eval is refused with its message and exit status and the line number.
"""

import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.columns import NameBuilder, plain_turns
from diarize.io.rttm import blocks_of_lines

# Perl's `die` exits with errno, else 255: ENOTTY is left from opening a file, ENOENT is genuine.
STATUS_RECORD, STATUS_MISSING, STATUS_OTHER = 25, 2, 255

SUBTYPES: dict[bytes, frozenset[bytes]] = {
    b"SEGMENT": frozenset((b"<na>", b"eval")),
    b"NOSCORE": frozenset((b"<na>",)),
    b"NO_RT_METADATA": frozenset((b"<na>",)),
    b"LEXEME": frozenset(
        b"lex fp frag un-lex for-lex alpha acronym interjection propernoun other".split()
    ),
    b"NON-LEX": frozenset(b"laugh breath lipsmack cough sneeze other".split()),
    b"NON-SPEECH": frozenset(b"noise music other".split()),
    b"FILLER": frozenset(b"filled_pause discourse_marker explicit_editing_term other".split()),
    b"EDIT": frozenset(b"repetition restart revision simple complex other".split()),
    b"IP": frozenset(b"edit filler edit&filler other".split()),
    b"SU": frozenset(b"statement backchannel question incomplete unannotated other".split()),
    b"CB": frozenset(b"coordinating clausal other".split()),
    b"A/P": frozenset((b"<na>",)),
    b"SPEAKER": frozenset((b"<na>",)),
    b"SPKR-INFO": frozenset(b"adult_male adult_female child unknown".split()),
}
# Records of the parts of md-eval other than speakers; they require words.
METADATA = frozenset((b"SU", b"EDIT", b"FILLER", b"IP"))
# Records that do not extend the region of a file without UEM.
_NO_EXTENT = frozenset((b"NOSCORE", b"NO_RT_METADATA", b"NON-SPEECH", b"SPKR-INFO"))

_NUMBER = re.compile(rb"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_NOT_FINITE = re.compile(rb"[+-]?(?:inf|nan)", re.IGNORECASE)

Group = tuple[bytes, bytes]


class RefusedError(DiarizeError):
    """Input refused by md-eval, too: ``str()`` is the full message, ``status`` the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class NistRecord:
    """A record other than SPEAKER: ``kind``, ``group`` (file, channel), seconds, subtype."""

    kind: bytes
    group: Group
    start: float
    end: float
    subtype: bytes
    duration: float

    @property
    def middle(self) -> float:
        """Midpoint in seconds, bit for bit as in md-eval, which compares it with boundaries."""
        return self.start + self.duration / 2

    @property
    def has_extent(self) -> bool:
        """Whether it extends the region of a file without UEM."""
        return self.kind not in _NO_EXTENT


@dataclass
class NistData:
    """One or more RTTM files: SPEAKER records as columns, all others as records."""

    file: NameBuilder = field(default_factory=NameBuilder)
    channel: NameBuilder = field(default_factory=NameBuilder)
    speaker: NameBuilder = field(default_factory=NameBuilder)
    times: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    others: list[NistRecord] = field(default_factory=list)
    speaker_type: dict[tuple[bytes, bytes, bytes], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the SPEAKER records' starts and ends in seconds, (n,) each."""
        parts = self.times or [(np.zeros(0), np.zeros(0))]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def show(raw: bytes) -> str:
    """Return bytes as text for a message."""
    return raw.decode("utf-8", "backslashreplace")


def read_bytes(path: str, what: str) -> bytes:
    """Return the bytes of a file, ``-`` for standard input; errors have md-eval's message."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as err:
        # Status 2 also for other causes than a missing file: our errno is irrelevant.
        raise RefusedError(
            f"\nCOMMAND LINE ERROR:  unable to open {what} '{path}'\n    ({err.strerror})\n",
            STATUS_MISSING,
        ) from None


def perl_number(text: bytes) -> tuple[float, bool]:
    """Return the numeric value of ``text`` in Perl, and whether all of it is a number.

    >>> perl_number(b"10s"), perl_number(b"1e1"), perl_number(b"<na>")
    ((10.0, False), (10.0, True), (0.0, False))
    """
    found = _NUMBER.match(text)
    if not found:
        return 0.0, False
    return float(found[1]), found.end() == len(text)


def read_nist_rttm(paths: Sequence[str]) -> NistData:
    """Return the records of RTTM files, read one after the other."""
    data = NistData()
    for path in paths:
        raw = read_bytes(path, "RTTM file")
        number = 1
        for block in blocks_of_lines(raw):
            if not _add_plain(data, block):
                _add_lines(data, block, path, number)
            number += block.count(b"\n")
    return data


def _add_plain(data: NistData, block: bytes) -> bool:
    plain = plain_turns(block)
    # A subtype, which md-eval refuses, is left to the line-by-line reader.
    if plain is None or plain.subtype or (plain.duration < 0).any():
        return False
    data.file.add(plain.recording.names, plain.recording.code)
    data.channel.add(map(bytes.lower, plain.channel.names), plain.channel.code)
    data.speaker.add(plain.label.names, plain.label.code)
    data.times.append((plain.start, plain.start + plain.duration))
    return True


def _add_lines(data: NistData, block: bytes, path: str, first: int) -> None:
    names: list[tuple[bytes, bytes, bytes]] = []
    rows: list[tuple[float, float]] = []
    lines = block.split(b"\n")
    final = first + len(lines) - 1
    for number, line in enumerate(lines, first):
        fields = line.split()
        if not fields or fields[0].startswith((b";", b"#")):
            continue
        refuse = _refuser(path, number, line, last=number == final)
        if len(fields) < 9:
            refuse(f"FATAL ERROR:  insufficient number of fields in RTTM file '{path}'")
        kind, subtype = fields[0].upper(), fields[6].lower()
        if subtype not in SUBTYPES.get(kind, ()):
            refuse(
                f"FATAL ERROR:  unknown RTTM data type/subtype ('{show(kind)}'/'{show(subtype)}')"
                f" in file {path}"
            )
        group = (fields[1], fields[2].lower())
        if kind == b"SPKR-INFO":
            key = (*group, fields[7])
            if key in data.speaker_type:
                refuse(
                    f"FATAL ERROR:  multiple SPKR-INFO records for speaker {show(fields[7])}"
                    f" in file {show(fields[1])}"
                )
            data.speaker_type[key] = subtype.decode()
            continue
        start, duration = _span(data, fields, refuse, f"{path}:{number}")
        end = start + duration
        if kind == b"SPEAKER":
            names.append((*group, fields[7]))
            rows.append((start, end))
        else:
            data.others.append(NistRecord(kind, group, start, end, subtype, duration))
    if rows:
        builders = data.file, data.channel, data.speaker
        for builder, column in zip(builders, zip(*names, strict=True), strict=True):
            builder.add(column)
        times = np.array(rows, float)
        data.times.append((times[:, 0], times[:, 1]))


def _refuser(path: str, number: int, line: bytes, last: bool) -> Callable[[str], None]:
    def refuse(message: str) -> None:
        raise RefusedError(
            f"\n\n{message}\n    input RTTM record is: '{_record(line, last)}'\n"
            f"    line {number} of {path}\n",
            _status(path, last),
        )

    return refuse


def _record(line: bytes, last: bool) -> str:
    return show(line) + ("" if last else "\n")


def _status(path: str, last: bool) -> int:
    """Return the status for a bad record; it differs at the end of the input (no errno)."""
    return STATUS_OTHER if path == "-" or last else STATUS_RECORD


def _span(
    data: NistData, fields: list[bytes], refuse: Callable[[str], None], where: str
) -> tuple[float, float]:
    values = []
    for index, name in ((3, "start"), (4, "duration")):
        text = fields[index].replace(b"*", b"")
        value, whole = perl_number(text)
        if _NOT_FINITE.match(text):
            value = math.inf
        if not math.isfinite(value):
            refuse(f"FATAL ERROR:  {name} {show(fields[index])} is not a finite number of seconds")
        if not whole and text.lower() != b"<na>":
            data.notes.append(
                f"WARNING:  {where}: {name} {show(fields[index])} is not a number,"
                f" taken for {value:g}"
            )
        values.append(value)
    if values[1] < 0:
        refuse(f"FATAL ERROR -- negative metadata duration in file {show(fields[1])},'")
    return values[0], values[1]


def read_list(path: str) -> list[str]:
    """Return the paths in a list of RTTM files (``-R``, ``-S``), one per line."""
    raw = read_bytes(path, "file list")
    return [os.fsdecode(line.strip()) for line in raw.split(b"\n") if line.strip()]


def uem_file_name(name: bytes, keep_directory: bool) -> bytes:
    """Return the recording of a UEM name: without directory and without the first ``.xxx``.

    >>> uem_file_name(b"/x/some.audio.wav", False)
    b'some.wav'
    """
    if not keep_directory:
        name = name.rsplit(b"/", 1)[-1]
    if b"." not in name:
        return name
    return re.sub(rb"\.[^.]*", b"", name, count=1)


def read_nist_uem(path: str, keep_directory: bool = False) -> dict[Group, list]:
    """Return the (start, end) regions by (file, channel), in file order; see `check_uem`.

    Only digits and points of a time are used, as in md-eval: ``-5`` is 5 and ``1e1`` is 11.
    """
    out: dict[Group, list[tuple[float, float]]] = {}
    lines = read_bytes(path, "uem file").split(b"\n")
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith((b";", b"#")):
            continue
        if len(fields) < 4:
            last = number == len(lines)
            raise RefusedError(
                "\n\nFATAL ERROR:  insufficient number of fields in UEM record\n"
                f"    record is: '{_record(line, last)}'\n    line {number} of {path}\n",
                _status(path, last),
            )
        group = (uem_file_name(fields[0], keep_directory), fields[1].lower())
        out.setdefault(group, []).append((_uem_seconds(fields[2]), _uem_seconds(fields[3])))
    return out


_NOT_UEM_TIME = bytes(set(range(256)) - set(b"0123456789."))


def _uem_seconds(text: bytes) -> float:
    text = text.translate(None, _NOT_UEM_TIME)
    try:
        return float(text)
    except ValueError:
        return perl_number(text)[0]


def check_uem(uem: dict[Group, list], path: str) -> None:
    """Sort the regions in place; refuses empty and overlapping ones, md-eval's last check."""
    for group, regions in uem.items():
        for start, end in regions:
            if not (end > start and math.isfinite(end)):
                raise RefusedError(
                    "\n\nFATAL ERROR:  non-positive evaluation segment length in UEM data for "
                    f"file {show(group[0])}, channel {show(group[1])}\n"
                    f"    ({start:.15g} to {end:.15g}) in {path}\n",
                    STATUS_OTHER,
                )
    for group, regions in uem.items():
        regions.sort()
        for (start, end), (later, last) in pairwise(regions):
            if later < end:
                raise RefusedError(
                    "\n\nFATAL ERROR:  UEM file has overlapping evaluation segments\n"
                    f"    file {show(group[0])}, channel {show(group[1])}:  "
                    f"({start:.15g},{end:.15g}), ({later:.15g},{last:.15g})\n",
                    STATUS_OTHER,
                )
