"""The last step on disk: the tables of all jobs become one checked Kaldi data directory."""

import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import read_table
from diarize.kaldi.validate import validate_data_dir
from diarize.simulate.manifest import Manifest
from diarize.simulate.writer import missing_parts, part_directories

# wav.scp comes last: without it, nothing takes the directory for a data directory.
_MERGED = ("segments", "utt2spk", "reco2dur", "reco2num_spk", "rttm", "wav.scp")
# Only of mixtures whose labels are languages.
_OF_LANGUAGES = ("utt2lang", "kinds.rttm")
_NAMED = 5


def finish(manifest: Manifest, out: str | os.PathLike, num_jobs: int) -> int:
    """Merge the parts of ``num_jobs`` jobs into data directory ``out``; return its mixtures.

    Writes wav.scp, segments, utt2spk, spk2utt, rttm, uem (whole recordings), reco2dur and
    reco2num_spk, for languages utt2lang and kinds.rttm (sentences by kind of switch) as well,
    the same bytes for every number of jobs.  Raises DiarizeError, before
    anything is written, where a job has not finished, a mixture of ``manifest`` is not
    in the parts, or a WAV file is gone; and afterwards where the result has a fault.
    """
    out = Path(out)
    missing = missing_parts(out, num_jobs)
    if missing:
        raise DiarizeError(
            f"{out}: {len(missing)} of {num_jobs} jobs have not finished: {_some(missing)}; run "
            f"'write' again with --num-jobs {num_jobs} for these"
        )
    parts = list(part_directories(out, num_jobs))
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
    """Return the number of mixtures, all of them in the parts and on disk."""
    count = 0
    absent, gone = [], []
    found = (line.split(maxsplit=1) for part in parts for line in _lines(part / "wav.scp"))
    for name, entry in zip_longest(manifest.ids(), found):
        if name is None or (entry is not None and entry[0] != name):
            raise DiarizeError(
                f"the jobs were not made from {manifest.path}: {entry[0]} where it has "
                f"{name or 'ended'}; run 'write' again for all jobs"
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
    """Write table ``name`` of all parts, sorted; reads them line by line."""
    with ExitStack() as stack:
        handles = [stack.enter_context(open(part / name, encoding="utf-8")) for part in parts]
        # The parts of an RTTM hold recordings in order already, one part after the other.
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
