"""Kaldi's tables: text files of ``<key> <value>`` lines, sorted by key in C byte order."""

import contextlib
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write


def read_table(
    path: str | os.PathLike,
    *,
    fields: int | None = None,
    check_sorted: bool = False,
    allow_empty: bool = False,
) -> dict[str, str]:
    """Return ``{key: rest of the line}`` in the order of the file.

    ``fields=n`` asks for exactly ``n`` fields on every line, the key counted.
    ``check_sorted`` asks for keys in C byte order and a final newline, as Kaldi's tools
    do.  ``allow_empty`` takes keys without a value (empty transcripts).  Raises
    DiarizeError naming ``file:line`` for a line that is empty, has another number of
    fields, repeats a key, has a carriage return, or is not UTF-8.
    """
    text = read_text(path)
    lines = text.split("\n")
    complete = lines[-1] == ""
    if complete:
        lines.pop()
    if check_sorted and not complete:
        raise DiarizeError(
            f"{path}:{len(lines)}: the last line has no end: the file may be cut short; "
            "write it again (or end it with a newline)"
        )
    # The usual, faultless table is made by one fast pass; what is wrong with another one
    # is then found line by line.
    table: dict[str, str] = {}
    trailing = " \n" in text or "\t\n" in text or text.endswith((" ", "\t"))
    if not trailing and "\r" not in text:
        with contextlib.suppress(ValueError):  # a line without two parts
            table = dict(line.split(None, 1) for line in lines)
    if len(table) != len(lines):
        table = _parse_lines(path, lines, allow_empty)
    if fields is not None:
        _check_fields(path, table, fields)
    if check_sorted:
        _check_order(path, list(table))
    return table


def write_table(path: str | os.PathLike, table: Mapping[str, object]) -> None:
    """Write ``<key> <value>`` lines sorted in C byte order; the file is whole or not there.

    Raises DiarizeError for a key that is empty or has blanks in it, or a value with a
    line end in it, because such a table could not be read back.
    """
    keys = sorted(table)
    values = [str(table[key]) for key in keys]
    text = "\n".join(["", *values, ""])
    plain = " ".join(keys).split() == keys and text.count("\n") == len(values) + 1
    if not plain or _NOT_PLAIN.search(text):
        _refuse_rows(path, keys, values)
    rows = [
        f"{key} {value}\n" if value else f"{key}\n"
        for key, value in zip(keys, values, strict=True)
    ]
    with atomic_write(path) as handle:
        handle.writelines(rows)


# In values between line ends: a blank beside one, or a carriage return.
_NOT_PLAIN = re.compile(r"\n[^\S\n]|[^\S\n]\n|\r")


def _refuse_rows(path: str | os.PathLike, keys: list[str], values: list[str]) -> None:
    """Raise for the first row that could not be read back; there need be none."""
    for key, value in zip(keys, values, strict=True):
        if key.split() != [key]:
            raise DiarizeError(f"cannot write {path}: key {key!r} is empty or holds blanks")
        if value.strip() != value or "\n" in value or "\r" in value:
            raise DiarizeError(
                f"cannot write {path}: the value of {key} has outer blanks or a line end: {value!r}"
            )


def read_text(path: str | os.PathLike) -> str:
    """Return the text of a UTF-8 file, line ends as they are.

    Raises DiarizeError where it cannot be read, or holds what no text table has: bytes that
    are not UTF-8, a byte order mark, NUL.
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
        raise DiarizeError(f"{path}:{number}: holds a NUL byte; it is damaged or no text file")
    return text


def line_of(path: str | os.PathLike, key: str) -> str:
    """Return ``file:line`` of the line with ``key``, or ``file`` where there is none.

    For messages only: the file is read again rather than every line number kept.
    """
    try:
        for number, line in enumerate(read_text(path).split("\n"), 1):
            if line.split(None, 1)[:1] == [key]:
                return f"{path}:{number}"
    except DiarizeError:
        pass
    return str(path)


def _parse_lines(path: str | os.PathLike, lines: list[str], allow_empty: bool) -> dict[str, str]:
    table: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if "\r" in line:
            raise DiarizeError(f"{where}: carriage return in the line; remove them with dos2unix")
        key, *rest = line.split(None, 1) or [""]
        if not key:
            raise DiarizeError(f"{where}: empty line; remove it")
        if not rest and not allow_empty:
            raise DiarizeError(f"{where}: no value after the key {key}")
        if key in table:
            first = list(table).index(key) + 1
            raise DiarizeError(f"{where}: key {key} is already on line {first}; keys are unique")
        table[key] = rest[0].rstrip() if rest else ""
    return table


def _check_fields(path: str | os.PathLike, table: dict[str, str], fields: int) -> None:
    if fields == 2 and not any(" " in value or "\t" in value for value in table.values()):
        return
    for number, (key, value) in enumerate(table.items(), 1):
        found = 1 + len(value.split())
        if found != fields:
            raise DiarizeError(
                f"{path}:{number}: {found} fields instead of {fields}: {f'{key} {value}'[:80]}"
            )


def _check_order(path: str | os.PathLike, keys: list[str]) -> None:
    # Code points sort as the bytes of UTF-8 do, which is the order of LC_ALL=C sort.
    if keys == sorted(keys):
        return
    for number, (before, key) in enumerate(itertools.pairwise(keys), 2):
        if key < before:
            raise DiarizeError(
                f"{path}:{number}: {key} comes after {before}: not sorted; sort with "
                "LC_ALL=C sort, or utils/fix_data_dir.sh"
            )
