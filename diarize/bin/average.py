"""diarize-average: the n best checkpoints of a training as one model."""

import argparse
import sys
from pathlib import Path

from diarize import checks
from diarize.bin.common import command_parser, run_command


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(
        "diarize-average",
        "Average the weights of the checkpoints with the lowest validation DER.",
    )
    parser.add_argument("--exp", type=Path, required=True, metavar="DIR",
                        help="directory of the training (with best/)")
    parser.add_argument("--num", type=checks.count, default=10, metavar="N",
                        help="number of checkpoints (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE",
                        help="model file to write (default: DIR/final.pth)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)

    def body() -> None:
        from diarize.train.average import average_best

        out = args.out or args.exp / "final.pth"
        used = average_best(args.exp / "best", args.num, out)
        for entry in used:
            print(f"step {entry['step']}  validation DER {entry['der']:.2f} %")
        print(f"wrote the mean of {len(used)} checkpoint(s) to {out}")

    return run_command(body, parser.prog)


if __name__ == "__main__":
    sys.exit(main())
