"""diarize-results: RESULTS.md of an experiment, and the RESULT lines for scripts.

    diarize-results --exp exp/m --sets "dev test" --valid dev --data-root data \\
        --out exp/m/RESULTS.md --command "./run.sh --stage 1" --started 1700000000

Input files are ``<data-root>/<set>/{rttm,uem}``, ``<exp>/infer_<set>/rttm``, the thresholds in
``<exp>/best.yaml`` or ``<exp>/infer_<valid>/best.yaml``, and ``<exp>/train_log.jsonl``.
The last lines printed are one per set, without the validation set:
``RESULT task=speaker set=test collar=0.00 der=… miss=… fa=… conf=… count_acc=… train_s=…
total_s=… recordings=… minutes=… der_95=low-high`` (percent with 2 decimals, whole seconds; ``na``
for unknown values).  ``der_95`` is the 95 % interval of the DER by a bootstrap over recordings, for
five recordings or more; a warning names a set that has fewer.  With ``--task language`` two fields
are added, ``named_der=… second_language=…``: the error by name, and the share of speech outside the
main language, for sets of one language per recording.
"""

import argparse
import sys
import time
from pathlib import Path

from diarize.bin.common import command_parser, plain_text, run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.report.language_results import more_fields, report_set
from diarize.report.provenance import describe_run, preparation, training_seconds
from diarize.report.results import find_best, result_line, results_page, score_set
from diarize.tasks.postprocessors import POSTPROCESSORS, postprocessor

PROG = "diarize-results"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(PROG, __doc__)
    parser.add_argument("--exp", required=True, metavar="DIR",
                        help="experiment directory, exp/<tag>")
    parser.add_argument("--sets", required=True, metavar="NAMES",
                        help='names of the sets, such as "dev test"')
    parser.add_argument("--valid", metavar="NAME",
                        help="validation set; no RESULT line is printed for it")
    parser.add_argument("--data-root", required=True, metavar="DIR",
                        help="directory with <set>/{rttm,uem}")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="RESULTS.md to write")
    parser.add_argument("--command", type=plain_text, default="", metavar="TEXT",
                        help="command of the experiment, for the page")
    parser.add_argument("--started", type=float, metavar="EPOCH", help="start of the experiment")
    parser.add_argument("--task", choices=tuple(POSTPROCESSORS), default="speaker",
                        help="labels of the sets (default %(default)s)")
    parser.add_argument("--title", type=plain_text, metavar="TEXT",
                        help="title of the page (default: the experiment directory)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the page and print the RESULT lines; returns 0."""
    exp, root = Path(args.exp), Path(args.data_root)
    if not exp.is_dir():
        raise DiarizeError(f"{exp}: no such directory; check --exp")
    names = args.sets.replace(",", " ").split()
    if not names:
        raise DiarizeError("--sets is empty; name at least one set")
    sets = [score_set(name, root / name, exp / f"infer_{name}" / "rttm") for name in names]
    train = training_seconds(exp / "train_log.jsonl")
    total = None if args.started is None else max(0.0, time.time() - args.started)
    about = describe_run(args.command, train, total) | preparation(root, names)
    languages = None
    if postprocessor(args.task, "--task").named:
        languages = [report_set(r.name, root / r.name, r.rttm) for r in sets]
    best = find_best(exp, args.valid)
    page = results_page(str(args.title or exp), sets, about, best, languages)
    with atomic_write(args.out) as handle:
        handle.write(page)
    print(f"{args.out} written")
    more = {found.name: f" {more_fields(found)}" for found in languages or []}
    shown = [result for result in sets if result.name != args.valid] or sets
    for result in shown:
        if note := result.basis():
            print(f"{PROG}: warning: {result.name}: {note}", file=sys.stderr)
        print(result_line(args.task, result, train, total) + more.get(result.name, ""))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
