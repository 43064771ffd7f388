"""Mixtures on disk: WAV files written by parallel jobs, merged into one Kaldi data directory.

The output directory contains ``wav/00/00/<id>.wav`` (100 files per directory) and, for each
finished job, ``.simulate/parts/<jobs>/<job>/`` with its share of the tables.  Files and parts are
written under a temporary name and then renamed.  A job that was killed therefore continues when
it is run again.  The jobs share one audio store (:mod:`diarize.simulate.mix.store`), which they
fill together; it may be removed afterwards, or kept for training from the same manifest.
"""

import hashlib
import heapq
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import write_wav
from diarize.io.filename import file_name
from diarize.io.rttm import write_rttm
from diarize.io.table import read_table, write_table
from diarize.kaldi.validate import validate_data_dir
from diarize.segments import Segment
from diarize.simulate.manifest import Manifest, parse_utterance
from diarize.simulate.mix.layout import MixtureLayout, open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions

INTRA, INTER, MONO = "intra", "inter", "mono"
"""Kinds of sentences: with a switch inside, between switches, in a mixture of one language."""

# wav.scp is written last: a directory without it is no data directory.
_MERGED = ("segments", "utt2spk", "reco2dur", "reco2num_spk", "rttm", "wav.scp")
_OF_LANGUAGES = ("utt2lang", "kinds.rttm")
_FULL_SCALE = 32767 / 32768
_WAV_HEADER = 44
_PER_DIRECTORY = 100
_NAMED = 5
# Between speaker and mixture: sorts before letters, digits, '.' and single dashes, so that
# speakers and utterances have the same order if one name begins another ("en", "en-us").
_SPEAKER_END = "--"


@dataclass(frozen=True)
class WriteOptions:
    """Options of writing: sample rate in Hz, maximum length in seconds, path of the audio store.

    The default ``store`` is the directory ``store`` beside the manifest.
    """

    sample_rate: int = 16000
    max_duration: float | None = None
    allow_pipes: bool = False
    store: str | os.PathLike | None = None

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise DiarizeError(f"simulation: sample rate {self.sample_rate} Hz is impossible")
        if self.max_duration is not None and not (
            1 <= self.max_duration * self.sample_rate < math.inf
        ):
            raise DiarizeError(f"simulation: cannot cut to {self.max_duration} s")

    @property
    def max_samples(self) -> int | None:
        """Maximum length in samples."""
        return None if self.max_duration is None else round(self.max_duration * self.sample_rate)


class Written(NamedTuple):
    """Table entries of one mixture.

    For mixtures of languages, ``utterances`` are (segment, speaker) and ``kinds`` the sentences
    by kind of switch; both are None for mixtures of speakers.
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
    """Write job ``job`` (from 1) of ``num_jobs``; return its number of mixtures.

    A mixture whose WAV file exists is skipped.  ``report`` is called after each mixture with its
    length in seconds and whether it was skipped.  A mixture that would clip is scaled down to
    full scale as a whole; others are not scaled.  Raises DiarizeError for unreadable audio, and
    for an output directory that is not writable or belongs to another manifest or other options.
    """
    if not 1 <= job <= num_jobs:
        raise DiarizeError(f"job {job} of {num_jobs}: jobs are numbered from 1 to {num_jobs}")
    out = Path(out)
    _make_directory(out / ".simulate" / "parts" / str(num_jobs))
    _claim(out, manifest, options)
    store = options.store or manifest.path.parent / "store"
    layout = open_layout(manifest, store, StoreOptions(options.sample_rate, options.allow_pipes))
    writer = _Writer(manifest, Mixer(*layout), out, options)
    size = len(manifest)
    done = []
    for index in range(size * (job - 1) // num_jobs, size * job // num_jobs):
        entry, skipped = writer.write(index)
        done.append(entry)
        report(entry.duration, skipped)
    _write_part(_part(out, job, num_jobs), done)
    return len(done)


class _Writer:
    def __init__(
        self, manifest: Manifest, mixer: Mixer, out: Path, options: WriteOptions
    ) -> None:
        self.manifest, self.mixer, self.out, self.options = manifest, mixer, out, options

    def write(self, index: int) -> tuple[Written, bool]:
        """Return the entry of one mixture, and whether its file existed already."""
        layout, rate = self.mixer.layout, self.options.sample_rate
        name, total = layout.name(index), layout.num_samples(index)
        path = _wav_path(self.out, index, name)
        length = min(total, self.options.max_samples or total)
        segments = layout.segments(index, 0, length)
        if not segments:
            raise DiarizeError(
                f"mixture {name}: no speech in the first {self.options.max_duration} s; "
                "give a larger --max-duration"
            )
        exists = path.is_file() and path.stat().st_size == _WAV_HEADER + 2 * length
        if not exists:
            _make_directory(path.parent)
            for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a job that was killed
                left.unlink(missing_ok=True)
            wave = self.mixer.window(index, 0, length)
            peak = float(np.max(np.abs(wave)))
            if peak > _FULL_SCALE:
                wave *= np.float32(_FULL_SCALE / peak)
            write_wav(path, wave, rate)
        entry = Written(name, os.fspath(path), length / rate, segments)
        if layout.rows(index).own.any():
            mixture = self.manifest[index][1]
            entry = entry._replace(
                utterances=_voices(mixture, layout, index, length),
                kinds=_kinds(mixture, layout, index, length),
            )
        return entry, exists


def _voices(
    mixture: dict, layout: MixtureLayout, index: int, stop: int
) -> list[tuple[Segment, str]]:
    """Return segments with their speakers, sorted; label and speaker are constant within each."""
    # Names contain no blanks, so that a blank can separate them.
    labels = [
        f"{layout.labels[label]} {parse_utterance(utt).voice or speaker['spkid']}"
        for label, (speaker, utt) in zip(
            layout.rows(index).label.tolist(), _utterances(mixture), strict=True
        )
    ]
    return [
        (run._replace(label=run.label.split()[0]), run.label.split()[1])
        for run in layout.segments(index, 0, stop, labels)
    ]


def _kinds(mixture: dict, layout: MixtureLayout, index: int, stop: int) -> list[Segment]:
    """Return the sentences as segments labelled INTRA, INTER or MONO, sorted.

    Utterances without a sentence number are omitted.
    """
    rows, rate = layout.rows(index), layout.sample_rate
    several = len(set(rows.label.tolist())) > 1
    sentences: dict[tuple, list[int]] = {}
    for row, (_, utt) in enumerate(_utterances(mixture)):
        number = parse_utterance(utt).sentence
        if number is not None:
            sentences.setdefault((int(rows.speaker[row]), number), []).append(row)
    out = []
    for found in sentences.values():
        first = int(rows.begin[found].min())
        last = min(int((rows.begin + rows.length)[found].max()), stop)
        kind = INTRA if len(set(rows.label[found].tolist())) > 1 else INTER if several else MONO
        if last > first:
            out.append(Segment(mixture["recid"], first / rate, last / rate, kind))
    return sorted(out)


def _utterances(mixture: dict) -> Iterator[tuple[dict, str | list | dict]]:
    """Yield (speaker, utterance) in the order of the layout's rows."""
    for speaker in mixture["speakers"]:
        for utt in speaker["utts"]:
            yield speaker, utt


def _wav_path(out: Path, index: int, name: str) -> Path:
    upper, lower = divmod(index // _PER_DIRECTORY, _PER_DIRECTORY)
    return out / "wav" / f"{upper:02d}" / f"{lower:02d}" / file_name(name, ".wav")


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
                raise DiarizeError(f"mixture {entry.name}: two utterances have the id {key}")
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
    """Record the manifest and options of ``out``; raises DiarizeError if others are recorded."""
    note = out / ".simulate" / "made_from"
    digest = hashlib.blake2b(digest_size=16)
    with open(manifest.path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    text = f"{digest.hexdigest()} {options.sample_rate} {options.max_samples}\n"
    if not note.exists():
        with atomic_write(note) as handle:
            handle.write(text)
    elif note.read_text(encoding="utf-8") != text:
        raise DiarizeError(
            f"{out} holds mixtures of another manifest, rate or length; remove it, or choose "
            "another --out"
        )


def finish(manifest: Manifest, out: str | os.PathLike, num_jobs: int) -> int:
    """Merge the parts of ``num_jobs`` jobs into data directory ``out``; return its mixtures.

    Writes wav.scp, segments, utt2spk, spk2utt, rttm, uem (whole recordings), reco2dur and
    reco2num_spk, and for languages utt2lang and kinds.rttm (sentences by kind of switch).  The
    files are identical for every number of jobs.  Raises DiarizeError, before anything is
    written, if a job has not finished, a mixture of ``manifest`` is not in the parts, or a WAV
    file is missing; and afterwards if the data directory is invalid.
    """
    out = Path(out)
    parts = [_part(out, job, num_jobs) for job in range(1, num_jobs + 1)]
    missing = [job for job, part in enumerate(parts, 1) if not part.is_dir()]
    if missing:
        raise DiarizeError(
            f"{out}: {len(missing)} of {num_jobs} jobs have not finished: {_some(missing)}; run "
            f"'write' again with --num-jobs {num_jobs} for these"
        )
    count = _check_complete(manifest, parts)
    for left in out.glob(".*.tmp"):  # by a 'finish' that was killed
        left.unlink(missing_ok=True)
    for name in _MERGED[:-1]:
        _merge(name, parts, out)
    for name in _OF_LANGUAGES:
        having = [part for part in parts if (part / name).is_file()]
        (out / name).unlink(missing_ok=True)
        if having:
            _merge(name, having, out)
    _write_spk2utt(out)
    _write_uem(out)
    _merge(_MERGED[-1], parts, out)
    faults = validate_data_dir(out, feats=False, text=False)
    if faults:
        raise DiarizeError(f"{out} has {len(faults)} faults: {_some(faults)}")
    return count


def _check_complete(manifest: Manifest, parts: list[Path]) -> int:
    """Return the number of mixtures after checking that all are in the parts and on disk."""
    count = 0
    absent, gone = [], []
    found = (line.split(maxsplit=1) for part in parts for line in _lines(part / "wav.scp"))
    for name, entry in zip_longest(manifest.ids(), found):
        if name is None or (entry is not None and entry[0] != name):
            raise DiarizeError(
                f"the jobs were not made from {manifest.path}: {entry[0]} in place of "
                f"{name or 'its end'}; run 'write' again for all jobs"
            )
        if entry is None:
            absent.append(name)
        elif not os.path.isfile(entry[1].rstrip("\n")):
            gone.append(entry[1].rstrip("\n"))
        count += 1
    if absent or gone:
        raise DiarizeError(
            f"{len(absent) + len(gone)} of {count} mixtures of {manifest.path} are missing: "
            f"{_some(absent + gone)}; run 'write' again for all jobs"
        )
    return count


def _merge(name: str, parts: list[Path], out: Path) -> None:
    """Write table ``name`` of all parts, sorted; reads the parts line by line."""
    with ExitStack() as stack:
        handles = [stack.enter_context(open(part / name, encoding="utf-8")) for part in parts]
        # The parts of an RTTM are in order already: one part follows the other.
        rows: Iterable[str] = (line for handle in handles for line in handle)
        if not name.endswith("rttm"):
            rows = heapq.merge(*handles, key=lambda line: line.split(" ", 1)[0])
        with atomic_write(out / name) as handle:
            handle.writelines(rows)


def _write_spk2utt(out: Path) -> None:
    utterances: dict[str, list[str]] = {}
    for key, speaker in read_table(out / "utt2spk", fields=2).items():
        utterances.setdefault(speaker, []).append(key)
    with atomic_write(out / "spk2utt") as handle:
        for speaker in sorted(utterances):
            handle.write(f"{speaker} {' '.join(utterances[speaker])}\n")


def _write_uem(out: Path) -> None:
    with atomic_write(out / "uem") as handle:
        for line in _lines(out / "reco2dur"):
            recording, duration = line.split()
            handle.write(f"{recording} 1 0.000 {float(duration):.3f}\n")


def _lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as handle:
            yield from handle
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror}; run 'write' again") from err


def _some(items: list) -> str:
    shown = ", ".join(str(item) for item in items[:_NAMED])
    return shown + (", ..." if len(items) > _NAMED else "")
