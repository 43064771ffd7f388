"""diarize-sad: energy-based speech bounds of read speech, as segments of a data directory.

    diarize-sad detect --data DIR --out FILE
    diarize-sad apply --data DIR --parts FILE... --out DIR

``detect`` is one job, on a part of the data (utils/split_data.sh); ``apply`` combines the files of
all jobs into one data directory.  utils/make_speech_segments.sh runs both.  The criterion for
speech is documented in diarize/prepare/energy_sad.py.
"""

import argparse
import sys
import time

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, run_command

PROG = "diarize-sad"
_REPORT_SECONDS = 10.0


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command line ``argv``."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: args.run(args), PROG)


def make_parser() -> argparse.ArgumentParser:
    parser = command_parser(PROG, __doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_detect(commands.add_parser("detect", help="find the speech of each utterance"))
    _add_apply(commands.add_parser("apply", help="make a data directory of the detected speech"))
    return parser


def _add_detect(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="data directory, or a part of it")
    add("-o", "--out", required=True, metavar="FILE", help="file to write, one line per utterance")
    add("--sample-rate", type=checks.sample_rate, default=16000, metavar="HZ",
        help="sampling rate (default %(default)s)")
    add_allow_pipes(parser)
    for name, default, what in (
        ("split-pause", 0.0, "cut at pauses of SECONDS or more; 0: trim the ends only"),
        ("min-pause", 0.3, "shorter pauses are part of the speech around them"),
        ("min-speech", 0.1, "shorter bursts are no speech"),
        ("pad", 0.05, "added at both ends"),
    ):
        add(f"--{name}", type=checks.amount, default=default, metavar="SECONDS",
            help=f"{what}; default %(default)s")  # fmt: skip
    for name, default, what in (
        ("min-drop", 15.0, "smallest drop from the level of speech to the threshold"),
        ("max-drop", 35.0, "largest drop"),
        ("silent", -75.0, "level below which an utterance has no speech"),
    ):
        add(f"--{name}", type=float, default=default, metavar="DB",
            help=f"{what}; default %(default)s")  # fmt: skip
    parser.set_defaults(run=_run_detect)


def _add_apply(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="the whole data directory")
    add("--parts", required=True, nargs="+", metavar="FILE", help="output of all jobs of detect")
    add("-o", "--out", required=True, metavar="DIR", help="data directory to make")
    add("--cut", action="store_true", help="utterances were cut into <utterance>-<start>-<end>")
    add("--max-silent", type=checks.probability, default=0.01, metavar="SHARE",
        help="largest share of utterances without speech; default %(default)s")  # fmt: skip
    parser.set_defaults(run=_run_apply)


def _run_detect(args: argparse.Namespace) -> None:
    from diarize.kaldi.datadir import DataDir
    from diarize.prepare.energy_sad import SadOptions
    from diarize.prepare.speech_bounds import find_speech, write_lines

    options = SadOptions(
        min_drop=args.min_drop,
        max_drop=args.max_drop,
        min_speech=args.min_speech,
        min_pause=args.min_pause,
        pad=args.pad,
        split_pause=args.split_pause,
        silent=args.silent,
    )
    data = DataDir.load(args.data, allow_pipes=args.allow_pipes)
    progress = _Progress(len(data.utterances))
    write_lines(args.out, find_speech(data, options, args.sample_rate, progress))
    progress.print()


def _run_apply(args: argparse.Namespace) -> None:
    from diarize.prepare.speech_bounds import apply_speech

    print(
        apply_speech(args.data, args.parts, args.out, args.cut, args.max_silent),
        file=sys.stderr,
    )


class _Progress:
    """Progress on stderr, at intervals: utterances, hours, times real time."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.seconds = total, 0, 0.0
        self.begin = self.last = time.monotonic()

    def __call__(self, seconds: float) -> None:
        self.done += 1
        self.seconds += seconds
        if time.monotonic() - self.last >= _REPORT_SECONDS:
            self.print()

    def print(self) -> None:
        self.last = time.monotonic()
        speed = self.seconds / max(self.last - self.begin, 1e-6)
        print(
            f"{PROG}: {self.done}/{self.total} utterances, {self.seconds / 3600:.2f} h, "
            f"{speed:.0f} x real time",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
