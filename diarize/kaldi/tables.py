"""The known files of a data directory as plain tables, to be cut, renamed and written again."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import read_table, read_text, write_table
from diarize.kaldi.validate import ARK_OFFSET, RECORDING_TABLES, UTTERANCE_TABLES

LINE_FILES = {"rttm": 1, "uem": 0}
"""Files of free lines, and the field that names the recording."""


@dataclass
class RawDir:
    """The known files of a data directory, not checked against each other.

    ``tables`` are by file name, ``lines`` those of rttm and uem; ``frame_shift`` is kept as it is.
    """

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    frame_shift: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike, loose: bool = False) -> "RawDir":
        """Return the directory's files; ``loose`` takes unsorted, empty and repeated lines.

        Audio paths that are relative to the directory itself are made good for other ones,
        unless ``loose``.
        """
        path = Path(path)
        if not path.is_dir():
            raise DiarizeError(f"{path}: no such data directory")
        reader = _read_loose if loose else _read_strict
        raw = cls(path)
        for name in (*RECORDING_TABLES, *UTTERANCE_TABLES):
            if (path / name).exists():
                raw.tables[name] = reader(path / name)
        if not loose and "wav.scp" in raw.tables:
            raw.tables["wav.scp"] = _from_here(path, raw.tables["wav.scp"])
        for name in LINE_FILES:
            if (path / name).exists():
                text = read_text(path / name)
                raw.lines[name] = [line for line in text.splitlines() if line.strip()]
        if (path / "frame_shift").exists():
            raw.frame_shift = read_text(path / "frame_shift")
        if "utt2spk" not in raw.tables and "wav.scp" not in raw.tables:
            raise DiarizeError(f"{path}: no data directory: neither utt2spk nor wav.scp")
        return raw

    @property
    def utterances(self) -> list[str]:
        """The keys of utt2spk (else of segments or wav.scp), sorted."""
        for name in ("utt2spk", "segments", "wav.scp"):
            if name in self.tables:
                return sorted(self.tables[name])
        return []

    def recording_of(self, utterance: str) -> str:
        """The recording that the utterance is cut from."""
        segments = self.tables.get("segments")
        return segments[utterance].split()[0] if segments is not None else utterance

    def keep(self, utterances: Iterable[str], recordings: Iterable[str]) -> "RawDir":
        """The same with these utterances and recordings only."""
        # Sorted, as it is written: and a small part of a large table is found without reading it.
        utts, recos = sorted(set(utterances)), set(recordings)
        by_reco = sorted(recos)
        out = RawDir(self.path, frame_shift=self.frame_shift)
        for name, table in self.tables.items():
            keys = by_reco if name in RECORDING_TABLES else utts
            out.tables[name] = {key: table[key] for key in keys if key in table}
        for name, lines in self.lines.items():
            place = LINE_FILES[name]
            out.lines[name] = [
                line
                for line in lines
                if line.startswith(";") or not recos.isdisjoint(line.split()[place : place + 1])
            ]
        return out

    def restrict(self, utterances: Iterable[str]) -> "RawDir":
        """The same with these utterances and the recordings that they are cut from."""
        utterances = list(utterances)
        return self.keep(utterances, {self.recording_of(utt) for utt in utterances})

    def write(self, path: str | os.PathLike) -> None:
        """Write all files, spk2utt made anew; files that this directory lacks are removed there."""
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise DiarizeError(f"cannot make {path}: {err.strerror}") from err
        for name in (*RECORDING_TABLES, *UTTERANCE_TABLES, "spk2utt", *LINE_FILES, "frame_shift"):
            if name not in self.tables and name not in self.lines:
                (path / name).unlink(missing_ok=True)
        for name, table in self.tables.items():
            write_table(path / name, table)
        if "utt2spk" in self.tables:
            write_table(path / "spk2utt", spk2utt_of(self.tables["utt2spk"]))
        for name, lines in self.lines.items():
            with atomic_write(path / name) as handle:
                handle.writelines(f"{line}\n" for line in lines)
        if self.frame_shift is not None:
            with atomic_write(path / "frame_shift") as handle:
                handle.write(self.frame_shift)


def spk2utt_of(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Return speaker -> utterances joined by blanks, both sorted.

    >>> spk2utt_of({"b-1": "b", "a-2": "a", "a-1": "a"})
    {'a': 'a-1 a-2', 'b': 'b-1'}
    """
    out: dict[str, list[str]] = {}
    for utterance in sorted(utt2spk):
        out.setdefault(utt2spk[utterance], []).append(utterance)
    return {speaker: " ".join(out[speaker]) for speaker in sorted(out)}


def utt2spk_of(spk2utt: Mapping[str, str]) -> dict[str, str]:
    """Return utterance -> speaker; DiarizeError where two speakers claim one utterance.

    >>> utt2spk_of({"a": "a-1 a-2", "b": "b-1"})
    {'a-1': 'a', 'a-2': 'a', 'b-1': 'b'}
    """
    out: dict[str, str] = {}
    for speaker, utterances in spk2utt.items():
        for utterance in utterances.split():
            if utterance in out:
                raise DiarizeError(f"utterance {utterance} is of {out[utterance]} and of {speaker}")
            out[utterance] = speaker
    return dict(sorted(out.items()))


def _read_strict(path: Path) -> dict[str, str]:
    return read_table(path, allow_empty=path.name == "text")


def _read_loose(path: Path) -> dict[str, str]:
    table: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        key, *rest = line.split(None, 1) or [""]
        if not key or (not rest and path.name != "text"):
            continue
        value = rest[0].strip() if rest else ""
        if table.setdefault(key, value) != value:
            raise DiarizeError(f"{path}:{number}: key {key} has two values; remove one line")
    return table


def _from_here(path: Path, wav_scp: dict[str, str]) -> dict[str, str]:
    out = {}
    for key, value in wav_scp.items():
        bare = ARK_OFFSET.sub("", value) if ":" in value else value
        # A command and an absolute path are the same from everywhere.
        moved = (
            not value.endswith("|")
            and not os.path.isabs(bare)
            and not os.path.exists(bare)
            and os.path.exists(os.path.join(path, bare))
        )
        out[key] = str(path / value) if moved else value
    return out
