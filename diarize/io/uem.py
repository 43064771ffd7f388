"""UEM: evaluated regions of recordings, ``<recording> <channel> <start> <end>`` in seconds."""

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import IO

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.names import normal_names
from diarize.io.numbers import parse_seconds
from diarize.io.rttm import data_lines
from diarize.segments import Regions


def read_uem(path: str | os.PathLike) -> dict[str, Regions]:
    """Return the evaluated (start, end) seconds of each recording, sorted by start.

    Names are unchanged; channels are not distinguished.  Raises DiarizeError naming
    file and line for a bad line, an empty region, or regions of a recording that overlap.
    """
    found: dict[str, list[tuple[float, float, int]]] = {}
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) != 4:
            raise DiarizeError(f"{where}: {len(fields)} fields where UEM has 4")
        start = parse_seconds(fields[2], "field 3 (start)", where)
        end = parse_seconds(fields[3], "field 4 (end)", where)
        if end <= start:
            raise DiarizeError(f"{where}: the region ends ({end:g}) before it begins ({start:g})")
        found.setdefault(fields[0], []).append((start, end, number))
    out = {}
    for recording, regions in zip(normal_names(found, path), found.values(), strict=True):
        if recording in out:
            raise DiarizeError(f"{path}: recording {recording} is written in two ways; use one")
        regions.sort()
        for (_, end, _), (start, _, number) in pairwise(regions):
            if start < end - 1e-8:
                raise DiarizeError(f"{path}:{number}: regions of {recording} overlap at {start:g}")
        out[recording] = [(start, end) for start, end, _ in regions]
    return out


def write_uem(
    path: str | os.PathLike | IO[str], mapping: Mapping[str, Regions]
) -> None:
    """Write the regions atomically: recordings in C order, channel 1, 3 decimals."""
    text = "".join(
        f"{recording} 1 {start:.3f} {end:.3f}\n"
        for recording in sorted(mapping, key=str.encode)
        for start, end in mapping[recording]
    )
    if isinstance(path, str | os.PathLike):
        with atomic_write(path) as handle:
            handle.write(text)
    else:
        path.write(text)
