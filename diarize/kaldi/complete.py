"""Missing files of a data directory, written from those that it has: stage 2 of a recipe.

reco2dur comes from the audio's headers, rttm from segments, segments from rttm, and uem covers the
recordings.
"""

import os
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.rttm import write_rttm
from diarize.io.table import read_table, write_table
from diarize.io.uem import write_uem
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.ops import fix_data_dir
from diarize.kaldi.reference import is_made_of_turns, turn_tables
from diarize.kaldi.schema import spk2utt_of


def write_reco2dur(
    path: str | os.PathLike, allow_pipes: bool = False, skip_bad: int = 0
) -> dict[str, str]:
    """Write ``reco2dur`` from the audio's headers, unless it is newer than wav.scp and complete.

    Recordings whose audio cannot be read, if there are at most ``skip_bad``, are removed from the
    directory (`fix_data_dir`); their messages are returned.  Raises DiarizeError for more of
    them, and for a directory without recordings.
    """
    path = Path(path)
    target, wav_scp = path / "reco2dur", path / "wav.scp"
    recordings = read_table(wav_scp)
    if not recordings:
        raise DiarizeError(f"{wav_scp}: the file is empty; fill it or remove it")
    fresh = target.exists() and target.stat().st_mtime_ns >= wav_scp.stat().st_mtime_ns
    if fresh and read_table(target, fields=2).keys() == recordings.keys():
        return {}
    durations: dict[str, str] = {}
    faults: dict[str, str] = {}
    for key, name in recordings.items():
        try:
            durations[key] = f"{AudioSource(name, allow_pipes, path, key).info().duration:.3f}"
        except DiarizeError as err:
            faults[key] = str(err)
    if len(faults) > skip_bad:
        others = list(faults)[1:]
        more = f" (and {len(others)} more: {', '.join(others[:20])})" if others else ""
        raise DiarizeError(f"{next(iter(faults.values()))}{more}")
    write_table(target, durations)
    if faults:
        fix_data_dir(path)
    return faults


def write_spk2utt(path: str | os.PathLike) -> None:
    """Write ``spk2utt`` from utt2spk, unless it says the same already."""
    path = Path(path)
    if not (path / "utt2spk").exists():
        return
    table = spk2utt_of(read_table(path / "utt2spk", fields=2))
    if not (path / "spk2utt").exists() or read_table(path / "spk2utt") != table:
        write_table(path / "spk2utt", table)


def write_segments(path: str | os.PathLike, labels: str = "speaker") -> list[str]:
    """Return notices, after writing ``segments``, ``utt2spk`` and ``spk2utt`` from ``rttm``.

    Tables of another origin are not touched: those are made that are missing, that were made by
    this function from an earlier RTTM, or where utt2spk has nothing but recordings.  For
    ``labels="language"`` there is ``utt2lang``, too.
    """
    path = Path(path)
    data = DataDir.load(path)
    if data.rttm is None:
        return []
    segments, overshoot = data.reference_and_overshoot(labels)
    notices = []
    if overshoot.cut or overshoot.dropped:
        notices.append(
            f"{data.rttm}: {overshoot.cut} turns cut and {overshoot.dropped} dropped beyond the "
            f"audio ({overshoot.seconds:.3f} s)"
        )
    only_recordings = all(key == value for key, value in data.utt2spk.items())
    if not (only_recordings if data.segments is None else is_made_of_turns(data.segments)):
        return notices
    tables = turn_tables((turn for found in segments.values() for turn in found), labels)
    if not tables["segments"]:
        if not data.utt2spk:
            write_table(path / "utt2spk", {recording: recording for recording in data.recordings})
            write_spk2utt(path)
        return notices
    silent = [recording for recording, found in segments.items() if not found]
    if silent:
        notices.append(
            f"{path}: {len(silent)} recordings without speech, such as {silent[0]}, have no line "
            "in segments (Kaldi's own validate_data_dir.sh refuses such a directory)"
        )
    old = {"segments": data.segments, "utt2spk": data.utt2spk, "utt2lang": data.utt2lang}
    if any(old[name] != table for name, table in tables.items()):
        # Interrupted at any place, this leaves a directory that can be completed again.
        for name in ("spk2utt", "utt2spk", "utt2lang"):
            (path / name).unlink(missing_ok=True)
        for name in sorted(tables):
            write_table(path / name, tables[name])
        write_spk2utt(path)
    return notices


def write_reference(path: str | os.PathLike, labels: str = "speaker") -> list[str]:
    """Write ``rttm`` from segments, and ``uem`` over the whole recordings, where missing.

    Returns notices.  Raises DiarizeError for a directory without a reference.
    """
    data = DataDir.load(path, need_reference=True)
    if data.rttm is None:
        segments = data.reference(labels)
        write_rttm(data.path / "rttm", (s for found in segments.values() for s in found))
    if data.uem is not None:
        return []
    write_uem(data.path / "uem", {r: [(0.0, data.duration(r))] for r in data.recordings})
    return [
        f"{data.path}: there was no uem: the whole of each recording is taken as annotated, in "
        "training and in scoring"
    ]
