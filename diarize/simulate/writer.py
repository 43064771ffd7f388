"""Mixtures on disk: WAV files by parallel jobs, then one Kaldi data directory of them.

Below the output directory lie ``wav/00/00/<id>.wav`` (100 to a directory), and for each
finished job ``.simulate/parts/<jobs>/<job>/`` with that job's share of the tables.  A file or
part is written beside its place and then moved there, so what is in place is whole and a
job that is run again after a kill goes on after it.
"""

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import write_wav
from diarize.io.rttm import write_rttm
from diarize.io.table import write_table
from diarize.segments import Segment
from diarize.simulate.cache import UtteranceCache
from diarize.simulate.labels import has_languages, kinds_of, segments_of, voices_of
from diarize.simulate.manifest import Manifest
from diarize.simulate.render import place, render

_FULL_SCALE = 32767 / 32768
_WAV_HEADER = 44
_PER_DIRECTORY = 100
# Between speaker and mixture: sorts before letters, digits, '.' and single dashes, so
# that a speaker whose name begins another's ("en", "en-us") keeps both in one order.
_SPEAKER_END = "--"


@dataclass(frozen=True)
class WriteOptions:
    """How mixtures are written: rate in Hz, and the length in seconds to cut them to."""

    sample_rate: int = 16000
    max_duration: float | None = None
    allow_pipes: bool = False
    cache_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise DiarizeError(f"simulation: sample rate {self.sample_rate} Hz is impossible")
        if self.max_duration is not None and not (
            1 <= self.max_duration * self.sample_rate < math.inf
        ):
            raise DiarizeError(f"simulation: cannot cut to {self.max_duration} s")

    @property
    def max_samples(self) -> int | None:
        """The length to cut to in samples."""
        return None if self.max_duration is None else round(self.max_duration * self.sample_rate)


class Written(NamedTuple):
    """What the tables say of one mixture.

    Where its labels are languages, ``utterances`` are (segment, speaker) and ``kinds`` the
    sentences by kind of switch; both are None for a mixture of speakers.
    """

    name: str
    path: str
    duration: float
    segments: list[Segment]
    utterances: list[tuple[Segment, str]] | None = None
    kinds: list[Segment] | None = None


def write_job(
    manifest: Manifest,
    out: str | os.PathLike,
    job: int,
    num_jobs: int,
    options: WriteOptions,
    report: Callable[[float, bool], None] = lambda seconds, skipped: None,
) -> int:
    """Write job ``job`` (from 1) of ``num_jobs``; return how many mixtures it has.

    A mixture whose WAV file is there already is not made again.  ``report`` is called
    after each one with its length in seconds and whether it was skipped.  Where the sum
    would clip, the whole mixture is turned down to full scale; else nothing is scaled.
    Raises DiarizeError for audio that cannot be read, an output that cannot be written
    to, or one that holds the mixtures of another manifest or other options.
    """
    if not 1 <= job <= num_jobs:
        raise DiarizeError(f"job {job} of {num_jobs}: jobs are numbered from 1 to {num_jobs}")
    out = Path(out)
    _make_directory(out / ".simulate" / "parts" / str(num_jobs))
    _claim(out, manifest, options)
    reader = UtteranceCache(max_bytes=options.cache_bytes, allow_pipes=options.allow_pipes)
    size = len(manifest)
    done = []
    for index in range(size * (job - 1) // num_jobs, size * job // num_jobs):
        entry, skipped = _write_mixture(manifest[index][1], out, index, options, reader)
        done.append(entry)
        report(entry.duration, skipped)
    _write_part(_part(out, job, num_jobs), done)
    return len(done)


def _write_mixture(
    mixture: dict, out: Path, index: int, options: WriteOptions, reader: UtteranceCache
) -> tuple[Written, bool]:
    """Return the entry of one mixture, and whether its file was there already."""
    rate, name = options.sample_rate, mixture["recid"]
    path = _wav_path(out, index, name)
    layout = place(mixture, sample_rate=rate, reader=reader)
    length = min(layout.num_samples, options.max_samples or layout.num_samples)
    segments = segments_of(mixture, layout, sample_rate=rate, stop=length)
    if not segments:
        raise DiarizeError(
            f"mixture {name}: nobody speaks in the first {options.max_duration} s; "
            "give a larger --max-duration"
        )
    whole = path.is_file() and path.stat().st_size == _WAV_HEADER + 2 * length
    if not whole:
        _make_directory(path.parent)
        for left in path.parent.glob(f".{name}.wav.*.tmp"):  # by a job that was killed
            left.unlink(missing_ok=True)
        wave = render(mixture, sample_rate=rate, reader=reader, stop=length).waveform
        peak = float(np.max(np.abs(wave)))
        if peak > _FULL_SCALE:
            wave *= np.float32(_FULL_SCALE / peak)
        write_wav(path, wave, rate)
    entry = Written(name, os.fspath(path), length / rate, segments)
    if has_languages(mixture):
        entry = entry._replace(
            utterances=voices_of(mixture, layout, sample_rate=rate, stop=length),
            kinds=kinds_of(mixture, layout, sample_rate=rate, stop=length),
        )
    return entry, whole


def _wav_path(out: Path, index: int, name: str) -> Path:
    upper, lower = divmod(index // _PER_DIRECTORY, _PER_DIRECTORY)
    return out / "wav" / f"{upper:02d}" / f"{lower:02d}" / f"{name}.wav"


def _write_part(part: Path, entries: list[Written]) -> None:
    """Write the tables of ``entries`` to directory ``part``, which appears as a whole."""
    for left in part.parent.glob(f".{part.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    tables = _tables(entries)
    try:
        fresh = Path(tempfile.mkdtemp(dir=part.parent, prefix=f".{part.name}."))
        for name, table in tables.items():
            write_table(fresh / name, table)
        write_rttm(fresh / "rttm", (segment for entry in entries for segment in entry.segments))
        if any(entry.kinds for entry in entries):
            kinds = (segment for entry in entries for segment in entry.kinds or ())
            write_rttm(fresh / "kinds.rttm", kinds)
        shutil.rmtree(part, ignore_errors=True)
        os.rename(fresh, part)
    except OSError as err:
        raise DiarizeError(f"cannot write {part}: {err.strerror or err}") from err


def _tables(entries: list[Written]) -> dict[str, dict[str, str]]:
    names = ("wav.scp", "segments", "utt2spk", "reco2dur", "reco2num_spk")
    tables: dict[str, dict[str, str]] = {name: {} for name in names}
    for entry in entries:
        tables["wav.scp"][entry.name] = entry.path
        tables["reco2dur"][entry.name] = _seconds(entry.duration)
        utterances = entry.utterances
        if utterances is None:
            utterances = [(seg, seg.label) for seg in entry.segments]
        tables["reco2num_spk"][entry.name] = str(len({voice for _, voice in utterances}))
        for seg, voice in utterances:
            key = utterance_id(seg._replace(label=voice))
            if key in tables["segments"]:
                raise DiarizeError(f"mixture {entry.name}: two utterances are called {key}")
            times = f"{_seconds(seg.start)} {_seconds(seg.end)}"
            tables["segments"][key] = f"{entry.name} {times}"
            tables["utt2spk"][key] = voice
            if entry.utterances is not None:
                tables.setdefault("utt2lang", {})[key] = seg.label
    return tables


def utterance_id(segment: Segment) -> str:
    """Return ``<speaker>--<mixture>_<start>_<end>``, times in milliseconds, 8 digits.

    >>> utterance_id(Segment("mix_0000001", 1.5, 2.25, "ann"))
    'ann--mix_0000001_00001500_00002250'
    """
    times = f"{round(segment.start * 1000):08d}_{round(segment.end * 1000):08d}"
    return f"{segment.label}{_SPEAKER_END}{segment.recording}_{times}"


def _seconds(value: float) -> str:
    # A microsecond is finer than any sample, so nothing is lost.
    return f"{value:.6f}"


def _part(out: Path, job: int, num_jobs: int) -> Path:
    return out / ".simulate" / "parts" / str(num_jobs) / str(job)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DiarizeError(f"cannot make directory {path}: {err.strerror or err}") from err


def _claim(out: Path, manifest: Manifest, options: WriteOptions) -> None:
    """Note what ``out`` is made from; refuse one that is made from something else."""
    note = out / ".simulate" / "made_from"
    text = _fingerprint(manifest, options)
    if not note.exists():
        with atomic_write(note) as handle:
            handle.write(text)
    elif note.read_text(encoding="utf-8") != text:
        raise DiarizeError(
            f"{out} holds mixtures of another manifest, rate or length; remove it, or choose "
            "another --out"
        )


def _fingerprint(manifest: Manifest, options: WriteOptions) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(manifest.path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return f"{digest.hexdigest()} {options.sample_rate} {options.max_samples}\n"


def missing_parts(out: str | os.PathLike, num_jobs: int) -> list[int]:
    """Return the jobs of ``num_jobs`` that have not finished."""
    return [job for job in range(1, num_jobs + 1) if not _part(Path(out), job, num_jobs).is_dir()]


def part_directories(out: str | os.PathLike, num_jobs: int) -> Iterable[Path]:
    """Return the directories of all jobs' tables, in order."""
    return [_part(Path(out), job, num_jobs) for job in range(1, num_jobs + 1)]
