"""diarize-paper-table: a paper's table of results, with ours beside the published figures.

    diarize-paper-table --table conf/table1.yaml --data-root data \\
        --ours "EEND-M2F, ours=exp/finetune/infer_{set}/rttm" --out exp/TABLE1.md

Each column is a test set: <data-root>/<set>/{rttm,uem} is its reference.  ``--ours NAME=PATTERN``
adds two rows (collar 0 and 0.25 s, pooled, overlap scored); ``{set}`` in the pattern stands for
the set's directory, ``{corpus}`` for that without ``_test``.  Where the pattern names no file
the cell is a dash.  ``--published-output DIR`` scores output that its authors published: any
digit that is not the printed one ends with status 1.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from diarize.bin.common import refuse_repeats, run_command
from diarize.bin.provenance import describe_run
from diarize.config import from_dict, read_yaml
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.score import published
from diarize.score.published import Row, Table
from diarize.score.times import note_on_silence

PROG = "diarize-paper-table"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    refuse_repeats(out)
    add = out.add_argument
    add("--table", required=True, metavar="YAML", help="columns and published figures")
    add("--data-root", metavar="DIR", help="with <set>/{rttm,uem}; needed for --ours")
    add("--ours", action="append", default=[], metavar="NAME=PATTERN", help="again for more")
    add("--published-output", metavar="DIR", help="score the published output in DIR")
    add("--out", metavar="FILE", help="Markdown to write (default: standard output)")
    return out


def run(args: argparse.Namespace) -> int:
    """Print or write the table; 1 where a published figure is not reproduced, else 0."""
    table = from_dict(Table, read_yaml(args.table), args.table)
    ours, behind = our_part(table, args)
    about = f"Published figures: {table.source}. {table.note}".rstrip()
    lines = [f"# {table.title}", "", about, ""]
    lines += published.table_lines(list(table.columns), [*table.rows, *ours])
    if args.ours:
        lines += ["", "## Ours", "", *behind]
    found = []
    if args.published_output:
        found = published.reproduce(table, Path(args.published_output))
        lines += ["", "## Published output, scored here", "", *published.reproduction_lines(found)]
    lines += ["", "## Sources of the rows", "", *_sources(table.rows)]
    lines += ["", "Made by", "", f"    {_command(args)}", ""]
    lines += [f"{name}: {value}  " for name, value in describe_run("", None, None).items() if value]
    text = "\n".join(lines).rstrip() + "\n"
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


def our_part(table: Table, args: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Return our rows, and a list of the RTTM behind each figure."""
    rows: list[Row] = []
    behind: list[str] = []
    if args.ours and not args.data_root:
        raise DiarizeError("--ours needs --data-root, where the references are")
    for entry in args.ours:
        name, _, pattern = entry.partition("=")
        if not name.strip() or not pattern:
            raise DiarizeError(f"--ours '{entry}': NAME=PATTERN is needed")
        figures = {}
        for column, directory in table.columns.items():
            corpus = directory.removesuffix("_test")
            rttm = Path(pattern.replace("{set}", directory).replace("{corpus}", corpus))
            if not rttm.is_file():
                continue
            data = Path(args.data_root) / directory
            scores = published.score_output(data / "rttm", rttm, data / "uem")
            figures[column] = published.pooled_der(scores)
            note = note_on_silence(scores)
            behind.append(
                f"* {name.strip()}, {column}: `{rttm}` against `{data}/rttm`"
                + (f"; {note}" if note else "")
            )
        rows += published.our_rows(name.strip(), figures)
    return rows, behind or ["No RTTM is there yet."]


def _sources(rows: Iterable[Row]) -> list[str]:
    return [f"* {row.name}: {row.source}" for row in rows if row.source]


def _command(args: argparse.Namespace) -> str:
    words = [PROG, "--table", args.table]
    for option in ("data_root", "published_output", "out"):
        if getattr(args, option):
            words += [f"--{option.replace('_', '-')}", getattr(args, option)]
    return " ".join([*words, *(f'--ours "{entry}"' for entry in args.ours)])


def main(argv: list[str] | None = None) -> int:
    """Run diarize-paper-table; returns the exit status."""
    args = parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
