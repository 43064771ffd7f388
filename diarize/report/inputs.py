"""Input of scoring: one or more RTTM and UEM files, and those of a data directory."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.columns import NameBuilder
from diarize.io.numbers import parse_seconds
from diarize.io.rttm import TurnColumns, read_turns
from diarize.io.table import read_table
from diarize.io.uem import read_uem
from diarize.segments import Regions


def files_of(paths: Sequence[str | os.PathLike], suffix: str) -> list[str]:
    """Return the files of ``paths``, directories replaced by their files with ``suffix``, sorted.

    Raises DiarizeError for a directory without such a file, and for a file that occurs twice.
    """
    found: dict[str, str] = {}
    for path in map(os.fspath, paths):
        files = [path]
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.lower().endswith(suffix))
            files = [os.path.join(path, name) for name in names]
            if not files:
                raise DiarizeError(f"{path}: no file with suffix {suffix} in this directory")
        for file in files:
            key = file if file == "-" else os.path.realpath(file)
            if key in found:
                raise DiarizeError(f"{file}: named twice; remove one")
            found[key] = file
    return list(found.values())


def read_turn_files(paths: Sequence[str | os.PathLike]) -> TurnColumns:
    """Return the turns of RTTM files, one file after the other, as ``md-eval -R`` reads a list.

    A directory is read as its ``*.rttm``.
    """
    parts = [read_turns(path) for path in files_of(paths, ".rttm")]
    if len(parts) == 1:
        return parts[0]
    names = []
    for field in ("recording", "channel", "label"):
        builder = NameBuilder()
        for part in parts:
            column = getattr(part, field)
            builder.add(column.names, column.code)
        names.append(builder.column())
    start, end = (np.concatenate([getattr(part, x) for part in parts]) for x in ("start", "end"))
    return TurnColumns(names[0], names[1], start, end, names[2])


def read_uem_files(paths: Sequence[str | os.PathLike]) -> dict[str, Regions]:
    """Return the regions of UEM files; a directory is read as its ``*.uem``.

    Raises DiarizeError for a recording in two of them.
    """
    out: dict[str, Regions] = {}
    for path in files_of(paths, ".uem"):
        found = read_uem(path)
        both = out.keys() & found.keys()
        if both:
            raise DiarizeError(f"{path}: recording {min(both)} is in two UEM files; remove one")
        out.update(found)
    return out


def read_durations(path: str | os.PathLike) -> dict[str, float]:
    """Return the seconds of each recording of a ``reco2dur`` file."""
    return {
        name: parse_seconds(value, "duration", f"{path}: {name}")
        for name, value in read_table(path, fields=2).items()
    }


def data_regions(data: Path) -> dict[str, Regions]:
    """Return the evaluated regions of a data directory: ``uem``, else the whole recordings.

    Raises DiarizeError where there is neither ``uem`` nor ``reco2dur``.
    """
    if (data / "uem").is_file():
        return read_uem(data / "uem")
    if not (data / "reco2dur").is_file():
        raise DiarizeError(f"{data}: no uem and no reco2dur; the scored time is unknown, add uem")
    durations = read_durations(data / "reco2dur")
    return {name: [(0.0, seconds)] for name, seconds in durations.items()}
