"""The finished recordings of an interrupted inference, which a later run does not repeat.

``<name>.finished`` beside the arks has a line of JSON with their origin, then one per finished
recording, with the identity of its audio and its place in each ark.  A line is appended after the
arks are on the disk.  A run that ends without failure removes the file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diarize.errors import DiarizeError
from diarize.io.ark import ArkWriter
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioSource
from diarize.io.json_text import parse_json


class FinishedRecordings:
    """The list of one job.

    made_with: settings that the arrays depend on, besides the audio (plain values); a list with
        other settings is discarded
    sources: the audio of each recording; a recording whose audio has changed is not finished
    """

    def __init__(
        self, path: Path, arks: list[str], made_with: Mapping[str, Any],
        sources: Mapping[str, AudioSource],
    ) -> None:  # fmt: skip
        self.path, self.arks, self.sources = path, arks, sources
        self._head = json.loads(json.dumps({"made_with": made_with, "arks": arks}))
        self._rows = self._read()
        with atomic_write(path) as handle:
            for row in (self._head, *self._rows.values()):
                handle.write(json.dumps(row) + "\n")

    @property
    def names(self) -> list[str]:
        """The finished recordings."""
        return list(self._rows)

    def kept(self, ark: str) -> tuple[dict[str, int], int]:
        """Return the offsets of the finished arrays in ``ark`` and the end of the last one."""
        index = self.arks.index(ark)
        places = {name: row["places"][index] for name, row in self._rows.items()}
        ends = [end for _, end in places.values()]
        return {name: offset for name, (offset, _) in places.items()}, max(ends, default=0)

    def add(self, name: str, writers: list[ArkWriter]) -> None:
        """Append a recording whose arrays have been written by ``writers``."""
        places = [[writer.offset(name), writer.sync()] for writer in writers]
        row = {"recording": name, "audio": _identity(self.sources[name]), "places": places}
        try:
            with open(self.path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as err:
            raise DiarizeError(f"cannot write {self.path}: {err.strerror}") from err

    def remove(self) -> None:
        """Remove the list, after the scp files are written."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return {}
        sizes = [_size(self.path.with_name(f"{ark}.ark")) for ark in self.arks]
        out: dict[str, dict[str, Any]] = {}
        try:
            if parse_json(lines[0], self.path) != self._head:
                return {}
            for line in lines[1:-1]:  # the last one, without a line end, is not complete
                row = parse_json(line, self.path)
                name, ends = row["recording"], [end for _, end in row["places"]]
                whole = all(end <= size for end, size in zip(ends, sizes, strict=True))
                if whole and name in self.sources and (
                    row["audio"] == _identity(self.sources[name])
                ):
                    out[name] = row
        except (DiarizeError, ValueError, KeyError, TypeError):
            return {}
        return out


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(source: AudioSource) -> list[Any]:
    """Return the entry of wav.scp, and of a file its size and time of change."""
    if not source.is_seekable:
        return [source.rxfilename]
    try:
        found = os.stat(source.resolved())
    except (OSError, DiarizeError):
        return [source.rxfilename]
    return [source.rxfilename, found.st_size, found.st_mtime_ns]
