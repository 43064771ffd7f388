"""diarize-prepare: data directories from the unpacked archives of a corpus.

Each command ends with a check of recordings, speakers, hours and reference seconds against the
published figures; a second run changes nothing.
"""

import argparse
import sys

from diarize.bin.common import command_parser, run_command
from diarize.prepare.registry import CORPORA, add_common_options, corpus_module


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a command for each corpus."""
    parser = command_parser("diarize-prepare", __doc__.partition(": ")[2])
    commands = parser.add_subparsers(dest="corpus", required=True)
    for name in CORPORA:
        module = corpus_module(name)
        summary = module.__doc__.splitlines()[0]
        sub = commands.add_parser(name, help=summary, description=module.__doc__)
        add_common_options(sub)
        module.add_options(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 1 if the corpus differs from the published figures."""
    args = make_parser().parse_args(argv)
    module = corpus_module(args.corpus)
    return run_command(lambda: module.prepare(args), f"diarize-prepare {args.corpus}")


if __name__ == "__main__":
    sys.exit(main())
