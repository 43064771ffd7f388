"""Kaldi tables: text files of ``<key> <value>`` lines, sorted by key in C byte order."""

import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.names import normal_fields, normal_name


class TableForm(NamedTuple):
    """Form of the lines of a table: number of fields (None: at least two), and valid values.

    ``names``: the values are names, too, as the keys always are.
    """

    fields: int | None = None
    valid: Callable[[str], bool] = bool
    value: str = "a value"
    names: bool = False


ANY_VALUE = TableForm(valid=lambda value: True)
# Called with a fault, and whether it makes an entry ambiguous (see `parse_table`).
Report = Callable[[str, bool], None]


def raise_fault(fault: str, _ambiguous: bool = False) -> None:
    """Raise the fault as a DiarizeError."""
    raise DiarizeError(fault)


def read_table(
    path: str | os.PathLike,
    *,
    fields: int | None = None,
    check_sorted: bool = False,
    allow_empty: bool = False,
) -> dict[str, str]:
    """Return ``{key: rest of the line}`` in the order of the file.

    ``fields=n``: exactly ``n`` fields on every line, with the key.  ``check_sorted``: keys in C
    byte order, and a final newline, as Kaldi's tools require.  ``allow_empty``: keys without a
    value are valid (empty transcripts).  Raises DiarizeError naming ``file:line`` for a line that
    is empty, has another number of fields, repeats a key, has a carriage return, or is not UTF-8.
    """
    form = ANY_VALUE if allow_empty else TableForm(fields)
    return parse_table(path, read_text(path), form, raise_fault, check_sorted)


def parse_table(
    path: str | os.PathLike, text: str, form: TableForm, report: Report, check_sorted: bool = True
) -> dict[str, str]:
    """Return the entries of the table ``text``; each fault, with ``path:line``, goes to ``report``.

    An entry with a fault is omitted, unless only its position in the file is wrong.  A fault is
    ambiguous if omitting the entry would be a guess: a wrong number of fields, or a key with
    two values.  Names are returned in their normal form (`diarize.io.names`); where that changes
    one, the order of the lines is not checked.
    """
    if not text.isascii():
        normal = normal_fields(text, path, first_only=not form.names)
        check_sorted = check_sorted and normal == text
        text = normal
    # A table without any fault is parsed in one fast pass; faults are then located line by line.
    table = _plain_table(text, form, check_sorted)
    if table is None:
        table = _parse_lines(path, text.split("\n"), form, report, check_sorted)
    return table


def _plain_table(text: str, form: TableForm, check_sorted: bool) -> dict[str, str] | None:
    edges = f"\n{text}"
    if (text and not text.endswith("\n")) or (
        any(part in edges for part in _ODD) if text.isascii() else _NOT_PLAIN.search(edges)
    ):
        return None
    lines = text.split("\n")
    lines.pop()
    try:
        table = dict(line.split(None, 1) for line in lines)
    except ValueError:  # a line without two parts
        return None
    values = table.values()
    sound = len(table) == len(lines) and all(map(form.valid, set(values)))
    if form.fields == 2:
        sound = sound and len(" ".join(values).split()) == len(values)
    elif form.fields is not None:
        sound = sound and all(len(value.split()) == form.fields - 1 for value in values)
    if check_sorted:  # code points sort as the bytes of UTF-8, the order of LC_ALL=C sort
        sound = sound and list(table) == sorted(table)
    return table if sound else None


# Blanks at the edge of a line, empty lines, carriage returns; ASCII text is checked by plain
# searches, which also find every other character that Python treats as a blank.
_NOT_PLAIN = re.compile(r"\n\s|[^\S\n]\n|\r")
_ODD = ("\n\n", "\n ", "\n\t", " \n", "\t\n", *"\r\v\f\x1c\x1d\x1e\x1f")


def _parse_lines(
    path: str | os.PathLike, lines: list[str], form: TableForm, report: Report, check_sorted: bool
) -> dict[str, str]:
    if lines[-1] == "":
        lines.pop()
    elif check_sorted:
        where = f"{path}:{len(lines)}"
        report(f"{where}: no newline at the end of the file; it may be cut short", False)
    table: dict[str, str] = {}
    first: dict[str, int] = {}
    before = ""
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if "\r" in line:
            report(f"{where}: carriage return in the line; remove it by dos2unix", False)
        key, *rest = line.split(None, 1) or [""]
        value = rest[0].rstrip() if rest else ""
        count = 1 + len(value.split())
        if not key:
            report(f"{where}: empty line", False)
        elif form.fields is not None and count != form.fields:
            report(f"{where}: {count} fields instead of {form.fields}: {line[:80]!r}", True)
        elif not rest and not form.valid(""):
            report(f"{where}: no value after the key {key}", False)
        elif not form.valid(value):
            report(f"{where}: {key}: {value!r} is not {form.value}", False)
        elif key in first:
            report(f"{where}: key {key} is already on line {first[key]}", table[key] != value)
        else:
            if check_sorted and line[0].isspace():
                report(f"{where}: blanks before the key {key}", False)
            if check_sorted and key < before:
                what = f"{key} after {before}: not sorted; sort by LC_ALL=C sort, or by"
                report(f"{where}: {what} utils/fix_data_dir.sh", False)
            table[key], first[key], before = value, number, key
    return table


def write_table(path: str | os.PathLike, table: Mapping[str, object]) -> None:
    """Write ``<key> <value>`` lines sorted in C byte order; the file is complete or absent.

    Raises DiarizeError for a key that is empty or contains blanks, or a value with a line end,
    because such a table could not be read back.
    """
    keys = sorted(table)
    values = [str(table[key]) for key in keys]
    text = "\n".join(["", *values, ""])
    plain = " ".join(keys).split() == keys and text.count("\n") == len(values) + 1
    if not plain or _BLANK_EDGE.search(text):
        _refuse_rows(path, keys, values)
    rows = [
        f"{key} {value}\n" if value else f"{key}\n"
        for key, value in zip(keys, values, strict=True)
    ]
    with atomic_write(path) as handle:
        handle.writelines(rows)


# In values between line ends: a blank beside one, or a carriage return.
_BLANK_EDGE = re.compile(r"\n[^\S\n]|[^\S\n]\n|\r")


def _refuse_rows(path: str | os.PathLike, keys: list[str], values: list[str]) -> None:
    """Raise for the first row that could not be read back, if any."""
    for key, value in zip(keys, values, strict=True):
        if key.split() != [key]:
            raise DiarizeError(f"cannot write {path}: key {key!r} is empty or contains blanks")
        if value.strip() != value or "\n" in value or "\r" in value:
            raise DiarizeError(
                f"cannot write {path}: the value of {key} has outer blanks or a line end: {value!r}"
            )


def read_text(path: str | os.PathLike) -> str:
    """Return the text of a UTF-8 file, line ends unchanged.

    Raises DiarizeError if it cannot be read, or contains bytes that are not UTF-8, a byte order
    mark or NUL.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror or err}") from err
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        number = data.count(b"\n", 0, err.start) + 1
        raise DiarizeError(
            f"{path}:{number}: not UTF-8 text (byte 0x{data[err.start]:02x}); convert it, "
            "for example with iconv"
        ) from err
    if text.startswith("\ufeff"):
        raise DiarizeError(f"{path}:1: begins with a byte order mark; save it without one")
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise DiarizeError(f"{path}:{number}: NUL byte; the file is damaged or not text")
    return text


def line_of(path: str | os.PathLike, key: str) -> str:
    """Return ``file:line`` of the line with ``key``, or ``file`` without one.

    For a single message: the file is read again.  For several, see `line_numbers`.
    """
    number = line_numbers(path).get(key)
    return f"{path}:{number}" if number else str(path)


def line_numbers(path: str | os.PathLike) -> dict[str, int]:
    """Return the line, from 1, of the first occurrence of each key; {} for an unreadable file."""
    try:
        lines = read_text(path).split("\n")
    except DiarizeError:
        return {}
    numbers = zip((line.split(None, 1)[:1] for line in lines), itertools.count(1), strict=False)
    out: dict[str, int] = {}
    for key, number in numbers:
        if key:
            out.setdefault(normal_name(key[0]), number)
    return out
