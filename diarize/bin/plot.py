"""diarize-plot: reference, hypothesis and errors over time; training curves.

diarize-plot --ref ref.rttm --hyp hyp.rttm --uem all.uem --recording a b --out images/
diarize-plot curves --log exp/m/train_log.jsonl --out exp/m/images/curves.png
"""

import argparse
import sys
from pathlib import Path

from diarize.bin.common import add_allow_pipes, command_parser, plain_text, run_command
from diarize.errors import DiarizeError
from diarize.io.filename import file_name
from diarize.report.plots.figure import figure_format
from diarize.report.plots.recording import PlotSources
from diarize.report.plots.timeline import draw_picture

PROG = "diarize-plot"


def run_timelines(args: argparse.Namespace) -> int:
    """Draw the requested recordings; returns 0."""
    if not (args.ref or args.hyp):
        raise DiarizeError("nothing to draw; add --ref, --hyp or both")
    out = Path(args.out)
    single = bool(out.suffix) and not out.is_dir() and not args.out.endswith("/")
    suffix = figure_format(out) if single else f".{args.format}"
    sources = PlotSources(args.ref, args.hyp, args.uem, args.audio_scp, args.allow_pipes)
    known = sources.recordings()
    wanted = args.recording or known
    for recording in wanted:
        if recording not in known and recording not in sources.wav_scp:
            raise DiarizeError(f"recording {recording} is in none of the files; check --recording")
    if not wanted:
        raise DiarizeError("the files contain no recording")
    if single and len(wanted) > 1:
        raise DiarizeError(
            f"{len(wanted)} recordings do not fit in {out}; use a directory, or one --recording"
        )
    (out.parent if single else out).mkdir(parents=True, exist_ok=True)
    for recording in wanted:
        path = out if single else out / file_name(recording, suffix)
        draw_picture(sources.picture(recording, args.start, args.end), path)
        print(path)
    return 0


def run_curves(args: argparse.Namespace) -> int:
    """Draw the curves of a training log; returns 0."""
    from diarize.report.plots.curves import draw_curves, read_log

    figure_format(args.out)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    draw_curves(read_log(args.log), args.out, title=args.title or str(Path(args.log).parent))
    print(args.out)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser for recordings."""
    parser = command_parser(PROG, __doc__)
    parser.add_argument("-r", "--ref", metavar="PATH", help="reference RTTM")
    parser.add_argument("-s", "--sys", "--hyp", dest="hyp", metavar="PATH", help="output RTTM")
    parser.add_argument("-u", "--uem", metavar="PATH", help="scored regions; the rest is shaded")
    parser.add_argument("--recording", nargs="+", metavar="ID", help="only these recordings")
    parser.add_argument("--audio-scp", metavar="FILE",
        help="wav.scp of the audio: adds the waveform")
    add_allow_pipes(parser)
    parser.add_argument("--start", type=float, metavar="SECONDS", help="first second drawn")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="last second drawn")
    parser.add_argument("-o", "--out", required=True, metavar="PATH",
                        help="PNG, PDF or SVG, or a directory of figures named by id")
    parser.add_argument("--format", choices=("png", "pdf", "svg"), default="png",
                        help="format in a directory (default: %(default)s)")
    return parser


def make_curves_parser() -> argparse.ArgumentParser:
    """Return the parser for training curves."""
    parser = command_parser(f"{PROG} curves", "Draw the curves of a training log.")
    parser.add_argument("--log", required=True, metavar="FILE",
                        help="train_log.jsonl of an experiment")
    parser.add_argument("-o", "--out", required=True, metavar="FILE",
                        help="PNG, PDF or SVG to write")
    parser.add_argument("--title", type=plain_text, metavar="TEXT",
                        help="title (default: the directory of the log)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["curves"]:
        args = make_curves_parser().parse_args(argv[1:])
        return run_command(lambda: run_curves(args), PROG)
    args = make_parser().parse_args(argv)
    return run_command(lambda: run_timelines(args), PROG)


if __name__ == "__main__":
    sys.exit(main())
