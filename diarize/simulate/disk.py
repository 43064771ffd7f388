"""Mixtures on disk: WAV files written by parallel jobs, merged into one Kaldi data directory.

The output directory contains ``wav/00/00/<id>.wav`` (100 files per directory) and, for each
finished job, ``.simulate/parts/<jobs>/<job>/`` with its share of the tables.  Files and parts are
written under a temporary name and then renamed.  A job that was killed therefore continues when
it is run again.  The jobs share one audio store (:mod:`diarize.simulate.mix.store`), which they
fill together; it may be removed afterwards, or kept for training from the same manifest.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diarize.checks import at_least, require
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory, atomic_write, make_directory
from diarize.io.audio import write_wav
from diarize.io.filename import file_name
from diarize.io.rttm import write_rttm
from diarize.io.table import read_table, write_table
from diarize.io.uem import write_uem
from diarize.kaldi.schema import spk2utt_of
from diarize.kaldi.validate import validate_data_dir
from diarize.segments import Segment
from diarize.simulate.manifest import Manifest, parse_utterance
from diarize.simulate.mix.layout import MixtureLayout, open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions

INTRA, INTER, MONO = "intra", "inter", "mono"
"""Kinds of sentences: with a switch inside, between switches, in a mixture of one language."""

# wav.scp is written last: a directory without it is no data directory.
_BY_RECORDING = ("reco2dur", "reco2num_spk", "uem", "rttm", "kinds.rttm", "wav.scp")
_BY_UTTERANCE = ("segments", "utt2spk", "utt2lang")
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
        at_least(1, sample_rate=self.sample_rate)
        at_least(1 / self.sample_rate, max_duration=self.max_duration)

    @property
    def max_samples(self) -> int | None:
        """Maximum length in samples."""
        return None if self.max_duration is None else round(self.max_duration * self.sample_rate)


def write_job(
    manifest: Manifest,
    out: str | os.PathLike,
    job: int,
    num_jobs: int,
    options: WriteOptions,
    report: Callable[[float], None] = lambda seconds: None,
) -> int:
    """Write job ``job`` (from 1) of ``num_jobs``; return its number of mixtures.

    A mixture whose WAV file exists is skipped.  ``report`` is called after each mixture with its
    length in seconds, 0 if it was skipped.  A mixture that would clip is scaled down to
    full scale as a whole; others are not scaled.  Raises DiarizeError for unreadable audio, and
    for an output directory that is not writable or belongs to another manifest or other options.
    """
    chosen = job_share(len(manifest), job, num_jobs)
    out, part = Path(out), _part(Path(out), job, num_jobs)
    make_directory(part.parent)
    _claim(out, manifest, options)
    store = options.store or manifest.path.parent / "store"
    layout = open_layout(manifest, store, StoreOptions(options.sample_rate, options.allow_pipes))
    mixer, tables = Mixer(*layout), _Tables()
    for index in chosen:
        path, length, existed = _write_wav(mixer, index, out, options)
        tables.add(manifest, mixer.layout, index, path, length)
        report(0.0 if existed else length / options.sample_rate)
    tables.write(part)
    return len(chosen)


def job_share(count: int, job: int, num_jobs: int) -> range:
    """Return the indices of ``count`` mixtures that are those of job ``job``, from 1.

    Raises DiarizeError for a job that is not among ``num_jobs``.
    """
    require(1 <= job <= num_jobs, "job", job, f"from 1 to the number of jobs ({num_jobs})")
    return range(count * (job - 1) // num_jobs, count * job // num_jobs)


def _write_wav(
    mixer: Mixer, index: int, out: Path, options: WriteOptions
) -> tuple[Path, int, bool]:
    """Write one mixture; return its path, its length, and whether the file existed already."""
    name, total = mixer.layout.name(index), mixer.layout.num_samples(index)
    upper, lower = divmod(index // _PER_DIRECTORY, _PER_DIRECTORY)
    path = out / "wav" / f"{upper:02d}" / f"{lower:02d}" / file_name(name, ".wav")
    length = min(total, options.max_samples or total)
    if path.is_file() and path.stat().st_size == _WAV_HEADER + 2 * length:
        return path, length, True
    make_directory(path.parent)
    wave = mixer.window(index, 0, length)
    peak = float(np.max(np.abs(wave)))
    if peak > _FULL_SCALE:
        wave *= np.float32(_FULL_SCALE / peak)
    write_wav(path, wave, options.sample_rate)
    return path, length, False


class _Tables:
    """Tables of one job's share of the mixtures."""

    def __init__(self) -> None:
        names = ("wav.scp", "reco2dur", "reco2num_spk", *_BY_UTTERANCE)
        self.tables: dict[str, dict[str, str]] = {name: {} for name in names}
        self.uem: dict[str, list[tuple[float, float]]] = {}
        self.segments: list[Segment] = []
        self.kinds: list[Segment] = []

    def add(
        self, manifest: Manifest, layout: MixtureLayout, index: int, path: Path, length: int
    ) -> None:
        """Add the first ``length`` samples of one mixture, whose audio is ``path``."""
        name, duration = layout.name(index), length / layout.sample_rate
        segments = layout.segments(index, 0, length)
        if not segments:
            raise DiarizeError(
                f"mixture {name}: no speech in the first {duration:g} s; give a larger "
                "--max-duration, or remove it from the manifest"
            )
        voices = [(segment, segment.label) for segment in segments]
        of_languages = bool(layout.rows(index).own.any())
        if of_languages:
            mixture = manifest[index][1]
            voices = _voices(mixture, layout, index, length)
            self.kinds += _kinds(mixture, layout, index, length)
        self.segments += segments
        self.uem[name] = [(0.0, float(_seconds(duration)))]
        self.tables["wav.scp"][name] = os.fspath(path)
        self.tables["reco2dur"][name] = _seconds(duration)
        self.tables["reco2num_spk"][name] = str(len({voice for _, voice in voices}))
        for segment, voice in voices:
            key = utterance_id(segment._replace(label=voice))
            if key in self.tables["segments"]:
                raise DiarizeError(f"mixture {name}: two utterances have the id {key}")
            times = f"{_seconds(segment.start)} {_seconds(segment.end)}"
            self.tables["segments"][key] = f"{name} {times}"
            self.tables["utt2spk"][key] = voice
            if of_languages:
                self.tables["utt2lang"][key] = segment.label

    def write(self, part: Path) -> None:
        """Write the tables to directory ``part``, which appears as a whole."""
        with atomic_directory(part) as fresh:
            for name, table in self.tables.items():
                write_table(fresh / name, table)
            write_uem(fresh / "uem", self.uem)
            write_rttm(fresh / "rttm", self.segments)
            write_rttm(fresh / "kinds.rttm", self.kinds)


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


def _claim(out: Path, manifest: Manifest, options: WriteOptions) -> None:
    """Record the manifest and options of ``out``; raises DiarizeError if others are recorded."""
    note = out / ".simulate" / "made_from"
    text = f"{manifest.digest()} {options.sample_rate} {options.max_samples}\n"
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
    for name in (*_BY_UTTERANCE, *_BY_RECORDING):
        _merge([part / name for part in parts], out / name)
    write_table(out / "spk2utt", spk2utt_of(read_table(out / "utt2spk")))
    faults = validate_data_dir(out, feats=False, text=False)
    if faults:
        raise DiarizeError(f"{out} has {len(faults)} faults: {_some(faults)}")
    return count


def _check_complete(manifest: Manifest, parts: Sequence[Path]) -> int:
    """Return the number of mixtures after checking that all are in the parts and on disk."""
    found = {name: path for part in parts for name, path in read_table(part / "wav.scp").items()}
    names = list(manifest.ids())
    foreign = found.keys() - names
    if foreign:
        raise DiarizeError(
            f"the jobs were not made from {manifest.path}: it has no {min(foreign)}; run 'write' "
            "again for all jobs"
        )
    missing = [found.get(n, n) for n in names if n not in found or not os.path.isfile(found[n])]
    if missing:
        raise DiarizeError(
            f"{len(missing)} of {len(names)} mixtures of {manifest.path} are missing: "
            f"{_some(missing)}; run 'write' again for all jobs"
        )
    return len(names)


def _merge(parts: Sequence[Path], out: Path) -> None:
    """Write the tables of all parts as one, line by line; no table if all are empty.

    The mixtures of the parts are in order, their utterances are not.
    """
    with ExitStack() as stack:
        handles = [stack.enter_context(open(part, encoding="utf-8")) for part in parts]
        lines: Iterable[str] = (line for handle in handles for line in handle)
        if out.name in _BY_UTTERANCE:
            lines = heapq.merge(*handles, key=lambda line: line.split(" ", 1)[0])
        with atomic_write(out) as handle:
            handle.writelines(lines)
    if out.stat().st_size == 0:
        out.unlink()


def _some(items: list) -> str:
    shown = ", ".join(str(item) for item in items[:_NAMED])
    return shown + (", ..." if len(items) > _NAMED else "")
