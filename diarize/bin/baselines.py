"""diarize-baselines: what output that needs no model scores on a set, beside systems.

diarize-baselines --ref data/dev/rttm --uem data/dev/uem --sys model=exp/x/infer_dev/rttm
"""

import argparse
import sys

from diarize.bin.common import refuse_repeats, run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.score.baselines import baselines
from diarize.score.der import ScoreOptions, score_files
from diarize.score.times import Scores, note_on_silence
from diarize.segments import Segment

PROG = "diarize-baselines"
Row = tuple[str, Scores]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    refuse_repeats(out)
    add = out.add_argument
    add("--ref", action="append", required=True, metavar="[NAME=]RTTM",
        help="reference; again for other flavours of it")
    add("--uem", required=True, help="evaluated regions of all recordings")
    add("--sys", action="append", default=[], metavar="NAME=RTTM",
        help="output of a system for the same table; may be repeated")
    add("--collar", action="append", type=float, help="seconds; again for more (0 and 0.25)")
    add("--title", help="heading of the table")
    add("--out", metavar="FILE", help="write the Markdown there instead of printing it")
    return out


def table(reference: list[Segment], uem: dict, systems: dict, collar: float) -> list[Row]:
    """Return the rows at ``collar``: baselines, then systems (name -> segments)."""
    rows = [(one.name, scores) for one, scores in baselines(reference, uem, collar)]
    options = ScoreOptions(collar)
    for name, found in systems.items():
        rows.append((name, score_files(reference, found, uem, options)))
    return rows


def markdown(rows: list[Row]) -> list[str]:
    """Return a table of DER and its parts in percent of the reference speech."""
    lines = ["| output | DER | miss | false alarm | confusion |", "|---|---|---|---|---|"]
    for name, scores in rows:
        times = scores.total
        parts = (times.error, times.miss, times.false_alarm, times.confusion)
        figures = " | ".join(f"{100 * times.rate(part):.2f}" for part in parts)
        lines.append(f"| {name} | {figures} |")
    return lines


def run(args: argparse.Namespace) -> None:
    """Print or write one table for each reference and collar."""
    uem = read_uem(args.uem)
    systems = {}
    for item in args.sys:
        name, found, path = item.partition("=")
        if not found or not name:
            raise DiarizeError(f"--sys takes NAME=RTTM, not '{item}'")
        systems[name] = read_rttm(path)
    lines = [f"## {args.title}", ""] if args.title else []
    for item in args.ref:
        name, found, path = item.rpartition("=")
        reference = read_rttm(path)
        if not reference:
            raise DiarizeError(f"{path}: no speech in the reference: there is nothing to compare")
        strangers = sorted({s.recording for s in reference} - uem.keys())
        if strangers:
            raise DiarizeError(f"{args.uem}: no line for recording {strangers[0]} of {path}")
        for collar in args.collar or [0.0, 0.25]:
            rows = table(reference, uem, systems, collar)
            lines += [f"Against `{name or path}`, collar {collar:.2f} s: {len(uem)} recordings, "
                      f"{rows[0][1].total.scored_speech:.1f} s of speech scored.", ""]
            lines += [*markdown(rows), ""]
            notes = {row: note_on_silence({collar: scores}) for row, scores in rows}
            lines += [f"{row}: {note}  " for row, note in notes.items() if note]
            lines += [""] if any(notes.values()) else []
    text = "\n".join(lines).rstrip() + "\n"
    if args.out:
        with atomic_write(args.out) as handle:
            handle.write(text)
    else:
        print(text, end="")


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
