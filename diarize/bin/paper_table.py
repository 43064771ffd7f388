"""diarize-paper-table: a paper's table of results, with our figures beside the published ones.

    diarize-paper-table --table conf/table1.yaml --data-root data \\
        --ours "EEND-M2F, ours=exp/finetune/infer_{set}/rttm" --out exp/TABLE1.md

Each column is a test set with the reference <data-root>/<set>/{rttm,uem}.  ``--ours NAME=PATTERN``
adds two rows (collar 0 and 0.25 s, pooled, overlap scored).  In the pattern, ``{set}`` is the
directory of the set and ``{corpus}`` its name without ``_test``.  The cell is a dash if the file
does not exist.  ``--published-output DIR`` scores the output published by the authors; the exit
status is 1 if a digit differs from the printed one.
"""

import argparse
import sys
from pathlib import Path

from diarize.bin.common import command_parser, run_command
from diarize.config import from_dict, read_yaml
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.report.published import Table, our_system, reproduce, table_page

PROG = "diarize-paper-table"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    add = out.add_argument
    add("--table", required=True, metavar="YAML", help="columns and published figures")
    add("--data-root", metavar="DIR", help="directory of <set>/{rttm,uem}, for --ours")
    add("--ours", action="append", default=[], metavar="NAME=PATTERN",
        help="our results of an experiment; may be repeated")
    add("--published-output", metavar="DIR", help="score the published output in DIR")
    add("-o", "--out", metavar="FILE", help="Markdown to write (default: standard output)")
    return out


def run(args: argparse.Namespace) -> int:
    """Print or write the table; returns 1 if a published figure is not reproduced, else 0."""
    table = from_dict(Table, read_yaml(args.table), args.table)
    if args.ours and not args.data_root:
        raise DiarizeError("--ours needs --data-root, the directory of the references")
    ours = [our_system(table, entry, Path(args.data_root)) for entry in args.ours]
    found = reproduce(table, Path(args.published_output)) if args.published_output else []
    text = table_page(table, ours, found, _command(args))
    if args.out:
        with atomic_write(args.out) as handle:
            handle.write(text)
        print(f"{PROG}: {args.out} written", file=sys.stderr)
    else:
        print(text, end="")
    wrong = [one for one in found if not one.same]
    for one in wrong:
        print(
            f"{PROG}: {one.output.system}: {one.scored} here, {one.published} published "
            f"({one.output.column}, collar {one.collar:g})",
            file=sys.stderr,
        )
    return 1 if wrong else 0


def _command(args: argparse.Namespace) -> str:
    words = [PROG, "--table", args.table]
    for option in ("data_root", "published_output", "out"):
        if getattr(args, option):
            words += [f"--{option.replace('_', '-')}", getattr(args, option)]
    return " ".join([*words, *(f'--ours "{entry}"' for entry in args.ours)])


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
