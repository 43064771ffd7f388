"""Checks of a Kaldi data directory: the tables against each other, and whole directories.

`table_faults` has each check once.  `DataDir.load` and the operations stop at the first fault,
`validate_data_dir` lists all of them.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_turns
from diarize.io.table import line_numbers, read_text
from diarize.io.uem import read_uem
from diarize.kaldi.reference import (
    MAX_OVERSHOOT,
    header_duration,
    read_reference,
    single_speaker_fault,
)
from diarize.kaldi.tables import (
    RECORDING,
    SCHEMA,
    SPEAKER,
    UTTERANCE,
    bare_path,
    is_positive,
    read_tables,
)
from diarize.segments import annotation_fault, by_recording

Tables = Mapping[str, Mapping[str, str]]
_FIX = "utils/fix_data_dir.sh keeps what all files have"


@dataclass(frozen=True)
class Requirements:
    """What a data directory must have; a table that is present is always checked.

    feats: feats.scp
    text: text
    wav: wav.scp
    speakers: utt2spk and spk2utt
    reference: rttm, or segments with utt2spk or utt2lang
    spk_sort: utterances sorted by speaker, too, as they are where speakers are their prefixes
    non_print: unprintable characters are allowed in text
    """

    feats: bool = False
    text: bool = False
    wav: bool = True
    speakers: bool = False
    reference: bool = False
    spk_sort: bool = False
    non_print: bool = True


# For training and scoring, for inference, and for the scripts of Kaldi.
PURPOSES = {
    "train": Requirements(reference=True),
    "infer": Requirements(),
    "kaldi": Requirements(feats=True, text=True, speakers=True, spk_sort=True, non_print=False),
}


def validate_data_dir(
    path: str | os.PathLike, purpose: str = "kaldi", **changes: bool
) -> list[str]:
    """Return all faults of a data directory, each with file, line and value; [] for a valid one.

    The requirements are those of the ``purpose``, one of `PURPOSES`, with ``changes``.  Audio is
    not read, but its files must exist; headers are read where the directory has an rttm or
    segments and no reco2dur.
    """
    needs = replace(PURPOSES[purpose], **changes)
    path = Path(path)
    if not path.is_dir():
        return [f"{path}: no such directory"]
    faults: list[str] = []
    required = {"feats.scp": needs.feats, "text": needs.text, "wav.scp": needs.wav,
                "utt2spk": needs.speakers, "spk2utt": needs.speakers}  # fmt: skip
    for name, needed in required.items():
        if needed and not (path / name).exists():
            faults.append(f"{path / name}: the file is missing")
    if needs.reference and not _has_reference(path):
        faults.append(
            f"{path}: no reference: neither rttm nor segments with utt2spk or utt2lang; add one; "
            "inference and simulation need none (--for infer)"
        )
    tables = read_tables(path, report=lambda fault, _: faults.append(fault))
    lines = Lines(path)
    lengths = _lengths(path, tables)
    faults += table_faults(lines, tables, lengths)
    faults += _audio_faults(lines, tables)
    faults += _unused_recordings(lines, tables)
    faults += _speaker_order(lines, tables) if needs.spk_sort else ()
    faults += _unprintable(lines, tables) if not needs.non_print else ()
    faults += frame_shift_faults(path)
    faults += _uem_faults(lines, tables)
    faults += _rttm_faults(path, tables, lengths)
    return faults


def _has_reference(path: Path) -> bool:
    labels = ("utt2spk", "utt2lang")
    parts = (path / "segments").exists() and any((path / name).exists() for name in labels)
    return parts or (path / "rttm").exists()


class Lines:
    """Places of keys in the tables of a directory, for messages; a file is read when needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers: dict[str, dict[str, int]] = {}

    def at(self, name: str, key: str) -> str:
        """Return ``file:line`` of ``key`` in the table ``name``, ``file`` where it has none."""
        if name not in self._numbers:
            self._numbers[name] = line_numbers(self.path / name)
        number = self._numbers[name].get(key)
        return f"{self.path / name}:{number}" if number else str(self.path / name)


def table_faults(
    lines: Lines, tables: Tables, lengths: Mapping[str, float | None] | None = None
) -> Iterator[str]:
    """Yield the disagreements of the tables: keys, segments, speakers.

    ``lengths`` are the seconds of recordings, by default those of reco2dur.
    """
    yield from segment_faults(lines, tables, reco2dur_of(tables) if lengths is None else lengths)
    leaders = {UTTERANCE: ("segments", "wav.scp", "utt2spk"), RECORDING: ("wav.scp",)}
    for kind, names in leaders.items():
        leader = next((name for name in names if name in tables), None)
        for name in tables if leader else ():
            if SCHEMA[name].keys == kind and name != leader:
                yield from _key_faults(lines, tables, name, leader)
    yield from _speaker_faults(lines, tables)


def _key_faults(lines: Lines, tables: Tables, name: str, leader: str) -> Iterator[str]:
    table, keys = tables[name], tables[leader]
    if table.keys() == keys.keys():
        return
    for key in table:
        if key not in keys:
            yield f"{lines.at(name, key)}: {key} is not in {leader}; {_FIX}"
    for key in keys:
        if key not in table:
            yield f"{lines.at(leader, key)}: {key} is not in {name}; {_FIX}"


def reco2dur_of(tables: Tables) -> dict[str, float]:
    """Return the seconds of each recording of reco2dur."""
    return {key: float(value) for key, value in tables.get("reco2dur", {}).items()}


def _lengths(path: Path, tables: Tables) -> dict[str, float | None]:
    """Return the seconds of recordings with annotation, by reco2dur or by their headers."""
    lengths: dict[str, float | None] = dict(reco2dur_of(tables))
    if "segments" in tables or (path / "rttm").exists():
        for name, audio in tables.get("wav.scp", {}).items():
            if name not in lengths:
                lengths[name] = header_duration(audio, path)
    return lengths


def segment_faults(
    lines: Lines, tables: Tables, lengths: Mapping[str, float | None]
) -> Iterator[str]:
    """Yield faults of segments: they are inside of known recordings; -1 is the end of one."""
    recordings: Collection[str] | None = tables.get("wav.scp")
    limits = {key: length + MAX_OVERSHOOT for key, length in lengths.items() if length}
    beyond: set[str] = set()
    for key, value in tables.get("segments", {}).items():
        recording, first, last = value.split()
        start, end = _number(first), _number(last)
        fault = None
        if recordings is not None and recording not in recordings:
            fault = f"recording {recording} is not in wav.scp"
        elif not 0 <= start < (math.inf if end == -1 else end) or math.isinf(end):
            fault = f"start {first}, end {last}: 0 <= start < end is required (end -1: to the end)"
        elif max(start + MAX_OVERSHOOT, end) > limits.get(recording, math.inf):
            fault = (
                f"[{first}, {last}) s is more than {MAX_OVERSHOOT} s beyond the end of "
                f"{recording}, which is {lengths[recording]:g} s long"
            )
        if fault:
            yield f"{lines.at('segments', key)}: {key}: {fault}"
        elif end > limits.get(recording, math.inf) - MAX_OVERSHOOT:
            beyond.add(recording)
    yield from _outside_faults(lines, tables, {name: lengths[name] for name in beyond})


def _outside_faults(lines: Lines, tables: Tables, lengths: Mapping[str, float]) -> Iterator[str]:
    """Yield recordings whose segments are mostly after the end, ``lengths`` seconds."""
    total, outside = dict.fromkeys(lengths, 0.0), dict.fromkeys(lengths, 0.0)
    for value in tables["segments"].values() if lengths else ():
        recording, first, last = value.split()
        if recording in lengths:
            length, start, end = lengths[recording], _number(first), _number(last)
            total[recording] += (length if end == -1 else end) - start
            outside[recording] += max(end - max(start, length), 0.0)
    for recording, length in lengths.items():
        fault = annotation_fault(recording, total[recording], outside[recording], length)
        if fault:
            yield f"{lines.path / 'segments'}: {fault}"


def _speaker_faults(lines: Lines, tables: Tables) -> Iterator[str]:
    """Check spk2utt against utt2spk, and tables of speakers against both."""
    utt2spk = tables.get("utt2spk")
    if utt2spk is None:
        return
    again = "make spk2utt again by utils/utt2spk_to_spk2utt.sh"
    seen: set[str] = set()
    for speaker, value in tables.get("spk2utt", {}).items():
        for utterance in value.split():
            if utt2spk.get(utterance) != speaker:
                fault = f"utterance {utterance} is not of this speaker in utt2spk"
                yield f"{lines.at('spk2utt', speaker)}: {speaker}: {fault}; {again}"
            elif utterance in seen:
                where = lines.at("spk2utt", speaker)
                yield f"{where}: {speaker}: utterance {utterance} is listed twice; {again}"
            seen.add(utterance)
    for utterance, speaker in utt2spk.items() if "spk2utt" in tables else ():
        if utterance not in seen:
            where = lines.at("utt2spk", utterance)
            yield f"{where}: utterance {utterance} of speaker {speaker} is not in spk2utt; {again}"
    speakers = dict.fromkeys(utt2spk.values())
    for name, table in tables.items():
        if SCHEMA[name].keys != SPEAKER or name == "spk2utt" or table.keys() == speakers.keys():
            continue
        for speaker in table:
            if speaker not in speakers:
                yield f"{lines.at(name, speaker)}: speaker {speaker} is not in utt2spk; {_FIX}"
        for speaker in speakers:
            if speaker not in table:
                yield f"{lines.path / name}: speaker {speaker} of utt2spk is missing; {_FIX}"


def _audio_faults(lines: Lines, tables: Tables) -> Iterator[str]:
    """The files that wav.scp names must exist; pipes are not run."""
    for key, value in tables.get("wav.scp", {}).items():
        # The usual case first: an existing path, and 100,000 of them.
        if value.endswith("|") or value == "-" or os.path.isfile(value):
            continue
        bare = bare_path(value)
        places = (lines.path / value, Path(bare), lines.path / bare)
        if not any(place.is_file() for place in places):
            yield f"{lines.at('wav.scp', key)}: {key}: no such audio file: {value}"


def _unused_recordings(lines: Lines, tables: Tables) -> Iterator[str]:
    """Each recording has a segment, unless it is evaluated as one without speech."""
    if "segments" not in tables:
        return
    used = {value.split(None, 1)[0] for value in tables["segments"].values()}
    silent = set(tables.get("wav.scp", ())) - used
    if silent and (lines.path / "rttm").exists() and (lines.path / "uem").exists():
        with contextlib.suppress(DiarizeError):  # a fault of another check
            spoken = set(read_turns(lines.path / "rttm").recording.names)
            silent -= read_uem(lines.path / "uem").keys() - spoken
    for recording in sorted(silent):
        yield f"{lines.at('wav.scp', recording)}: {recording} has no line in segments"


def _speaker_order(lines: Lines, tables: Tables) -> Iterator[str]:
    rows = tables.get("utt2spk", {}).items()
    for utterance, speaker in rows:
        if not utterance.startswith(speaker):
            where = lines.at("utt2spk", utterance)
            yield f"{where}: speaker {speaker} is no prefix of {utterance} (see --no-spk-sort)"
    for (_, before), (utterance, speaker) in itertools.pairwise(rows):
        if speaker < before:
            where = lines.at("utt2spk", utterance)
            yield f"{where}: speaker {speaker} after {before}: utterances not sorted by speaker"


def _unprintable(lines: Lines, tables: Tables) -> Iterator[str]:
    """Text has no control characters, and no symbols that Kaldi reserves."""
    for key, value in tables.get("text", {}).items():
        for word in value.split():
            if not word.isprintable() or word in {"<s>", "</s>", "#0"}:
                yield f"{lines.at('text', key)}: {key}: word {word!r} is not allowed in text"


def frame_shift_faults(path: Path) -> Iterator[str]:
    """Yield the fault of a frame_shift that is not a positive number of seconds."""
    file = path / "frame_shift"
    if file.exists():
        try:
            words = read_text(file).split()
        except DiarizeError as err:
            yield str(err)
            return
        if len(words) != 1 or not is_positive(words[0]):
            yield f"{file}:1: {' '.join(words)!r} is not one positive number of seconds"


def _uem_faults(lines: Lines, tables: Tables) -> Iterator[str]:
    if not (lines.path / "uem").exists():
        return
    try:
        regions = read_uem(lines.path / "uem")
    except DiarizeError as err:
        yield str(err)
        return
    for recording in tables.get("wav.scp", ()):
        if recording not in regions:
            yield f"{lines.at('wav.scp', recording)}: {recording} is not in uem"
    for recording, stretches in regions.items():
        where = lines.at("uem", recording)
        if "wav.scp" in tables and recording not in tables["wav.scp"]:
            yield f"{where}: recording {recording} is not in wav.scp"
        length = tables.get("reco2dur", {}).get(recording)
        if length and stretches[-1][0] >= float(length):
            yield (
                f"{where}: a region of {recording} begins at {stretches[-1][0]:g} s, after its end "
                f"({length} s by reco2dur)"
            )


def _rttm_faults(
    path: Path, tables: Tables, lengths: Mapping[str, float | None]
) -> Iterator[str]:
    if not (path / "rttm").exists():
        return
    faults: list[str] = []
    reference, _ = read_reference(
        path / "rttm", tables.get("wav.scp"), lengths.get, lambda fault, _: faults.append(fault)
    )
    yield from faults
    if "utt2lang" not in tables:
        fault = single_speaker_fault(path, by_recording(reference), tables, from_rttm=True)
        if fault:
            yield fault


def _number(text: str) -> float:
    """Return the number, NaN for other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan
