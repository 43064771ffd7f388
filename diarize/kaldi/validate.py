"""Checks of a Kaldi data directory: the tables against each other, and whole directories.

`table_faults` has each check once.  `DataDir.load` and the operations stop at the first fault,
`validate_data_dir` lists all of them.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_turns
from diarize.io.table import read_text
from diarize.io.uem import read_uem
from diarize.kaldi.reference import (
    MAX_OVERSHOOT,
    read_reference,
    single_speaker_fault,
)
from diarize.kaldi.schema import (
    RECORDING,
    SCHEMA,
    SPEAKER,
    UTTERANCE,
    bare_path,
    is_positive,
    read_tables,
)
from diarize.kaldi.tables import DirTables
from diarize.segments import annotation_fault, by_recording

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
    raw = DirTables(path, read_tables(path, report=lambda fault, _: faults.append(fault)))
    faults += table_faults(raw, headers=True)
    faults += _audio_faults(raw)
    faults += _unused_recordings(raw)
    faults += _speaker_order(raw) if needs.spk_sort else ()
    faults += _unprintable(raw) if not needs.non_print else ()
    faults += frame_shift_faults(path)
    faults += _uem_faults(raw)
    faults += _rttm_faults(raw)
    return faults


def _has_reference(path: Path) -> bool:
    labels = ("utt2spk", "utt2lang")
    parts = (path / "segments").exists() and any((path / name).exists() for name in labels)
    return parts or (path / "rttm").exists()


def table_faults(raw: DirTables, headers: bool = False) -> Iterator[str]:
    """Yield the disagreements of the tables: keys, segments, speakers.

    Segments are compared with the lengths of reco2dur, with ``headers`` also with those of the
    headers of audio.
    """
    yield from segment_faults(raw, headers)
    leaders = {UTTERANCE: ("segments", "wav.scp", "utt2spk"), RECORDING: ("wav.scp",)}
    for kind, names in leaders.items():
        leader = next((name for name in names if name in raw.tables), None)
        for name in raw.tables if leader else ():
            if SCHEMA[name].keys == kind and name != leader:
                yield from _key_faults(raw, name, leader)
    yield from _speaker_faults(raw)


def _key_faults(raw: DirTables, name: str, leader: str) -> Iterator[str]:
    table, keys = raw.tables[name], raw.tables[leader]
    if table.keys() == keys.keys():
        return
    for key in table:
        if key not in keys:
            yield f"{raw.at(name, key)}: {key} is not in {leader}; {_FIX}"
    for key in keys:
        if key not in table:
            yield f"{raw.at(leader, key)}: {key} is not in {name}; {_FIX}"


def segment_faults(raw: DirTables, headers: bool) -> Iterator[str]:
    """Yield the segments that are not inside of a known recording (lengths as `table_faults`)."""
    recordings = raw.tables.get("wav.scp")
    lengths: dict[str, float] = {}
    late: dict[str, float] = {}  # recordings with a segment that ends after them
    for key, value in raw.tables.get("segments", {}).items():
        recording, first, last = value.split()
        if recording not in lengths:
            length = raw.seconds(recording, headers)
            lengths[recording] = math.inf if length is None else length
        start, end, length = float(first), float(last), lengths[recording]
        if recordings is not None and recording not in recordings:
            yield f"{raw.at('segments', key)}: {key}: recording {recording} is not in wav.scp"
        elif max(start + MAX_OVERSHOOT, end) > length + MAX_OVERSHOOT:
            yield (
                f"{raw.at('segments', key)}: {key}: [{first}, {last}) s is more than "
                f"{MAX_OVERSHOOT} s beyond the end of {recording}, which is {length:g} s long"
            )
        elif end > length:
            late[recording] = length
    yield from _outside_faults(raw, late)


def _outside_faults(raw: DirTables, lengths: Mapping[str, float]) -> Iterator[str]:
    """Yield recordings whose segments are mostly after the end, ``lengths`` seconds."""
    total, outside = dict.fromkeys(lengths, 0.0), dict.fromkeys(lengths, 0.0)
    for value in raw.tables["segments"].values() if lengths else ():
        recording, first, last = value.split()
        if recording in lengths:
            length, start, end = lengths[recording], float(first), float(last)
            total[recording] += (length if end == -1 else end) - start
            outside[recording] += max(end - max(start, length), 0.0)
    for recording, length in lengths.items():
        fault = annotation_fault(recording, total[recording], outside[recording], length)
        if fault:
            yield f"{raw.path / 'segments'}: {fault}"


def _speaker_faults(raw: DirTables) -> Iterator[str]:
    """Check spk2utt against utt2spk, and tables of speakers against both."""
    utt2spk = raw.tables.get("utt2spk")
    if utt2spk is None:
        return
    again = "make spk2utt again by utils/utt2spk_to_spk2utt.sh"
    seen: set[str] = set()
    for speaker, value in raw.tables.get("spk2utt", {}).items():
        for utterance in value.split():
            if utt2spk.get(utterance) != speaker:
                fault = f"utterance {utterance} is not of this speaker in utt2spk"
                yield f"{raw.at('spk2utt', speaker)}: {speaker}: {fault}; {again}"
            elif utterance in seen:
                where = raw.at("spk2utt", speaker)
                yield f"{where}: {speaker}: utterance {utterance} is listed twice; {again}"
            seen.add(utterance)
    for utterance, speaker in utt2spk.items() if "spk2utt" in raw.tables else ():
        if utterance not in seen:
            where = raw.at("utt2spk", utterance)
            yield f"{where}: utterance {utterance} of speaker {speaker} is not in spk2utt; {again}"
    speakers = dict.fromkeys(utt2spk.values())
    for name, table in raw.tables.items():
        if SCHEMA[name].keys != SPEAKER or name == "spk2utt" or table.keys() == speakers.keys():
            continue
        for speaker in table:
            if speaker not in speakers:
                yield f"{raw.at(name, speaker)}: speaker {speaker} is not in utt2spk; {_FIX}"
        for speaker in speakers:
            if speaker not in table:
                yield f"{raw.path / name}: speaker {speaker} of utt2spk is missing; {_FIX}"


def _audio_faults(raw: DirTables) -> Iterator[str]:
    """The files that wav.scp names must exist; pipes are not run."""
    for key, value in raw.tables.get("wav.scp", {}).items():
        # The usual case first: an existing path, and 100,000 of them.
        if value.endswith("|") or value == "-" or os.path.isfile(value):
            continue
        bare = bare_path(value)
        places = (raw.path / value, Path(bare), raw.path / bare)
        if not any(place.is_file() for place in places):
            yield f"{raw.at('wav.scp', key)}: {key}: no such audio file: {value}"


def _unused_recordings(raw: DirTables) -> Iterator[str]:
    """Each recording has a segment, unless it is evaluated as one without speech."""
    if "segments" not in raw.tables:
        return
    used = {value.split(None, 1)[0] for value in raw.tables["segments"].values()}
    silent = set(raw.tables.get("wav.scp", ())) - used
    if silent and (raw.path / "rttm").exists() and (raw.path / "uem").exists():
        with contextlib.suppress(DiarizeError):  # a fault of another check
            spoken = set(read_turns(raw.path / "rttm").recording.names)
            silent -= read_uem(raw.path / "uem").keys() - spoken
    for recording in sorted(silent):
        yield f"{raw.at('wav.scp', recording)}: {recording} has no line in segments"


def _speaker_order(raw: DirTables) -> Iterator[str]:
    rows = raw.tables.get("utt2spk", {}).items()
    for utterance, speaker in rows:
        if not utterance.startswith(speaker):
            where = raw.at("utt2spk", utterance)
            yield f"{where}: speaker {speaker} is no prefix of {utterance} (see --no-spk-sort)"
    for (_, before), (utterance, speaker) in itertools.pairwise(rows):
        if speaker < before:
            where = raw.at("utt2spk", utterance)
            yield f"{where}: speaker {speaker} after {before}: utterances not sorted by speaker"


def _unprintable(raw: DirTables) -> Iterator[str]:
    """Text has no control characters, and no symbols that Kaldi reserves."""
    for key, value in raw.tables.get("text", {}).items():
        for word in value.split():
            if not word.isprintable() or word in {"<s>", "</s>", "#0"}:
                yield f"{raw.at('text', key)}: {key}: word {word!r} is not allowed in text"


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


def _uem_faults(raw: DirTables) -> Iterator[str]:
    if not (raw.path / "uem").exists():
        return
    try:
        regions = read_uem(raw.path / "uem")
    except DiarizeError as err:
        yield str(err)
        return
    for recording in raw.tables.get("wav.scp", ()):
        if recording not in regions:
            yield f"{raw.at('wav.scp', recording)}: {recording} is not in uem"
    for recording, stretches in regions.items():
        where = raw.at("uem", recording)
        if recording not in raw.tables.get("wav.scp", regions):
            yield f"{where}: recording {recording} is not in wav.scp"
        length = raw.tables.get("reco2dur", {}).get(recording)
        if length and stretches[-1][0] >= float(length):
            yield (
                f"{where}: a region of {recording} begins at {stretches[-1][0]:g} s, after its end "
                f"({length} s by reco2dur)"
            )


def _rttm_faults(raw: DirTables) -> Iterator[str]:
    path = raw.path / "rttm"
    if not path.exists():
        return
    faults: list[str] = []
    reference, _ = read_reference(
        path, raw.tables.get("wav.scp"), raw.seconds, lambda fault, _: faults.append(fault)
    )
    yield from faults
    if "utt2lang" not in raw.tables:
        fault = single_speaker_fault(raw, by_recording(reference), from_rttm=True)
        if fault:
            yield fault
