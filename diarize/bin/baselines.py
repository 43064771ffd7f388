"""diarize-baselines: scores of trivial baselines on a set, beside those of systems.

diarize-baselines --ref data/dev/rttm --uem data/dev/uem --systems model=exp/x/infer_dev/rttm
"""

import argparse
import sys

from diarize import checks
from diarize.bin.common import command_parser, plain_text, run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.report.baselines import comparison_lines

PROG = "diarize-baselines"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    add = out.add_argument
    add("-r", "--ref", nargs="+", required=True, metavar="[NAME=]PATH",
        help="reference RTTM; several are versions of it, with a table each")
    add("-u", "--uem", required=True, metavar="PATH", help="evaluated regions of all recordings")
    add("--systems", nargs="+", default=[], metavar="NAME=PATH",
        help="output of systems (RTTM), in the same table")
    add("-c", "--collar", nargs="+", type=checks.amount, metavar="SECONDS",
        help="not scored around reference boundaries (default: 0 0.25)")
    add("--title", type=plain_text, metavar="TEXT", help="heading of the table")
    add("-o", "--out", metavar="FILE", help="Markdown file to write (default: standard output)")
    return out


def run(args: argparse.Namespace) -> None:
    """Print or write one table for each reference and collar."""
    uem = read_uem(args.uem)
    systems = {}
    for item in args.systems:
        name, found, path = item.partition("=")
        if not found or not name:
            raise DiarizeError(f"--systems '{item}': NAME=RTTM is needed")
        systems[name] = read_rttm(path)
    lines = [f"## {args.title}", ""] if args.title else []
    for item in args.ref:
        name, found, path = item.rpartition("=")
        reference = read_rttm(path)
        if not reference:
            raise DiarizeError(f"{path}: no speech in the reference, so nothing can be scored")
        strangers = sorted({s.recording for s in reference} - uem.keys())
        if strangers:
            raise DiarizeError(f"{args.uem}: no line for recording {strangers[0]} of {path}")
        for collar in args.collar or [0.0, 0.25]:
            lines += comparison_lines(name or path, reference, uem, systems, collar)
    text = "\n".join(lines).rstrip() + "\n"
    if args.out:
        with atomic_write(args.out) as handle:
            handle.write(text)
    else:
        print(text, end="")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
