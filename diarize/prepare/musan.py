"""MUSAN (SLR 17): its background noises, to lay under simulated mixtures.

Layout: ``musan/noise/free-sound/<id>.wav``; which of them are background noises, and not single
sounds, is said by ``musan/noise/free-sound/ANNOTATIONS``.  Writes ``<out>/noises``.
"""

import argparse
import re
import sys
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root, needed, one_of
from diarize.prepare.part import Recording
from diarize.prepare.writer import Spoken, write_utterances

_ID = re.compile(r"noise-free-sound-\d+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    parser.add_argument("--root", metavar="DIR", help="where musan lies")


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory; a noise that is listed must be there, but for --any-counts."""
    root = corpus_root(args.root, "MUSAN", "MUSAN")
    base = one_of(root, "musan/noise/free-sound", "noise/free-sound")
    names = background_ids(needed(base / "ANNOTATIONS", "it says which noises are background"))
    missing = [name for name in names if not (base / f"{name}.wav").is_file()]
    if missing and not args.any_counts:
        raise DiarizeError(
            f"{base}: {len(missing)} of {len(names)} background noises are missing, such as "
            f"{missing[0]}.wav. Is it unpacked whole? For a part of it: --any-counts true"
        )
    if missing:
        sys.stderr.write(f"WARNING: {base}: {len(missing)} background noises are missing\n")
    kept = [name for name in names if name not in missing]
    write_utterances(
        Path(args.out) / "noises",
        (Recording(name, str(base / f"{name}.wav")) for name in kept),
        (Spoken(name, name, name) for name in kept),
        {"noises": "background noises by noise/free-sound/ANNOTATIONS"},
    )


def background_ids(path: Path) -> list[str]:
    """Return the ids of ANNOTATIONS, sorted: the first field of each line, its head left out."""
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
