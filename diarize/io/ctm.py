"""CTM: times of words, ``<utterance> <channel> <start> <duration> <word> [confidence]``."""

import os
from collections.abc import Iterable, Mapping
from typing import IO, NamedTuple

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.names import normal_names
from diarize.io.numbers import parse_seconds
from diarize.io.rttm import data_lines


class Word(NamedTuple):
    """Word in [start, end) seconds from the beginning of the utterance."""

    start: float
    end: float
    text: str


def read_ctm(path: str | os.PathLike) -> dict[str, list[Word]]:
    """Return the words of each utterance (or recording) of ``path``, sorted by start.

    Raises DiarizeError naming file and line for a line without 5 or 6 fields, and for times
    that are negative or not numbers.
    """
    return {
        key: [word for word, _ in sorted(words)] for key, words in numbered_words(path).items()
    }


def write_ctm(path: str | os.PathLike | IO[str], words: Mapping[str, Iterable[Word]]) -> None:
    """Write the words atomically: utterances in C order, channel 1, 3 decimals."""
    lines = []
    for key in sorted(words):
        for word in words[key]:
            if not word.text or word.text.split() != [word.text]:
                raise DiarizeError(f"{key}: word {word.text!r} is empty or contains a blank")
            start = round(word.start * 1000)
            duration = round(word.end * 1000) - start
            lines.append(f"{key} 1 {start / 1000:.3f} {duration / 1000:.3f} {word.text}\n")
    if isinstance(path, str | os.PathLike):
        with atomic_write(path) as handle:
            handle.writelines(lines)
    else:
        path.writelines(lines)


def numbered_words(path: str | os.PathLike) -> dict[str, list[tuple[Word, int]]]:
    """Return the words of each key with their line numbers, in the order of the file."""
    out: dict[str, list[tuple[Word, int]]] = {}
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) not in (5, 6):
            raise DiarizeError(f"{where}: {len(fields)} fields where CTM has 5 or 6")
        start = parse_seconds(fields[2], "field 3 (start)", where)
        duration = parse_seconds(fields[3], "field 4 (duration)", where)
        if start < 0 or duration < 0:
            raise DiarizeError(f"{where}: negative time: {fields[2]} {fields[3]}")
        out.setdefault(fields[0], []).append((Word(start, start + duration, fields[4]), number))
    normal: dict[str, list[tuple[Word, int]]] = {}
    for key, words in zip(normal_names(out, path), out.values(), strict=True):
        normal.setdefault(key, []).extend(words)
    return normal
