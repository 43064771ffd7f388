"""diarize-score-language: language diarization by both protocols.

diarize-score-language -r ref.rttm -s hyp.rttm -u all.uem --kinds kinds.rttm --json result.json

The protocols are whole recordings (DISPLACE: the pooled DER of md-eval) and windows (SAGE-LD: wrong
frames among all frames, averaged over windows).  Their figures are not comparable.  Both are
computed with the best mapping of languages and by their names.
"""

import argparse
import json

from diarize import checks
from diarize.bin.common import command_parser, run_command
from diarize.io.atomic import atomic_write
from diarize.report.language_scores import ScoredFiles, make_report, text_report
from diarize.score import language
from diarize.score.der import ScoreOptions

PROG = "diarize-score-language"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    add = out.add_argument
    more = {"nargs": "+", "metavar": "PATH", "required": True}
    add("-r", "--ref", **more,
        help="reference with languages as labels: RTTM files or directories of RTTM files")
    add("-s", "--sys", "--hyp", dest="sys", **more, help="system output, likewise")
    add("-u", "--uem", **more, help="UEM of the whole recordings, likewise")
    add("-c", "--collar", type=checks.amount, nargs="+", metavar="SECONDS",
        help="not scored around reference boundaries (default: 0 0.25)")
    add("--window", type=checks.size, default=language.WINDOW, metavar="SECONDS",
        help="length of a window (default %(default)s)")
    add("--kinds", metavar="RTTM", help="kinds of sentences, such as kinds.rttm of simulated sets")
    add("--json", metavar="FILE", help="write all results as JSON")
    return out


def score(args: argparse.Namespace) -> None:
    """Score, print the report and write it as JSON if requested."""
    collars = list(dict.fromkeys(args.collar or [0.0, 0.25]))
    for collar in collars:
        ScoreOptions(collar)  # checks the value
    files = ScoredFiles(tuple(args.ref), tuple(args.sys), tuple(args.uem), args.kinds)
    report = make_report(files, collars, args.window)
    if args.json:
        with atomic_write(args.json) as handle:
            json.dump(report, handle, indent=1)
            handle.write("\n")
    print(text_report(report), end="")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: score(args), PROG)


if __name__ == "__main__":
    raise SystemExit(main())
