"""Praat's TextGrid, in its long and its short text form, UTF-8 or UTF-16.

Praat reads free-standing numbers, strings in quotes and flags in ``<>`` and skips all else, so
one reader suffices for both forms.  Special cases:

* a tier without intervals is a `Tier` with none; a file with ``<absent>`` tiers is an empty list;
* an interval with an empty text is kept; callers that need speech only must remove it;
* intervals may overlap, and a tier may end elsewhere than the file, as in published corpora;
* an interval that ends before it begins, an unfinished string, a truncated file and a file that
  is no TextGrid raise a DiarizeError that names file and line.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.numbers import MAX_SECONDS
from diarize.io.rttm import read_data

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(")|(![^\n]*)|([^\s"!]+)')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?%?")


class Interval(NamedTuple):
    """Interval [start, end) in seconds, its text, and its first line in the file."""

    start: float
    end: float
    text: str
    line: int


class Tier(NamedTuple):
    """One tier; a tier of points (``TextTier``) has no intervals."""

    name: str
    intervals: list[Interval]
    line: int


class _Token(NamedTuple):
    line: int
    value: str | float
    kind: str  # "string", "number" or "flag"


def read_textgrid_tiers(path: str | os.PathLike) -> list[Tier]:
    """Return the tiers of ``path`` in the file's order.

    Raises DiarizeError, naming file and line, for the faults listed in the module docstring.
    """
    reader = _Reader(str(path), _decode(path))
    if not reader.begins_with("ooTextFile", "TextGrid"):
        raise DiarizeError(f"{path}:1: not a TextGrid in Praat's text form")
    reader.take("number")
    reader.take("number")
    if reader.take("flag") != "<exists>":
        return []
    return [_read_tier(reader) for _ in range(reader.count("tiers"))]


def _read_tier(reader: "_Reader") -> Tier:
    kind = reader.take("string")
    line = reader.line
    if kind not in ("IntervalTier", "TextTier"):
        raise DiarizeError(f"{reader.path}:{line}: unknown kind of tier {kind!r}")
    name = str(reader.take("string"))
    reader.take("number")
    reader.take("number")
    intervals = []
    for _ in range(reader.count("intervals")):
        start = float(reader.take("number"))
        at = reader.line
        if kind == "TextTier":
            reader.take("string")
            continue
        end = float(reader.take("number"))
        text = str(reader.take("string"))
        if end < start:
            raise DiarizeError(
                f"{reader.path}:{at}: interval of {name} ends ({end:g}) before it begins "
                f"({start:g})"
            )
        intervals.append(Interval(start, end, text, at))
    return Tier(name, intervals, line)


class _Reader:
    """Tokens of one file, read one by one; ``line`` is that of the last token."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.line = 1
        self._tokens = _tokens(path, text)

    def begins_with(self, *words: str) -> bool:
        """Read the next values and return whether they are these strings."""
        return all((token := next(self._tokens, None)) and token.value == word for word in words)

    def take(self, kind: str) -> str | float:
        """Return the next value, which must be of ``kind``."""
        token = next(self._tokens, None)
        if token is None:
            raise DiarizeError(
                f"{self.path}:{self.line}: the TextGrid is cut off: a {kind} should follow"
            )
        self.line = token.line
        if token.kind != kind:
            raise DiarizeError(
                f"{self.path}:{self.line}: a {kind} is needed, not {token.value!r}: damaged"
            )
        return token.value

    def count(self, what: str) -> int:
        """Return the next value, which must be a count."""
        value = float(self.take("number"))
        if value < 0 or value != int(value):
            raise DiarizeError(f"{self.path}:{self.line}: {value:g} is not a number of {what}")
        return int(value)


def _tokens(path: str, text: str) -> Iterator[_Token]:
    """Yield the tokens that Praat would read; comments and other text are skipped."""
    line, seen = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", seen, found.start())
        seen = found.start()
        if found[2]:
            raise DiarizeError(
                f"{path}:{line}: a string begins here and has no end; the file is cut off"
            )
        if found[1] is not None:
            yield _Token(line, found[1].replace('""', '"'), "string")
        elif found[4]:
            word = found[4]
            if _NUMBER.fullmatch(word):
                value = float(word.rstrip("%"))
                if abs(value) > MAX_SECONDS:
                    raise DiarizeError(f"{path}:{line}: {word!r} is out of range; damaged")
                yield _Token(line, value, "number")
            elif word.startswith("<") and word.endswith(">"):
                yield _Token(line, word, "flag")


def _decode(path: str | os.PathLike) -> str:
    data = read_data(path)
    coding = "utf-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        coding = "utf-16"  # Praat's choice for names beyond ASCII
    elif b"\0" in data[:4]:
        coding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise DiarizeError(f"{path}:{line}: not {coding.upper()} text; convert the file") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_textgrid_tiers(
    tiers: Sequence[tuple[str, Sequence[tuple[float, float, str]]]], seconds: float
) -> str:
    """Return the long text form of a TextGrid from 0 to ``seconds``.

    Each tier is a name and its intervals (start, end, text), sorted and without overlap; the time
    between them is filled with empty intervals, as Praat requires.
    """
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    out += [f"xmax = {seconds:.6f}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers, 1):
        rows: list[tuple[float, float, str]] = []
        at = 0.0
        for start, end, text in intervals:
            if start > at:
                rows.append((at, start, ""))
            rows.append((start, end, text))
            at = end
        if at < seconds:
            rows.append((at, seconds, ""))
        out += [f"    item [{number}]:", '        class = "IntervalTier"']
        out += [f"        name = {_quoted(name)}", "        xmin = 0"]
        out += [f"        xmax = {seconds:.6f}", f"        intervals: size = {len(rows)}"]
        for place, (start, end, text) in enumerate(rows, 1):
            out += [f"        intervals [{place}]:", f"            xmin = {start:.6f}"]
            out += [f"            xmax = {end:.6f}", f"            text = {_quoted(text)}"]
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
