"""Table of the corpora that can be prepared: name -> module.

A module has a docstring, whose first line is the help, ``add_options(parser)`` for its own options,
and ``prepare(args)``, which writes data directories below ``args.out``.
"""

import argparse
import importlib
from types import ModuleType

from diarize.io.numbers import parse_integer
from diarize.prepare.counts import CHECKS, allowed_counts

CORPORA: dict[str, str] = {
    "ami": "diarize.prepare.ami",
    "alimeeting": "diarize.prepare.alimeeting",
    "aishell4": "diarize.prepare.aishell4",
    "ramc": "diarize.prepare.ramc",
    "voxconverse": "diarize.prepare.voxconverse",
    "dihard3": "diarize.prepare.dihard3",
    "callhome": "diarize.prepare.callhome",
    "displace": "diarize.prepare.displace",
    "soapies": "diarize.prepare.soapies",
    "fleurs": "diarize.prepare.fleurs",
    "folders": "diarize.prepare.folders",
    "librispeech": "diarize.prepare.librispeech",
    "musan": "diarize.prepare.musan",
    "rirs-noises": "diarize.prepare.rirs_noises",
}


def corpus_module(name: str) -> ModuleType:
    """Return the module that prepares the corpus ``name``."""
    return importlib.import_module(CORPORA[name])


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--out`` and ``--allow-counts``, the options of all corpora."""
    parser.add_argument("-o", "--out", required=True, metavar="DIR",
                        help="directory of the data directories")
    parser.add_argument("--allow-counts", type=allowed_counts, default=frozenset(),
                        metavar="CHECK,...",
                        help="checks against published figures that warn instead of failing, for a "
                        f"part or another edition of the corpus: {', '.join(CHECKS)}; "
                        "default: none")


def channel_choice(text: str) -> str:
    """Return the way to mix channels: ``mean``, ``sum`` or the number of one channel, from 0."""
    if text not in ("mean", "sum") and parse_integer(text) is None:
        raise argparse.ArgumentTypeError(
            f"must be mean, sum or the number of a channel from 0, not {text!r}"
        )
    return text
