"""diarize-score: DER and JER of an RTTM against a reference, per recording and overall.

diarize-score -r ref.rttm -s hyp.rttm -u all.uem -c 0 -c 0.25 --json result.json
diarize-score -r ref.rttm --systems vbx=vbx.rttm m2f=m2f.rttm -u all.uem --table-format latex
"""

import argparse
import json
import sys

from diarize import checks
from diarize.bin.common import command_parser, run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rttm import TurnColumns, read_turns
from diarize.report.inputs import read_durations, read_turn_files, read_uem_files
from diarize.report.score_tables import text_report
from diarize.report.scores import Report, ReportOptions, csv_report, json_report, make_report
from diarize.report.system_tables import FORMATS, system_table
from diarize.score.columns import problem_from_turns
from diarize.score.der import Evaluation
from diarize.score.sanity_checks import require_inside, require_speech, sanity_checks
from diarize.score.significance import compare

PROG = "diarize-score"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    add = out.add_argument
    more = {"nargs": "+", "metavar": "PATH"}
    add("-r", "--ref", required=True, **more,
        help="reference: RTTM files, directories of RTTM files, - for standard input")
    output = out.add_mutually_exclusive_group(required=True)
    output.add_argument("-s", "--sys", "--hyp", dest="sys", **more,
                        help="output of one system, likewise")
    output.add_argument("--systems", nargs="+", metavar="NAME=PATH",
                        help="outputs of several systems (file or directory), for one table")
    add("--table-format", choices=FORMATS, help="format of the table of --systems (default: text)")
    add("-u", "--uem", **more,
        help="UEM of the evaluated regions, likewise; false alarm counts in all its recordings")
    add("-c", "--collar", type=checks.amount, nargs="+", metavar="SECONDS",
        help="not scored around reference boundaries (default: 0 0.25)")
    add(
        "-1",
        "--skip-overlap",
        action="store_true",
        help="score only where at most one reference turn is active",
    )
    add(
        "--merge-turns",
        action="store_true",
        help="join a speaker's turns that overlap or abut before scoring, as dscore does",
    )
    add("--reco2dur", metavar="FILE",
        help="durations of the audio: a reference mostly beyond its end is refused, output there "
        "causes a warning")
    add("--compare", metavar="RTTM", help="output of system B, for a paired test against A (-s)")
    add(
        "--bootstrap",
        type=checks.natural,
        default=0,
        metavar="N",
        help="confidence interval of the DER from N rounds (0: none)",
    )
    add("--seed", type=checks.natural, default=0, metavar="N",
        help="random seed of --bootstrap and --compare")
    add("--breakdown", action="store_true", help="add tables by number of speakers")
    add("--by-speaker", action="store_true", help="add a table by reference speaker")
    add("--switches", action="store_true", help="add a table of switches of label (languages)")
    add("--json", metavar="FILE", help="write all results as JSON")
    add("--csv", metavar="FILE", help="write one line per recording and collar")
    return out


def score(args: argparse.Namespace) -> None:
    """Score, print the report and write the requested files."""
    options = ReportOptions(
        tuple(dict.fromkeys(args.collar or [0.0, 0.25])),
        args.skip_overlap,
        args.bootstrap,
        args.seed,
        args.breakdown,
        args.by_speaker,
        args.switches,
    )
    ref = read_turn_files(args.ref)
    uem = read_uem_files(args.uem) if args.uem else None
    if not ref.recording:
        where = ", ".join(args.ref)
        raise DiarizeError(f"{where}: no SPEAKER or LANGUAGE line, so nothing can be scored")
    durations = read_durations(args.reco2dur) if args.reco2dur else None

    files = ", ".join(args.ref)
    require_inside(ref, durations or {}, files)

    def evaluate(output: TurnColumns) -> Evaluation:
        return Evaluation(problem_from_turns(ref, output, uem, args.merge_turns))

    def report_of(output: TurnColumns, system: str = "") -> Report:
        report = make_report(evaluate(output), options)
        require_speech(report.scores[options.collars[0]], files)
        report.warnings = sanity_checks(ref, output, uem, durations)
        for warning in report.warnings:
            print(f"{PROG}: warning: {system}{warning}", file=sys.stderr)
        return report

    if args.systems:
        reports = {
            name: report_of(read_turn_files([path]), f"{name}: ")
            for name, path in named(args.systems).items()
        }
        print(system_table(reports, args.table_format or "text"), end="")
        return
    report = report_of(read_turn_files(args.sys))
    report.files = {
        "reference": files, "system": ", ".join(args.sys), "uem": ", ".join(args.uem or ["none"])
    }
    report.options = {"skip overlap": args.skip_overlap, "merge turns": args.merge_turns}
    if args.compare:
        other = evaluate(read_turns(args.compare))
        for collar, scores in report.scores.items():
            theirs = other.scores(collar, args.skip_overlap)
            report.comparison[collar] = compare(scores, theirs, args.bootstrap or 10000, args.seed)
    if args.json:
        with atomic_write(args.json) as handle:
            json.dump(json_report(report), handle, indent=1, allow_nan=False)
            handle.write("\n")
    if args.csv:
        with atomic_write(args.csv) as handle:
            handle.write(csv_report(report))
    print(text_report(report), end="")


def named(items: list[str]) -> dict[str, str]:
    """Return the paths of ``NAME=PATH`` by name."""
    out: dict[str, str] = {}
    for item in items:
        name, found, path = item.partition("=")
        if not (name and found and path):
            raise DiarizeError(f"--systems '{item}': write NAME=PATH")
        if name in out:
            raise DiarizeError(f"--systems '{item}': the name '{name}' is used twice; change one")
        out[name] = path
    return out


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = make_parser()
    args = options.parse_args(argv)
    alone = ("json", "csv", "compare", "breakdown", "by_speaker", "switches", "bootstrap")
    used = [f"--{name.replace('_', '-')}" for name in alone if getattr(args, name)]
    if args.systems and used:
        options.error(f"{used[0]} is for one system (-s), not for --systems")
    if args.table_format and not args.systems:
        options.error("--table-format is for --systems")
    return run_command(lambda: score(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
