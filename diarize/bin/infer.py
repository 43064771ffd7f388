"""diarize-infer: who spoke when, or which language when, in audio files.

    diarize-infer meeting.wav --model egs/speechocean762/diar1/model
    diarize-infer *.wav --model exp/m --out turns/ --format textgrid
    diarize-infer --data data/test --model exp/m --out exp/m/infer_test

The output is RTTM on standard output, a file in the format of its suffix (.rttm .TextGrid .eaf
.txt .srt .vtt .csv .json .jsonl .ctm .stm), or a directory with a file per recording.  A Kaldi
data directory becomes one with rttm, segments, utt2spk, spk2utt and reco2num_spk.
"""

import argparse
import sys
from pathlib import Path

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, run_command
from diarize.infer.limits import add_limits, given_limits
from diarize.io.formats import FORMATS

PROG = "diarize-infer"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(PROG, __doc__)
    add = parser.add_argument
    add("audio", nargs="*",
        help="audio files of any rate and number of channels, - for standard input")
    add("--data", type=Path, metavar="DIR",
        help="Kaldi data directory instead; its reco2num_spk is used, and the output is "
        "restricted to its segments")
    for name, text in (("use", "taken"), ("ignore", "not used")):
        add(f"--{name}", nargs="+", choices=("segments", "reco2num_spk"), default=[],
            help=f"files of --data that are {text}; one of both options is required for such files "
            "beside a reference (rttm, or utt2spk with speakers)")
    add_allow_pipes(parser)
    add("--model", type=Path, required=True, metavar="PATH",
        help="experiment or packed model (directory, .tar.gz), or a model file (.pth)")
    add("--config", type=Path, metavar="YAML",
        help="thresholds (default: best.yaml beside the model)")
    add("-o", "--out", metavar="PATH", help="file, or directory (default: standard output)")
    add("--format", choices=sorted(FORMATS), help="format (default: by the suffix, else rttm)")
    add("--channel", default="mix", metavar="N|each|mix",
        help="one channel, each channel separately, or their mean (default: %(default)s)")
    add("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N (default: auto)")
    add("--max-memory", type=checks.amount, metavar="GB",
        help="memory limit (default: 4)")
    add("--window", type=checks.size, metavar="SECONDS",
        help="longer recordings are processed in windows of this length")
    add("--query-threshold", type=checks.probability, metavar="P",
        help="activity above which a query is a speaker or language")
    add("--mask-threshold", type=checks.probability, metavar="P",
        help="mask probability of an active frame")
    add_limits(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if bool(args.audio) == bool(args.data):
        parser.error("audio files, or --data with a data directory, are required, not both")
    if (args.use or args.ignore) and not args.data:
        parser.error("--use and --ignore require --data")
    if both := set(args.use) & set(args.ignore):
        parser.error(f"--use and --ignore both name {sorted(both)[0]}")
    return run_command(lambda: infer(args), parser.prog)


def infer(args: argparse.Namespace) -> int:
    """Diarize the recordings of ``args``; returns 1 if one of them has failed."""
    from diarize.infer.batch import Failures, open_data, open_files
    from diarize.infer.inputs import parse_channel
    from diarize.infer.output import Output
    from diarize.infer.progress import inference_progress
    from diarize.io.destination import Destination

    place = Destination.parse(args.out, args.format)
    failures = Failures(PROG)
    channel = parse_channel(args.channel)
    if args.data:
        inputs = open_data(
            args.data, channel, failures, args.ignore, args.use, args.allow_pipes
        )
    else:
        inputs = open_files(args.audio, channel, failures)
    kaldi = bool(args.data) and place.folder and not args.format
    output = Output(place, failures.total, kaldi)

    from diarize.api import Diarizer  # after the checks: the import of torch lasts seconds

    diarizer = Diarizer.from_pretrained(
        args.model, args.device, args.config, args.max_memory, args.window
    )
    thresholds = {name: getattr(args, name) for name in ("query_threshold", "mask_threshold")}
    options = {**thresholds, **given_limits(args)}
    diarizer.check_options(**options)
    output.task = diarizer.task
    with inference_progress(len(inputs), PROG) as progress:
        for index, result in diarizer.stream(inputs, failures.add, progress.start, **options):
            output.add(index, result, inputs[index].file_name)
            progress.add(result.seconds)
    output.close()
    return failures.report(args.out or "standard output")


if __name__ == "__main__":
    sys.exit(main())
