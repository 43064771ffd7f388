"""Run of md-eval: options, reading, scoring, report."""

import io
import sys
import time
from typing import TextIO

import diarize
from diarize.io.atomic import atomic_write
from diarize.io.nist import STATUS_OTHER, check_uem, read_list, read_nist_rttm, read_nist_uem
from diarize.score.der import Evaluation
from diarize.score.mdeval.evaluation import MdEvaluation
from diarize.score.mdeval.options import PROG, USAGE, Options, check
from diarize.score.mdeval.report import (
    Block,
    block_text,
    blocks,
    dscore_text,
    header,
    interval_lines,
    mapping_csv,
    mapping_lines,
)
from diarize.score.mdeval.results import GroupResult, group_results

CONVENTION = "diarize's md-eval, convention of NIST md-eval.pl"


def evaluate(options: Options, argv: list[str]) -> int:
    """Read, score and print; raises RefusedError for input on which md-eval.pl dies."""
    out = (
        io.TextIOWrapper(
            sys.stdout.buffer, encoding="utf-8", errors="surrogateescape", write_through=True
        )
        if hasattr(sys.stdout, "buffer")
        else sys.stdout
    )
    try:
        return _evaluate(options, argv, out)
    finally:
        if out is not sys.stdout:
            out.flush()
            out.detach()


def _evaluate(options: Options, argv: list[str], out: TextIO) -> int:
    when = time.strftime("%Y %b %e at %H:%M:%S")
    version = diarize.__version__
    if options.version:
        print(f"{PROG} {version}: {CONVENTION} version 22", file=out)
        return 0
    print(
        f"command line (run on {when}) Version: 22 ({CONVENTION}, {version})"
        f"  {' '.join([PROG, *argv])}",
        file=out,
    )
    for letter in options.unknown:
        print(f"Unknown option: {letter}", file=sys.stderr)
    if "h" in options.flags:
        print(USAGE.format(prog=PROG), file=sys.stderr)
        return STATUS_OTHER
    collar = check(options)
    print(header(options.values.get("c") or "0", options.values.get("T") or "1"), file=out)
    evaluated = _read(options, collar)
    # One write: standard error is not buffered.
    sys.stderr.write(
        "".join(
            f"WARNING:  speaker {speaker} speaking more than once at time {at:.15g}\n"
            for speaker, at in evaluated.speaks_twice()
        )
    )
    _show_details(options, evaluated.evaluation, collar, out)
    _show_report(options, group_results(evaluated, collar, "1" in options.flags), out)
    return 0


def _read(options: Options, collar: float) -> MdEvaluation:
    values = options.values
    uem = read_nist_uem(values["u"], "n" in options.flags) if values.get("u") else None
    ref = read_nist_rttm([values["r"]] if values.get("r") else read_list(values["R"]))
    system = read_nist_rttm([values["s"]] if values.get("s") else read_list(values["S"]))
    if uem is not None:
        check_uem(uem, values["u"])
    for note in (*ref.notes, *system.notes):
        print(note, file=sys.stderr)
    return MdEvaluation(ref, system, uem, collar)


def _show_report(options: Options, results: list[GroupResult], out: TextIO) -> None:
    conditions = options.values.get("a", "")
    text = dscore_text if options.dscore else block_text
    shown: list[str] = []
    for condition, part in blocks(results, "f" in conditions, "c" in conditions):
        block = Block(condition, part)
        if not block.times["scored_speech"] > 0:
            out.write("".join(shown))
            shown.clear()
            print(
                f"WARNING:  no speech is scored for {condition}; md-eval.pl would die here",
                file=sys.stderr,
            )
        shown.append(f"\n{text(block)}\n")
    out.write("".join(shown))


def _show_details(options: Options, evaluation: Evaluation, collar: float, out: TextIO) -> None:
    """Print the lines of -m and -v file by file, and write the file of -M."""
    if options.values.get("M"):
        with atomic_write(options.values["M"]) as handle:
            handle.write(mapping_csv(evaluation))
    skip_overlap = "1" in options.flags
    mapped = mapping_lines(evaluation) if "m" in options.flags else {}
    intervals = interval_lines(evaluation, collar, skip_overlap) if "v" in options.flags else {}
    for group in sorted({*mapped, *intervals}):
        print("\n".join([*mapped.get(group, []), *intervals.get(group, [])]), file=out)
