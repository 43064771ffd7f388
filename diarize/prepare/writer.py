"""Data directories written as a whole: in a temporary place, validated, then moved.

Writing the same data again changes nothing, not even modification times.  ``prepare.json`` lists
the counts, cut and left-out annotation, and the options that can move a DER.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory, atomic_write
from diarize.io.rttm import write_rttm
from diarize.io.table import write_table
from diarize.io.uem import write_uem
from diarize.kaldi.reference import turn_tables
from diarize.kaldi.schema import spk2utt_of
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.counts import Counts
from diarize.prepare.part import CorpusPart, CorpusRecording

REPORT = "prepare.json"
# Tables of an older preparation would change the meaning of the directory.
_OWN_TABLES = ("segments", "text", "utt2lang", "reco2num_spk")
_MOST_FAULTS = 5
_LABELS = {"speakers": "speaker", "languages": "language"}


class Spoken(NamedTuple):
    """One utterance of one speaker; ``end`` None: all of its recording.

    The id begins with that of the speaker, as Kaldi requires.  ``text`` and ``language`` are
    '' where not known; all utterances of a directory have them, or none.
    """

    id: str
    speaker: str
    recording: str
    start: float = 0.0
    end: float | None = None
    text: str = ""
    language: str = ""


def write_part(
    path: str | os.PathLike,
    part: CorpusPart,
    options: Mapping[str, object],
    differs: Sequence[str] = (),
) -> Counts:
    """Return the counts, after writing wav.scp, rttm, uem, reco2dur, and the turns as utterances.

    The utterances (segments, utt2spk, spk2utt, for languages utt2lang) are those of
    `diarize.kaldi.reference.turn_tables`.

    ``options`` and ``differs`` (differences from the published figures) go to prepare.json and
    RESULTS.md.  Raises DiarizeError, with nothing changed, if the directory would not be valid or
    was not made by a preparation.
    """
    if not part.recordings:
        raise DiarizeError(f"{path}: {part.name} has no recordings")
    counts, clamp = part.counts(), part.clamped
    tables = turn_tables(part.segments, _LABELS[str(options.get("labels", "speakers"))])
    if not tables["segments"]:  # a set without reference
        tables = {"utt2spk": {key: key for key in part.ids}}
    with _directory(path) as made:
        write_table(made / "wav.scp", {r.id: r.audio for r in part.recordings})
        for name, table in tables.items():
            write_table(made / name, table)
        write_table(made / "spk2utt", spk2utt_of(tables["utt2spk"]))
        write_table(made / "reco2dur", {r.id: f"{r.duration:.3f}" for r in part.recordings})
        write_rttm(made / "rttm", part.segments)
        write_uem(
            made / "uem", {r.id: r.regions or ((0.0, r.duration),) for r in part.recordings}
        )
        report = {
            "counts": counts.mapping(),
            "beyond_the_audio": {
                "turns_cut": clamp.cut,
                "turns_dropped": clamp.dropped,
                "seconds": round(clamp.seconds, 3),
                "recordings": sorted(part.clamps),
            },
            "left_out": dict(part.left_out),
            "options": {key: options[key] for key in sorted(options)},
            "differs_from_published": list(differs),
        }
        _write_report(made / REPORT, report)
    _say(f"{path}: {counts.line(str(options.get('labels', 'speakers')))}")
    for key, why in part.left_out.items():
        _say(f"{path}: {key} is left out: {why}")
    for key, loss in part.clamps.items():
        _say(
            f"{path}: {key}: {loss.cut} turns cut and {loss.dropped} dropped that reach beyond "
            f"the audio ({loss.seconds:.3f} s)"
        )
    return counts


def write_utterances(
    path: str | os.PathLike,
    recordings: Iterable[CorpusRecording],
    utterances: Iterable[Spoken],
    options: Mapping[str, object],
    spk_sort: bool = True,
) -> Counts:
    """Return the counts, after writing wav.scp, utt2spk, spk2utt, and segments, text, utt2lang.

    ``segments`` is written where any utterance is a part of its recording, ``reco2dur`` where
    every recording has a length: no audio is opened for 100,000 files.  Utterances that reach
    beyond a known length are cut.  ``spk_sort``: ids must begin with the speaker.  Errors are
    those of `write_part`.
    """
    found: dict[str, CorpusRecording] = {}
    for recording in recordings:
        if recording.id in found:
            both = f"{found[recording.id].audio} and {recording.audio}"
            raise DiarizeError(f"{path}: recording {recording.id} occurs twice: {both}")
        found[recording.id] = recording
    spoken: dict[str, Spoken] = {}
    for utterance in utterances:
        if utterance.id in spoken:
            raise DiarizeError(f"{path}: utterance {utterance.id} occurs twice")
        if utterance.recording not in found:
            raise DiarizeError(f"{path}: {utterance.id}: no recording {utterance.recording}")
        spoken[utterance.id] = utterance
    if not spoken:
        raise DiarizeError(f"{path}: no utterances")
    used = {utterance.recording for utterance in spoken.values()}
    found = {key: recording for key, recording in found.items() if key in used}
    tables, lengths, cut = _utterance_tables(path, found, spoken)
    known = [r.duration for r in found.values() if r.duration is not None]
    counts = Counts(
        recordings=len(found),
        speakers=len(set(tables["utt2spk"].values())),
        hours=sum(known) / 3600,
        reference_seconds=sum(lengths.values()),
    )
    with _directory(path, spk_sort) as made:
        for name, table in tables.items():
            write_table(made / name, table)
        report = {
            "counts": {
                "recordings": counts.recordings,
                "utterances": len(spoken),
                "speakers": counts.speakers,
                "speech_seconds": round(counts.reference_seconds, 2),
            },
            "beyond_the_audio": {"utterances_cut": cut},
            "options": {key: options[key] for key in sorted(options)},
        }
        _write_report(made / REPORT, report)
    what = counts.line() if lengths else f"{len(found)} recordings, {counts.speakers} speakers"
    _say(f"{path}: {len(spoken)} utterances, {what}")
    if cut:
        _say(f"{path}: {cut} utterances cut that reach beyond the audio")
    return counts


def _utterance_tables(
    path: str | os.PathLike, found: Mapping[str, CorpusRecording], spoken: Mapping[str, Spoken]
) -> tuple[dict[str, dict[str, str]], dict[str, float], int]:
    """Return the tables by file name, the known lengths of utterances, and how many were cut."""
    utterances = spoken.values()
    tables = {
        "wav.scp": {key: recording.audio for key, recording in found.items()},
        "utt2spk": {utt.id: utt.speaker for utt in utterances},
    }
    tables["spk2utt"] = spk2utt_of(tables["utt2spk"])
    for name, column in (("text", "text"), ("utt2lang", "language")):
        table = {utt.id: getattr(utt, column) for utt in utterances}
        having = sum(map(bool, table.values()))
        if having == len(table):
            tables[name] = table
        elif having:
            lacking = next(key for key, value in table.items() if not value)
            raise DiarizeError(f"{path}: {lacking} has no {column}, though others have")
    if all(recording.duration is not None for recording in found.values()):
        tables["reco2dur"] = {key: f"{r.duration:.3f}" for key, r in found.items()}
    lengths, cut = {}, 0
    segments = {}
    for utt in utterances:
        length = found[utt.recording].duration
        end = length if utt.end is None else utt.end
        if utt.end is not None and length is not None and utt.end > length:
            cut += utt.end - length > 0.001
            end = length
        if end is not None:
            lengths[utt.id] = end - utt.start
            segments[utt.id] = f"{utt.recording} {utt.start:.3f} {end:.3f}"
    if any(utt.end is not None or utt.id != utt.recording for utt in utterances):
        if len(segments) < len(spoken):
            lacking = next(key for key in spoken if key not in segments)
            raise DiarizeError(f"{path}: {lacking}: neither its end nor its recording's length")
        tables["segments"] = segments
    return tables, lengths, cut


@contextmanager
def _directory(path: str | os.PathLike, spk_sort: bool = False) -> Iterator[Path]:
    """Make a directory that replaces ``path`` if it is valid and differs from it."""
    path = Path(path)
    if _is_of_another(path):
        raise DiarizeError(
            f"{path}: exists, and no preparation made it (it has no {REPORT}); remove it or "
            "choose another place"
        )
    with atomic_directory(path) as made:
        yield made
        faults = validate_data_dir(made, feats=False, text=False, spk_sort=spk_sort)
        if faults:
            shown = [fault.replace(str(made), str(path)) for fault in faults[:_MOST_FAULTS]]
            more = f" ... {len(faults)} faults" if len(faults) > _MOST_FAULTS else ""
            raise DiarizeError("; ".join(shown) + more)
        if _is_same(path, made):
            shutil.rmtree(made)


def _is_same(path: Path, made: Path) -> bool:
    """Whether ``path`` has all files of ``made`` already, and no table that is not among them."""
    names = {file.name for file in made.iterdir()}
    if any((path / name).exists() for name in _OWN_TABLES if name not in names):
        return False
    return all(
        (path / name).is_file() and (path / name).read_bytes() == (made / name).read_bytes()
        for name in names
    )


def _is_of_another(path: Path) -> bool:
    if not path.exists() or (path / REPORT).exists():
        return False
    return not path.is_dir() or any(path.iterdir())


def _write_report(path: Path, report: Mapping[str, object]) -> None:
    with atomic_write(path) as handle:
        json.dump(report, handle, indent=1, ensure_ascii=False)
        handle.write("\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
