"""Which corpora can be prepared: name -> module.

A module has a docstring (its first line is the help), ``add_options(parser)`` for what it needs
beside the common options, and ``prepare(args)``, which writes data directories below ``args.out``.
"""

import argparse
import importlib
from types import ModuleType

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
    """Add ``--out`` and ``--any-counts``, which all corpora take."""
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="where the data directories go")
    parser.add_argument("--any-counts", type=true_or_false, default=False, metavar="true|false",
                        help="other counts than the published ones are a warning, not an error "
                        "(a part of the corpus); default false")


def channel_choice(text: str) -> str:
    """Return how channels become one: ``mean``, ``sum`` or the number of a channel from 0."""
    if text not in ("mean", "sum") and not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"mean, sum or a channel's number from 0, not {text!r}")
    return text


def true_or_false(text: str) -> bool:
    """Return the value of an option that takes true or false, as those of the shell do."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return text == "true"
