"""Which corpora can be prepared: name -> module.

A module has a docstring (its first line is the help), ``add_options(parser)`` for what it needs
beside the common options, and ``prepare(args)``, which writes data directories below ``args.out``.
"""

import argparse
import importlib
from types import ModuleType

CORPORA: dict[str, str] = {}


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


def true_or_false(text: str) -> bool:
    """Return the value of an option that takes true or false, as those of the shell do."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return text == "true"
