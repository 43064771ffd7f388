"""Files of a Kaldi data directory: one reader and one writer for all of them.

`diarize.kaldi.schema` lists the known tables.  Any other text file whose lines begin with
utterances, recordings or speakers of the directory is carried along as it is.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory, atomic_write
from diarize.io.audio import AudioSource
from diarize.io.names import normal_name
from diarize.io.table import Report, line_numbers, raise_fault, read_text, write_table
from diarize.kaldi.schema import (
    ANY_ID,
    LINE_FILES,
    RECORDING,
    SCHEMA,
    SPEAKER,
    UTTERANCE,
    WHOLE_FILES,
    read_tables,
    spk2utt_of,
)

MAX_TABLE_BYTES = 1 << 30


@dataclass
class LineFile:
    """Lines of a file whose keys may repeat; field ``place`` of each names what ``keys`` says."""

    place: int
    keys: str
    lines: list[str]

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """The indices of the lines of each id; those of comments and blank lines under ''."""
        out: dict[str, list[int]] = {}
        for index, line in enumerate(self.lines):
            words = line.split(None, self.place + 1)
            comment = line.startswith((";", "#")) or len(words) <= self.place
            out.setdefault("" if comment else normal_name(words[self.place]), []).append(index)
        return out

    def of_ids(self, ids: Iterable[str]) -> "LineFile":
        """Return the lines of ``ids``, and all comments, in the order of the file."""
        kept = sorted(index for key in {"", *ids} for index in self.places.get(key, ()))
        return LineFile(self.place, self.keys, [self.lines[index] for index in kept])

    def renamed(self, rename: Callable[[str], str]) -> "LineFile":
        """Return the lines with their ids renamed, sorted again where they were sorted."""
        out = list(self.lines)
        for key, indices in self.places.items():
            for index in indices if key else ():
                words = out[index].split(None, self.place + 1)
                words[self.place] = rename(key)
                out[index] = " ".join(words)
        if self.place == 0 and list(self.places) == sorted(self.places):
            out.sort(key=lambda line: line.split(None, 1)[:1])
        return LineFile(self.place, self.keys, out)


@dataclass
class DirTables:
    """All files of a data directory: ``tables`` by file name, files of lines, whole files."""

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, LineFile] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    # Line numbers for messages, and lengths by headers: read when they are needed.
    _places: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)
    _seconds: dict[str, float | None] = field(default_factory=dict, repr=False)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike,
        report: Report = raise_fault,
        relocate: bool = True,
        kinds: Mapping[str, str] | None = None,
    ) -> "DirTables":
        """Return the files of the directory ``path``; faults of single lines go to ``report``.

        The order of the lines is not checked.  ``relocate``: paths of wav.scp that are relative
        to the directory itself are made valid elsewhere.  ``kinds`` says of further tables what
        their keys are; else that is found by looking.  ``unknown`` lists the other text files.
        Raises DiarizeError for a directory with neither utt2spk nor wav.scp.
        """
        path = Path(path)
        if not path.is_dir():
            raise DiarizeError(f"{path}: no such data directory")
        out = cls(path, read_tables(path, report=report, check_sorted=False))
        if not out.tables.keys() & {"utt2spk", "wav.scp"}:
            raise DiarizeError(f"{path}: not a data directory: neither utt2spk nor wav.scp")
        if relocate and "wav.scp" in out.tables:
            audio = out.tables["wav.scp"].items()
            out.tables["wav.scp"] = {key: _from_anywhere(path, value) for key, value in audio}
        for file in sorted(path.iterdir()):
            if file.name in SCHEMA or file.name.startswith(".") or not file.is_file():
                continue
            if file.name in WHOLE_FILES:
                out.whole[file.name] = read_text(file)
            elif not out._add_lines(file, (kinds or {}).get(file.name)) and _may_be_text(file):
                out.unknown.append(file.name)
        return out

    @property
    def utterances(self) -> list[str]:
        """The keys of utt2spk (else of segments or wav.scp), sorted."""
        for name in ("utt2spk", "segments", "wav.scp"):
            if name in self.tables:
                return sorted(self.tables[name])
        return []

    def recording_of(self, utterance: str) -> str:
        """Return the recording that the utterance is a part of."""
        segments = self.tables.get("segments")
        return segments[utterance].split(None, 1)[0] if segments is not None else utterance

    def at(self, name: str, key: str) -> str:
        """Return ``file:line`` of ``key`` in the file ``name``, ``file`` if it is not in there."""
        if name not in self._places:
            self._places[name] = line_numbers(self.path / name)
        number = self._places[name].get(key)
        return f"{self.path / name}:{number}" if number else str(self.path / name)

    def seconds(self, recording: str, headers: bool = True) -> float | None:
        """Return the length of a recording by reco2dur, else by the header of its audio.

        None if it is unknown: without ``headers``, and for a pipe or an unreadable file.
        """
        if recording in (known := self.tables.get("reco2dur", {})):
            return float(known[recording])
        if headers and recording not in self._seconds:
            name = self.tables.get("wav.scp", {}).get(recording, "|")
            self._seconds[recording] = _header_seconds(name, self.path)
        return self._seconds.get(recording)

    def ids(self, utterances: Iterable[str]) -> dict[str, set[str]]:
        """Return the ids of each kind that belong to ``utterances``."""
        utts = set(utterances)
        recordings = {self.recording_of(utt) for utt in utts}
        utt2spk = self.tables.get("utt2spk", {})
        files = self.tables.get("reco2file_and_channel", {})
        names = {files[key].split()[0] for key in recordings if key in files}
        return {
            UTTERANCE: utts,
            RECORDING: recordings,
            SPEAKER: {utt2spk[utt] for utt in utts if utt in utt2spk},
            ANY_ID: utts | recordings | names,
        }

    def restrict(self, utterances: Iterable[str]) -> "DirTables":
        """Return the files of ``utterances``, their recordings and their speakers only."""
        ids = self.ids(utterances)
        # Sorted, as they are written: a small part of a large table is found without reading it.
        ordered = {kind: sorted(found) for kind, found in ids.items()}
        out = DirTables(self.path, whole=dict(self.whole))
        for name, table in self.tables.items():
            keys = ordered[SCHEMA[name].keys]
            out.tables[name] = {key: table[key] for key in keys if key in table}
        out.lines = {name: file.of_ids(ids[file.keys]) for name, file in self.lines.items()}
        return out

    def write(self, path: str | os.PathLike) -> None:
        """Write all files, spk2utt made anew; a new directory is complete or absent.

        In an existing directory, known tables that this one lacks are removed, and other files
        stay.
        """
        path = Path(path)
        if path.exists():
            self._write_files(path)
        else:
            with atomic_directory(path) as fresh:
                self._write_files(fresh)

    def _write_files(self, path: Path) -> None:
        tables = dict(self.tables)
        if "utt2spk" in tables:
            tables["spk2utt"] = spk2utt_of(tables["utt2spk"])
        for name in (*SCHEMA, *LINE_FILES, *WHOLE_FILES):
            if name not in tables and name not in self.lines and name not in self.whole:
                (path / name).unlink(missing_ok=True)
        for name, table in tables.items():
            write_table(path / name, table)
        for name, file in self.lines.items():
            with atomic_write(path / name) as handle:
                handle.writelines(f"{line}\n" for line in file.lines)
        for name, text in self.whole.items():
            with atomic_write(path / name) as handle:
                handle.write(text)

    def _add_lines(self, file: Path, keys: str | None) -> bool:
        """Read a file of lines into ``lines``; False for another file."""
        known = (0, keys) if keys else LINE_FILES.get(file.name, LINE_FILES.get(file.suffix[1:]))
        if known is None and not _may_be_text(file):
            return False
        try:
            lines = [line for line in read_text(file).splitlines() if line.strip()]
        except DiarizeError:
            if known is not None:
                raise
            return False
        if known is not None:
            self.lines[file.name] = LineFile(*known, lines)
            return True
        found = LineFile(0, UTTERANCE, lines)
        ids = found.places.keys() - {""}
        shares = {kind: len(ids & known) for kind, known in self._all_ids.items()}
        best = max(shares, key=lambda kind: shares[kind])
        if 2 * shares[best] <= len(ids):
            return False
        self.lines[file.name] = LineFile(0, best, lines)
        return True

    @cached_property
    def _all_ids(self) -> dict[str, set[str]]:
        recordings = set(self.tables.get("wav.scp", ()))
        speakers = set(self.tables.get("utt2spk", {}).values())
        return {UTTERANCE: set(self.utterances), RECORDING: recordings, SPEAKER: speakers}


def _from_anywhere(path: Path, rxfilename: str) -> str:
    """Return ``rxfilename`` in a form that does not depend on its data directory ``path``."""
    try:
        return AudioSource(rxfilename, base=path).resolved()
    except DiarizeError:  # it is found nowhere
        return rxfilename


def _header_seconds(rxfilename: str, path: Path) -> float | None:
    """Return the seconds of an audio file by its header; None for a pipe or an unreadable file."""
    if rxfilename.endswith("|"):
        return None
    try:
        return AudioSource(rxfilename, base=path).info().duration
    except DiarizeError:
        return None


def _may_be_text(file: Path) -> bool:
    try:
        with open(file, "rb") as handle:
            head = handle.read(4096)
        return bool(head) and b"\0" not in head and file.stat().st_size <= MAX_TABLE_BYTES
    except OSError:
        return False
