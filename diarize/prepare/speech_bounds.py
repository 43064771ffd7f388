"""Speech bounds of a data directory, detected by parallel jobs.

A job writes one line ``<utterance> <seconds> [<start> <end>]...`` for each utterance of its part:
the length of its audio and its stretches of speech, in seconds from the beginning of the recording.
The lines of all jobs become the ``segments`` of a new data directory.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.io.table import line_of, read_table, write_table
from diarize.kaldi.datadir import DataDir, Utterance
from diarize.kaldi.tables import DirTables
from diarize.prepare.energy_sad import SadOptions, energy_sad

_NAMED = 5


def find_speech(
    data: DataDir,
    options: SadOptions,
    sample_rate: int = 16000,
    report: Callable[[float], None] = lambda seconds: None,
) -> dict[str, str]:
    """Return the line of every utterance of ``data``, without its key, by utterance.

    ``report`` receives the seconds of audio read.  Raises DiarizeError, naming the recording,
    for audio that cannot be used.
    """
    lines = {}
    for utt in data.utterances:
        wave, begin = _read(data, utt, sample_rate)
        spans = energy_sad(wave, sample_rate, options)
        seconds = len(wave) / sample_rate
        times = [f"{begin + t:.3f}" for span in spans for t in span]
        lines[utt.id] = " ".join([f"{seconds:.3f}", *times])
        report(seconds)
    return lines


def _read(data: DataDir, utt: Utterance, sample_rate: int):
    source = replace(data.source(utt.recording), recording=utt.id)
    first = round(utt.start * sample_rate)
    stop = None if utt.end is None else round(utt.end * sample_rate)
    return read_audio(source, first, stop, sample_rate), first / sample_rate


def apply_speech(
    source: str | os.PathLike,
    parts: Sequence[str | os.PathLike],
    target: str | os.PathLike,
    split: bool = False,
    max_silent: float = 0.01,
) -> str:
    """Write ``target``, the speech of ``source``; return a summary in one line.

    ``parts`` are the files of all jobs.  With ``split`` an utterance may become several, called
    ``<utterance>-<start>-<end>`` (milliseconds, 7 digits), else it keeps its name.  Utterances
    without speech are left out and counted; where they are more than the share ``max_silent``,
    or a part is missing or has been made of other data, that is a DiarizeError.
    """
    raw = DirTables.read(source)
    found = _read_parts(parts)
    _check_same(raw, found)
    silent = [utt for utt in raw.utterances if not found[utt][1]]
    if len(silent) > max_silent * len(raw.utterances):
        raise DiarizeError(
            f"{source}: {len(silent)} of {len(raw.utterances)} utterances contain no speech "
            f"({_some(silent)}), more than the share {max_silent:g}; check the audio, "
            "or allow more (--max-silent)"
        )
    out, kept = _with_segments(raw, found, Path(target), split)
    out.write(target)
    total = sum(seconds for seconds, _ in found.values())
    text = f"{target}: {len(out.utterances)} utterances, {kept / 3600:.2f} h of speech"
    text += f" in {total / 3600:.2f} h"
    return text + (f"; {len(silent)} without speech left out" if silent else "")


def _with_segments(
    raw: DirTables,
    found: Mapping[str, tuple[float, list[tuple[str, str]]]],
    target: Path,
    split: bool,
) -> tuple[DirTables, float]:
    """Return the new directory, and its seconds of speech."""
    whole = "segments" not in raw.tables
    segments: dict[str, str] = {}
    origin: dict[str, str] = {}
    kept = 0.0
    for utt in raw.utterances:
        for start, end in found[utt][1]:
            # Rounded up, an end may pass that of the audio by less than a millisecond.
            name = f"{utt}-{_milliseconds(start)}-{_milliseconds(end)}" if split else utt
            segments[name] = f"{raw.recording_of(utt)} {start} {end}"
            origin[name] = utt
            kept += float(end) - float(start)
    out = DirTables(target, whole=dict(raw.whole))
    used = {value.split()[0] for value in segments.values()}
    for name in ("wav.scp", "reco2dur"):
        if name in raw.tables:
            out.tables[name] = {key: v for key, v in raw.tables[name].items() if key in used}
    if whole:
        out.tables["reco2dur"] = {key: f"{found[key][0]:.3f}" for key in sorted(used)}
    out.tables["segments"] = dict(sorted(segments.items()))
    for name in ("utt2spk", "utt2lang"):
        if name in raw.tables:
            table = raw.tables[name]
            out.tables[name] = {key: table[origin[key]] for key in out.tables["segments"]}
    return out, kept


def _read_parts(
    parts: Iterable[str | os.PathLike],
) -> dict[str, tuple[float, list[tuple[str, str]]]]:
    """Return length and stretches of speech of every utterance."""
    found: dict[str, tuple[float, list[tuple[str, str]]]] = {}
    for part in parts:
        for key, value in read_table(part).items():
            numbers = value.split()
            if key in found or len(numbers) % 2 != 1:
                what = "is in another part too" if key in found else f"bad line '{value}'"
                raise DiarizeError(f"{line_of(part, key)}: {key}: {what}; run the jobs again")
            found[key] = float(numbers[0]), list(zip(numbers[1::2], numbers[2::2], strict=True))
    return found


def _check_same(raw: DirTables, found: Mapping[str, object]) -> None:
    missing = [utt for utt in raw.utterances if utt not in found]
    strange = sorted(found.keys() - set(raw.utterances))
    if missing or strange:
        raise DiarizeError(
            f"{raw.path}: speech bounds are missing for {len(missing)} utterances, and there are "
            f"{len(strange)} of others ({_some(missing + strange)}); run the jobs again"
        )


def write_lines(path: str | os.PathLike, lines: Mapping[str, str]) -> None:
    """Write one job's lines to ``path``; the file is whole or not there."""
    write_table(path, lines)


def _milliseconds(text: str) -> str:
    return f"{round(float(text) * 1000):07d}"


def _some(items: list[str]) -> str:
    return ", ".join(items[:_NAMED]) + (", ..." if len(items) > _NAMED else "")
