"""RIRS_NOISES (SLR 28): simulated room impulse responses for simulated mixtures.

Layout: ``RIRS_NOISES/simulated_rirs/{small,medium,large}room/{rir_list,Room###/*.wav}``.  The
names of the files repeat, so ids are ``<size>-<room>-<name>``, with the room once where the name
begins with it.  Writes ``<out>/rirs``.
"""

import argparse
import os
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root, one_of
from diarize.prepare.counts import Counts, Expected, check_counts
from diarize.prepare.part import CorpusRecording
from diarize.prepare.writer import Spoken, write_utterances

ROOMS = "smallroom,mediumroom,largeroom"
# Ko et al. 2017: 200 rooms of each size, 100 responses in each room.
_EACH = 20000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    parser.add_argument("--root", default="", metavar="DIR", help="directory of RIRS_NOISES")
    parser.add_argument("--rooms", default=ROOMS, metavar="SIZE,...",
        help="sizes of rooms (default %(default)s)")


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory; DiarizeError if it differs from the published corpus."""
    root = corpus_root(args.root, "RIRS_NOISES", "RIRS_NOISES")
    base = one_of(root, "RIRS_NOISES/simulated_rirs", "simulated_rirs")
    found: dict[str, str] = {}
    for size in args.rooms.split(","):
        of_size = find_responses(one_of(base, size))
        check_counts(
            f"RIRS_NOISES {size}", Counts(recordings=len(of_size)), Expected(recordings=_EACH),
            args.allow_counts,
        )  # fmt: skip
        found |= of_size
    write_utterances(
        Path(args.out) / "rirs",
        (CorpusRecording(key, path) for key, path in found.items()),
        (Spoken(key, key, key) for key in found),
        {"rooms": args.rooms},
    )


def find_responses(folder: Path) -> dict[str, str]:
    """Return id -> file of one size of rooms; all that ``rir_list`` names must be there.

    Raises DiarizeError where files are missing, or two have the same id.
    """
    found: dict[str, str] = {}
    for room in sorted(os.listdir(folder)):
        if not (folder / room).is_dir():
            continue
        for name in sorted(os.listdir(folder / room)):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() != ".wav" or stem.startswith("."):
                continue
            key, path = _id(folder.name, room, stem), str(folder / room / name)
            if key in found:
                raise DiarizeError(f"{key} occurs twice: {found[key]} and {path}; remove one")
            found[key] = path
    if not found:
        raise DiarizeError(f"{folder}: no Room*/*.wav; unpack the whole rirs_noises.zip here")
    missing = sorted(_listed(folder) - found.keys())
    if missing:
        raise DiarizeError(
            f"{folder}: {len(missing)} responses of rir_list are missing, such as {missing[0]}; "
            "unpack rirs_noises.zip again"
        )
    return found


def _listed(folder: Path) -> set[str]:
    """Return the ids of the files that ``rir_list`` names: the last field of its lines."""
    path = folder / "rir_list"
    if not path.is_file():
        return set()
    lines = (line.split() for line in read_text(path).splitlines())
    files = (Path(fields[-1]) for fields in lines if fields)
    return {_id(folder.name, file.parent.name, file.stem) for file in files}


def _id(size: str, room: str, name: str) -> str:
    return f"{size}-{name}" if name.startswith(room) else f"{size}-{room}-{name}"
