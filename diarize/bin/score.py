"""diarize-score: DER and JER of an RTTM against a reference, per recording and overall.

diarize-score -r ref.rttm -s hyp.rttm -u all.uem -c 0 -c 0.25 --json result.json
"""

import argparse
import json
import sys

from diarize.bin.common import refuse_repeats, run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rttm import TurnColumns, read_turns
from diarize.report.inputs import read_durations, read_turn_files, read_uem_files
from diarize.score import analysis
from diarize.score.columns import problem_from_segments, problem_from_turns
from diarize.score.der import Evaluation, ScoreOptions
from diarize.score.jer import jaccard_errors
from diarize.score.pitfalls import pitfalls
from diarize.score.report import Report, csv_report, json_report, text_report
from diarize.score.significance import bootstrap, compare
from diarize.score.times import note_on_silence

PROG = "diarize-score"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    refuse_repeats(out)
    add = out.add_argument
    more = {"action": "append", "metavar": "FILE"}
    add("-r", "--ref", required=True, **more,
        help="reference RTTM, - for standard input; repeat for several files")
    add("-s", "--sys", required=True, **more, help="system output RTTM, likewise")
    add("-u", "--uem", **more,
        help="UEM of the evaluated regions, likewise; false alarm counts in all its recordings")
    add(
        "-c",
        "--collar",
        type=float,
        action="append",
        help="seconds not scored around reference boundaries; again for more (default: 0 and 0.25)",
    )
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
    add("--reco2dur", help="durations of the audio, to warn of output beyond it")
    add("--compare", metavar="RTTM", help="system B: a paired test of A (-s) against it")
    add(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="confidence interval of the DER from N rounds (0: none)",
    )
    add("--seed", type=int, default=0, help="of --bootstrap and --compare")
    add("--breakdown", action="store_true", help="also by number of speakers")
    add("--speakers", action="store_true", help="also by reference speaker")
    add("--switches", action="store_true", help="also around switches of label (languages)")
    add("--json", metavar="FILE", help="write everything as JSON")
    add("--csv", metavar="FILE", help="write one line per recording and collar")
    return out


def evaluate(ref: TurnColumns, hyp: TurnColumns, uem: dict | None, merge_turns: bool) -> Evaluation:
    """Return the evaluation of two RTTMs over the regions of ``uem``."""
    if not merge_turns:
        return Evaluation(problem_from_turns(ref, hyp, uem))
    return Evaluation(problem_from_segments(ref.segments(), hyp.segments(), uem, True))


def score(args: argparse.Namespace) -> None:
    """Score, print the report and write what was asked for."""
    collars = list(dict.fromkeys(args.collar or [0.0, 0.25]))
    for collar in collars:
        ScoreOptions(collar)  # refuses one that cannot be
    if args.bootstrap < 0:
        raise DiarizeError(f"--bootstrap must be 0 or more, not {args.bootstrap}")
    ref, hyp = read_turn_files(args.ref), read_turn_files(args.sys)
    uem = read_uem_files(args.uem) if args.uem else None
    if not ref.recording:
        where = ", ".join(args.ref)
        raise DiarizeError(f"{where}: no SPEAKER or LANGUAGE line, so nothing can be scored")
    durations = read_durations(args.reco2dur) if args.reco2dur else None
    evaluation = evaluate(ref, hyp, uem, args.merge_turns)
    report = make_report(args, evaluation, collars)
    report.warnings = pitfalls(ref, hyp, uem, durations)
    if args.compare:
        other = evaluate(ref, read_turns(args.compare), uem, args.merge_turns)
        for collar in collars:
            scores = other.scores(collar, args.skip_overlap)
            rounds = args.bootstrap or 10000
            report.comparison[collar] = compare(report.scores[collar], scores, rounds, args.seed)
    for warning in report.warnings:
        print(f"{PROG}: warning: {warning}", file=sys.stderr)
    if args.json:
        with atomic_write(args.json) as handle:
            json.dump(json_report(report), handle, indent=1, allow_nan=False)
            handle.write("\n")
    if args.csv:
        with atomic_write(args.csv) as handle:
            handle.write(csv_report(report))
    print(text_report(report), end="")


def make_report(args: argparse.Namespace, evaluation: Evaluation, collars: list[float]) -> Report:
    """Return the report of one system, without warnings and comparison."""
    scores = {collar: evaluation.scores(collar, args.skip_overlap) for collar in collars}
    counts = analysis.speaker_counts(evaluation)
    purity, coverage = analysis.purity_coverage(evaluation)
    report = Report(
        files={
            "reference": ", ".join(args.ref),
            "system": ", ".join(args.sys),
            "uem": ", ".join(args.uem or ["none"]),
        },
        options={"skip overlap": args.skip_overlap, "merge turns": args.merge_turns},
        scores=scores,
        jaccard=jaccard_errors(evaluation),
        counts=counts,
        purity=purity,
        coverage=coverage,
        warnings=[],
        note=note_on_silence(scores),
    )
    if args.bootstrap:
        report.interval = {c: bootstrap(s, args.bootstrap, args.seed) for c, s in scores.items()}
    if args.breakdown:
        report.sizes = analysis.by_recording_size(scores[collars[0]], counts)
        report.active = analysis.by_active_speakers(evaluation, collars[0], args.skip_overlap)
    if args.speakers:
        report.speakers = analysis.by_speaker(evaluation)
    if args.switches:
        report.switches = analysis.by_switch(evaluation)
    return report


def main(argv: list[str] | None = None) -> int:
    """Run diarize-score; 0 when done, 1 on a mistake."""
    args = parser().parse_args(argv)
    return run_command(lambda: score(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
