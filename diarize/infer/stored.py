"""Stored posteriors, and the data directory of a diarization."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.ark import read_scp
from diarize.io.atomic import atomic_write
from diarize.io.numbers import parse_integer, parse_seconds
from diarize.io.rttm import write_rttm
from diarize.io.table import line_of, read_table, read_text, write_table
from diarize.kaldi.reference import turn_tables
from diarize.kaldi.schema import spk2utt_of
from diarize.segments import Segment
from diarize.timebase import FrameGrid


class PosteriorDir:
    """Output of the network for a set: ``posteriors.scp``, ``activities.scp``, ``frame_shift``.

    ``frame_shift`` (seconds, default 0.01) and ``task`` (default speaker) are optional.
    A language head adds ``language_id.scp`` (N x C) and ``labels``, the names of its languages.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DiarizeError(f"{path}: no such directory; run inference (diarize-posteriors)")
        self._posteriors = read_scp(self.path / "posteriors.scp")
        self._activities = read_scp(self.path / "activities.scp")
        for name, here, there in (
            ("activities", self._posteriors, self._activities),
            ("posteriors", self._activities, self._posteriors),
        ):
            missing = sorted(set(here) - set(there))
            if missing:
                raise DiarizeError(
                    f"{self.path}/{name}.scp: nothing for {some_names(missing)}; "
                    "run inference again"
                )
        self.grid = self._read_grid()
        self.task = next(iter(self._read_lines("task")), "speaker")
        self.labels = self._read_lines("labels")
        self._language_id = read_scp(self.path / "language_id.scp") if self.labels else {}

    @property
    def model(self) -> str:
        """The path of the model, "" where it is not known."""
        return next(iter(self._read_lines("model")), "")

    @property
    def model_queries(self) -> int | None:
        """The number of speakers or languages that the model can find; None where not known."""
        found = next(iter(self._read_lines("num_queries")), "")
        return parse_integer(found)

    @property
    def recordings(self) -> list[str]:
        """The recordings, in C order."""
        return sorted(self._posteriors)

    def load(self, recording: str) -> tuple[np.ndarray, np.ndarray]:
        """Return posteriors (T, N), read from disk on access, and activities (N,)."""
        posteriors, activities = self._posteriors.mapped(recording), self._activities[recording]
        if posteriors.ndim != 2 or activities.shape != posteriors.shape[1:]:
            raise DiarizeError(
                f"{self.path}: recording {recording}: posteriors {posteriors.shape} and activities "
                f"{activities.shape} do not agree; run inference again"
            )
        return posteriors, activities

    def num_queries(self, recording: str) -> int:
        """Return N of a recording; only its activities are read."""
        return len(self._activities[recording])

    def language_id(self, recording: str) -> tuple[np.ndarray, list[str]] | None:
        """Return the language head's probabilities (N, C) and its names, None without a head."""
        if not self.labels:
            return None
        if recording not in self._language_id:
            raise DiarizeError(f"{self.path}/language_id.scp: nothing for {recording}; infer again")
        names = self._language_id[recording]
        if names.ndim != 2:
            raise DiarizeError(
                f"{self.path}/language_id.scp: no matrix for {recording}; infer again"
            )
        if names.shape[1] != len(self.labels):
            raise DiarizeError(
                f"{self.path}/labels has {len(self.labels)} languages, language_id.scp "
                f"{names.shape[1]} for {recording}; run inference again"
            )
        return names, self.labels

    def _read_lines(self, name: str) -> list[str]:
        """Return the lines of a small file; [] without one, DiarizeError if it is cut."""
        path = self.path / name
        if not path.exists():
            return []
        text = read_text(path)
        if not text.endswith("\n") or not text.strip():
            raise DiarizeError(f"{path} is empty or cut short; run inference again")
        return text.splitlines()

    def _read_grid(self) -> FrameGrid:
        lines = self._read_lines("frame_shift")
        if not lines:
            return FrameGrid()
        path = self.path / "frame_shift"
        seconds = parse_seconds(lines[0].strip(), "frame shift", f"{path}:1")
        if not 1e-6 <= seconds <= 60:
            raise DiarizeError(f"{path}:1: expected a frame shift in seconds, such as 0.01")
        shift = Fraction(seconds).limit_denominator(10**6)
        return FrameGrid(sample_rate=shift.denominator, hop=shift.numerator)


def write_layout(
    directory: Path,
    grid: FrameGrid,
    task: str,
    labels: list[str],
    model: Path | None = None,
    num_queries: int | None = None,
) -> None:
    """Write the files of `PosteriorDir` other than the arrays."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = {
        "frame_shift": [f"{grid.frame_seconds:.10g}"],
        "task": [task],
        "labels": labels,
        "model": [str(model.resolve())] if model else [],
        "num_queries": [str(num_queries)] if num_queries else [],
    }
    for name, words in lines.items():
        if words:
            with atomic_write(directory / name) as handle:
                handle.writelines(f"{word}\n" for word in words)
        else:
            (directory / name).unlink(missing_ok=True)


def read_counts(path: str | Path, recordings: list[str]) -> dict[str, int]:
    """Return the number of speakers of each recording from a ``reco2num_spk`` file."""
    table = read_table(path, fields=2)
    counts = {}
    for recording in recordings:
        if recording not in table:
            raise DiarizeError(f"{path}: no number of speakers for recording {recording}")
        count = parse_integer(table[recording])
        if count is None:
            raise DiarizeError(
                f"{line_of(path, recording)}: '{table[recording]}' is no number of speakers"
            )
        counts[recording] = count
    return counts


def some_names(names: list[str], most: int = 3) -> str:
    """Return the first names and the number of the others, for messages.

    >>> some_names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_kaldi_files(
    directory: Path, segments: list[Segment], recordings: list[str], task: str = "speaker"
) -> None:
    """Write rttm, segments, utt2spk, spk2utt and reco2num_spk of a diarization.

    Utterances and speakers are those of `diarize.kaldi.reference.turn_tables`; for ``task``
    language there is utt2lang, too.  Times are rounded to ms; segments that are then empty are
    left out.  Recordings without speech have 0 in reco2num_spk.
    """
    rounded = [s._replace(start=round(s.start, 3), end=round(s.end, 3)) for s in segments]
    rounded = sorted(s for s in rounded if s.end > s.start)
    tables = turn_tables(rounded, task)
    tables["spk2utt"] = spk2utt_of(tables["utt2spk"])
    found: dict[str, set[str]] = {recording: set() for recording in recordings}
    for seg in rounded:
        found[seg.recording].add(seg.label)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "utt2lang").unlink(missing_ok=True)
    for name, table in tables.items():
        write_table(directory / name, table)
    write_table(directory / "reco2num_spk", {r: str(len(s)) for r, s in found.items()})
    write_rttm(directory / "rttm", rounded)  # last: it marks a complete directory
