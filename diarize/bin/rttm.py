"""diarize-rttm: check, convert, merge, filter and count segments.

diarize-rttm validate FILE...                     every fault, with file and line
diarize-rttm convert FILE... -o OUT [--to stm]    to another format, by the suffix of OUT
diarize-rttm merge FILE... [--gap 0.3] [-o OUT]   all files as one, close turns of a label joined
diarize-rttm filter FILE... [--recording a b] [--labels x] [--start 0 --end 60]
diarize-rttm stats FILE...                        recordings, speakers, speech, overlap

Formats: .rttm .TextGrid .eaf (ELAN) .txt (Audacity) .srt .vtt .csv .json .jsonl .ctm .stm; a
directory gets one file per recording.
"""

import argparse
import math
import sys
from collections.abc import Iterable

import numpy as np

from diarize import checks
from diarize.bin.common import command_parser, run_command
from diarize.errors import DiarizeError
from diarize.io.destination import Destination
from diarize.io.formats import FORMATS, format_of, read_annotated_turns, read_annotation
from diarize.io.rttm import data_lines, parse_rttm_fields
from diarize.report.tables import aligned
from diarize.segments import Segment, by_recording, clip_segments, merge_segments

PROG = "diarize-rttm"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    verbs = out.add_subparsers(dest="verb", required=True)
    for name in ("validate", "convert", "merge", "filter", "stats"):
        verb = verbs.add_parser(name)
        verb.add_argument("files", nargs="+", metavar="FILE", help="files, - for standard input")
        verb.add_argument("--format", choices=sorted(FORMATS),
                          help="format of the files (default: by the suffix)")
        if name in ("convert", "merge", "filter"):
            verb.add_argument(
                "-o", "--out", default="-", metavar="PATH",
                help="file, or directory (one file per recording); default: standard output",
            )
        if name == "convert":
            verb.add_argument("--to", choices=sorted(FORMATS),
                              help="format to write (default: by the suffix of --out)")
        if name == "merge":
            verb.add_argument("--gap", type=checks.amount, default=0.0, metavar="SECONDS",
                              help="join turns of one label up to this pause (default %(default)s)")
        if name == "filter":
            verb.add_argument("--recording", nargs="+", metavar="ID", help="keep these recordings")
            verb.add_argument("--labels", nargs="+", metavar="LABEL", help="keep these labels")
            verb.add_argument("--min-duration", type=checks.amount, default=0.0, metavar="SECONDS",
                              help="drop shorter turns (default %(default)s)")
            verb.add_argument("--start", type=checks.limit, default=-math.inf, metavar="SECONDS",
                              help="cut earlier parts (default: the beginning)")
            verb.add_argument("--end", type=checks.limit, default=math.inf, metavar="SECONDS",
                              help="cut later parts (default: the end)")
    return out


def read_all(args: argparse.Namespace) -> list[Segment]:
    """Return the segments of all files."""
    return [seg for path in args.files for seg in read_annotation(path, args.format)]


def validate(args: argparse.Namespace) -> int:
    """Print all faults; returns 1 if there are any."""
    faults = 0
    for path in args.files:
        found = list(faults_of(path, args.format))
        faults += len(found)
        for fault in found:
            print(fault)
    print(f"{len(args.files)} files, {faults} faults", file=sys.stderr)
    return 1 if faults else 0


def faults_of(path: str, given: str | None) -> Iterable[str]:
    """Yield the faults of a file: unreadable lines and implausible segments."""
    rows: list[tuple[str, Segment]] = []
    if format_of(path, given) != "rttm":
        try:
            rows = [(path, seg) for seg in read_annotation(path, given)]
        except DiarizeError as err:
            yield str(err)
    else:
        for number, fields in data_lines(path):
            where = f"{path}:{number}"
            try:
                segment = parse_rttm_fields(fields, where)
            except DiarizeError as err:
                yield str(err)
                continue
            if segment is not None:
                rows.append((where, segment))
    if not rows:
        yield f"{path}: no segment"
    last: dict[tuple[str, str], Segment] = {}
    for where, seg in sorted(rows, key=lambda row: row[1]):
        if seg.start < 0:
            yield f"{where}: begins before 0 ({seg.start:g})"
        if seg.end - seg.start <= 0:
            yield f"{where}: has no length"
        before = last.get((seg.recording, seg.label))
        if before and seg.start < before.end - 1e-6:
            yield f"{where}: {seg.label} talks already, until {before.end:g}"
        if not before or seg.end > before.end:
            last[seg.recording, seg.label] = seg


def convert(args: argparse.Namespace) -> None:
    """Write the segments in another format, with their channels and confidences."""
    out = Destination.parse(args.out, args.to)
    out.check()
    out.write(turn for path in args.files for turn in read_annotated_turns(path, args.format))


def merge(args: argparse.Namespace) -> None:
    """Write all segments, with close segments of a label joined, without confidences."""
    out = Destination.parse(args.out)
    out.check()
    out.write(merge_segments(read_all(args), args.gap))


def keep(args: argparse.Namespace) -> None:
    """Write the selected segments."""
    out = Destination.parse(args.out)
    out.check()
    turns = [turn for path in args.files for turn in read_annotated_turns(path, args.format)]
    out.write(
        turn
        for turn in clip_segments(turns, args.start, args.end)
        if (args.recording is None or turn.recording in args.recording)
        and (args.labels is None or turn.label in args.labels)
        and turn.end - turn.start >= args.min_duration - 1e-9
    )


def stats(args: argparse.Namespace) -> None:
    """Print a table of counts and durations, per recording and in total."""
    rows = [["recording", "labels", "turns", "speech s", "overlap s", "mean turn s", "end s"]]
    total = np.zeros(5)
    segments = read_all(args)
    for name, part in sorted(by_recording(segments).items()):
        speech, overlap = speech_and_overlap(part)
        length = sum(seg.end - seg.start for seg in part)
        labels = len({seg.label for seg in part})
        total += (labels, len(part), speech, overlap, length)
        end = max(seg.end for seg in part)
        rows.append(_row(name, labels, len(part), speech, overlap, length, f"{end:.2f}"))
    labels, turns, speech, overlap, length = total.tolist()
    rows.append(_row("TOTAL", int(labels), int(turns), speech, overlap, length, ""))
    print("\n".join(aligned(rows)))


def _row(name: str, labels: int, turns: int, *rest) -> list[str]:
    speech, overlap, length, end = rest
    mean = length / turns if turns else 0.0
    return [name, str(labels), str(turns), f"{speech:.2f}", f"{overlap:.2f}", f"{mean:.2f}", end]


def speech_and_overlap(segments: list[Segment]) -> tuple[float, float]:
    """Return the seconds with at least one label, and with at least two, of one recording."""
    events = [
        event for seg in merge_segments(segments) for event in ((seg.start, 1), (seg.end, -1))
    ]
    speech = overlap = last = 0.0
    active = 0
    for time, step in sorted(events):
        speech += (time - last) * (active > 0)
        overlap += (time - last) * (active > 1)
        active += step
        last = time
    return speech, overlap


VERBS = {"validate": validate, "convert": convert, "merge": merge, "filter": keep, "stats": stats}


def main(argv: list[str] | None = None) -> int:
    """Run diarize-rttm; returns 0, or 1 for an error or a fault found by validate."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: VERBS[args.verb](args), PROG)


if __name__ == "__main__":
    raise SystemExit(main())
