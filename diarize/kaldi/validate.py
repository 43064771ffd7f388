"""Every fault of a Kaldi data directory, where loading one stops at the first."""

import itertools
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.io.table import read_text
from diarize.io.uem import read_uem
from diarize.kaldi.datadir import MAX_OVERSHOOT

UTTERANCE_TABLES = (
    "segments",
    "utt2spk",
    "utt2lang",
    "text",
    "utt2dur",
    "utt2num_frames",
    "feats.scp",
)
RECORDING_TABLES = ("wav.scp", "reco2dur", "reco2num_spk", "reco2file_and_channel")
ARK_OFFSET = re.compile(r":\d+$")


def _positive(value: str) -> bool:
    try:
        return 0 < float(value) < math.inf
    except ValueError:
        return False


def _count(value: str) -> bool:
    return value.isascii() and value.isdigit()


@dataclass(frozen=True)
class _Form:
    """What a line of a table looks like: the fields (None: any number) and a test of the value."""

    fields: int | None
    value: Callable[[str], bool] = bool
    what: str = "a value"


_FORMS = {
    "wav.scp": _Form(None),
    "segments": _Form(4),
    "utt2spk": _Form(2),
    "spk2utt": _Form(None),
    "utt2lang": _Form(2),
    "text": _Form(None, lambda value: True),
    "utt2dur": _Form(2, _positive, "a positive number of seconds"),
    "utt2num_frames": _Form(2, _count, "a number of frames"),
    "feats.scp": _Form(None),
    "reco2dur": _Form(2, _positive, "a positive number of seconds"),
    "reco2num_spk": _Form(2, _count, "a number of speakers"),
    "reco2file_and_channel": _Form(3),
}


def validate_data_dir(
    path: str | os.PathLike,
    *,
    feats: bool = True,
    text: bool = True,
    wav: bool = True,
    spk_sort: bool = True,
    non_print: bool = False,
) -> list[str]:
    """Return all faults of a data directory, each naming file, line and value; [] if it is sound.

    ``feats``, ``text`` and ``wav`` say that the directory must have feats.scp, text and
    wav.scp; a table that is there is checked in any case.  ``spk_sort``: the speaker is a
    prefix of the utterance, so that utterances are sorted by speaker, too.  ``non_print``
    takes unprintable characters in text.  Audio is not read, but its files must be there.
    """
    path = Path(path)
    if not path.is_dir():
        return [f"{path}: no such directory"]
    checker = _Checker(path)
    needed = {"feats.scp": feats, "text": text, "wav.scp": wav, "utt2spk": True, "spk2utt": True}
    for name, wanted in needed.items():
        if wanted and not (path / name).exists():
            checker.faults.append(f"{path / name}: the file is missing")
    for name in _FORMS:
        if (path / name).exists():
            checker.read(name)
    checker.check_audio()
    checker.check_segments()
    checker.check_speakers(spk_sort)
    checker.check_keys()
    if not non_print:
        checker.check_printable()
    checker.check_whole_files()
    return checker.faults


class _Checker:
    """The tables of one directory as ``{name: {key: (line, value)}}``, and the faults found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables: dict[str, dict[str, tuple[int, str]]] = {}
        self.faults: list[str] = []

    def fault(self, name: str, line: int, what: str) -> None:
        self.faults.append(f"{self.path / name}:{line}: {what}")

    def read(self, name: str) -> None:
        """Read a table line by line; what cannot be used is a fault and left out."""
        try:
            content = read_text(self.path / name)
        except DiarizeError as err:
            self.faults.append(str(err))
            return
        if not content:
            self.faults.append(f"{self.path / name}: the file is empty")
            return
        plain = _plain_table(content, _FORMS[name])
        if plain is not None:
            self.tables[name] = plain
            return
        lines = content.split("\n")
        if lines[-1] == "":
            lines.pop()
        else:
            self.fault(name, len(lines), f"no newline at the end of the file: {lines[-1]!r}")
        table: dict[str, tuple[int, str]] = {}
        previous = ""
        for number, line in enumerate(lines, 1):
            entry = self._parse(name, number, line)
            if entry is None:
                continue
            key, value = entry
            if key in table:
                self.fault(name, number, f"key {key} is already on line {table[key][0]}")
                continue
            if key < previous:
                self.fault(name, number, f"{key} after {previous}: not sorted (LC_ALL=C sort)")
            previous = key
            table[key] = (number, value)
        self.tables[name] = table

    def _parse(self, name: str, number: int, line: str) -> tuple[str, str] | None:
        if "\r" in line:
            self.fault(name, number, f"carriage return in {line!r}")
            return None
        words = line.split()
        if not words:
            self.fault(name, number, f"empty line {line!r}")
            return None
        if line[0].isspace():
            self.fault(name, number, f"blanks before the key {words[0]}")
        form = _FORMS[name]
        value = line.split(None, 1)[1].strip() if len(words) > 1 else ""
        if form.fields is not None and len(words) != form.fields:
            self.fault(name, number, f"{len(words)} fields instead of {form.fields}: {line!r}")
        elif not form.value(value):
            self.fault(name, number, f"{words[0]}: {value!r} is not {form.what}")
        return words[0], value

    def check_audio(self) -> None:
        """The files that wav.scp names are there; pipes are not looked into."""
        for key, (number, value) in self.tables.get("wav.scp", {}).items():
            # The usual case first: a path that is there as it stands, and 100,000 of them.
            if not value or value.endswith("|") or value == "-" or os.path.isfile(value):
                continue
            places = [Path(value), self.path / value]
            bare = ARK_OFFSET.sub("", value)
            if bare != value:
                places += [Path(bare), self.path / bare]
            if not any(place.is_file() for place in places):
                self.fault("wav.scp", number, f"{key}: no such audio file: {value}")

    def check_segments(self) -> None:
        """Stretches of time inside of known recordings, and every recording has one."""
        if "segments" not in self.tables:
            return
        recordings = self.tables.get("wav.scp")
        used = set()
        for key, (number, value) in self.tables["segments"].items():
            words = value.split()
            if len(words) != 3:
                continue
            recording, start, end = words
            used.add(recording)
            if recordings is not None and recording not in recordings:
                self.fault("segments", number, f"{key}: recording {recording} is not in wav.scp")
            try:
                sound = 0 <= float(start) < float(end) < math.inf
            except ValueError:
                sound = False
            if not sound:
                what = f"{key}: start {start}, end {end}: 0 <= start < end is needed"
                self.fault("segments", number, what)
                continue
            length = self.tables.get("reco2dur", {}).get(recording, (0, ""))[1]
            if _positive(length) and float(end) > float(length) + MAX_OVERSHOOT:
                what = f"{key}: ends at {end}, but {recording} is {length} s long by reco2dur"
                self.fault("segments", number, what)
        for recording, (number, _) in (recordings or {}).items():
            if recording not in used:
                self.fault("wav.scp", number, f"{recording} has no line in segments")

    def check_speakers(self, spk_sort: bool) -> None:
        """utt2spk in the order of speakers, and spk2utt the same table turned round."""
        utt2spk = self.tables.get("utt2spk", {})
        if spk_sort:
            for utterance, (number, speaker) in utt2spk.items():
                if not utterance.startswith(speaker):
                    what = f"speaker {speaker} is no prefix of {utterance} (see --no-spk-sort)"
                    self.fault("utt2spk", number, what)
            rows = [(speaker, number) for number, speaker in utt2spk.values()]
            for (before, _), (speaker, number) in itertools.pairwise(rows):
                if speaker < before:
                    what = f"speaker {speaker} after {before}: utterances not sorted by speaker"
                    self.fault("utt2spk", number, what)
        if "spk2utt" not in self.tables or "utt2spk" not in self.tables:
            return
        seen: dict[str, int] = {}
        for speaker, (number, value) in self.tables["spk2utt"].items():
            for utterance in value.split():
                if utt2spk.get(utterance, (0, None))[1] != speaker:
                    what = f"{speaker}: utterance {utterance} is not of this speaker in utt2spk"
                    self.fault("spk2utt", number, what)
                elif utterance in seen:
                    self.fault("spk2utt", number, f"{speaker}: {utterance} is there twice")
                seen[utterance] = number
        for utterance, (number, speaker) in utt2spk.items():
            if utterance not in seen:
                what = f"utterance {utterance} of speaker {speaker} is not in spk2utt"
                self.fault("utt2spk", number, what)

    def check_keys(self) -> None:
        """The tables of utterances have one set of keys, the tables of recordings another."""
        with_segments = "segments" in self.tables
        if "utt2spk" in self.tables:
            others = UTTERANCE_TABLES if with_segments else ("wav.scp", *UTTERANCE_TABLES)
            self._same_keys("utt2spk", others)
        if "wav.scp" in self.tables:
            self._same_keys("wav.scp", RECORDING_TABLES)

    def _same_keys(self, leader: str, names: Iterable[str]) -> None:
        keys = self.tables[leader]
        for name in names:
            table = self.tables.get(name)
            if table is None or name == leader or table.keys() == keys.keys():
                continue
            for key, (number, _) in table.items():
                if key not in keys:
                    self.fault(name, number, f"{key} is not in {leader}")
            for key, (number, _) in keys.items():
                if key not in table:
                    self.fault(leader, number, f"{key} is not in {name}")

    def check_printable(self) -> None:
        """No control characters, and none of the symbols that Kaldi keeps for itself, in text."""
        for key, (number, value) in self.tables.get("text", {}).items():
            for word in value.split():
                if not word.isprintable() or word in {"<s>", "</s>", "#0"}:
                    self.fault("text", number, f"{key}: word {word!r} is not allowed in text")

    def check_whole_files(self) -> None:
        """frame_shift, rttm and uem, where they are there."""
        path = self.path / "frame_shift"
        if path.exists():
            content = path.read_text(encoding="utf-8", errors="replace").split()
            if len(content) != 1 or not _positive(content[0]):
                what = f"{' '.join(content)!r} is not one positive number of seconds"
                self.fault("frame_shift", 1, what)
        readers: dict[str, Callable[[Path], Iterable[str]]] = {
            "rttm": lambda file: dict.fromkeys(segment.recording for segment in read_rttm(file)),
            "uem": read_uem,
        }
        for name, read in readers.items():
            if not (self.path / name).exists():
                continue
            try:
                recordings = list(read(self.path / name))
            except DiarizeError as err:
                self.faults.append(str(err))
                continue
            for recording in recordings:
                if recording not in self.tables.get("wav.scp", {recording: None}):
                    where = _rttm_line(self.path / name, recording)
                    self.faults.append(f"{where}: recording {recording} is not in wav.scp")


def _plain_table(content: str, form: _Form) -> dict[str, tuple[int, str]] | None:
    """Return key -> (line, value) of a table without any fault, None for every other one."""
    edges = f"\n{content}"
    if not content.endswith("\n") or (
        any(text in edges for text in _ODD) if content.isascii() else _NOT_PLAIN.search(edges)
    ):
        return None
    lines = content.split("\n")
    lines.pop()
    try:
        keys, values = zip(*(line.split(None, 1) for line in lines), strict=True)
    except ValueError:  # a line without two parts
        return None
    sound = all(map(form.value, set(values)))
    if form.fields == 2:
        sound = sound and len(" ".join(values).split()) == len(values)
    elif form.fields is not None:
        sound = sound and all(len(value.split()) == form.fields - 1 for value in values)
    table = dict(zip(keys, enumerate(values, 1), strict=True))
    if not sound or len(table) != len(keys) or list(keys) != sorted(keys):
        return None
    return table


# Blanks at the edge of a line, empty lines, carriage returns; in ASCII text by plain searches,
# and then with every other sign that Python takes for a blank.
_NOT_PLAIN = re.compile(r"\n\s|[^\S\n]\n|\r")
_ODD = ("\n\n", "\n ", "\n\t", " \n", "\t\n", *"\r\v\f\x1c\x1d\x1e\x1f")


def _rttm_line(path: Path, recording: str) -> str:
    """``file:line`` of the first line with ``recording`` in its first or second field."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if recording in line.split()[:2]:
            return f"{path}:{number}"
    return str(path)
