"""A batch of recordings: checked before the work, with its failures named at the end."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence

from diarize.errors import DiarizeError
from diarize.infer.inputs import Input, file_input, kaldi_input, segment_regions
from diarize.infer.stored import some_names
from diarize.kaldi.datadir import DataDir

# Files of a data directory with speech bounds and numbers of speakers, known or oracle.
ORACLE_FILES = ("segments", "reco2num_spk")


class Failures:
    """Recordings that failed, each reported on standard error at once.

    ``total`` is the number of all recordings.
    """

    def __init__(self, prog: str, total: int = 0) -> None:
        self.prog, self.total = prog, total
        self.faults: dict[str, DiarizeError] = {}

    def add(self, recording: str, err: DiarizeError) -> None:
        """Note and print a failure; the only recording's is raised."""
        if self.total == 1:
            raise err
        self.faults[recording] = err
        sys.stderr.write(f"{self.prog}: error: {err}\n")

    def check_any_left(self) -> None:
        """Raise DiarizeError if all recordings have failed."""
        if self.faults and len(self.faults) == self.total:
            raise DiarizeError(f"all {self.total} recordings failed")

    def report(self, where: object) -> int:
        """Return the exit status; prints the failed recordings and the place of the others."""
        self.check_any_left()
        if not self.faults:
            return 0
        done = self.total - len(self.faults)
        sys.stderr.write(
            f"{self.prog}: error: {len(self.faults)} of {self.total} recordings failed: "
            f"{some_names(list(self.faults), 10)}; {done} written to {where}\n"
        )
        return 1


def open_files(paths: Sequence[str], channel: str, failures: Failures) -> list[Input]:
    """Return the inputs of the audio files that can be opened; the others are failures.

    Raises DiarizeError for two files of one id, and if none can be opened.
    """
    by_name: dict[str, str] = {}
    for path in paths:
        name = file_input(path).recording
        if name in by_name:
            raise DiarizeError(
                f"{path} and {by_name[name]} would both be recording '{name}'; rename one"
            )
        by_name[name] = path
    return _opened(by_name, lambda name: file_input(by_name[name], channel), failures)


def open_data(
    path: str | os.PathLike,
    channel: str,
    failures: Failures,
    ignore: Sequence[str] = (),
    use: Sequence[str] = (),
    allow_pipes: bool = False,
) -> list[Input]:
    """Return the recordings of a data directory that can be opened; the others are failures.

    Recordings are processed as a whole.  The output is restricted to the union of their
    ``segments``, and ``reco2num_spk`` is the number of speakers of each, unless ``ignore`` names
    the file; standard error states which is used.  Beside a reference both may stem from the
    annotation: they must be named in ``use`` or ``ignore``.  Raises DiarizeError where they are
    not, for a file of ``use`` that is not there, and for a directory without recordings.
    """
    data = DataDir.load(path, allow_pipes)
    if not data.recordings:
        raise DiarizeError(f"{path}/wav.scp: no recording")
    _check_choice(data, use, ignore)
    regions = None if "segments" in ignore else segment_regions(data)
    counts = {} if "reco2num_spk" in ignore else data.reco2num_spk
    if regions is not None:
        sys.stderr.write(
            f"{path}/segments: the output is restricted to {len(data.segments)} segments; "
            "--ignore segments for the whole recordings\n"
        )
    if counts:
        sys.stderr.write(
            f"{path}/reco2num_spk: the numbers of speakers are those of {len(counts)} "
            "recordings; --ignore reco2num_spk to estimate them\n"
        )
    return _opened(
        data.recordings, lambda name: kaldi_input(data, name, channel, regions, counts), failures
    )


def _check_choice(data: DataDir, use: Sequence[str], ignore: Sequence[str]) -> None:
    there = [name for name in ORACLE_FILES if (data.path / name).exists()]
    for name in use:
        if name not in there:
            raise DiarizeError(f"{data.path}: no {name}, which --use names")
    files = " ".join(name for name in there if name not in (*use, *ignore))
    if files and data.reference_file:
        raise DiarizeError(
            f"{data.path}: a reference ({data.reference_file}) beside "
            f"{files.replace(' ', ' and ')}, which may stem from it; state '--ignore {files}' "
            f"for output from the audio alone, or '--use {files}' for an oracle experiment"
        )


def _opened(
    names: Iterable[str], make: Callable[[str], Input], failures: Failures
) -> list[Input]:
    names = list(names)
    failures.total = len(names)
    inputs = []
    for name in names:
        try:
            one = make(name)
            one.check()
            inputs.append(one)
        except DiarizeError as err:
            failures.add(name, err)
    failures.check_any_left()
    return inputs
