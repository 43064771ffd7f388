"""MUSAN (SLR 17): background noises for simulated mixtures.

Layout: ``musan/noise/free-sound/<id>.wav``.  ``musan/noise/free-sound/ANNOTATIONS`` lists the
background noises; the other files are single sounds.  Writes ``<out>/noises``.
"""

import argparse
import re
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root, needed, one_of
from diarize.prepare.counts import check_one
from diarize.prepare.part import CorpusRecording
from diarize.prepare.writer import Spoken, write_utterances

_ID = re.compile(r"noise-free-sound-\d+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    parser.add_argument("--root", default="", metavar="DIR", help="directory of musan")


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory; all listed noises must exist unless `recordings` is allowed."""
    root = corpus_root(args.root, "MUSAN", "MUSAN")
    base = one_of(root, "musan/noise/free-sound", "noise/free-sound")
    names = background_ids(needed(base / "ANNOTATIONS", "the list of background noises"))
    missing = [name for name in names if not (base / f"{name}.wav").is_file()]
    fault = ""
    if missing:
        fault = (
            f"{base}: {len(missing)} of {len(names)} background noises are missing, such as "
            f"{missing[0]}.wav"
        )
    check_one("MUSAN", "recordings", fault, args.allow_counts)
    kept = [name for name in names if name not in missing]
    write_utterances(
        Path(args.out) / "noises",
        (CorpusRecording(name, str(base / f"{name}.wav")) for name in kept),
        (Spoken(name, name, name) for name in kept),
        {"noises": "background noises by noise/free-sound/ANNOTATIONS"},
    )


def background_ids(path: Path) -> list[str]:
    """Return the sorted ids of ANNOTATIONS: the first field of each line except the head."""
    names = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if fields and _ID.fullmatch(fields[0]):
            names.add(fields[0])
        elif fields and number > 1:
            raise DiarizeError(f"{path}:{number}: not the id of a noise: {line!r}")
    if not names:
        raise DiarizeError(f"{path}: no ids of noises (noise-free-sound-0000) in it")
    return sorted(names)
